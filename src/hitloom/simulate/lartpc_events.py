"""Events of one slice, one for each wire view, from its hits, clusters and truth.

The layout is that of :mod:`hitloom.data.shower_layout`. N clusters, M hits of a view, K particles of the slice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.lartpc_detectors import Detector
from hitloom.data.shower_view import MEV_PER_GEV, MM_PER_CM, shower_view
from hitloom.event import Event
from hitloom.grouping.chain_clusters import first_seen
from hitloom.simulate.lartpc_deposits import ArgonParticles

SOURCE = "simulate-lartpc"


@dataclass(frozen=True, kw_only=True)
class ViewHits:
    """Hits of one view that have a cluster, sorted by cluster.

    Attributes
    ----------
    view : int
    x, z, x_width, energy : (M,) float64
        Relative to the vertex of the view, cm; MIP.
    cluster : (M,) int64
        0, 1, ... without gaps.
    owner : (M,) int64
        Row of the particle, -1 = none.
    num_unclustered : int
        Hits of the view that have no cluster and are left out.
    """

    view: int
    x: NDArray[np.float64]
    z: NDArray[np.float64]
    x_width: NDArray[np.float64]
    energy: NDArray[np.float64]
    cluster: NDArray[np.int64]
    owner: NDArray[np.int64]
    num_unclustered: int


def slice_events(
    views: Sequence[ViewHits],
    particles: ArgonParticles,
    detector: Detector,
    *,
    slice_: int,
    drift: float,
    provenance: Mapping[str, Any],
) -> list[Event]:
    """Return the events of the views of one slice; a view without hits is an event without points.

    Parameters
    ----------
    drift
        Drift position of the vertex in the detector, cm: where the gaps are.
    """
    owner = np.concatenate([hits.owner for hits in views])
    number = first_seen(owner)
    objects = _objects(owner, number, particles)
    known = {"detector": detector.name, "scales": detector.scales} | dict(provenance)
    events, first_hit, first_cluster = [], 0, 0
    for hits in views:
        num_hits, num_clusters = len(hits.x), int(hits.cluster.max(initial=-1)) + 1
        events.append(
            shower_view(
                _columns(hits, detector, drift=drift),
                hits.cluster,
                slice_=slice_,
                view=hits.view,
                point_id=np.arange(first_cluster, first_cluster + num_clusters),
                part_id=np.arange(first_hit, first_hit + num_hits),
                owner=number[first_hit : first_hit + num_hits],
                objects=objects,
                source=SOURCE,
                provenance=known | {"num_unclustered_hits": hits.num_unclustered},
            )
        )
        first_hit += num_hits
        first_cluster += num_clusters
    return events


def gap_distance(x: NDArray[np.float64], detector: Detector) -> NDArray[np.float64]:
    """Return (M,) signed distance in cm from the nearest edge of a drift gap to drift positions of the detector."""
    edges = np.sort(np.asarray(detector.gaps, dtype=np.float64).reshape(-1))
    right = np.clip(np.searchsorted(edges, x), 1, len(edges) - 1)
    nearest = np.where(np.abs(x - edges[right - 1]) <= np.abs(x - edges[right]), edges[right - 1], edges[right])
    return np.asarray(x - nearest)


def _columns(hits: ViewHits, detector: Detector, *, drift: float) -> dict[str, NDArray[np.float64]]:
    """Return the columns of the hits of a view; without drift gaps there is no distance to one."""
    pitch = np.full(len(hits.x), detector.pitch[hits.view])
    columns = {"x": hits.x, "z": hits.z, "x_width": hits.x_width, "pitch": pitch, "energy": hits.energy}
    return columns | ({"x_gap": gap_distance(hits.x + drift, detector)} if detector.gaps else {})


def _objects(owner: NDArray[np.int64], number: NDArray[np.int64], particles: ArgonParticles) -> dict[str, NDArray[Any]]:
    """Return the columns of the particles that have a hit, in the order of their numbers: (K,) and (K, 3)."""
    rows = np.empty(int(number.max(initial=-1)) + 1, np.int64)
    rows[number[number >= 0]] = owner[number >= 0]
    return {
        "object_id": np.arange(len(rows)),
        "object_pdg": particles.pdg[rows],
        "object_energy": particles.energy[rows] / MEV_PER_GEV,
        "object_momentum": particles.momentum[rows] / MEV_PER_GEV,
        "object_vertex": particles.start[rows] * MM_PER_CM,
        "object_parent": _parent_numbers(rows, particles),
        "object_is_signal": particles.from_beam[rows],
    }


def _parent_numbers(rows: NDArray[np.int64], particles: ArgonParticles) -> NDArray[np.int64]:
    """Return (K,) the number of the nearest ancestor that has one, -1 = none."""
    number = np.full(len(particles.pdg), -1, np.int64)
    number[rows] = np.arange(len(rows))
    parents = np.full(len(rows), -1, np.int64)
    for place, row in enumerate(rows):
        above = particles.parent[row]
        while above >= 0 and number[above] < 0:
            above = particles.parent[above]
        parents[place] = number[above] if above >= 0 else -1
    return parents
