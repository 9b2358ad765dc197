"""Finding CMS TICL dumper files and reading their branches in chunks of entries, with every mistake named by its place.

Trees are found by their whole name; of several cycles (``;1``, ``;2``) the highest counts. A file without keys is
passed over with a warning. B entries.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.files import reason
from hitloom.data.jagged import Jagged
from hitloom.data.root_records import Column
from hitloom.data.splits import SPLITS
from hitloom.data.ticl_layout import EXTRA_TREE, FOLDERS, GRAPH_TREE, PROVENANCE_KEY
from hitloom.errors import DataError, nearest

_log = logging.getLogger(__name__)
Choose = Callable[[Path, list[str], dict[str, Any]], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class TiclFile:
    """One file, looked at once: the folder of its trees, their names and sizes, what it says of its events.

    Attributes
    ----------
    split : str or None
        train, val or test, from the folder that the file lies in.
    trees : tuple of str
        Trees of interest that the file has; the entries of the first are the events.
    num_entries : int
        Of the first tree.
    extras : tuple of str
        Branches of the tree ``hitloom``.
    event_ids : (B,) int64 or None
        From the tree ``hitloom``.
    provenance : dict
        Of the events, where hitloom wrote the file.
    """

    path: Path
    split: str | None
    folder: str
    trees: tuple[str, ...]
    num_entries: int
    extras: tuple[str, ...]
    event_ids: NDArray[np.int64] | None
    provenance: dict[str, Any]

    def full_name(self, tree: str) -> str:
        """Return the name of a tree with its folder."""
        return f"{self.folder}/{tree}" if self.folder else tree


def find_ticl(source: str | Path) -> list[tuple[Path, str | None]]:
    """Return the ROOT files of a path, sorted, with the split that the folder train, val or test says.

    Raises
    ------
    DataError
        When there is none.
    """
    source = Path(source)
    if source.is_file():
        return [(source, None)]
    if not source.is_dir():
        raise DataError(f"{source}: no such file or folder")
    found: list[tuple[Path, str | None]] = []
    for path in sorted(source.rglob("*.root")):
        parts = path.relative_to(source).parts
        found.append((path, parts[0] if len(parts) > 1 and parts[0] in SPLITS else None))
    if not found:
        raise DataError(f"{source}: no *.root file in this folder")
    return found


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a ROOT file.

    Raises
    ------
    DataError
        When it is not a whole ROOT file.
    """
    import uproot

    try:
        file = uproot.open(path)
    except Exception as error:  # uproot raises what its parts raise: every kind of error
        raise DataError(f"{path}: not a whole ROOT file: {reason(error)}; mend: write or copy it again") from None
    with file:
        size, wanted = path.stat().st_size, int(file.file.fEND)
        if size < wanted:
            raise DataError(f"{path}: cut off after {size} of {wanted} bytes; mend: copy it again")
        yield file


def look_at(path: Path, split: str | None, choose: Choose) -> TiclFile | None:
    """Return what a file holds; None, with a warning, when it has no keys.

    ``choose`` gets the names of all trees and the provenance, and says which trees are of interest, the main one first.

    Raises
    ------
    DataError
        When it is no ROOT file, or has none of the folders and trees.
    """
    with opened(path) as file:
        try:
            classes = file.classnames(recursive=True, cycle=False)
        except Exception as error:
            raise DataError(f"{path}: its list of keys cannot be read: {reason(error)}; mend: copy it again") from None
        if not classes:
            _log.warning("%s: holds nothing, passed over", path)
            return None
        folder = _folder_of(path, classes)
        prefix = f"{folder}/" if folder else ""
        names = [name.removeprefix(prefix) for name, kind in classes.items() if kind == "TTree"]
        names = [name for name in names if f"{prefix}{name}" in classes and "/" not in name]
        text = prefix + PROVENANCE_KEY
        try:
            provenance = _json(str(file[text])) if text in classes else {}
            chosen = [name for name in choose(path, names, provenance) if name in names]
            num_entries = int(file[prefix + chosen[0]].num_entries)
            extras = tuple(file[prefix + EXTRA_TREE].keys(recursive=False)) if EXTRA_TREE in chosen else ()
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{path}: a tree cannot be read: {reason(error)}; mend: copy the file again") from None
        ids = None
        if "event" in extras and num_entries:
            columns = read_columns(file, path, prefix + EXTRA_TREE, {"event": Column("Long64_t")})
            ids = columns["event"].values.astype(np.int64)
        return TiclFile(
            path=path,
            split=split,
            folder=folder,
            trees=tuple(chosen),
            num_entries=num_entries,
            extras=extras,
            event_ids=ids,
            provenance=provenance,
        )


