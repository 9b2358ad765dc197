# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated, assignment"
"""Compiled parts of CLUE: cells of a grid, densities, nearest higher points, labels along the links.

Points are held cell by cell, coordinates first (D, N), so that one row of neighbouring cells is one stretch of memory.
Distances are compared by their squares.

N points, D dimensions, C cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

FLAT, EXPONENTIAL, GAUSS = 0, 1, 2
_GRID_DIMS = 3
_STRETCHES = 4096  # rows of cells in one window; a larger window is the whole


class Grid(NamedTuple):
    """Points sorted by cell.

    ``coords`` (D, N); ``order`` (N,) their rows in the input; ``start`` (C + 1,) first point of each cell; ``axes``,
    ``shape``, ``low``, ``edge`` (3,): dimension, number of cells, lower end and width of a cell along each side of the
    grid; ``period`` (D,), infinite where there is none; ``margin`` widens windows by more than rounding does.
    """

    coords: NDArray[np.float64]
    order: NDArray[np.int64]
    start: NDArray[np.int64]
    axes: NDArray[np.int64]
    shape: NDArray[np.int64]
    low: NDArray[np.float64]
    edge: NDArray[np.float64]
    period: NDArray[np.float64]
    margin: float


def make_grid(points: NDArray[np.float64], period: NDArray[np.float64], cell: float) -> Grid:
    """Sort points (N, D) into cells of about the width ``cell``; wider where that made more cells than points."""
    num = len(points)
    low = points.min(0)
    span = points.max(0) - low
    extent = np.where(np.isfinite(period), period, span)
    axes = np.argsort(-extent, kind="stable")[:_GRID_DIMS]
    wide = np.maximum(extent[axes], 0.0)
    width = max(cell, float(wide.max()) / 1e6, 1e-300)
    while np.prod(np.floor(wide / width) + 1) > 2 * num + 64:
        width *= 1.3
    shape = np.ones(_GRID_DIMS, np.int64)
    edge = np.full(_GRID_DIMS, width)
    sides = _GRID_DIMS - len(axes)  # the sides used are the last: neighbours along the last one lie side by side
    shape[sides:] = np.maximum(np.floor(wide / width), 1)
    edge[sides:] = np.where(wide > 0, wide / shape[sides:], width)
    axis = np.zeros(_GRID_DIMS, np.int64)
    axis[sides:] = axes
    cells = np.zeros(num, np.int64)
    for side in range(sides, _GRID_DIMS):
        place = (points[:, axis[side]] - low[axis[side]]) / edge[side]
        cells = cells * shape[side] + np.clip(place.astype(np.int64), 0, shape[side] - 1)
    order = np.argsort(cells, kind="stable")
    start = np.searchsorted(cells[order], np.arange(int(shape.prod()) + 1))
    margin = 1e-9 * float(np.abs(points).max(initial=0.0) + span.max(initial=0.0))
    coords = np.ascontiguousarray(points[order].T)
    return Grid(coords, order, start.astype(np.int64), axis, shape, low[axis], edge, period, margin)


@njit(cache=True, nogil=True)
def _window(grid, i, radius, first, last):
    """Set the range of cells that hold everything within ``radius`` of point ``i``; return whether that is all."""
    everything = True
    reach = radius * (1.0 + 1e-9) + grid.margin
    for side in range(3):
        size = grid.shape[side]
        first[side] = 0
        last[side] = size - 1
        if size == 1:
            continue
        place = grid.coords[grid.axes[side], i] - grid.low[side]
        a = np.floor((place - reach) / grid.edge[side])
        b = np.floor((place + reach) / grid.edge[side])
        if np.isfinite(grid.period[grid.axes[side]]):
            if b - a + 1 < size:
                first[side] = np.int64(a)
                last[side] = np.int64(b)
                everything = False
        elif a > 0 or b < size - 1:
            first[side] = np.int64(min(max(a, 0.0), size - 1.0))
            last[side] = np.int64(max(min(b, size - 1.0), 0.0))
            everything = False
    return everything


@njit(cache=True, nogil=True)
def _squares(grid, i, begin, end, box, out):
    """Set ``out`` to the squared distances from point ``i`` to the points ``begin:end``.

    Points farther than ``box`` along any coordinate are infinitely far.
    """
    coords = grid.coords
    num = end - begin
    for j in range(num):
        out[j] = 0.0
    for d in range(coords.shape[0]):
        centre = coords[d, i]
        period = grid.period[d]
        for j in range(num):
            gap = abs(coords[d, begin + j] - centre)
            gap = min(gap, abs(period - gap))
            out[j] += gap * gap if gap <= box else np.inf


@njit(cache=True, nogil=True)
def _stretches(grid, i, radius, first, last, begins, ends):
    """List the stretches of points within a window; return how many, and whether they hold every point."""
    everything = _window(grid, i, radius, first, last)
    n0, n1, n2 = grid.shape
    if everything or (last[0] - first[0] + 1) * (last[1] - first[1] + 1) * 2 > begins.shape[0]:
        begins[0] = 0
        ends[0] = grid.coords.shape[1]
        return 1, True
    count = 0
    for a in range(first[0], last[0] + 1):
        for b in range(first[1], last[1] + 1):
            row = ((a % n0) * n1 + b % n1) * n2
            # along the last side a window may leave the period on one end
            low, high = first[2], last[2]
            for part in range(2):
                if part == 0:
                    x, y = max(low, 0), min(high, n2 - 1)
                elif low < 0:
                    x, y = low + n2, n2 - 1
                elif high >= n2:
                    x, y = 0, high - n2
                else:
                    break
                begin, end = grid.start[row + x], grid.start[row + y + 1]
                if begin < end:
                    begins[count] = begin
                    ends[count] = end
                    count += 1
    return count, everything


@njit(cache=True, nogil=True)
def _value(kernel, square):
    """Return the kernel at a squared distance; ``kernel`` = (kind, height, rate or mean, width)."""
    kind = kernel[0]
    if kind == FLAT:
        return kernel[1]
    if kind == EXPONENTIAL:
        return kernel[1] * np.exp(-kernel[2] * np.sqrt(square))
    return kernel[1] * np.exp(-0.5 * ((np.sqrt(square) - kernel[2]) / kernel[3]) ** 2)


@njit(cache=True, nogil=True)
def densities(begin, end, grid, weight, kernel, limit, radius, box, scale, bits, coarse, fine):
    """Set the densities of the points ``begin:end`` in fixed point.

    ``coarse`` counts units of 1 / scale, ``fine`` the 2^bits-th parts of one. Integers add up to the same whatever the
    order, so a density depends neither on cells nor on the order of points.
    """
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    begins, ends = np.empty(_STRETCHES, np.int64), np.empty(_STRETCHES, np.int64)
    square = np.empty(grid.coords.shape[1])
    split = 2.0**bits
    for i in range(begin, end):
        count, _ = _stretches(grid, i, radius, first, last, begins, ends)
        whole = np.int64(0)
        rest = np.int64(0)
        for s in range(count):
            a, b = begins[s], ends[s]
            _squares(grid, i, a, b, box, square)
            for j in range(b - a):
                if square[j] <= limit:
                    value = 1.0 if a + j == i else _value(kernel, square[j])
                    value *= weight[a + j] * scale
                    part = np.int64(value)
                    whole += part
                    rest += np.int64((value - part) * split)
        coarse[i] = whole + (rest >> bits)
        fine[i] = rest & ((np.int64(1) << bits) - 1)


@njit(cache=True, nogil=True)
def nearest_higher(begin, end, grid, rank, limit, reach, start, box, lowest, nearest, found):
    """Set the row of the nearest point of higher ``rank`` (-1 = none within ``limit``) and the square ``found``.

    The window grows from ``start`` until nothing outside of it can be nearer. Only points with a rank of at least
    ``lowest`` count as higher; of equally near ones the highest does.
    """
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    begins, ends = np.empty(_STRETCHES, np.int64), np.empty(_STRETCHES, np.int64)
    square = np.empty(grid.coords.shape[1])
    for i in range(begin, end):
        own = max(rank[i], lowest - 1)
        window = min(start, reach)
        while True:
            count, everything = _stretches(grid, i, window, first, last, begins, ends)
            best = limit
            choice = -1
            for s in range(count):
                a, b = begins[s], ends[s]
                _squares(grid, i, a, b, box, square)
                for j in range(b - a):
                    if square[j] <= best and rank[a + j] > own:
                        if square[j] < best or choice < 0 or rank[a + j] > rank[choice]:
                            choice = a + j
                        best = square[j]
            if everything or window >= reach or (choice >= 0 and best <= window * window):
                break
            window = min(2.0 * window, reach)
        nearest[i] = choice
        found[i] = best if choice >= 0 else np.inf


@njit(cache=True, nogil=True)
def follow(descending, nearest, is_seed, is_outlier):
    """Return labels (N,): seeds numbered by row, followers as their nearest higher point, the others -1.

    ``descending`` (N,): rows from the highest point to the lowest, so that leaders come before followers.
    """
    labels = np.full(nearest.shape[0], -1, np.int64)
    count = 0
    for i in range(nearest.shape[0]):
        if is_seed[i]:
            labels[i] = count
            count += 1
    for i in descending:
        if not is_seed[i] and not is_outlier[i] and nearest[i] >= 0:
            labels[i] = labels[nearest[i]]
    return labels
