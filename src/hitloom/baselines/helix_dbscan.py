"""The simple baseline of the TrackML challenge: DBSCAN on helix-unrolled coordinates.

Shape letters: N hits, S hypotheses. Lengths mm, momenta GeV, field T.

A particle from (0, 0, z0) in a constant field along z turns on a circle of radius R through the beam line. At the
distance r from the beam line its azimuth has moved by asin(c r / 2), c = charge / R signed, and it has flown
2 asin(c r / 2) / c in the transverse plane. With the right c all its hits share

    phi0 = phi + asin(c r / 2)      and      eta = asinh((z - z0) c / (2 asin(c r / 2)))

so that hits of one track fall together. A scan over c (and z0) clusters the hits anew for every hypothesis; each hit
keeps the largest cluster that it was ever in. Nothing is learned, no module and no material is known, every particle
is taken to come from the beam line, and the field to be constant.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from hitloom.config import Config
from hitloom.event import Event
from hitloom.grouping import dbscan
from hitloom.result import Result
from hitloom.units import GEV_PER_TESLA_MM

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class HelixDBSCANConfig(Config):
    """Settings of the scan.

    Attributes
    ----------
    min_pt_gev
        Lowest transverse momentum of a hypothesis; below, tracks are lost.
    num_curvatures
        Hypotheses from -1/R to +1/R of ``min_pt_gev``, equally spaced in curvature.
    vertex_z_mm
        Hypotheses of the starting point on the beam line.
    eps_phi_rad, eps_eta
        Neighbourhood of DBSCAN: half axes of an ellipsoid in azimuth and pseudorapidity.
    min_samples
        Hits in the neighbourhood of a core hit, itself included.
    min_hits, max_hits
        Clusters outside are not tracks: short ones are chance, long ones several tracks at once.
    field_tesla
        Constant field along z.
    """

    min_pt_gev: float = Field(default=0.5, gt=0)
    num_curvatures: int = Field(default=121, ge=1)
    vertex_z_mm: tuple[float, ...] = Field(default=(0.0,), min_length=1)
    eps_phi_rad: float = Field(default=0.005, gt=0)
    eps_eta: float = Field(default=0.02, gt=0)
    min_samples: int = Field(default=3, ge=1)
    min_hits: int = Field(default=4, ge=2)
    max_hits: int = Field(default=20, ge=2)
    field_tesla: float = Field(default=2.0, gt=0)


def run_helix_dbscan(events: Iterable[Event], config: HelixDBSCANConfig | None = None) -> Iterator[Result]:
    """Yield the clusters of each event, in order; ``timing`` holds the wall seconds of ``scan``."""
    settings = config or HelixDBSCANConfig()
    for event in events:
        begin = time.perf_counter()
        labels = helix_dbscan(event.pos.detach().cpu().numpy(), settings)
        yield Result(
            event_id=int(event.event_id) if "event_id" in event else 0,
            point_id=event.point_id if "point_id" in event else torch.arange(event.num_points),
            labels=torch.from_numpy(labels),
            timing={"scan": time.perf_counter() - begin},
        )


def unroll(pos: Floats, *, curvature: float, vertex_z: float) -> Floats:
    """Return (N, 3) cos(phi0), sin(phi0) and eta of hits under one hypothesis.

    Parameters
    ----------
    pos : (N, 3)
        Positions, mm.
    curvature : float
        1/R in 1/mm, positive where the azimuth falls with the radius (positive charge, field along +z).
    vertex_z : float
        Starting point on the beam line, mm.

    Notes
    -----
    Hits that the circle cannot reach (|c r| > 2) are taken at its far point.
    """
    x, y, z = np.asarray(pos, dtype=np.float64).T
    r = np.hypot(x, y)
    turn = np.arcsin(np.clip(curvature * r / 2, -1.0, 1.0))
    path = r if curvature == 0 else 2 * turn / curvature
    phi = np.arctan2(y, x) + turn
    eta = np.arcsinh((z - vertex_z) / np.maximum(path, 1e-6))
    return np.stack([np.cos(phi), np.sin(phi), eta], axis=1)


def helix_dbscan(pos: Floats, config: HelixDBSCANConfig) -> Ints:
    """Return labels (N,) int64 of hits at ``pos`` (N, 3) mm, from 0 without gaps, -1 = unassigned."""
    num_points = len(pos)
    best_size = np.zeros(num_points, dtype=np.int64)
    best = np.full(num_points, -1, dtype=np.int64)
    scale = np.array([config.eps_phi_rad, config.eps_phi_rad, config.eps_eta])
    largest = GEV_PER_TESLA_MM * config.field_tesla / config.min_pt_gev
    curvatures = np.linspace(-largest, largest, config.num_curvatures) if config.num_curvatures > 1 else np.zeros(1)
    next_label = 0
    for vertex_z in config.vertex_z_mm:
        for curvature in curvatures[np.argsort(np.abs(curvatures), kind="stable")]:
            if num_points < config.min_hits:
                break
            features = unroll(pos, curvature=float(curvature), vertex_z=vertex_z) / scale
            labels = dbscan(
                torch.from_numpy(features.astype(np.float32)), eps=1.0, min_samples=config.min_samples
            ).numpy()
            size = np.append(np.bincount(labels[labels >= 0]), 0)[labels]
            better = (size > best_size) & (size >= config.min_hits) & (size <= config.max_hits)
            best[better] = labels[better] + next_label
            best_size[better] = size[better]
            next_label += int(labels.max(initial=-1)) + 1
    return _renumber(best, min_hits=config.min_hits)


def _renumber(labels: Ints, *, min_hits: int) -> Ints:
    """Drop labels left with fewer than ``min_hits`` hits and number the others from 0 without gaps."""
    result = np.full_like(labels, -1)
    assigned = labels >= 0
    _, inverse = np.unique(labels[assigned], return_inverse=True)
    kept = np.bincount(inverse.reshape(-1)) >= min_hits
    result[assigned] = np.where(kept, np.cumsum(kept) - 1, -1)[inverse.reshape(-1)] if len(inverse) else -1
    return result
