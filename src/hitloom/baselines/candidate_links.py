"""Linking without a network: decide every candidate edge by a simple rule, then take connected components.

- merge-all joins every candidate edge. Where most candidates are true this is hard to beat in the scores of edges.
- merge-none joins none: the tracksters as they came.
- distance joins edges whose barycentres lie close across, seen from the collision point.

The candidate graph is that of the event. Shape letters: N tracksters, E edges. Lengths cm.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from hitloom.config import Config
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping.components import union_find
from hitloom.metrics.edge_energy import confusion, edge_rates
from hitloom.metrics.energy_overlap import object_overlap
from hitloom.result import Result

CERTAIN = 20.0
"""Logit of an edge that a rule joins; the negative for one that it does not."""
CUTS = tuple(0.5 * step for step in range(1, 61))
"""Distances that are scanned, cm."""
Floats = NDArray[np.float64]


class MergeAllConfig(Config):
    """merge-all has no settings."""


class MergeNoneConfig(Config):
    """merge-none has no settings."""


class DistanceConfig(Config):
    """Settings of the distance cut.

    Attributes
    ----------
    max_distance
        Largest distance of two barycentres across, cm; the default is the best on simulated events of ten pions (see
        ``docs/baselines.md``); :func:`scan_distance` finds it for others.
    """

    max_distance: float = Field(default=1.5, gt=0)


def run_merge_all(events: Iterable[Event], config: MergeAllConfig | None = None) -> Iterator[Result]:
    """Yield the components of the whole candidate graph, event by event."""
    for event in events:
        begin = time.perf_counter()
        yield joined(event, torch.ones(candidates(event).shape[1], dtype=torch.bool), begin)


def run_merge_none(events: Iterable[Event], config: MergeNoneConfig | None = None) -> Iterator[Result]:
    """Yield every trackster by itself, event by event."""
    for event in events:
        begin = time.perf_counter()
        yield joined(event, torch.zeros(candidates(event).shape[1], dtype=torch.bool), begin)


def run_distance(events: Iterable[Event], config: DistanceConfig | None = None) -> Iterator[Result]:
    """Yield the components of the candidate edges below the cut, event by event."""
    settings = config or DistanceConfig()
    for event in events:
        begin = time.perf_counter()
        yield joined(event, torch.from_numpy(edge_distances(event) < settings.max_distance), begin)


def edge_distances(event: Event) -> Floats:
    """Return the distance (E,) across of the ends of each candidate edge, cm.

    The outer barycentre is moved along its line to the collision point until it has the |z| of the inner one; the
    distance is sqrt((r - r')^2 + r'^2 dphi^2) with dphi wrapped.
    """
    x, y, z = event.columns(["barycenter_x", "barycenter_y", "barycenter_z"]).double().numpy().T
    inner, outer = candidates(event).numpy()
    return np.sqrt(projective_square(np.stack([x, y, z], 1)[inner], np.stack([x, y, z], 1)[outer]))


def projective_square(one: Floats, other: Floats) -> Floats:
    """Return the squared distance across of points (..., 3) in the plane of the first, with r' = r |z| / |z'|, cm^2."""
    r = np.hypot(one[..., 0], one[..., 1])
    scaled = np.hypot(other[..., 0], other[..., 1]) * np.abs(one[..., 2]) / np.abs(other[..., 2])
    turn = np.arctan2(one[..., 1], one[..., 0]) - np.arctan2(other[..., 1], other[..., 0])
    turn = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
    return (r - scaled) ** 2 + (scaled * turn) ** 2


def scan_distance(
    events: Sequence[Event],
    *,
    objective: Literal["overlap", "f1"] = "overlap",
    cuts: Sequence[float] = CUTS,
) -> DistanceConfig:
    """Return the cut that serves best on (training) events; of equally good ones the smallest.

    ``objective``: the least missing plus foreign energy (dU + dO) of the objects by their shares of the tracksters, or
    the largest energy-weighted F1 of candidate edges, where an edge weighs the larger raw energy of its ends and is
    true with a target above 0.

    Raises
    ------
    DataError
        When no event has a candidate edge, or one has no truth.
    """
    for event in events:
        for name in ("edge_y", "share_index"):
            if name not in event:
                raise DataError(f"{event.describe()}: field '{name}' is needed to scan the cut and not in the event")
    if not any(candidates(event).shape[1] for event in events):
        raise DataError("distance cut: no event has a candidate edge to scan on")
    scored = [(event, edge_distances(event)) for event in events]
    losses = np.array([_lost(scored, cut) if objective == "overlap" else -_f1(scored, cut) for cut in cuts])
    return DistanceConfig(max_distance=float(cuts[int(np.argmin(losses))]))


def _lost(scored: Sequence[tuple[Event, Floats]], cut: float) -> float:
    """Return dU + dO in GeV."""
    lost = 0.0
    for event, distance in scored:
        labels = union_find(candidates(event)[:, torch.from_numpy(distance < cut)], event.num_points)
        found = object_overlap(
            energy=event.energy,
            share_index=event.share_index,
            share_fraction=event.share_fraction,
            labels=labels,
            num_objects=event.num_objects,
        )
        lost += float(found.missing.sum() + found.foreign.sum())
    return lost


def _f1(scored: Sequence[tuple[Event, Floats]], cut: float) -> float:
    """Return the energy-weighted F1 of the candidate edges, 0 where none is joined."""
    kept = np.concatenate([distance < cut for _, distance in scored])
    true = np.concatenate([event.edge_y.numpy() > 0 for event, _ in scored])
    weight = np.concatenate([event.energy[candidates(event)].amax(0).double().numpy() for event, _ in scored])
    score = edge_rates(confusion(kept, true, weight))["f1"]
    return score if np.isfinite(score) else 0.0


def candidates(event: Event) -> Tensor:
    """Return the candidate edges (2, E) of an event of tracksters.

    Raises
    ------
    DataError
        When the event has none of the fields.
    """
    for name in ("edge_index", "energy"):
        if name not in event:
            raise DataError(f"{event.describe()}: field '{name}' is needed to link tracksters and not in the event")
    return event.edge_index


def joined(event: Event, keep: Tensor, begin: float, *, labels: Tensor | None = None) -> Result:
    """Return the result of an event whose candidate edges ``keep`` (E,) bool are joined, or of given labels (N,)."""
    edges = candidates(event)
    if labels is None:
        labels = union_find(edges[:, keep], event.num_points)
    return Result(
        event_id=int(event.event_id) if "event_id" in event else 0,
        point_id=event.point_id if "point_id" in event else torch.arange(event.num_points),
        labels=labels,
        edge_index=edges,
        edge_score=torch.where(keep, CERTAIN, -CERTAIN),
        timing={"linking": time.perf_counter() - begin},
    )
