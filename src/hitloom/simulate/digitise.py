"""True crossings to cells, and cells to measured positions, as in the TrackML data.

A track crosses a sensor of depth D as a straight line in (u, v, w); charge drifts sideways by ``shift`` over the
depth in the barrels. Every cell that the drifted line touches responds: a pixel with the path length in it (mm),
smeared by 10 % independently per cell, a strip with 1. On the true crossings of a real TrackML event these rules
give the very same set of cells for 98 to 100 % of the hits of every volume (docs/simulation.md). That event has no hit
with a slant |p| / |p_w| above 10, although tracks as flat as that are common on the innermost layer: they are lost.

Position, exact in TrackML: u = (m0 + 0.5) pitch_u - half_u + shift, v = (m1 + 0.5) pitch_v - half_v, w = 0, with m0, m1
the value-weighted means of the channels. Legend: H crossings, C cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from hitloom.simulate.modules import ModuleTable

SMEARING = 0.10  # relative, per pixel; fitted to the cell values of a real event
MAX_SLANT = 10.0  # |p| / |p_w|; a sharp edge in the real event (largest 9.84)


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of many hits: ``hit`` (C,) row of the hit, ascending; ``ch0``, ``ch1`` (C,) int64, ``value`` (C,)."""

    hit: np.ndarray
    ch0: np.ndarray
    ch1: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.hit)


def num_channels(modules: ModuleTable) -> tuple[np.ndarray, np.ndarray]:
    """Return (S,) numbers of channels in u and v of each module, counted on its widest edge."""
    num_u = np.rint(2 * modules.half_u / modules.readout("pitch_u")).astype(np.int64)
    num_v = np.rint(2 * modules.half_v / modules.readout("pitch_v")).astype(np.int64)
    return num_u, num_v


def leaves_hit(direction: np.ndarray) -> np.ndarray:
    """Return (H,) whether crossings with unit direction (H, 3) along u, v, w are steep enough to leave a hit."""
    return np.abs(direction[:, 2]) * MAX_SLANT >= 1.0


def make_cells(
    *,
    modules: ModuleTable,
    rows: np.ndarray,
    local: np.ndarray,
    direction: np.ndarray,
    rng: np.random.Generator,
) -> Cells:
    """Return the cells of crossings.

    Parameters
    ----------
    modules, rows
        Module table and the row (H,) of each crossing's module.
    local, direction
        Crossing point (H, 3) in mm and unit direction (H, 3), both along the module's axes u, v, w; a direction
        flatter than :data:`MAX_SLANT` allows is taken as that flat.
    rng
        Smearing of the pixel values.
    """
    pitch_u, pitch_v = modules.readout("pitch_u")[rows], modules.readout("pitch_v")[rows]
    depth = (modules.readout("thickness") * modules.readout("depth_factor"))[rows]
    shift = modules.readout("shift")[rows]
    cosine = np.where(direction[:, 2] < 0, -1.0, 1.0) * np.maximum(np.abs(direction[:, 2]), 1.0 / MAX_SLANT)
    slope_u = direction[:, 0] / cosine - np.abs(shift) / depth
    slope_v = direction[:, 1] / cosine
    middle_u = local[:, 0] + modules.half_u[rows] - shift / 2
    middle_v = local[:, 1] + modules.half_v[rows]
    start = np.stack([(middle_u - slope_u * depth / 2) / pitch_u, (middle_v - slope_v * depth / 2) / pitch_v], axis=1)
    stop = np.stack([(middle_u + slope_u * depth / 2) / pitch_u, (middle_v + slope_v * depth / 2) / pitch_v], axis=1)
    num_u, num_v = num_channels(modules)
    hit, ch0, ch1, fraction = _walk(start, stop, num_u[rows], num_v[rows])
    pixel = modules.readout("is_pixel")[rows][hit] > 0
    path = fraction * (depth / np.abs(cosine))[hit]
    smear = np.maximum(1.0 + SMEARING * rng.normal(size=len(hit)), 0.01)
    return Cells(hit=hit, ch0=ch0, ch1=ch1, value=np.where(pixel, path * smear, 1.0))


def measured_local(*, modules: ModuleTable, rows: np.ndarray, cells: Cells) -> np.ndarray:
    """Return (H, 3) measured u, v, w = 0 of hits from their cells; every hit needs at least one cell."""
    total = np.bincount(cells.hit, weights=cells.value, minlength=len(rows))
    mean0 = np.bincount(cells.hit, weights=cells.value * cells.ch0, minlength=len(rows)) / total
    mean1 = np.bincount(cells.hit, weights=cells.value * cells.ch1, minlength=len(rows)) / total
    u = (mean0 + 0.5) * modules.readout("pitch_u")[rows] - modules.half_u[rows] + modules.readout("shift")[rows]
    v = (mean1 + 0.5) * modules.readout("pitch_v")[rows] - modules.half_v[rows]
    return np.stack([u, v, np.zeros(len(rows))], axis=1)


@numba.njit(cache=True)
def _walk(
    start: np.ndarray, stop: np.ndarray, num_u: np.ndarray, num_v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Walk each line (in units of cells) through the grid; return hit, ch0, ch1 and share of the line per cell.

    Cells outside the module are dropped; a line that touches none gets the cell of the module nearest its middle.
    """
    num_hits = len(start)
    bound = 0
    for i in range(num_hits):
        bound += int(abs(stop[i, 0] - start[i, 0]) + abs(stop[i, 1] - start[i, 1])) + 4
    hit = np.empty(bound, np.int64)
    ch0 = np.empty(bound, np.int64)
    ch1 = np.empty(bound, np.int64)
    share = np.empty(bound, np.float64)
    count = 0
    for i in range(num_hits):
        u, v = start[i, 0], start[i, 1]
        du, dv = stop[i, 0] - u, stop[i, 1] - v
        cell_u, cell_v = int(np.floor(u)), int(np.floor(v))
        step_u, step_v = (1 if du > 0 else -1), (1 if dv > 0 else -1)
        next_u = (cell_u + (du > 0) - u) / du if du != 0 else np.inf
        next_v = (cell_v + (dv > 0) - v) / dv if dv != 0 else np.inf
        at = 0.0
        first = count
        while at < 1.0:
            leave = min(next_u, next_v, 1.0)
            if leave > at and 0 <= cell_u < num_u[i] and 0 <= cell_v < num_v[i]:
                hit[count], ch0[count], ch1[count], share[count] = i, cell_u, cell_v, leave - at
                count += 1
            at = max(at, leave)
            if leave >= 1.0:
                break
            if next_u <= next_v:
                cell_u += step_u
                next_u = (cell_u + (du > 0) - u) / du
            else:
                cell_v += step_v
                next_v = (cell_v + (dv > 0) - v) / dv
        if count == first:
            hit[count], share[count] = i, 1.0
            ch0[count] = min(max(int(np.floor(u + du / 2)), 0), num_u[i] - 1)
            ch1[count] = min(max(int(np.floor(v + dv / 2)), 0), num_v[i] - 1)
            count += 1
    return hit[:count], ch0[:count], ch1[:count], share[:count]
