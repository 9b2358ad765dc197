"""Order points into small leaves, each with its bounding box, for the leaf-block searches.

Points are split at the median of the widest axis until at most ``LEAF`` remain. A leaf is stored as
structure-of-arrays, (D, LEAF), so that one query meets a whole leaf in vector instructions.

n points, D dimensions, L leaves, B batch elements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.ops._vector import LEAF


SAMPLE = 256  # points looked at to choose an axis


@dataclass(frozen=True, slots=True)
class LeafTree:
    """Points in leaf order.

    ``soa`` (L, D, LEAF) coordinates, padded with NaN; ``ids`` (L, LEAF) row of each point in the caller's
    array, -1 where padded; ``count`` (L,) points in the leaf; ``low``, ``high`` (D, L) boxes and the same as
    ``box`` (L, 2, D); ``element`` (L,) batch
    element of the leaf; ``first`` (B + 1,) first leaf of each batch element.
    """

    soa: NDArray[np.float32]
    ids: NDArray[np.int32]
    count: NDArray[np.int32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    box: NDArray[np.float32]
    element: NDArray[np.int32]
    first: NDArray[np.int32]


@njit(cache=True, nogil=True)
def _select(keys, order, first, last, nth):  # type: ignore[no-untyped-def]
    """Partition ``keys[first:last]`` (and ``order`` with it) so that the smallest ``nth - first`` come first."""
    last -= 1
    while first < last:
        middle = (first + last) >> 1
        a, b, c = keys[first], keys[middle], keys[last]
        if a > b:
            a, b = b, a
        pivot = a if c < a else (c if c < b else b)  # median of three
        i, j = first, last
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if nth <= j:
            last = j
        elif nth >= i:
            first = i
        else:
            return


@njit(cache=True, nogil=True)
def _split(x, order, first, last):  # type: ignore[no-untyped-def]
    """Order the points ``order[first:last]`` of ``x`` (n, D) into leaves, in place."""
    dim = x.shape[1]
    keys = np.empty(last - first, np.float32)
    low = np.empty(dim, np.float32)
    high = np.empty(dim, np.float32)
    stack = [(first, last)]
    while len(stack) > 0:
        lo, hi = stack.pop()
        num = hi - lo
        if num <= LEAF:
            continue
        for d in range(dim):
            low[d] = high[d] = x[order[lo], d]
        step = num // SAMPLE + 1  # the widest axis need not be exact
        for i in range(lo + step, hi, step):
            row = order[i]
            for d in range(dim):
                value = x[row, d]
                low[d] = value if value < low[d] else low[d]
                high[d] = value if value > high[d] else high[d]
        axis = 0
        for d in range(1, dim):
            if high[d] - low[d] > high[axis] - low[axis]:
                axis = d
        middle = ((num + LEAF - 1) // LEAF // 2) * LEAF
        for i in range(num):
            keys[i] = x[order[lo + i], axis]
        _select(keys, order[lo:hi], 0, num, middle)
        stack.append((lo, lo + middle))
        stack.append((lo + middle, hi))


@njit(cache=True, nogil=True)
def _pack(x, order, first, soa, ids, count, low, high, begin, leaf):  # type: ignore[no-untyped-def]
    """Write the leaves of the points ``order[begin:begin + first]`` from leaf number ``leaf`` on."""
    dim = x.shape[1]
    for start in range(0, first, LEAF):
        num = min(LEAF, first - start)
        count[leaf] = num
        for d in range(dim):
            small = x[order[begin + start], d]
            large = small
            for j in range(num):
                value = x[order[begin + start + j], d]
                soa[leaf, d, j] = value
                small = value if value < small else small
                large = value if value > large else large
            low[d, leaf] = small
            high[d, leaf] = large
        for j in range(num):
            ids[leaf, j] = order[begin + start + j]
        leaf += 1


def build_tree(
    x: NDArray[np.float32], rows: NDArray[np.int64], batch: NDArray[np.int64] | None, num_batch: int
) -> LeafTree:
    """Order the points ``x[rows]`` into leaves, each batch element by itself.

    Parameters
    ----------
    x
        (n, D) all points, finite.
    rows
        (m,) rows of ``x`` to order.
    batch
        (n,) batch element of each point, 0 <= batch < num_batch, or None for one element.
    num_batch
        Number of batch elements B.
    """
    dim = x.shape[1]
    if batch is None:
        order = rows.astype(np.int32)
        sizes = np.array([len(rows)], np.int64)
    else:
        order = rows[np.argsort(batch[rows], kind="stable")].astype(np.int32)
        sizes = np.bincount(batch[rows], minlength=num_batch)
    leaves = -(-sizes // LEAF)
    first = np.concatenate([[0], np.cumsum(leaves)]).astype(np.int32)
    total = int(first[-1])
    soa = np.full((total, dim, LEAF), np.nan, np.float32)
    ids = np.full((total, LEAF), -1, np.int32)
    count = np.zeros(total, np.int32)
    low = np.zeros((dim, total), np.float32)
    high = np.zeros((dim, total), np.float32)
    begin = 0
    for size, leaf in zip(sizes.tolist(), first.tolist(), strict=False):
        if size > LEAF:
            _split(x, order, begin, begin + size)
        if size:
            _pack(x, order, size, soa, ids, count, low, high, begin, leaf)
        begin += size
    box = np.ascontiguousarray(np.stack([low, high]).transpose(2, 0, 1))
    element = np.repeat(np.arange(len(sizes), dtype=np.int32), leaves)
    return LeafTree(soa=soa, ids=ids, count=count, low=low, high=high, box=box, element=element, first=first)
