"""Lines for event displays: tracks through their hits, and the detector as its own hits outline it.

Shape letters: N points, L points of lines (with a NaN row after each line), S surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

_RING_STEPS = 48


def polylines(position: Floats, group: Ints, distance: Floats) -> tuple[Floats, Ints]:
    """Join the points of each group in order of distance; a row of NaN ends each line.

    Parameters
    ----------
    position : (N, 3) float
        Points in mm.
    group : (N,) int
        Line of each point; negative = no line. Groups of one point make no line.
    distance : (N,) float
        Order along the line: distance from the vertex or the origin, mm.

    Returns
    -------
    line : (L, 3) float
        Points of the lines, NaN between them.
    source : (L,) int64
        Row of ``position`` of each point of a line, -1 where NaN.
    """
    rows = np.flatnonzero(group >= 0)
    if rows.size:
        _, inverse, count = np.unique(group[rows], return_inverse=True, return_counts=True)
        rows = rows[count[inverse] > 1]
    if not rows.size:
        return np.empty((0, 3)), np.empty(0, dtype=np.int64)
    rows = rows[np.lexsort((rows, distance[rows], group[rows]))]
    starts = np.append(False, group[rows][1:] != group[rows][:-1])
    target = np.arange(rows.size) + np.cumsum(starts)
    source = np.full(int(target[-1]) + 2, -1, dtype=np.int64)
    source[target] = rows
    line = np.full((source.size, 3), np.nan)
    line[target] = position[rows]
    return line, source


@dataclass(frozen=True, kw_only=True)
class Surface:
    """One layer as its hits outline it: a cylinder (``r_min == r_max``) or a disk (``z_min == z_max``), in mm."""

    r_min: float
    r_max: float
    z_min: float
    z_max: float

    @property
    def is_disk(self) -> bool:
        return self.z_min == self.z_max


def surfaces(position: Floats, layer: Ints) -> list[Surface]:
    """Return the cylinder or disk that envelops the hits of every layer.

    A layer is a cylinder when its hits spread more in z than in r. Layers of fewer than 3 hits are left out: their
    envelope says nothing.

    Parameters
    ----------
    position : (N, 3) float
    layer : (N,) int
        Any key of a surface, for example a number made of volume and layer.
    """
    radius, z = np.hypot(position[:, 0], position[:, 1]), position[:, 2]
    found = []
    for key in np.unique(layer):
        inside = layer == key
        if int(inside.sum()) < 3:
            continue
        r, along = radius[inside], z[inside]
        if np.ptp(along) > np.ptp(r):
            mean = float(np.median(r))
            found.append(Surface(r_min=mean, r_max=mean, z_min=float(along.min()), z_max=float(along.max())))
        else:
            mean = float(np.median(along))
            found.append(Surface(r_min=float(r.min()), r_max=float(r.max()), z_min=mean, z_max=mean))
    return found


def outline_3d(layers: list[Surface]) -> Floats:
    """Return (L, 3) rings at the rims of every surface, NaN between rings."""
    angle = np.linspace(0, 2 * np.pi, _RING_STEPS + 1)
    gap = np.full((1, 3), np.nan)
    rings = []
    for layer in layers:
        for radius, z in ((layer.r_min, layer.z_min), (layer.r_max, layer.z_max)):
            ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full_like(angle, z)])
            rings += [ring, gap]
    return np.concatenate(rings) if rings else np.empty((0, 3))


def outline_xy(layers: list[Surface]) -> Floats:
    """Return (L, 2) circles of the cylinders, NaN between circles."""
    angle = np.linspace(0, 2 * np.pi, 2 * _RING_STEPS + 1)
    gap = np.full((1, 2), np.nan)
    circles = [
        part
        for layer in layers
        if not layer.is_disk
        for part in (np.column_stack([layer.r_min * np.cos(angle), layer.r_min * np.sin(angle)]), gap)
    ]
    return np.concatenate(circles) if circles else np.empty((0, 2))


def outline_rz(layers: list[Surface]) -> Floats:
    """Return (L, 2) strokes (z, r) of every surface, NaN between strokes."""
    gap = [np.nan, np.nan]
    strokes = [point for s in layers for point in ([s.z_min, s.r_min], [s.z_max, s.r_max], gap)]
    return np.array(strokes) if strokes else np.empty((0, 2))
