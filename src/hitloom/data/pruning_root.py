"""Two aligned ROOT trees of tracksters: entry i of both is trackster i; read in chunks of entries.

``Tracksters`` has a list for each column, ``Edges`` the identifiers of the layer clusters at both ends of each link.
B entries.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.files import reason
from hitloom.data.jagged import Jagged
from hitloom.data.pruning_table import LINKS, OPTIONAL, READ, Place, TracksterTable
from hitloom.data.root_read import opened, read_columns
from hitloom.data.root_records import Column
from hitloom.errors import DataError, nearest

_log = logging.getLogger(__name__)


def find_tree(path: Path, trees: Sequence[str], wanted: str, option: str) -> str:
    """Return the full name of a tree: the cycle that was asked for, else the highest.

    Raises
    ------
    DataError
        When there is none; the message names the trees that are there.
    """
    cycles = {name: int(name.rpartition(";")[2]) for name in trees if name.rpartition(";")[0] == wanted.split(";")[0]}
    chosen = wanted if wanted in cycles else max(cycles, key=cycles.__getitem__, default="")
    if not cycles or (";" in wanted and chosen != wanted):
        there = f"it holds {', '.join(sorted(trees))}" if trees else "it holds no tree"
        raise DataError(f"{path}: no tree '{wanted}'; {there}; mend: name one with {option}")
    if cycles[chosen] < max(cycles.values()):
        _log.warning("%s: tree '%s' is read, but it has a later cycle %d", path, chosen, max(cycles.values()))
    return chosen


def count_entries(file: Any, path: Path, trees: Sequence[str]) -> int:
    """Return the number of entries of trees, from their headers alone.

    Raises
    ------
    DataError
        When a tree cannot be read, or they have different numbers.
    """
    numbers = []
    for name in trees:
        try:
            numbers.append(int(file[name].num_entries))
        except Exception as error:
            raise DataError(f"{path}: tree '{name}' cannot be read: {reason(error)}; mend: copy it again") from None
    for name, number in zip(trees, numbers, strict=True):
        if number != numbers[0]:
            raise DataError(
                f"{path}: tree '{name}' has {number} entries, but '{trees[0]}' has {numbers[0]}; entry i of both must "
                "be the same trackster; mend: write the file again, or name other trees"
            )
    return numbers[0]


def read_renamed(
    file: Any, path: Path, tree: str, columns: Mapping[str, Column], renamed: Mapping[str, str], **where: Any
) -> dict[str, Jagged]:
    """Return columns by our names that have other names in the file."""
    named = {renamed.get(name, name): column for name, column in columns.items()}
    where["optional"] = [renamed.get(name, name) for name in where.get("optional", ())]
    found = read_columns(file, path, tree, named, **where)
    return {name: found[renamed.get(name, name)] for name in columns if renamed.get(name, name) in found}


def root_tables(
    path: Path,
    trees: tuple[str, str],
    event_ids: NDArray[np.int64],
    *,
    start: int,
    stop: int,
    chunk_size: int,
    renamed: Mapping[str, str],
) -> Iterator[TracksterTable]:
    """Yield the entries ``start`` to ``stop`` of the two trees, so many at a time.

    Parameters
    ----------
    event_ids : (B,) int64
        Of all entries of the file.

    Raises
    ------
    DataError
        Naming file, tree, branch and entry.
    """
    place = Place(path=path, trees={"columns": trees[0], "links": trees[1]}, renamed=renamed)
    with opened(path) as file:
        for low in range(start, stop, chunk_size):
            high = min(low + chunk_size, stop)
            columns = read_renamed(file, path, trees[0], READ, renamed, optional=list(OPTIONAL), start=low, stop=high)
            links = read_renamed(file, path, trees[1], LINKS, renamed, start=low, stop=high)
            yield TracksterTable(
                place=place, columns=columns, links=links, event_ids=event_ids[low:high], entries=np.arange(low, high)
            )


def check_renamed(renamed: Mapping[str, str], valid: Sequence[str]) -> None:
    """Check that branches are renamed that exist.

    Raises
    ------
    DataError
        Naming the nearest one.
    """
    for name in renamed:
        if name not in valid:
            raise DataError(f"branch '{name}' is none of the layout.{nearest(name, valid)}")
