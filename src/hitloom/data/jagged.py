"""Columns of lists of different length, and lists of such lists, as flat arrays with counts.

B entries (events), L inner lists of all entries, I items of all entries. Depth 0 is one number for each entry, depth 1
a list, depth 2 a list of lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Jagged:
    """Items of all entries one after the other, and how many belong to each.

    Attributes
    ----------
    values : (I,)
    counts : tuple of arrays
        () for depth 0; ((B,),) items of each entry; ((B,), (L,)) inner lists of each entry, items of each inner list.

    Examples
    --------
    >>> column = Jagged.of_lists([np.array([1, 2]), np.array([3])])
    >>> column.entry(1).tolist(), column.num_entries
    ([3], 2)
    """

    values: NDArray[Any]
    counts: tuple[NDArray[np.int64], ...] = ()

    @property
    def depth(self) -> int:
        return len(self.counts)

    @property
    def num_entries(self) -> int:
        return len(self.counts[0]) if self.counts else len(self.values)

    @classmethod
    def of_lists(cls, lists: Sequence[NDArray[Any]]) -> Jagged:
        """Return the column of depth 1 with one array for each entry."""
        return cls(_joined(lists), (np.array([len(one) for one in lists], dtype=np.int64),))

    @classmethod
    def of_nested(cls, parts: Sequence[tuple[NDArray[Any], NDArray[np.int64]]]) -> Jagged:
        """Return the column of depth 2 with (items, counts of the inner lists) for each entry."""
        counts = [part[1] for part in parts]
        outer = np.array([len(one) for one in counts], dtype=np.int64)
        return cls(_joined([part[0] for part in parts]), (outer, _joined(counts).astype(np.int64)))

    @classmethod
    def of_awkward(cls, array: ak.Array) -> Jagged:
        """Return the column of an awkward array whose dimensions are its depth."""
        counts = []
        for _ in range(array.ndim - 1):
            counts.append(ak.to_numpy(ak.num(array, axis=1)).astype(np.int64))
            array = ak.flatten(array, axis=1)
        return cls(ak.to_numpy(array), tuple(counts))

    def entry(self, number: int) -> NDArray[Any]:
        """Return the items of one entry, whatever lists they are in."""
        low, high = self._bounds[number : number + 2]
        return self.values[low:high]

    def entry_counts(self, number: int) -> NDArray[np.int64]:
        """Return the number of items of each inner list of an entry (depth 2)."""
        low, high = self._outer[number : number + 2]
        return self.counts[1][low:high]

    def entry_of(self, item: int) -> int:
        """Return the entry that holds an item of ``values``."""
        return int(np.searchsorted(self._bounds, item, side="right")) - 1

    @cached_property
    def _outer(self) -> NDArray[np.int64]:
        return _starts(self.counts[0])

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        """(B + 1,): where the items of each entry begin."""
        if not self.counts:
            return np.arange(len(self.values) + 1)
        return self._outer if self.depth == 1 else _starts(self.counts[1])[self._outer]


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)
