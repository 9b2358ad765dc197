"""Guns at the front face of the calorimeter: single particles and close-by groups."""

from __future__ import annotations

import math

import numpy as np

from hitloom.data.endcap_geometry import get_geometry
from hitloom.errors import ConfigError
from hitloom.simulate.calorimeter_config import CalorimeterConfig

# species: (PDG code, charge of the positive code in e, mass in GeV); Particle Data Group 2024
SPECIES = {
    "photon": (22, 0.0, 0.0),
    "electron": (11, -1.0, 0.000511),
    "muon": (13, -1.0, 0.1056584),
    "pion": (211, 1.0, 0.1395704),
    "neutral_pion": (111, 0.0, 0.1349768),
    "neutral_hadron": (130, 0.0, 0.497611),
}
_SIDES = {"both": (1, -1), "forward": (1,), "backward": (-1,), "random": (0,)}
_MAX_TRIES = 100


def shoot_at_front(config: CalorimeterConfig, rng: np.random.Generator, point: np.ndarray) -> list[tuple[float, ...]]:
    """Return the rows of :class:`~hitloom.simulate.particles.ParticleTable` of one event.

    ``point`` (4,) is place and time of the collision in mm, the time as the way of light.

    Raises
    ------
    ConfigError
        When a group does not fit on the front face.
    """
    gun = config.gun
    num_groups = -(-gun.num_particles // gun.group_size)
    rows: list[tuple[float, ...]] = []
    for side in _SIDES[gun.endcap]:
        end = len(rows) + gun.num_particles
        for _ in range(num_groups):
            z = (side or int(rng.choice([-1, 1]))) * _front(config)
            for x, y in _group_places(config, rng)[: end - len(rows)]:
                rows.append(_particle(config, rng, len(rows) + 1, np.array([x, y, z]), point))
    return rows


def _front(config: CalorimeterConfig) -> float:
    return get_geometry(config.geometry).front_z * 10.0


def _group_places(config: CalorimeterConfig, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Places of one group on the front face in mm: a line in a random direction, all inside the range."""
    gun, front = config.gun, _front(config)
    for _ in range(_MAX_TRIES):
        phi = rng.uniform(-math.pi, math.pi)
        eta = rng.uniform(*gun.eta)
        radius = gun.radius * 10.0 if gun.radius is not None else front / math.sinh(eta)
        direction = rng.uniform(-math.pi, math.pi)
        steps = np.arange(gun.group_size) * gun.delta * 10.0
        x = radius * math.cos(phi) + steps * math.cos(direction)
        y = radius * math.sin(phi) + steps * math.sin(direction)
        etas = np.arcsinh(front / np.maximum(np.hypot(x, y), 1e-6))
        if (etas[1:] >= gun.eta[0]).all() and (etas[1:] <= gun.eta[1]).all():
            return list(zip(x.tolist(), y.tolist(), strict=True))
    raise ConfigError(
        f"gun.group_size {gun.group_size} with gun.delta {gun.delta} cm does not fit into gun.eta {gun.eta}; "
        "mend: smaller groups or a wider range"
    )


def _particle(
    config: CalorimeterConfig, rng: np.random.Generator, number: int, place: np.ndarray, point: np.ndarray
) -> tuple[float, ...]:
    gun = config.gun
    species = str(rng.choice(gun.species))
    sign = draw_sign(species, rng)
    energy = draw_energy(gun.energy, rng)
    return particle_row(
        species, energy, sign=sign, number=number, place=place, point=point, from_front=gun.origin == "front"
    )


def draw_sign(species: str, rng: np.random.Generator) -> int:
    """Return +1 or -1 for a charged kind of particle, +1 for a neutral one."""
    return int(rng.choice([-1, 1])) if SPECIES[species][1] else 1


def draw_energy(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Return an energy between the limits, flat in its logarithm."""
    return math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1])))


def particle_row(
    species: str,
    energy: float,
    *,
    sign: int,
    number: int,
    place: np.ndarray,
    point: np.ndarray,
    vertex: int = 1,
    from_front: bool = False,
) -> tuple[float, ...]:
    """Return the row of a particle that flies from ``point`` (4,) through ``place`` (3,) on the front face, mm.

    ``from_front``: it starts at ``place`` and flies away from the origin.
    """
    code, charge, mass = SPECIES[species]
    momentum = math.sqrt(max(energy**2 - mass**2, 1e-12))
    start = place if from_front else point[:3]
    flight = place if from_front else place - point[:3]
    px, py, pz = momentum * flight / np.linalg.norm(flight)
    time = float(point[3]) + (float(np.linalg.norm(place)) if from_front else 0.0)
    return (vertex, number, 0, 0, 0, sign * code, sign * charge, mass, *start.tolist(), time, px, py, pz)
