"""Events in liquid argon, seen by three wire views, in small 2D clusters.

>>> from hitloom.simulate.lartpc import LArTPCConfig, simulate_lartpc
>>> events = simulate_lartpc(LArTPCConfig(), num_events=2, seed=1)  # lazily; three views of each of two slices

A slice depends on the configuration, the seed and its number only. **Cascades, readout and clusters are toy**: they
show the main features of the real ones and no more (see the documentation).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hitloom.data.lartpc_detectors import Detector, get_detector
from hitloom.data.shower_layout import VIEWS
from hitloom.event import Event
from hitloom.grouping.chain_clusters import chain_clusters
from hitloom.simulate.lartpc_config import LArTPCConfig, provenance_of
from hitloom.simulate.lartpc_deposits import ArgonDeposits, ArgonEvent
from hitloom.simulate.lartpc_events import ViewHits, slice_events
from hitloom.simulate.lartpc_generator import argon_event
from hitloom.simulate.lartpc_hits import wire_hits
from hitloom.simulate.lartpc_project import wire_coordinate
from hitloom.simulate.lartpc_truth import hit_owners
from hitloom.simulate.parallel import check_number, make_event_lists

__all__ = ["LArTPCConfig", "provenance_of", "read_out", "simulate_lartpc", "simulate_slice", "simulate_slices"]

_PHYSICS, _READOUT = 1, 2  # independent streams of random numbers of a slice


def simulate_lartpc(
    config: LArTPCConfig, *, num_events: int, seed: int, first_event_id: int = 0, num_processes: int = 1
) -> Iterator[Event]:
    """Yield the views U, V, W of ``num_events`` slices in order, three events for each slice.

    See :func:`hitloom.simulate.parallel.make_events`. A view that nothing reached is an event without points.
    """
    for events in simulate_slices(
        config, num_events=num_events, seed=seed, first_event_id=first_event_id, num_processes=num_processes
    ):
        yield from events


def simulate_slices(
    config: LArTPCConfig, *, num_events: int, seed: int, first_event_id: int = 0, num_processes: int = 1
) -> Iterator[list[Event]]:
    """Yield the list of the three views of each slice.

    Raises
    ------
    ConfigError
        When a number is negative or the detector is unknown.
    """
    check_number("seed", seed)
    get_detector(config.detector)
    make = partial(_make, config, seed)
    return make_event_lists(make, num_events=num_events, first_event_id=first_event_id, num_processes=num_processes)


def simulate_slice(config: LArTPCConfig, *, seed: int, event_id: int) -> list[Event]:
    """Return the three views of one slice."""
    check_number("seed", seed)
    check_number("event_id", event_id)
    argon = argon_event(config, np.random.default_rng([seed, event_id, _PHYSICS]))
    return read_out(argon, config, seed=seed, event_id=event_id)


def read_out(argon: ArgonEvent, config: LArTPCConfig, *, seed: int, event_id: int) -> list[Event]:
    """Return the three views of what particles left in argon: hits, clusters, truth."""
    rng = np.random.default_rng([seed, event_id, _READOUT])
    detector = get_detector(config.detector)
    drift = _drift_position(detector, config.readout.drift_range, float(argon.vertex[0]), rng)
    deposits = _outside_gaps(argon.deposits, detector, shift=drift - float(argon.vertex[0]))
    vertex = argon.vertex + config.readout.vertex_smearing / 10.0 * rng.standard_normal(3)
    views = [
        _view(argon, deposits, config, detector, view=view, vertex=vertex, rng=rng)
        for view, rng in zip(VIEWS, rng.spawn(len(VIEWS)), strict=True)
    ]
    return slice_events(
        views, argon.particles, detector, slice_=event_id, drift=drift + float(vertex[0] - argon.vertex[0]),
        provenance=provenance_of(config, seed=seed),
    )  # fmt: skip


def _make(config: LArTPCConfig, seed: int, event_id: int) -> list[Event]:
    return simulate_slice(config, seed=seed, event_id=event_id)


def _view(
    argon: ArgonEvent,
    deposits: ArgonDeposits,
    config: LArTPCConfig,
    detector: Detector,
    *,
    view: int,
    vertex: NDArray[np.float64],
    rng: np.random.Generator,
) -> ViewHits:
    """Return the hits of one view with their clusters and owners, sorted by cluster."""
    angle, pitch = detector.angle[view], detector.pitch[view]
    hits = wire_hits(deposits, angle=angle, pitch=pitch, config=config.readout, vertex=vertex, rng=rng)
    owner = hit_owners(hits, argon.particles, pitch=pitch, keep_compton=config.readout.rollup == "keep_compton")
    cluster = chain_clusters(
        hits.x, hits.w, hits.wire, hits.energy,
        config=config.clusters, scale=pitch / min(detector.pitch.values()),
    )  # fmt: skip
    order = np.argsort(cluster, kind="stable")
    order = order[cluster[order] >= 0]
    return ViewHits(
        view=view,
        x=hits.x[order] - vertex[0],
        z=hits.w[order] - float(wire_coordinate(vertex, angle)),
        x_width=hits.x_width[order],
        energy=hits.energy[order],
        cluster=cluster[order],
        owner=owner[order],
        num_unclustered=hits.num_hits - len(order),
    )


def _drift_position(detector: Detector, reach: float, x: float, rng: np.random.Generator) -> float:
    """Return where the vertex lies in drift: flat around one of the gaps, outside of all; ``x`` without gaps."""
    if not detector.gaps or not reach:
        return x
    while True:
        low, high = detector.gaps[int(rng.integers(len(detector.gaps)))]
        position = (low + high) / 2 + float(rng.uniform(-reach, reach))
        if not any(low < position < high for low, high in detector.gaps):
            return position


def _outside_gaps(deposits: ArgonDeposits, detector: Detector, *, shift: float) -> ArgonDeposits:
    """Return the deposits without those that lie in a dead gap when everything is moved by ``shift`` in drift."""
    x = (deposits.start[:, 0] + deposits.end[:, 0]) / 2 + shift
    alive = np.ones(len(x), bool)
    for low, high in detector.gaps or ():
        alive &= (x < low) | (x > high)
    return ArgonDeposits(
        start=deposits.start[alive],
        end=deposits.end[alive],
        energy=deposits.energy[alive],
        particle=deposits.particle[alive],
    )
