"""Noise hits: uniform on the modules of a volume, with the cells of particle hits of that volume.

Legend: N noise hits.
"""

from __future__ import annotations

import numpy as np

from hitloom.simulate.digitise import Cells, num_channels
from hitloom.simulate.modules import READOUT, ModuleTable

# Share of the noise hits by volume in a real TrackML event, the two sides of an endcap averaged.
VOLUME_SHARE = {
    7: 0.0425, 8: 0.10, 9: 0.0425, 12: 0.062, 13: 0.30, 14: 0.062, 16: 0.0375, 17: 0.32, 18: 0.0375,
}  # fmt: skip


def num_noise(*, num_hits: int, fraction: float) -> int:
    """Return how many noise hits make ``fraction`` of the sum."""
    return round(num_hits * fraction / (1.0 - fraction))


def make_noise(
    *, modules: ModuleTable, donor_rows: np.ndarray, donors: Cells, num: int, rng: np.random.Generator
) -> tuple[np.ndarray, Cells]:
    """Return module rows (N,) and cells of ``num`` noise hits.

    Each takes the shape and the values of the cells of a random particle hit of its volume (``donor_rows``: module
    row of each particle hit, ``donors``: their cells) and moves them to a random place on a random module of the
    volume. Without a particle hit in the volume: one cell, as of a track at right angles.
    """
    volumes = np.array(list(VOLUME_SHARE))
    weights = np.array(list(VOLUME_SHARE.values()))
    volume = rng.choice(volumes, size=num, p=weights / weights.sum())
    rows = np.zeros(num, dtype=np.int64)
    start = np.searchsorted(donors.hit, np.arange(len(donor_rows) + 1))
    donor_volume = modules.volume[donor_rows]
    num_u, num_v = num_channels(modules)
    pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for code in volumes:
        mine = np.flatnonzero(volume == code)
        of_volume = np.flatnonzero(modules.volume == code)
        rows[mine] = rng.choice(of_volume, size=len(mine))
        candidates = np.flatnonzero(donor_volume == code)
        u0, v0 = _place(modules, rows[mine], rng)
        if len(candidates) == 0:
            readout = READOUT[int(code)]
            signal = readout.thickness * readout.depth_factor if readout.is_pixel else 1.0
            pieces.append((mine, u0, v0, np.full(len(mine), signal)))
            continue
        donor = rng.choice(candidates, size=len(mine))
        sizes = start[donor + 1] - start[donor]
        owner = np.repeat(np.arange(len(mine)), sizes)
        cell = np.repeat(start[donor] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        ch0 = _moved(donors.ch0[cell], owner, sizes, u0, num_u[rows[mine]])
        ch1 = _moved(donors.ch1[cell], owner, sizes, v0, num_v[rows[mine]])
        keep = (ch0 < num_u[rows[mine]][owner]) & (ch1 < num_v[rows[mine]][owner])
        pieces.append((mine[owner][keep], ch0[keep], ch1[keep], donors.value[cell][keep]))
    hit, ch0, ch1, value = (np.concatenate(column) for column in zip(*pieces, strict=True))
    order = np.argsort(hit, kind="stable")
    return rows, Cells(hit=hit[order], ch0=ch0[order], ch1=ch1[order], value=value[order])


def _place(modules: ModuleTable, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) channels of a point drawn uniformly on each module (trapezoids by area)."""
    low, high, half_v = modules.half_u_low[rows], modules.half_u_high[rows], modules.half_v[rows]
    # position along v of a trapezoid: invert the cumulative width  low t + (high - low) t^2 / 2
    area = rng.uniform(size=len(rows)) * (low + high) / 2
    slope = high - low
    flat = np.abs(slope) < 1e-9
    safe = np.where(flat, 1.0, slope)
    along = np.where(flat, area / low, (np.sqrt(low**2 + 2 * safe * area) - low) / safe)
    width = low + slope * along
    u = rng.uniform(-1.0, 1.0, size=len(rows)) * width + modules.half_u[rows]
    num_u, num_v = num_channels(modules)
    ch0 = (u / modules.readout("pitch_u")[rows]).astype(np.int64)
    ch1 = (2 * half_v * along / modules.readout("pitch_v")[rows]).astype(np.int64)
    return np.clip(ch0, 0, num_u[rows] - 1), np.clip(ch1, 0, num_v[rows] - 1)


def _moved(
    channel: np.ndarray, owner: np.ndarray, sizes: np.ndarray, middle: np.ndarray, num: np.ndarray
) -> np.ndarray:
    """Return the channels of clusters of ``sizes`` cells moved to lie around ``middle`` and inside 0 .. num - 1."""
    if len(sizes) == 0:
        return channel
    begin = np.cumsum(sizes) - sizes
    low = np.minimum.reduceat(channel, begin)
    length = np.maximum.reduceat(channel, begin) - low
    first = np.clip(middle - length // 2, 0, np.maximum(num - 1 - length, 0))
    return channel + (first - low)[owner]
