# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Exact nearest neighbours by leaf blocks, on the CPU.

Leaves near the queries' leaf come first; a leaf whose box is farther than the k-th distance known so far is skipped,
for all queries of a leaf at once and then for each query; what is left is met 64 points at a time.

Q queries, D dimensions, L leaves, k neighbours.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.ops._keys import LARGEST, ROW, sort_keys
from hitloom.ops._leaf_tree import LeafTree
from hitloom.ops._threads import run_blocks
from hitloom.ops._vector import LEAF, bits_of, float_of, lowest, meet, reach

GROW = np.float32(1.0 + 1e-5)  # bounds are a little wider than they are: rounding never prunes a neighbour
AHEAD = 2  # leaves visited on either side of the nearest before the others are sorted


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def box_distances(tree, leaf, others, start, stop, out):
    """Squared distance of the box of ``leaf`` to those of the leaves ``start:stop`` of ``others``, into ``out``."""
    num = stop - start
    out[:num] = np.float32(0.0)
    for d in range(tree.low.shape[0]):
        a, b = tree.low[d, leaf], tree.high[d, leaf]
        low = others.low[d, start:stop]  # sliced, so that the loop is free of checks for negative positions
        high = others.high[d, start:stop]
        for i in range(num):
            above = low[i] - b
            below = a - high[i]
            gap = above if above > below else below
            gap = gap if gap > np.float32(0.0) else np.float32(0.0)
            out[i] += gap * gap


@njit(cache=True, nogil=True, fastmath=True)
def _largest(values):
    """Largest of 64 finite values."""
    top = values[0]
    for i in range(1, LEAF):
        top = values[i] if values[i] > top else top
    return top


@njit(cache=True, nogil=True, error_model="numpy")
def _visit(queries, leaf, query, candidates, other, exclude, bounds, square, best):
    """Meet the queries of ``leaf`` with the points of leaf ``other``; keep the smallest keys in ``best`` (64, k)."""
    last = best.shape[1] - 1
    askers = reach(queries.soa, leaf, candidates.box, other, bounds)
    while askers:
        j = lowest(askers)
        askers &= askers - np.uint64(1)
        if bounds[j] == 0.0 and candidates.least[other] > best[j, last]:
            continue  # k coincident points are known and this leaf has no lower row
        found = meet(candidates.soa, other, query, j, bounds[j], square)
        if not found:
            continue
        mine = queries.ids[leaf, j] if exclude else -1
        while found:
            i = lowest(found)
            found &= found - np.uint64(1)
            index = candidates.ids[other, i]
            key = (bits_of(square[i]) << 32) | index
            if key >= best[j, last] or index == mine:
                continue
            place = last
            while place > 0 and best[j, place - 1] > key:
                best[j, place] = best[j, place - 1]
                place -= 1
            best[j, place] = key
        bounds[j] = float_of(best[j, last] >> 32) * GROW


@njit(cache=True, nogil=True, error_model="numpy")
def _search(begin, end, queries, candidates, exclude, limit, out_index, out_square):
    """Fill the rows of the queries in the leaves ``begin:end``; squared distances above ``limit`` do not count."""
    dim = queries.soa.shape[1]
    k = out_index.shape[1]
    boxes = np.empty(candidates.soa.shape[0], np.float32)
    query = np.empty((LEAF, dim), np.float32)
    best = np.empty((LEAF, k), np.int64)
    bounds = np.empty(LEAF, np.float32)
    square = np.empty(LEAF, np.float32)
    todo = np.empty(candidates.soa.shape[0], np.int64)
    spare = np.empty(2 * candidates.soa.shape[0], np.int64)
    for leaf in range(begin, end):
        element = queries.element[leaf]
        start, stop = candidates.first[element], candidates.first[element + 1]
        if start == stop:
            continue
        num = queries.filled[leaf]
        for d in range(dim):
            for j in range(LEAF):
                query[j, d] = queries.soa[leaf, d, j]
        best[:] = (bits_of(limit) << 32) | ROW
        bounds[:num] = limit * GROW
        bounds[num:] = -1.0
        box_distances(queries, leaf, candidates, start, stop, boxes)
        nearest = 0
        for t in range(stop - start):
            nearest = t if boxes[t] < boxes[nearest] else nearest
        # The nearest leaf and its neighbours in the order of the tree come first: their bounds are tight before the
        # others are sorted.
        for phase in range(2):
            first = 0 if phase else max(0, nearest - AHEAD)
            last = stop - start if phase else min(stop - start, nearest + AHEAD + 1)
            worst = _largest(bounds)
            num_todo = 0
            for t in range(first, last):
                if boxes[t] <= worst:
                    todo[num_todo] = (bits_of(boxes[t]) << 32) | t
                    num_todo += 1
            sort_keys(todo, np.int64(0), num_todo, spare, worst)
            for i in range(num_todo):
                t = todo[i] & ROW
                if boxes[t] > _largest(bounds):
                    break
                _visit(queries, leaf, query, candidates, start + t, exclude, bounds, square, best)
                boxes[t] = np.inf  # done: above every bound
        for j in range(num):
            row = queries.ids[leaf, j]
            for i in range(k):
                if best[j, i] & ROW != ROW:
                    out_index[row, i] = best[j, i] & ROW
                    out_square[row, i] = float_of(best[j, i] >> 32)


def leaf_knn(
    queries: LeafTree,
    candidates: LeafTree,
    k: int,
    *,
    num_queries: int,
    exclude_self: bool,
    limit: float,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the ``k`` nearest candidates of each query and their squared distances, -1 and inf where there are fewer.

    ``exclude_self`` bars a candidate with the query's own row; ``limit`` bars squared distances above it. Sorted by
    (squared distance, row).
    """
    index = np.full((num_queries, k), -1, np.int64)
    square = np.full((num_queries, k), np.inf, np.float32)
    if k == 0 or not len(queries.filled) or not len(candidates.filled):
        return index, square

    def kernel(begin: int, end: int) -> None:
        _search(begin, end, queries, candidates, exclude_self, min(np.float32(limit), LARGEST), index, square)

    run_blocks(kernel, len(queries.filled), grain=8)
    return index, square
