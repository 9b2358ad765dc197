"""All pairs within a radius by leaf blocks, on the CPU.

A pair is held as one 64-bit key, bits of the squared distance above, row of the neighbour below: keys sort by
(distance, index), and everything within a smaller radius is a prefix of each row.

N points, D dimensions, E pairs.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.ops._leaf_knn import SLACK, _box_distances, _meet, _point_box
from hitloom.ops._leaf_tree import LEAF, LeafTree
from hitloom.ops._threads import run_blocks


def square_limit(radius: float) -> np.float32:
    """Largest float32 whose float32 square root is at most float32(``radius``): the squared form of ``<= radius``."""
    r = np.float32(radius)
    largest = np.finfo(np.float32).max
    with np.errstate(over="ignore"):
        limit = min(np.float32(r * r), largest)
    while np.sqrt(limit) > r:
        limit = np.nextafter(limit, np.float32(0))
    while limit < largest and np.sqrt(np.nextafter(limit, np.float32(np.inf))) <= r:
        limit = np.nextafter(limit, np.float32(np.inf))
    return np.float32(limit)


def key_limit(radius: float) -> int:
    """Smallest key beyond ``radius``: a key counts when it is below."""
    return (int(square_limit(radius).view(np.uint32)) + 1) << 32


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(begin, end, soa, ids, count, low, high, element, first, limit, most, degree):  # type: ignore[no-untyped-def]
    """Return the keys of the leaves ``begin:end``, point by point, sorted; None-like (length most + 1) beyond ``most``."""
    dim = soa.shape[1]
    boxes = np.empty(soa.shape[0], np.float32)
    query = np.empty(dim, np.float32)
    square = np.empty(LEAF, np.float32)
    to_box = np.empty((16, LEAF), np.float32)
    keys = np.empty(4096, np.int64)
    bits = np.empty(1, np.float32)
    fill = 0
    for leaf in range(begin, end):
        start, stop = first[element[leaf]], first[element[leaf] + 1]
        _box_distances(low, high, leaf, low, high, start, stop, boxes)
        todo = np.flatnonzero(boxes[: stop - start] * SLACK <= limit)
        if todo.shape[0] > to_box.shape[0]:
            to_box = np.empty((todo.shape[0] * 2, LEAF), np.float32)
        for t in range(todo.shape[0]):
            _point_box(soa, leaf, low, high, start + todo[t], to_box[t])
        for j in range(count[leaf]):
            mine = ids[leaf, j]
            for d in range(dim):
                query[d] = soa[leaf, d, j]
            origin = fill
            for t in range(todo.shape[0]):
                if to_box[t, j] * SLACK > limit:
                    continue
                other = start + todo[t]
                if fill + LEAF > keys.shape[0]:
                    larger = np.empty(2 * keys.shape[0], np.int64)
                    larger[:fill] = keys[:fill]
                    keys = larger
                _meet(soa, other, query, square)
                for i in range(count[other]):
                    if square[i] <= limit and ids[other, i] != mine:
                        bits[0] = square[i]
                        keys[fill] = (np.int64(bits.view(np.int32)[0]) << 32) | np.int64(ids[other, i])
                        fill += 1
            keys[origin:fill].sort()
            degree[mine] = fill - origin
            if fill > most:
                return keys[:fill]
    return keys[:fill]


@njit(cache=True, nogil=True)
def _scatter(begin, end, ids, count, keys, indptr, out):  # type: ignore[no-untyped-def]
    """Copy the keys of the leaves ``begin:end`` to their rows of ``out``."""
    fill = 0
    for leaf in range(begin, end):
        for j in range(count[leaf]):
            row = ids[leaf, j]
            to = indptr[row]
            num = indptr[row + 1] - to
            out[to : to + num] = keys[fill : fill + num]
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
        keys = _collect(
            begin, end, tree.soa, tree.ids, tree.count, tree.low, tree.high, tree.element, tree.first,
            limit, max_pairs, degree,
        )  # fmt: skip
        spans.append((begin, end))
        seen[0] += len(keys)
        return keys

    parts = run_blocks(collect, len(tree.count), grain=8)
    if seen[0] > max_pairs:
        return None
    indptr = np.zeros(num_points + 1, np.int64)
    np.cumsum(degree, out=indptr[1:])
    keys = np.empty(int(indptr[-1]), np.int64)
    for (begin, end), part in zip(sorted(spans), parts, strict=True):
        _scatter(begin, end, tree.ids, tree.count, part, indptr, keys)
    return indptr, keys


def unpack(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the neighbour rows and the distances of ``keys``."""
    square = (keys >> 32).astype(np.int32).view(np.float32)
    return keys & 0xFFFFFFFF, np.sqrt(square)
