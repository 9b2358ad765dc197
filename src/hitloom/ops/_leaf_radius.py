# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""All pairs within a radius by leaf blocks, on the CPU.

A pair is held as one 64-bit key, bits of the squared distance above, row of the neighbour below: keys sort by
(distance, index), and everything within a smaller radius is a prefix of each row.

N points, D dimensions, E pairs.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.ops._leaf_knn import GROW, LARGEST, box_distances
from hitloom.ops._leaf_tree import LeafTree
from hitloom.ops._threads import run_blocks
from hitloom.ops._vector import LEAF, bits_of, float_of, lowest, meet, reach


def square_limit(radius: float) -> np.float32:
    """Largest float32 whose float32 square root is at most float32(``radius``): the squared form of ``<= radius``."""
    r = np.float32(radius)
    with np.errstate(over="ignore"):
        limit = min(np.float32(r * r), LARGEST)
    while np.sqrt(limit) > r:
        limit = np.nextafter(limit, np.float32(0))
    while limit < LARGEST and np.sqrt(np.nextafter(limit, np.float32(np.inf))) <= r:
        limit = np.nextafter(limit, np.float32(np.inf))
    return np.float32(limit)


def key_limit(radius: float) -> int:
    """Smallest key beyond ``radius``: a key counts when it is below."""
    return (int(square_limit(radius).view(np.uint32)) + 1) << 32


@njit(cache=True, nogil=True, error_model="numpy")
def _sort(keys, first, last, spare, limit):
    """Sort ``keys[first:last]``, all of squared distance <= ``limit``, with room in ``spare`` for two copies.

    Keys are dealt into as many bins as there are keys, by squared distance, which leaves little to an insertion sort;
    a bin that stays large (many equal distances) is sorted by itself.
    """
    num = last - first
    if num > 16:
        bins = spare[num : 2 * num]
        bins[:] = 0
        scale = np.float32(num - 1) / limit if limit > np.float32(1e-30) else np.float32(0.0)
        for i in range(first, last):
            bins[np.uint64(float_of(keys[i] >> 32) * scale)] += 1
        total = 0
        crowd = 0
        for i in range(num):
            many = bins[i]
            bins[i] = total
            total += many
            crowd = many if many > crowd else crowd
        for i in range(first, last):
            place = np.uint64(float_of(keys[i] >> 32) * scale)
            spare[np.uint64(bins[place])] = keys[i]
            bins[place] += 1
        if crowd > 64:
            spare[:num].sort()
        for i in range(num):
            keys[first + i] = spare[i]
    for i in range(first + 1, last):
        key = keys[i]
        j = i
        while j > first and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(begin, end, tree, limit, most, degree):
    """Return the sorted keys of each point of the leaves ``begin:end``, set its degree; stop beyond ``most`` keys."""
    dim = tree.soa.shape[1]
    boxes = np.empty(tree.soa.shape[0], np.float32)
    query = np.empty((LEAF, dim), np.float32)
    square = np.empty(LEAF, np.float32)
    bounds = np.empty(LEAF, np.float32)
    masks = np.empty(16, np.uint64)
    keys = np.empty(4096, np.int64)
    spare = np.empty(4096, np.int64)
    fill = 0
    for leaf in range(begin, end):
        element = tree.element[leaf]
        start, stop = tree.first[element], tree.first[element + 1]
        num = tree.filled[leaf]
        bounds[:num] = limit * GROW
        bounds[num:] = -1.0
        for d in range(dim):
            for j in range(LEAF):
                query[j, d] = tree.soa[leaf, d, j]
        box_distances(tree, leaf, tree, start, stop, boxes)
        todo = np.flatnonzero(boxes[: stop - start] <= limit * GROW)
        if todo.shape[0] > masks.shape[0]:
            masks = np.empty(todo.shape[0] * 2, np.uint64)
        for t in range(todo.shape[0]):
            masks[t] = reach(tree.soa, leaf, tree.box, start + todo[t], bounds)
        for j in range(num):
            mine = tree.ids[leaf, j]
            origin = fill
            for t in range(todo.shape[0]):
                if not (masks[t] >> np.uint64(j)) & np.uint64(1):
                    continue
                other = start + todo[t]
                found = meet(tree.soa, other, query, j, limit, square)
                if fill + LEAF > keys.shape[0]:
                    larger = np.empty(2 * keys.shape[0], np.int64)
                    larger[:fill] = keys[:fill]
                    keys = larger
                while found:
                    i = lowest(found)
                    found &= found - np.uint64(1)
                    keys[fill] = (bits_of(square[i]) << 32) | tree.ids[other, i]
                    fill += tree.ids[other, i] != mine
            if 2 * (fill - origin) > spare.shape[0]:
                spare = np.empty(4 * (fill - origin), np.int64)
            _sort(keys, origin, fill, spare, limit)
            degree[mine] = fill - origin
            if fill > most:
                return keys[:fill]
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


def unpack(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the neighbour rows and the distances of ``keys``."""
    square = (keys >> 32).astype(np.int32).view(np.float32)
    return keys & 0xFFFFFFFF, np.sqrt(square)
