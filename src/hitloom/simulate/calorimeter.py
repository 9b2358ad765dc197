"""Simulated events of a calorimeter endcap: particles, showers, cells, layer clusters, tracksters, truth.

>>> from hitloom.simulate.calorimeter import CalorimeterConfig, simulate_calorimeter
>>> events = simulate_calorimeter(CalorimeterConfig(), num_events=2, seed=1)  # a lazy iterator

An event depends on the configuration, the seed and its number only; the shower of a particle on the seed, the number of
the event and the particle's id only, so that pile-up leaves the signal as it is. **The shapes of the showers are toy**:
they follow public tables and are no substitute for a simulation of the material.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from hitloom.data.clue3d_tracksters import make_tracksters
from hitloom.data.endcap_geometry import get_geometry
from hitloom.data.layer_clusters import CaloTruth, LayerClusters, Tracksters
from hitloom.data.trackster_event import trackster_event
from hitloom.event import Event
from hitloom.simulate.calorimeter_cells import Cells, make_cells
from hitloom.simulate.calorimeter_clusters import ClusteredCells, make_layer_clusters
from hitloom.simulate.calorimeter_config import CalorimeterConfig, provenance_of
from hitloom.simulate.calorimeter_particles import Entering, Source, entering_particles
from hitloom.simulate.calorimeter_pid import id_probabilities
from hitloom.simulate.calorimeter_showers import Spots, make_spots
from hitloom.simulate.parallel import check_number, make_events
from hitloom.simulate.particles import ParticleTable

__all__ = [
    "CalorimeterConfig",
    "provenance_of",
    "simulate_calorimeter",
    "simulate_deposits",
    "simulate_event",
    "simulate_particles",
]

SOURCE = "simulate-calorimeter"


@dataclass(frozen=True, kw_only=True)
class Deposits:
    """Everything that is made on the way to layer clusters and their truth, in order."""

    entering: Entering
    spots: Spots
    cells: Cells
    clustered: ClusteredCells
    truth: CaloTruth

    @property
    def clusters(self) -> LayerClusters:
        return self.clustered.clusters


@dataclass(frozen=True, kw_only=True)
class Steps(Deposits):
    """Everything that is made on the way to the event."""

    tracksters: Tracksters


def simulate_deposits(table: ParticleTable, config: CalorimeterConfig, *, seed: int, event_id: int) -> Deposits:
    """Send the particles of ``table`` into the calorimeter; their order does not matter, their ids do."""
    numbers = (seed, event_id)
    entering = entering_particles(table, config=config, seed=numbers)
    spots = make_spots(entering, config=config, seed=numbers)
    cells = make_cells(spots, config=config, seed=numbers)
    clustered = make_layer_clusters(cells, config=config, seed=numbers)
    return Deposits(entering=entering, spots=spots, cells=cells, clustered=clustered, truth=_truth(entering, clustered))


def simulate_particles(table: ParticleTable, config: CalorimeterConfig, *, seed: int, event_id: int) -> Steps:
    """Go on from :func:`simulate_deposits` to tracksters."""
    made = simulate_deposits(table, config, seed=seed, event_id=event_id)
    tracksters = make_tracksters(made.clusters, preset=config.clusters.preset)
    probabilities = id_probabilities(made.clusters, tracksters, geometry=get_geometry(config.geometry))
    return Steps(
        **{field.name: getattr(made, field.name) for field in dataclasses.fields(made)},
        tracksters=dataclasses.replace(tracksters, id_probabilities=probabilities),
    )


def simulate_event(config: CalorimeterConfig, *, seed: int, event_id: int) -> Event:
    """Return one event, checked against the field table.

    Raises
    ------
    ConfigError
        When ``seed`` or ``event_id`` is negative.
    MissingDependencyError
        When pythia8mc is needed and not installed.
    """
    check_number("seed", seed)
    check_number("event_id", event_id)
    table = _source(config).particles(seed=seed, event_id=event_id)
    steps = simulate_particles(table, config, seed=seed, event_id=event_id)
    return trackster_event(
        steps.clusters,
        steps.tracksters,
        steps.truth,
        event_id=event_id,
        source=SOURCE,
        provenance=provenance_of(config, seed=seed),
        geometry=get_geometry(config.geometry),
        truth_type=config.truth,
    ).validate()


def simulate_calorimeter(
    config: CalorimeterConfig, *, num_events: int, seed: int, first_event_id: int = 0, num_processes: int = 1
) -> Iterator[Event]:
    """Yield ``num_events`` events in order; see :func:`hitloom.simulate.parallel.make_events`."""
    check_number("seed", seed)
    make = partial(_make, config, seed)
    return make_events(make, num_events=num_events, first_event_id=first_event_id, num_processes=num_processes)


def _make(config: CalorimeterConfig, seed: int, event_id: int) -> Event:
    return simulate_event(config, seed=seed, event_id=event_id)


@lru_cache(maxsize=2)
def _source(config: CalorimeterConfig) -> Source:
    return Source(config=config)


def _truth(entering: Entering, clustered: ClusteredCells) -> CaloTruth:
    """Particles of the hard process, and those of pile-up that share in a layer cluster, with their shares."""
    signal = entering.table.vertex == 1
    kept = signal.copy()
    kept[clustered.share_index[1]] = True
    rows = np.flatnonzero(kept)
    new = np.full(len(entering), -1, dtype=np.int64)
    new[rows] = np.arange(len(rows))
    table = entering.table.select(rows)
    return CaloTruth(
        object_id=entering.ids[rows],
        parent=entering.parent[rows],
        pdg=table.pdg,
        charge=table.charge,
        energy=np.sqrt((table.momentum**2).sum(1) + table.mass**2),
        pt=table.pt,
        eta=table.eta,
        phi=np.arctan2(table.py, table.px),
        is_signal=signal[rows],
        share_index=np.stack([clustered.share_index[0], new[clustered.share_index[1]]]),
        share_fraction=clustered.share_fraction,
    )
