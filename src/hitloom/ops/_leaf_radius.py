# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""All pairs within a radius by leaf blocks, on the CPU.

A pair is held as one key: everything within a smaller radius is a prefix of each sorted row.

N points, D dimensions, E pairs.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.ops._keys import sort_keys, square_limit
from hitloom.ops._leaf_knn import GROW, box_distances
from hitloom.ops._leaf_tree import LeafTree
from hitloom.ops._threads import run_blocks
from hitloom.ops._vector import LEAF, bits_of, lowest, meet, reach


@njit(cache=True, nogil=True)
def _room(keys, used, wanted):
    """Return a larger array with room for ``wanted`` that begins with the first ``used`` of ``keys``."""
    larger = np.empty(2 * wanted, np.int64)
    for i in range(used):
        larger[i] = keys[i]
    return larger


@njit(cache=True, nogil=True, error_model="numpy")
def _meet_all(tree, leaf, query, bounds, limit, boxes, square, found_keys, found_by, many):
    """Meet the points of ``leaf`` with all leaves within ``limit``; return the keys, who found each, and how many.

    Leaf by leaf, so that the coordinates of the other leaf stay in the nearest cache for all points that ask.
    ``many`` (64,) counts the keys of each point.
    """
    element = tree.element[leaf]
    start, stop = tree.first[element], tree.first[element + 1]
    box_distances(tree, leaf, tree, start, stop, boxes)
    fill = 0
    for t in range(stop - start):
        if boxes[t] > limit * GROW:
            continue
        other = start + t
        askers = reach(tree.soa, leaf, tree.box, other, bounds)
        while askers:
            j = lowest(askers)
            askers &= askers - np.uint64(1)
            found = meet(tree.soa, other, query, j, limit, square)
            if not found:
                continue
            if fill + LEAF > found_keys.shape[0]:
                found_keys = _room(found_keys, fill, fill + LEAF)
                found_by = _room(found_by, fill, fill + LEAF)
            mine = tree.ids[leaf, j]
            before = fill
            while found:
                i = lowest(found)
                found &= found - np.uint64(1)
                found_keys[fill] = (bits_of(square[i]) << 32) | tree.ids[other, i]
                found_by[fill] = j
                fill += tree.ids[other, i] != mine
            many[j] += fill - before
    return found_keys, found_by, fill


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(begin, end, tree, limit, most, degree):
    """Return the sorted keys of each point of the leaves ``begin:end``, set its degree; stop beyond ``most`` keys."""
    dim = tree.soa.shape[1]
    boxes = np.empty(tree.soa.shape[0], np.float32)
    query = np.empty((LEAF, dim), np.float32)
    square = np.empty(LEAF, np.float32)
    bounds = np.empty(LEAF, np.float32)
    place = np.empty(LEAF, np.int64)
    many = np.empty(LEAF, np.int64)
    keys = np.empty(4096, np.int64)
    spare = np.empty(4096, np.int64)
    found_keys = np.empty(4096, np.int64)
    found_by = np.empty(4096, np.int64)
    fill = 0
    for leaf in range(begin, end):
        num = tree.filled[leaf]
        for j in range(LEAF):
            bounds[j] = limit * GROW if j < num else np.float32(-1.0)
            for d in range(dim):
                query[j, d] = tree.soa[leaf, d, j]
            many[j] = 0
        found_keys, found_by, total = _meet_all(
            tree, leaf, query, bounds, limit, boxes, square, found_keys, found_by, many
        )
        if fill + total > keys.shape[0]:
            keys = _room(keys, fill, fill + total)
        origin = fill
        for j in range(num):
            place[j] = fill
            fill += many[j]
            degree[tree.ids[leaf, j]] = many[j]
        for i in range(total):
            keys[place[found_by[i]]] = found_keys[i]
            place[found_by[i]] += 1
        for j in range(num):
            if 2 * many[j] > spare.shape[0]:
                spare = _room(spare, np.int64(0), 2 * many[j])
            sort_keys(keys, origin, place[j], spare, limit)
            origin = place[j]
        if fill > most:
            break
    return keys[:fill]


@njit(cache=True, nogil=True)
def _scatter(begin, end, tree, keys, indptr, out):
    """Copy the keys of the leaves ``begin:end`` to their rows of ``out``."""
    fill = 0
    for leaf in range(begin, end):
        for j in range(tree.filled[leaf]):
            row = tree.ids[leaf, j]
            to = indptr[row]
            num = indptr[row + 1] - to
            for i in range(num):
                out[to + i] = keys[fill + i]
            fill += num


def leaf_pairs(
    tree: LeafTree, num_points: int, radius: float, max_pairs: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return (indptr, keys) of all ordered pairs within ``radius``, or None when there are more than ``max_pairs``."""
    limit = square_limit(radius)
    degree = np.zeros(num_points, np.int64)
    spans: list[tuple[int, int]] = []
    seen = [0]

    def collect(begin: int, end: int) -> NDArray[np.int64]:
        if seen[0] > max_pairs:
            return np.empty(0, np.int64)
        keys = _collect(begin, end, tree, limit, max_pairs, degree)
        spans.append((begin, end))
        seen[0] += len(keys)
        return keys

    parts = run_blocks(collect, len(tree.filled), grain=8)
    if seen[0] > max_pairs:
        return None
    indptr = np.zeros(num_points + 1, np.int64)
    np.cumsum(degree, out=indptr[1:])
    keys = np.empty(int(indptr[-1]), np.int64)
    for (begin, end), part in zip(sorted(spans), parts, strict=True):
        _scatter(begin, end, tree, part, indptr, keys)
    return indptr, keys


def radius_for(tree: LeafTree, num_points: int, radius: float, max_pairs: int, *, num_tries: int) -> float | None:
    """Return ``radius`` when it gives at most about 0.7 ``max_pairs``, else the first of ``num_tries`` smaller ones.

    Judged by a sample of leaves. None when none is small enough.
    """
    if num_points * num_points <= max_pairs:
        return radius
    if max_pairs <= 0:
        return None
    sample = range(0, len(tree.filled), max(1, len(tree.filled) // 32))
    points = sum(int(tree.filled[leaf]) for leaf in sample)
    allowed = int(0.7 * max_pairs * points / num_points)
    degree = np.zeros(num_points, np.int64)
    for _ in range(num_tries + 1):
        seen = 0
        for leaf in sample:
            keys = _collect(leaf, leaf + 1, tree, square_limit(radius), allowed - seen, degree)
            seen += len(keys)
            if seen > allowed:
                break
        if seen <= allowed:
            return radius
        radius *= 0.7
    return None