def _folder_of(path: Path, classes: Mapping[str, str]) -> str:
    """Return the folder that holds the trees: one of the usual names, else the one that holds a usual tree."""
    trees = [name for name, kind in classes.items() if kind == "TTree"]
    usual = [folder for folder in FOLDERS if any(name.startswith(f"{folder}/") for name in trees)]
    for folder in usual:
        if f"{folder}/{GRAPH_TREE}" in trees:
            return folder
    for name in trees:
        parent, _, tree = name.rpartition("/")
        if not usual and tree in (GRAPH_TREE, "clusters"):
            return parent
    if not usual:
        raise DataError(
            f"{path}: no folder {' or '.join(FOLDERS)} with trees in it; it holds {', '.join(sorted(classes)[:5])}"
        )
    return usual[0]


def _json(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def read_columns(
    file: Any,
    path: Path,
    tree: str,
    columns: Mapping[str, Column],
    *,
    optional: Sequence[str] = (),
    start: int = 0,
    stop: int | None = None,
    infinite: Sequence[str] = (),
) -> dict[str, Jagged]:
    """Return branches of a tree for the entries ``start`` to ``stop``; absent optional ones are left out.

    Parameters
    ----------
    file : uproot file
    columns : mapping
        Wanted branches and their types.
    infinite : sequence of str
        Branches that may hold infinity.

    Raises
    ------
    DataError
        Naming file, tree and branch: when a branch is missing, of another nesting or type, cannot be read, or holds NaN
        (then with the entry).
    """
    source = file[tree]
    present = set(source.keys(recursive=False))
    found: dict[str, Jagged] = {}
    for name, column in columns.items():
        where = f"{path}: tree '{tree}': branch '{name}'"
        if name not in present:
            if name in optional:
                continue
            raise DataError(f"{where} is missing.{nearest(name, present)}")
        try:
            array = source[name].array(entry_start=start, entry_stop=stop, library="ak")
            depth = array.ndim - 1
            lists = Jagged.of_awkward(array) if depth == column.depth else None
        except Exception as error:
            raise DataError(f"{where} cannot be read: {reason(error)}; mend: write or copy the file again") from None
        if lists is None:
            raise DataError(f"{where}: lists nested {depth} deep, but {column.depth} deep was wanted")
        found[name] = _checked(lists, column, where, start, may_be_infinite=name in infinite)
    return found


def _checked(lists: Jagged, column: Column, where: str, start: int, *, may_be_infinite: bool) -> Jagged:
    kind = lists.values.dtype.kind
    if column.number == "float":
        bad = np.isnan(lists.values) if may_be_infinite else ~np.isfinite(lists.values) if kind == "f" else None
        if bad is not None and bad.any():
            item = int(np.argmax(bad))
            raise DataError(
                f"{where}: entry {start + lists.entry_of(item)} holds {lists.values[item]}; mend or drop the event"
            )
        if kind not in "fiub":
            raise DataError(f"{where}: holds {lists.values.dtype}, but numbers were wanted")
    elif kind not in "iub" and len(lists.values):
        raise DataError(f"{where}: holds {lists.values.dtype}, but integers were wanted")
    return lists


def same_counts(columns: Mapping[str, Jagged], names: Sequence[str], where: str, start: int) -> None:
    """Check that branches have as many items in every entry as the first of them.

    Raises
    ------
    DataError
        Naming the branch and the entry.
    """
    present = [name for name in names if name in columns]
    for name in present[1:]:
        differ = columns[name].counts[0] != columns[present[0]].counts[0]
        if differ.any():
            row = int(np.argmax(differ))
            raise DataError(
                f"{where}: branch '{name}': entry {start + row} holds {columns[name].counts[0][row]} items, but "
                f"'{present[0]}' has {columns[present[0]].counts[0][row]}"
            )


def check_rows(values: NDArray[Any], low: int, high: int, where: str, meaning: str) -> None:
    """Check that every value is a row from ``low`` to ``high`` - 1.

    Raises
    ------
    DataError
        Saying the first that is not.
    """
    bad = (values < low) | (values >= high)
    if bad.any():
        raise DataError(f"{where} holds {int(values[bad][0])}; wanted {meaning} from {low} to {high - 1}")
