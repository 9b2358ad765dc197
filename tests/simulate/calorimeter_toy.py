"""Small settings of the calorimeter simulation, and what its tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

from hitloom.config import build
from hitloom.simulate.calorimeter import Steps, simulate_particles
from hitloom.simulate.calorimeter_config import CalorimeterConfig
from hitloom.simulate.calorimeter_particles import Source
from hitloom.simulate.particles import ParticleTable

QUIET = {"noise": 0.0, "threshold": 0.0, "missing_time": 0.0}


def settings(**values: Any) -> CalorimeterConfig:
    """Settings without interactions on the way and without spread of the collisions, unless asked."""
    return build(CalorimeterConfig, {"upstream_interactions": 0.0, "beam_sigma_z": 0.0, "beam_sigma_t": 0.0, **values})


def gun(species: str, energy: float, number: int = 20, **values: Any) -> dict[str, Any]:
    """Particles of one kind and energy, well inside the detector, each in one endcap at random."""
    fields = {"species": [species], "energy": [energy, energy], "num_particles": number, "eta": [1.8, 2.6]}
    return {"gun": {**fields, "endcap": "random", **values}}


def steps_of(config: CalorimeterConfig, *, seed: int = 1, event_id: int = 0, order: Any = None) -> Steps:
    """All steps of one event; ``order`` permutes the particles that go in."""
    table = particles_of(config, seed=seed, event_id=event_id)
    table = table if order is None else table.select(order(len(table)))
    return simulate_particles(table, config, seed=seed, event_id=event_id)


def particles_of(config: CalorimeterConfig, *, seed: int = 1, event_id: int = 0) -> ParticleTable:
    return Source(config=config).particles(seed=seed, event_id=event_id)


def energy_by_owner(steps: Steps) -> np.ndarray:
    """Energy of each entering particle in all layer clusters."""
    cluster, owner = steps.clustered.share_index
    energy = steps.clusters.energy[cluster] * steps.clustered.share_fraction
    return np.bincount(owner, weights=energy, minlength=len(steps.entering))
