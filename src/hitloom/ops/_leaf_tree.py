# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Order points into small leaves, each with its bounding box, for the leaf-block searches.

Points are split at the median of the widest axis until at most ``LEAF`` remain. A leaf is stored as
structure-of-arrays, (D, LEAF), so that one query meets a whole leaf in vector instructions.

n points, D dimensions, L leaves, B batch elements.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.ops._threads import num_threads, run_blocks
from hitloom.ops._vector import LEAF

SAMPLE = 256  # points looked at to choose an axis
MANY = 20_000  # points from which threads pay


class LeafTree(NamedTuple):
    """Points in leaf order; compiled code takes it as it is.

    ``soa`` (L, D, LEAF) coordinates, padded with NaN; ``ids`` (L, LEAF) row of each point in the caller's
    array, -1 where padded; ``filled`` (L,) points in the leaf; ``least`` (L,) lowest
    of its rows; ``low``, ``high`` (D, L) boxes and the same as
    ``box`` (L, 2, D); ``element`` (L,) batch
    element of the leaf; ``first`` (B + 1,) first leaf of each batch element.
    """

    soa: NDArray[np.float32]
    ids: NDArray[np.int32]
    filled: NDArray[np.int32]
    least: NDArray[np.int32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    box: NDArray[np.float32]
    element: NDArray[np.int32]
    first: NDArray[np.int32]


@njit(cache=True, nogil=True)
def _select(keys, order, first, last, nth):
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
def _halve(x, order, first, last, keys):
    """Split ``order[first:last]`` on the widest axis at a whole number of leaves near the middle; return where."""
    dim = x.shape[1]
    num = last - first
    step = num // SAMPLE + 1  # the widest axis need not be exact
    axis, widest = 0, np.float32(-1.0)
    for d in range(dim):
        small = large = x[order[first], d]
        for i in range(first + step, last, step):
            value = x[order[i], d]
            small = value if value < small else small
            large = value if value > large else large
        if large - small > widest:
            axis, widest = d, large - small
    middle = ((num + LEAF - 1) // LEAF // 2) * LEAF
    for i in range(num):
        keys[i] = x[order[first + i], axis]
    _select(keys, order[first:last], 0, num, middle)
    return first + middle


@njit(cache=True, nogil=True)
def _split(x, order, first, last):
    """Order the points ``order[first:last]`` of ``x`` (n, D) into leaves, in place."""
    keys = np.empty(last - first, np.float32)
    stack = [(first, last)]
    while len(stack) > 0:
        lo, hi = stack.pop()
        if hi - lo > LEAF:
            middle = _halve(x, order, lo, hi, keys)
            stack.append((lo, middle))
            stack.append((middle, hi))


@njit(cache=True, nogil=True)
def _split_all(x, order, sizes):
    """Order each run of ``sizes`` points into leaves."""
    begin = 0
    for size in sizes:
        if size > LEAF:
            _split(x, order, begin, begin + size)
        begin += size


@njit(cache=True, nogil=True)
def _pack(x, order, sizes, soa, ids, filled, least, low, high):
    """Write the leaves of runs of ``sizes`` points, a new leaf for each run."""
    dim = x.shape[1]
    leaf = 0
    begin = 0
    for size in sizes:
        for start in range(begin, begin + size, LEAF):
            num = min(LEAF, begin + size - start)
            filled[leaf] = num
            for d in range(dim):
                small = large = x[order[start], d]
                for j in range(num):
                    value = x[order[start + j], d]
                    soa[leaf, d, j] = value
                    small = value if value < small else small
                    large = value if value > large else large
                low[d, leaf] = small
                high[d, leaf] = large
            least[leaf] = order[start]
            for j in range(num):
                ids[leaf, j] = order[start + j]
                least[leaf] = min(least[leaf], order[start + j])
            leaf += 1
        begin += size


def _split_in_threads(x: NDArray[np.float32], order: NDArray[np.int32]) -> None:
    """Order one large run of points into leaves: the first splits here, what they leave on several threads."""
    spans = [(0, len(order))]
    keys = np.empty(len(order), np.float32)
    while len(spans) < num_threads():
        halves = []
        for lo, hi in spans:
            middle = _halve(x, order, lo, hi, keys)
            halves += [(lo, middle), (middle, hi)]
        spans = halves

    def split(begin: int, end: int) -> None:
        for lo, hi in spans[begin:end]:
            _split(x, order, lo, hi)

    run_blocks(split, len(spans))


def build_tree(
    x: NDArray[np.float32], rows: NDArray[np.int64] | None, batch: NDArray[np.int64] | None, num_batch: int
) -> LeafTree:
    """Order the points ``x[rows]`` into leaves, each batch element by itself.

    Parameters
    ----------
    x
        (n, D) all points, finite.
    rows
        (m,) rows of ``x`` to order, or None for all.
    batch
        (n,) batch element of each point, 0 <= batch < num_batch, or None for one element.
    num_batch
        Number of batch elements B.
    """
    dim = x.shape[1]
    if rows is None:
        rows = np.arange(len(x))
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
    filled = np.zeros(total, np.int32)
    least = np.zeros(total, np.int32)
    low = np.zeros((dim, total), np.float32)
    high = np.zeros((dim, total), np.float32)
    if dim and len(sizes) == 1 and len(order) > MANY and num_threads() > 1:
        _split_in_threads(x, order)
    elif dim:
        _split_all(x, order, sizes)
    _pack(x, order, sizes, soa, ids, filled, least, low, high)
    return LeafTree(
        soa=soa,
        ids=ids,
        filled=filled,
        least=least,
        low=low,
        high=high,
        box=np.ascontiguousarray(np.stack([low, high]).transpose(2, 0, 1)),
        element=np.repeat(np.arange(len(sizes), dtype=np.int32), leaves),
        first=first,
    )
