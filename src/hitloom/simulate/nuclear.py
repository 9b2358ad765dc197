"""Nuclear interactions of charged hadrons, which Fatras lacks: the track ends, and a few slow particles appear.

An empirical model of what one full TrackML event shows, not nuclear physics. There the hadron tracks that end early
and the points where new particles start follow the material of the ACTS geometry, measured in interaction lengths, but
2.2 times as often as in nature. The particles that come out are protons and charged pions in the ratio 45 : 61,
isotropic, with momenta between 0.1 and 0.5 GeV whatever the parent's, and some interactions show none.
``docs/simulation.md`` gives the comparison.

Legend: P particles, H crossings, I interactions, C particles that come out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hitloom.simulate.acts_chain import Crossings
from hitloom.simulate.particles import ParticleTable, concatenate

MATERIAL_SCALE = 0.45  # interaction lengths of material per interaction; 1 in nature
PROCESS = 4  # ACTS GenerationProcess.eNuclearInteraction
NUM_OUT_PROBABILITY = (0.25, 0.302, 0.277, 0.141, 0.023, 0.007)  # of 0, 1, ... 5 particles with pt > 0.1 GeV
MOMENTUM_RANGE = (0.1, 0.52)  # GeV
MOMENTUM_POWER = 1.2  # low + (high - low) * uniform ** power
MIN_PT = 0.1
SPECIES = ((2212, 1.0, 0.9382721), (211, 1.0, 0.1395704), (-211, -1.0, 0.1395704))  # pdg, charge, mass
SPECIES_PROBABILITY = (45 / 106, 30 / 106, 31 / 106)
MAX_GENERATION = 4
_START_MM = 0.1  # particles start this far from the surface where they are made
_HADRONS = (211, 321, 2212, 3112, 3222, 3312, 3334)

Simulate = Callable[[ParticleTable, int], tuple[ParticleTable, Crossings]]


def with_nuclear_interactions(
    *, particles: ParticleTable, simulate: Simulate, rng: np.random.Generator
) -> tuple[ParticleTable, Crossings]:
    """Simulate ``particles`` and, generation by generation, what comes out of their nuclear interactions.

    ``simulate(particles, step)`` runs one pass of the detector simulation; ``step`` counts the passes. Returns all
    particles and the crossings that remain; ``secondary`` is not yet unique (:func:`particles.renumbered`).
    """
    tables, parts, offset = [], [], 0
    for step in range(MAX_GENERATION):
        table, crossings = simulate(particles, step)
        stop = _stops(table, crossings, rng)
        ended = np.full(len(table), np.iinfo(np.int64).max)
        ended[crossings.particle[stop]] = crossings.order[stop]
        kept = crossings.select(crossings.order <= ended[crossings.particle])
        tables.append(table)
        parts.append(replace(kept, particle=kept.particle + offset))
        offset += len(table)
        particles = _products(table, crossings, stop, rng)
        if len(particles) == 0:
            break
    return concatenate(tables), _joined(parts)


def _stops(table: ParticleTable, crossings: Crossings, rng: np.random.Generator) -> np.ndarray:
    """Return (I,) rows of the crossings where a hadron interacts, at most one per particle."""
    limit = rng.exponential(MATERIAL_SCALE, size=len(table))
    limit[~np.isin(np.abs(table.pdg), _HADRONS)] = np.inf
    total = np.cumsum(crossings.material)
    first = np.searchsorted(crossings.particle, np.arange(len(table)))
    before = np.concatenate([[0.0], total])[first]
    beyond = np.flatnonzero(total - before[crossings.particle] > limit[crossings.particle])
    _, where = np.unique(crossings.particle[beyond], return_index=True)
    return beyond[where]


def _products(table: ParticleTable, crossings: Crossings, stop: np.ndarray, rng: np.random.Generator) -> ParticleTable:
    """Return (C,) the particles that come out of the interactions ``stop``."""
    num = rng.choice(len(NUM_OUT_PROBABILITY), size=len(stop), p=NUM_OUT_PROBABILITY)
    at = np.repeat(stop, num)
    parent = crossings.particle[at]
    low, high = MOMENTUM_RANGE
    momentum = low + (high - low) * rng.random(len(at)) ** MOMENTUM_POWER
    # isotropic, among the directions with a transverse momentum of at least MIN_PT
    cos_theta = rng.uniform(-1.0, 1.0, size=len(at)) * np.sqrt(1.0 - (MIN_PT / momentum) ** 2)
    phi = rng.uniform(-np.pi, np.pi, size=len(at))
    sin_theta = np.sqrt(1.0 - cos_theta**2)
    direction = np.stack([sin_theta * np.cos(phi), sin_theta * np.sin(phi), cos_theta], axis=1)
    kind = rng.choice(len(SPECIES), size=len(at), p=SPECIES_PROBABILITY)
    pdg, charge, mass = np.array(SPECIES)[kind].T
    start = crossings.position[at] + _START_MM * direction
    generation = table.generation[parent] + 1
    return ParticleTable(
        vertex=table.vertex[parent],
        primary=table.primary[parent],
        generation=generation,
        secondary=np.zeros(len(at), dtype=np.int64),
        process=np.full(len(at), PROCESS, dtype=np.int64),
        pdg=pdg.astype(np.int64),
        charge=charge,
        mass=mass,
        x=start[:, 0],
        y=start[:, 1],
        z=start[:, 2],
        t=np.zeros(len(at)),
        px=momentum * direction[:, 0],
        py=momentum * direction[:, 1],
        pz=momentum * direction[:, 2],
    )


def _joined(parts: list[Crossings]) -> Crossings:
    names = ("particle", "module", "order", "material", "position", "momentum")
    return Crossings(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
