"""Writer of ROOT files whose trees hold numbers, ``std::vector`` and ``std::vector<std::vector>`` branches.

The file, its folders and its list of free segments are uproot's; the trees are made of
:mod:`hitloom.data.root_records`. The file appears under its name when all is written. B entries.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from hitloom.data.files import temporary_name
from hitloom.data.jagged import Jagged
from hitloom.data.root_records import Baskets, Column, numbers_payload, text, tree_bytes, vectors_payload
from hitloom.errors import DataError

_KEY_HEAD = struct.Struct(">ihiIhhqq")
_BASKET_HEAD = struct.Struct(">Hiiii")


class RootTreeWriter:
    """Write trees of known columns into a new ROOT file, chunk by chunk.

    Parameters
    ----------
    path : path of a file
        Replaced only at the end.
    trees : mapping
        Columns by name, by the full name of the tree (``"folder/tree"``).
    texts : mapping
        Text by its full name, each an object of its own in the file.

    Examples
    --------
    >>> with RootTreeWriter("a.root", {"d/t": {"x": Column("float", 1)}}) as writer:  # doctest: +SKIP
    ...     writer.extend("d/t", {"x": Jagged.of_lists([np.array([1.0]), np.array([])])})
    """

    def __init__(
        self,
        path: str | Path,
        trees: Mapping[str, Mapping[str, Column]],
        *,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self._texts = dict(texts or {})
        self._trees = {name: _Tree(name, dict(columns)) for name, columns in trees.items()}
        self._part: Path | None = None
        self._file: Any = None

    def __enter__(self) -> RootTreeWriter:
        import uproot

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._part = temporary_name(self.path)
        self._file = uproot.recreate(self._part, compression=uproot.ZLIB(1))
        return self

    def extend(self, tree: str, data: Mapping[str, Jagged]) -> None:
        """Append B entries to a tree: lists as deep as the column says, for every column.

        Raises
        ------
        DataError
            When a column is missing or of another length or depth.
        """
        self._trees[tree].extend(self._file, data, str(self.path))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._part is not None
        whole = kind is None
        try:
            if whole:
                for tree in self._trees.values():
                    tree.finish(self._file)
                _describe_classes(self._file)
                for name, value in self._texts.items():
                    self._file[name] = value
            self._file.close()
            if whole:
                self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)


def _describe_classes(file: Any) -> None:
    """Add the descriptions of the classes of a tree, which older ROOT versions ask for, to the file's list."""
    import uproot
    from uproot.writing._cascade import RawStreamerInfo

    leaf, branch, tree = uproot.models.TLeaf, uproot.models.TBranch, uproot.models.TTree
    models = (leaf.Model_TLeafF_v1, leaf.Model_TLeafI_v1, leaf.Model_TLeafL_v1, branch.Model_TBranch_v13)
    found = {raw[-2:]: raw for model in (*models, tree.Model_TTree_v20) for raw in model.class_rawstreamers}
    streamers = [RawStreamerInfo(*raw) for raw in found.values()]
    file.file._cascading.streamers.update_streamers(file.file.sink, streamers)


class _Tree:
    def __init__(self, full_name: str, columns: dict[str, Column]) -> None:
        self.folder, _, self.name = full_name.rpartition("/")
        self.full_name = full_name
        self.columns = columns
        self.baskets = {name: Baskets() for name in columns}
        self.num_entries = 0

    def extend(self, file: Any, data: Mapping[str, Jagged], where: str) -> None:
        number: int | None = None
        for name, column in self.columns.items():
            place = f"{where}: tree '{self.full_name}': branch '{name}'"
            if name not in data:
                raise DataError(f"{place}: no values for it")
            if data[name].depth != column.depth:
                raise DataError(f"{place}: lists of depth {data[name].depth}, but the branch has depth {column.depth}")
            if number is not None and data[name].num_entries != number:
                raise DataError(f"{place}: {data[name].num_entries} entries, but the others have {number}")
            number = data[name].num_entries
        if not number:
            return
        for name, column in self.columns.items():
            self._write_basket(file, name, column, data[name], number)
        self.num_entries += number

    def _write_basket(self, file: Any, name: str, column: Column, values: Jagged, number: int) -> None:
        import uproot

        names = text("TBasket") + text(name) + text(self.name)
        key_bytes = _KEY_HEAD.size + len(names) + _BASKET_HEAD.size + 1
        if column.depth:
            payload, ends = vectors_payload(values, column, key_bytes=key_bytes)
            last, per_entry = int(ends[-1]), number + 2
            table = ends.astype(">i4")
            table[-1] = 0
            payload += struct.pack(">I", number + 1) + table.tobytes()
        else:
            payload = numbers_payload(values.values, column)
            last, per_entry = key_bytes + len(payload), column.dtype.itemsize
        directory = self._directory(file)
        packed = uproot.compression.compress(payload, file.compression)
        size = key_bytes + len(packed)
        place = directory.freesegments.allocate(size)
        now = uproot._util.datetime_to_code(datetime.datetime.now())
        head = _KEY_HEAD.pack(size, 1004, len(payload), now, key_bytes, 0, place, directory.key.location)
        basket = _BASKET_HEAD.pack(3, 32000, per_entry, number, last) + b"\x00"
        file.file.sink.write(place, head + names + basket + packed)
        directory.freesegments.write(file.file.sink)
        file.file.sink.set_file_length(directory.freesegments.fileheader.end)
        done = self.baskets[name]
        done.num_bytes.append(size)
        done.seek.append(place)
        done.first_entry.append(done.first_entry[-1] + number)
        done.raw_bytes += key_bytes + len(payload)

    def finish(self, file: Any) -> None:
        key_bytes = _KEY_HEAD.size + len(text("TTree")) + len(text(self.name)) + len(text(""))
        record = tree_bytes(self.name, self.columns, self.baskets, num_entries=self.num_entries, key_bytes=key_bytes)
        directory = self._directory(file)
        directory.add_object(file.file.sink, "TTree", self.name, "", record, len(record), big=True)

    def _directory(self, file: Any) -> Any:
        """Return uproot's record of the folder, made where it is not there yet."""
        if not self.folder:
            return file._cascading
        known = {key.partition(";")[0] for key in file.keys(recursive=True, filter_classname="TDirectory")}
        return (file[self.folder] if self.folder in known else file.mkdir(self.folder))._cascading
