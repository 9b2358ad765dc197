# mypy: disable-error-code="no-untyped-def, call-arg"
"""Keys: a squared distance and a row in one 64-bit integer that sorts by (distance, row).

The bits of a float32 that is not negative grow with its value; they take the upper half, the row the lower.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.ops._vector import float_of

LARGEST = np.float32(1e38)  # no squared distance is above it, and it may still grow a little
ROW = np.int64(0xFFFFFFFF)  # mask of the row; as a row, nobody


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


def unpack(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows and the distances of ``keys``."""
    square = (keys >> 32).astype(np.int32).view(np.float32)
    return keys & ROW, np.sqrt(square)


@njit(cache=True, nogil=True)
def _heap_sort(keys, num):
    """Sort ``keys[:num]`` in place, in n log n whatever they are."""
    for head in range(num // 2 - 1, -num, -1):
        if head < 0:  # the heap stands: move its top behind it
            num -= 1
            keys[0], keys[num] = keys[num], keys[0]
        parent = head if head > 0 else 0
        while True:
            child = 2 * parent + 1
            if child >= num:
                break
            if child + 1 < num and keys[child + 1] > keys[child]:
                child += 1
            if keys[parent] >= keys[child]:
                break
            keys[parent], keys[child] = keys[child], keys[parent]
            parent = child


@njit(cache=True, nogil=True, error_model="numpy")
def sort_keys(keys, first, last, spare, limit):
    """Sort ``keys[first:last]``, all of squared distance <= ``limit``, with room in ``spare`` for two copies.

    Keys are dealt into as many bins as there are keys, by squared distance, which leaves little to an insertion sort;
    where a bin stays large (many equal distances) a heap sort does it.
    """
    num = last - first
    if num > 16:
        scale = np.float32(num - 1) / limit if limit > np.float32(1e-30) else np.float32(0.0)
        for i in range(num, 2 * num):
            spare[i] = 0
        for i in range(first, last):
            spare[num + np.int64(float_of(keys[i] >> 32) * scale)] += 1
        total = 0
        crowd = 0
        for i in range(num, 2 * num):
            many = spare[i]
            spare[i] = total
            total += many
            crowd = many if many > crowd else crowd
        for i in range(first, last):
            place = num + np.int64(float_of(keys[i] >> 32) * scale)
            spare[spare[place]] = keys[i]
            spare[place] += 1
        if crowd > 64:
            _heap_sort(spare, num)
        for i in range(num):
            keys[first + i] = spare[i]
    for i in range(first + 1, last):
        key = keys[i]
        j = i
        while j > first and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key
