"""Reading branches of ROOT files in chunks of entries, with every mistake named by its place.

B entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.files import reason
from hitloom.data.jagged import Jagged
from hitloom.data.root_records import Column
from hitloom.data.splits import SPLITS
from hitloom.errors import DataError, nearest

EVENT = "event"
"""Optional branch: number of the event, one for each trackster."""


def find_root(source: str | Path, pattern: str = "*.root") -> list[tuple[Path, str | None]]:
    """Return the files of a path, sorted, with the split that the folder train, val or test says.

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
    for path in sorted(source.rglob(pattern)):
        parts = path.relative_to(source).parts
        found.append((path, parts[0] if len(parts) > 1 and parts[0] in SPLITS else None))
    if not found:
        raise DataError(f"{source}: no {pattern} file in this folder")
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


def tree_names(file: Any, path: Path) -> list[str]:
    """Return the names of all trees of an open file, with folder and cycle.

    Raises
    ------
    DataError
        When the list of them cannot be read.
    """
    try:
        return [name for name, kind in file.classnames(recursive=True).items() if kind == "TTree"]
    except Exception as error:  # uproot raises what its parts raise: every kind of error
        raise DataError(f"{path}: its list of keys cannot be read: {reason(error)}; mend: copy it again") from None


def branch_names(file: Any, path: Path, tree: str) -> set[str]:
    """Return the names of the branches of a tree.

    Raises
    ------
    DataError
        When the tree cannot be read.
    """
    try:
        return set(file[tree].keys(recursive=False))
    except Exception as error:
        raise DataError(f"{path}: tree '{tree}' cannot be read: {reason(error)}; mend: copy the file again") from None


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
    present = branch_names(file, path, tree)
    source = file[tree]
    number = max((source.num_entries if stop is None else min(stop, source.num_entries)) - start, 0)
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
        if lists.num_entries != number:
            raise DataError(f"{where} gave {lists.num_entries} of {number} entries; mend: write or copy the file again")
        found[name] = check_numbers(lists, column, where, start, may_be_infinite=name in infinite)
    return found


def stored_event_ids(file: Any, path: Path, tree: str) -> NDArray[np.int64] | None:
    """Return the numbers of the events (B,) where the file has them."""
    if EVENT not in branch_names(file, path, tree):
        return None
    return read_columns(file, path, tree, {EVENT: Column("Long64_t")})[EVENT].values.astype(np.int64)


def check_numbers(
    lists: Jagged, column: Column, where: str, start: int = 0, *, may_be_infinite: bool = False
) -> Jagged:
    """Return the lists when they hold finite numbers, or integers where the column has them.

    Raises
    ------
    DataError
        Beginning with ``where``, and naming the entry, counted from ``start``.
    """
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


def same_counts(
    columns: Mapping[str, Jagged], names: Sequence[str], where: str, start: int, *, called: str = "branch"
) -> None:
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
                f"{where}: {called} '{name}': entry {start + row} holds {columns[name].counts[0][row]} items, but "
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
