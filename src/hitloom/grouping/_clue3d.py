# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated, assignment"
"""Compiled parts of CLUE3D: cells of each plane in slope (or eta) and phi, densities, nearest higher clusters.

A plane is a layer of one endcap. The first coordinate is the slope r / |z|, which a straight line from the collision
keeps, or eta. M layer clusters, P planes, C cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Planes(NamedTuple):
    """Layer clusters sorted by cell.

    ``order`` (M,) rows in the input; ``first``, ``phi``, ``eta``, ``z``, ``depth`` (M,): slope or eta, azimuth, eta,
    signed z, and the |z| that turns a slope into a length (1 for eta); ``plane`` (M,); ``side`` (M,) endcap, 0 or 1;
    ``begin`` (C + 1,) first cluster of each cell; ``shape`` (2,) cells of a plane; ``low``, ``width`` of the first
    coordinate; ``num_layers`` planes of an endcap; ``projective``: whether the first coordinate is a slope.
    """

    order: Ints
    first: Floats
    phi: Floats
    eta: Floats
    z: Floats
    depth: Floats
    plane: Ints
    side: Ints
    begin: Ints
    shape: Ints
    low: float
    width: float
    num_layers: int
    projective: bool


def make_planes(*, x: Floats, y: Floats, z: Floats, layer: Ints, projective: bool, reach: float) -> Planes:
    """Sort layer clusters into cells about as wide as ``reach``, cm (or eta); at most a few cells for each cluster."""
    num = len(x)
    r, far = np.hypot(x, y), np.abs(z)
    phi, eta = np.arctan2(y, x), np.arcsinh(z / np.maximum(r, 1e-9))
    first = r / far if projective else np.abs(eta)
    depth = far if projective else np.ones(num)
    layers = layer - layer.min()
    num_layers = int(layers.max()) + 1
    side = (z > 0).astype(np.int64)
    plane = layers + num_layers * side
    low, span = float(first.min()), float(np.ptp(first))
    scale = float(np.median(depth * first)) if projective else 1.0
    across = max(1.0, span / (reach / float(np.median(depth))))
    around = max(1.0, 2 * np.pi / (reach / max(scale, 1e-9)))
    shrink = min(1.0, float(np.sqrt((4 * num + 64) / (across * around * 2 * num_layers))))
    shape = np.maximum(1, np.array([across * shrink, around * shrink]).astype(np.int64))
    width = max(span / shape[0], 1e-12)
    a = np.clip(((first - low) / width).astype(np.int64), 0, shape[0] - 1)
    b = np.clip(((phi + np.pi) / (2 * np.pi / shape[1])).astype(np.int64), 0, shape[1] - 1)
    cell = (plane * shape[0] + a) * shape[1] + b
    order = np.argsort(cell, kind="stable")
    begin = np.searchsorted(cell[order], np.arange(2 * num_layers * int(shape.prod()) + 1)).astype(np.int64)
    columns = (column[order] for column in (first, phi, eta, z, depth, plane, side))
    return Planes(order, *columns, begin, shape, low, width, num_layers, projective)  # type: ignore[arg-type]


@njit(cache=True, nogil=True)
def _turn(one, other):
    """Return the angle between two azimuths, 0 to pi."""
    gap = abs(one - other)
    return min(gap, 2.0 * np.pi - gap)


@njit(cache=True, nogil=True)
def _square(planes, i, j):
    """Return the squared transverse distance of cluster ``j`` from ``i``, in the plane of ``i``."""
    turn = _turn(planes.phi[i], planes.phi[j])
    if not planes.projective:
        return (planes.first[i] - planes.first[j]) ** 2 + turn * turn
    own = planes.first[i] * planes.depth[i]
    other = planes.first[j] * planes.depth[i]
    return (own - other) ** 2 + other * other * (turn * turn)


@njit(cache=True, nogil=True)
def _window(planes, i, reach):
    """Return the ranges of cells within ``reach`` of cluster ``i``, and whether that is all; phi may leave 0..cells."""
    rows, columns = planes.shape
    half = reach / planes.depth[i] * (1.0 + 1e-9) + 1e-12
    low = np.floor((planes.first[i] - half - planes.low) / planes.width)
    high = np.floor((planes.first[i] + half - planes.low) / planes.width)
    a = np.int64(min(max(low, 0.0), rows - 1.0))
    b = np.int64(max(min(high, rows - 1.0), 0.0))
    inner = planes.first[i] - half if planes.projective else 1.0
    c, d = np.int64(0), columns - 1
    if inner > 0.0:
        turn = half / inner * (1.0 + 1e-9) + 1e-12 if planes.projective else half
        if turn < np.pi:
            step = 2.0 * np.pi / columns
            left = np.int64(np.floor((planes.phi[i] - turn + np.pi) / step))
            right = np.int64(np.floor((planes.phi[i] + turn + np.pi) / step))
            if right - left + 1 < columns:
                c, d = left, right
    return a, b, c, d, a == 0 and b == rows - 1 and d - c + 1 >= columns


@njit(cache=True, nogil=True)
def _layers(planes, i, siblings):
    """Return the first and last plane within ``siblings`` layers, in the endcap of cluster ``i``."""
    bottom = planes.side[i] * planes.num_layers
    top = bottom + planes.num_layers - 1
    return max(bottom, planes.plane[i] - siblings), min(top, planes.plane[i] + siblings)


@njit(cache=True, nogil=True)
def neighbour_energy(begin, end, planes, energy, limit, siblings, same_layer, scale, bits, coarse, fine):
    """Set the energy of other clusters closer than sqrt(``limit``) of each cluster ``begin:end``, in fixed point.

    Integers add up to the same whatever the order; see :func:`hitloom.grouping._clue.densities`.
    """
    split = 2.0**bits
    columns = planes.shape[1]
    for i in range(begin, end):
        whole = np.int64(0)
        rest = np.int64(0)
        a, b, c, d, _ = _window(planes, i, np.sqrt(limit[i]))
        low, high = _layers(planes, i, siblings)
        for plane in range(low, high + 1):
            if plane == planes.plane[i] and not same_layer:
                continue
            for row in range(a, b + 1):
                base = (plane * planes.shape[0] + row) * columns
                for column in range(c, d + 1):
                    cell = base + column % columns
                    for j in range(planes.begin[cell], planes.begin[cell + 1]):
                        if j != i and _square(planes, i, j) < limit[i]:
                            value = energy[j] * scale
                            part = np.int64(value)
                            whole += part
                            rest += np.int64((value - part) * split)
        coarse[i] = whole + (rest >> bits)
        fine[i] = rest & ((np.int64(1) << bits) - 1)


@njit(cache=True, nogil=True)
def nearest_higher(begin, end, planes, rank, start, siblings, same_layer, with_z, box, nearest, square):
    """Set the nearest cluster of higher ``rank`` for ``begin:end`` (-1 = none) and its squared transverse distance.

    ``with_z``: the nearest in space, not across. ``box``: largest difference in eta and in phi. The window grows until
    nothing outside of it can be nearer; of equally near clusters the highest is taken.
    """
    columns = planes.shape[1]
    for i in range(begin, end):
        low, high = _layers(planes, i, siblings)
        reach = start
        while True:
            a, b, c, d, everything = _window(planes, i, reach)
            best = np.inf
            choice = -1
            for plane in range(low, high + 1):
                if plane == planes.plane[i] and not same_layer:
                    continue
                for row in range(a, b + 1):
                    base = (plane * planes.shape[0] + row) * columns
                    for column in range(c, d + 1):
                        cell = base + column % columns
                        for j in range(planes.begin[cell], planes.begin[cell + 1]):
                            if rank[j] <= rank[i]:
                                continue
                            value = _square(planes, i, j)
                            if with_z:
                                value += (planes.z[i] - planes.z[j]) ** 2
                            if value > best or (value == best and choice >= 0 and rank[j] < rank[choice]):
                                continue
                            if np.isfinite(box) and (
                                abs(planes.eta[i] - planes.eta[j]) > box or _turn(planes.phi[i], planes.phi[j]) > box
                            ):
                                continue
                            best = value
                            choice = j
            if everything or (choice >= 0 and best <= reach * reach):
                break
            reach *= 2.0
        nearest[i] = choice
        square[i] = _square(planes, i, choice) if choice >= 0 else np.inf
