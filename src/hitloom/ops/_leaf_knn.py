"""Exact nearest neighbours by leaf blocks, on the CPU.

Leaves near the queries' leaf come first; a leaf whose box is farther than the k-th distance known so far is skipped,
for all queries of a leaf at once and then for each query; what is left is met 64 points at a time.

Q queries, D dimensions, L leaves, k neighbours.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.ops._leaf_tree import LEAF, LeafTree
from hitloom.ops._threads import run_blocks

SLACK = np.float32(1.0 - 1e-5)  # boxes are compared a little nearer than they are: rounding never prunes a neighbour


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _box_distances(low, high, leaf, others_low, others_high, start, stop, out):  # type: ignore[no-untyped-def]
    """Squared distance of the box ``leaf`` to each of the boxes ``start:stop``, into ``out``."""
    for i in range(stop - start):
        out[i] = np.float32(0.0)
    for d in range(low.shape[0]):
        a, b = low[d, leaf], high[d, leaf]
        for i in range(stop - start):
            gap = max(max(others_low[d, start + i] - b, a - others_high[d, start + i]), np.float32(0.0))
            out[i] += gap * gap


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _point_box(soa, leaf, low, high, other, out):  # type: ignore[no-untyped-def]
    """Squared distance of the 64 points of ``leaf`` to the box ``other``, into ``out``."""
    for j in range(LEAF):
        out[j] = np.float32(0.0)
    for d in range(soa.shape[1]):
        a, b = low[d, other], high[d, other]
        for j in range(LEAF):
            value = soa[leaf, d, j]
            gap = max(max(a - value, value - b), np.float32(0.0))
            out[j] += gap * gap


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _meet(soa, leaf, query, out):  # type: ignore[no-untyped-def]
    """Squared distance of ``query`` (D,) to the 64 points of ``leaf``, into ``out``."""
    for j in range(LEAF):
        out[j] = np.float32(0.0)
    for d in range(query.shape[0]):
        value = query[d]
        for j in range(LEAF):
            gap = soa[leaf, d, j] - value
            out[j] += gap * gap


@njit(cache=True, nogil=True, error_model="numpy")
def _insert(near, who, distance, index):  # type: ignore[no-untyped-def]
    """Put (distance, index) into the sorted lists ``near``, ``who``, dropping their last entry."""
    place = near.shape[0] - 1
    while place > 0 and (near[place - 1] > distance or (near[place - 1] == distance and who[place - 1] > index)):
        near[place] = near[place - 1]
        who[place] = who[place - 1]
        place -= 1
    near[place] = distance
    who[place] = index


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _search(
    begin,
    end,
    q_soa,
    q_ids,
    q_count,
    q_low,
    q_high,
    q_element,
    c_soa,
    c_ids,
    c_count,
    c_low,
    c_high,
    c_first,
    exclude,
    limit,
    out_index,
    out_square,
):  # type: ignore[no-untyped-def]
    """Fill the rows of the queries in the leaves ``begin:end``; squared distances above ``limit`` do not count."""
    dim = q_soa.shape[1]
    k = out_index.shape[1]
    width = c_soa.shape[0]
    boxes = np.empty(width, np.float32)
    query = np.empty((LEAF, dim), np.float32)
    near = np.empty((LEAF, k), np.float32)
    who = np.empty((LEAF, k), np.int32)
    to_box = np.empty(LEAF, np.float32)
    square = np.empty(LEAF, np.float32)
    for leaf in range(begin, end):
        element = q_element[leaf]
        start, stop = c_first[element], c_first[element + 1]
        num = q_count[leaf]
        for j in range(num):
            for d in range(dim):
                query[j, d] = q_soa[leaf, d, j]
            for i in range(k):
                near[j, i] = limit
                who[j, i] = np.int32(2147483647)
        if stop > start:
            _box_distances(q_low, q_high, leaf, c_low, c_high, start, stop, boxes)
            best = np.argmin(boxes[: stop - start])
            todo = np.empty(1, np.int64)
            todo[0] = best
            for phase in range(2):
                if phase == 1:
                    worst = np.float32(0.0)
                    for j in range(num):
                        worst = max(worst, near[j, k - 1])
                    keep = np.flatnonzero(boxes[: stop - start] * SLACK <= worst)
                    todo = keep[np.argsort(boxes[keep])]
                for t in range(todo.shape[0]):
                    other = start + todo[t]
                    if phase == 1:
                        if todo[t] == best:
                            continue
                        worst = np.float32(0.0)
                        for j in range(num):
                            worst = max(worst, near[j, k - 1])
                        if boxes[todo[t]] * SLACK > worst:
                            break
                    _point_box(q_soa, leaf, c_low, c_high, other, to_box)
                    for j in range(num):
                        if to_box[j] * SLACK > near[j, k - 1]:
                            continue
                        _meet(c_soa, other, query[j], square)
                        mine = q_ids[leaf, j]
                        bound = near[j, k - 1]
                        for i in range(c_count[other]):
                            if square[i] <= bound:
                                index = c_ids[other, i]
                                if exclude and index == mine:
                                    continue
                                if square[i] < bound or index < who[j, k - 1]:
                                    _insert(near[j], who[j], square[i], index)
                                    bound = near[j, k - 1]
        for j in range(num):
            row = q_ids[leaf, j]
            for i in range(k):
                if who[j, i] != np.int32(2147483647):
                    out_index[row, i] = who[j, i]
                    out_square[row, i] = near[j, i]


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
    if k == 0 or not len(queries.count) or not len(candidates.count):
        return index, square

    def kernel(begin: int, end: int) -> None:
        _search(
            begin, end, queries.soa, queries.ids, queries.count, queries.low, queries.high, queries.element,
            candidates.soa, candidates.ids, candidates.count, candidates.low, candidates.high, candidates.first,
            exclude_self, np.float32(limit), index, square,
        )  # fmt: skip

    run_blocks(kernel, len(queries.count), grain=8)
    return index, square
