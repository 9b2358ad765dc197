"""Trees with one collision for each entry: layer clusters, the tracksters that hold them, and simulated tracksters.

Every reconstructed trackster becomes one entry of a table; its labels are made by the majority rule of
:mod:`hitloom.data.pruning_labels`. B collisions, N layer clusters, T tracksters, k places of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.files import reason
from hitloom.data.jagged import Jagged
from hitloom.data.pruning_labels import NONE, majority_labels
from hitloom.data.pruning_root import find_tree, read_renamed
from hitloom.data.pruning_table import ID, LABEL, LAYER, NEEDED, ORIGIN, READ, TARGET, Place, TracksterTable
from hitloom.data.pruning_tracksters import TRACKSTERS_PER_COLLISION
from hitloom.data.root_read import branch_names, opened, same_counts
from hitloom.data.root_records import Column
from hitloom.errors import DataError

SIM, RECO, EDGE_START, EDGE_END = "simTst_idx", "recoTst_idx", "ts_edgestart", "ts_edgeend"
COLLISION_BRANCHES = (*NEEDED, LAYER, SIM, RECO, EDGE_START, EDGE_END)
_MEND = "mend: write the file again, or leave the collision out"


def collision_tree(file: Any, path: Path, trees: Sequence[str], wanted: str | None, renamed: Mapping[str, str]) -> str:
    """Return the tree of collisions: the one asked for, else the first that has the branches; "" when none has.

    Raises
    ------
    DataError
        When the one asked for is not there.
    """
    if wanted is not None:
        return find_tree(path, trees, wanted, "--collisions-tree")
    needed = {renamed.get(name, name) for name in (SIM, RECO, EDGE_START)}
    return next((name for name in trees if needed <= branch_names(file, path, name)), "")


def collision_tables(
    path: Path,
    tree: str,
    numbers: NDArray[np.int64],
    *,
    start: int,
    stop: int,
    chunk_size: int,
    renamed: Mapping[str, str],
    majority: str,
    all_noise: str,
) -> Iterator[TracksterTable]:
    """Yield the tracksters of the collisions ``start`` to ``stop``, so many collisions at a time.

    Parameters
    ----------
    numbers : (B,) int64
        Of the collisions; the number of an event is that * 100000 + the row of its trackster.
    majority, all_noise
        As in :func:`hitloom.data.pruning_labels.majority_labels`.

    Raises
    ------
    DataError
        Naming file, tree, branch and entry.
    """
    place = Place(path=path, trees={"columns": tree, "links": tree}, renamed={**renamed, **_link_names(renamed)})
    with opened(path) as file:
        wanted = {name: READ[name] for name in (*NEEDED, LAYER)}
        wanted |= {EDGE_START: Column("Long64_t", 2), EDGE_END: Column("Long64_t", 2)}
        for name in (SIM, RECO):
            wanted[name] = Column("int", _depth(file, path, tree, renamed.get(name, name)))
        for low in range(start, stop, chunk_size):
            high = min(low + chunk_size, stop)
            found = read_renamed(file, path, tree, wanted, renamed, optional=[LAYER], start=low, stop=high)
            points = [name for name in found if name not in (EDGE_START, EDGE_END)]
            same_counts(
                {renamed.get(name, name): found[name] for name in points},
                [renamed.get(name, name) for name in points], place.table("columns"), low,
            )  # fmt: skip
            yield _Chunk(place, found, low).table(numbers[low:high], majority=majority, all_noise=all_noise)


def _link_names(renamed: Mapping[str, str]) -> dict[str, str]:
    return {ORIGIN: renamed.get(EDGE_START, EDGE_START), TARGET: renamed.get(EDGE_END, EDGE_END)}


def _depth(file: Any, path: Path, tree: str, branch: str) -> int:
    """Return how deep the lists of a branch are nested: 1 or 2 are both in use."""
    if branch not in branch_names(file, path, tree):
        return 2
    try:
        return max(1, min(2, file[tree][branch].array(entry_stop=1, library="ak").ndim - 1))
    except Exception as error:
        raise DataError(f"{path}: tree '{tree}': branch '{branch}' cannot be read: {reason(error)}") from None


class _Chunk:
    """Some collisions, first entry ``low``."""

    def __init__(self, place: Place, found: dict[str, Jagged], low: int) -> None:
        self.place, self.found, self.low = place, found, low
        self.entry = np.repeat(np.arange(found[ID].num_entries), found[ID].counts[0])

    def table(self, numbers: NDArray[np.int64], *, majority: str, all_noise: str) -> TracksterTable:
        owner = padded(self.found[RECO])[:, 0]
        self._check_owners(owner)
        sims = padded(self.found[SIM])
        energy = self.found["energy"].values
        inside = np.flatnonzero(owner != NONE)
        order = inside[np.lexsort((owner[inside], self.entry[inside]))]
        key = np.stack([self.entry[order], owner[order]])
        new = np.flatnonzero((np.diff(key, prepend=-1) != 0).any(0)) if len(order) else np.zeros(0, np.int64)
        rows, labels, names = [], [], []
        for low, members in zip(new, np.split(order, new[1:]) if len(new) else [], strict=True):
            label = majority_labels(sims[members], energy=energy[members], majority=majority, all_noise=all_noise)
            if label is not None:
                rows.append(members)
                labels.append(label)
                names.append(key[:, low])
        entry, trackster = np.array(names, dtype=np.int64).reshape(-1, 2).T
        return TracksterTable(
            place=self.place,
            columns={
                name: Jagged.of_lists([lists.values[members] for members in rows])
                for name, lists in self.found.items()
                if name in READ
            }
            | {LABEL: Jagged.of_lists(labels)},
            links=self._links(entry, trackster),
            event_ids=numbers[entry] * TRACKSTERS_PER_COLLISION + trackster,
            entries=self.low + entry,
        )

    def _check_owners(self, owner: NDArray[np.int64]) -> None:
        """Check that every trackster has a list of links, and that both ends have as many."""
        begins, ends = self.found[EDGE_START], self.found[EDGE_END]
        number = np.minimum(begins.counts[0][self.entry], TRACKSTERS_PER_COLLISION)
        bad = (owner < NONE) | (owner >= number)
        if bad.any():
            item = int(np.argmax(bad))
            raise DataError(
                f"{self.place.column(RECO, self.low + int(self.entry[item]))} holds {owner[item]}; -1 or a trackster "
                f"from 0 to {number[item] - 1} was wanted (there are as many lists of links); {_MEND}"
            )
        for one, other in zip(begins.counts, ends.counts, strict=True):
            if len(one) != len(other) or (one != other).any():
                row = next(
                    row
                    for row in range(begins.num_entries)
                    if begins.entry_counts(row).tolist() != ends.entry_counts(row).tolist()
                )
                raise DataError(
                    f"{self.place.column(TARGET, self.low + row)} has other numbers of links than "
                    f"'{self.place.renamed[ORIGIN]}'; {_MEND}"
                )

    def _links(self, entry: NDArray[np.int64], trackster: NDArray[np.int64]) -> dict[str, Jagged]:
        """Return the links of tracksters, by collision and row of the trackster in it."""
        result = {}
        for name, branch in ((ORIGIN, EDGE_START), (TARGET, EDGE_END)):
            lists = self.found[branch]
            outer = np.cumsum(lists.counts[0]) - lists.counts[0]
            bounds = np.concatenate([[0], np.cumsum(lists.counts[1])]).astype(np.int64)
            places = outer[entry] + trackster
            result[name] = Jagged.of_lists([lists.values[bounds[one] : bounds[one + 1]] for one in places])
        return result


def padded(lists: Jagged) -> NDArray[np.int64]:
    """Return lists of different length, or single numbers, as (N, k) with -1 in empty places; k is at least 1.

    Examples
    --------
    >>> padded(Jagged.of_nested([(np.array([4, 7, 5]), np.array([2, 0, 1]))])).tolist()
    [[4, 7], [-1, -1], [5, -1]]
    """
    values = lists.values.astype(np.int64)
    if lists.depth == 1:
        return values.reshape(-1, 1)
    sizes = lists.counts[1]
    result = np.full((len(sizes), max(int(sizes.max(initial=0)), 1)), NONE, dtype=np.int64)
    row = np.repeat(np.arange(len(sizes)), sizes)
    result[row, np.arange(len(values)) - (np.cumsum(sizes) - sizes)[row]] = values
    return result
