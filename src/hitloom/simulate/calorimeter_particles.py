"""Particles on their way to the calorimeter: collisions or gun, decays and interactions before it, flight to its front.

Letter: P particles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hitloom.data.endcap_geometry import get_geometry
from hitloom.simulate.calorimeter_config import CalorimeterConfig
from hitloom.simulate.calorimeter_gun import shoot_at_front
from hitloom.simulate.particles import ParticleTable, concatenate
from hitloom.simulate.pythia import Generator

NEUTRALS = frozenset({22, 130, 310, 2112, 3122})
_BARYONS = (2112, 2212, 3122, 3112, 3222, 3312, 3322, 3334)
_LEPTONS_AND_PHOTON = (11, 13, 22)
_PION_MASS, _NEUTRAL_PION = 0.1395704, 111
_LIGHT = 299.792458  # mm / ns
_CM = 0.1  # cm in a mm
DECAY, INTERACTION = 5, 6  # the process field of an id
_PRODUCTS = {211: (1.0, _PION_MASS), -211: (-1.0, _PION_MASS), 130: (0.0, 0.497611), 22: (0.0, 0.0)}


@dataclass(frozen=True, kw_only=True)
class Entering:
    """Particles at the front face, by id; columns (P,) except ``at``.

    ``at`` (P, 6): x, y, \\|z\\| in cm, dx/d\\|z\\|, dy/d\\|z\\|, time in ns. ``energy`` is what they can deposit, GeV;
    ``table`` their rows as generated; ``ids`` and ``parent`` 64-bit ids; ``side`` the sign of z.
    """

    table: ParticleTable
    ids: np.ndarray
    parent: np.ndarray
    side: np.ndarray
    energy: np.ndarray
    at: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def pdg(self) -> np.ndarray:
        return self.table.pdg


class Source:
    """Makes the particles that enter the calorimeter; the Pythia instances are kept between events.

    The hard process and its vertex do not depend on the pile-up.
    """

    def __init__(self, *, config: CalorimeterConfig) -> None:
        self.config = config
        at_origin = config.model_copy(update={"beam_sigma_xy": 0.0, "beam_sigma_z": 0.0})
        self._generator = Generator(config=at_origin, gun=lambda rng, point: [], neutrals=NEUTRALS)

    def particles(self, *, seed: int, event_id: int) -> ParticleTable:
        """Return the generated particles of one event; every collision has its own place and time."""
        config = self.config
        table = self._generator.generate(seed=seed, event_id=event_id)
        rng = np.random.default_rng([seed, event_id, 7])
        sigma = (config.beam_sigma_xy, config.beam_sigma_xy, config.beam_sigma_z, config.beam_sigma_t * _LIGHT)
        num = int(table.vertex.max(initial=1))
        spread = np.concatenate([np.zeros((1, 4)), rng.normal(size=(num, 4)) * sigma])
        for column, name in enumerate(("x", "y", "z", "t")):
            getattr(table, name)[:] += spread[table.vertex, column]
        if config.process != "gun":
            return table
        rows = shoot_at_front(config, np.random.default_rng([seed, event_id, 6]), spread[1])
        return concatenate([ParticleTable.from_rows(rows), table])


def entering_particles(table: ParticleTable, *, config: CalorimeterConfig, seed: tuple[int, int]) -> Entering:
    """Return what reaches the front face of either endcap, sorted by id, whatever the order of ``table``."""
    table = table.select(np.argsort(table.packed_ids()))
    table = _with_products(table, probability=config.upstream_interactions, config=config, seed=seed)
    at, side = _at_front(table, config)
    mother = table.select(np.arange(len(table)))
    mother.generation[:], mother.secondary[:], mother.process[:] = 0, 0, 0
    ids, parent = table.packed_ids(), _ids(mother)
    radius = np.hypot(at[:, 0], at[:, 1])
    geometry = get_geometry(config.geometry)
    low, high = config.eta
    with np.errstate(divide="ignore"):
        eta = np.arcsinh(geometry.front_z / radius)
    inside = (eta >= low) & (eta <= high) & geometry.is_inside(1, radius) & np.isfinite(at).all(1)
    rows = np.flatnonzero(inside)
    rows = rows[np.argsort(ids[rows])]
    return Entering(
        table=table.select(rows), ids=ids[rows], parent=parent[rows], side=side[rows],
        energy=_depositable(table)[rows], at=at[rows],
    )  # fmt: skip


def _ids(table: ParticleTable) -> np.ndarray:
    from hitloom.metrics.particle_id import encode_particle_id

    return encode_particle_id(
        vertex=table.vertex, primary=table.primary, generation=table.generation, secondary=table.secondary,
        process=table.process,
    )  # fmt: skip


def _total_energy(table: ParticleTable) -> np.ndarray:
    return np.sqrt((table.momentum**2).sum(1) + table.mass**2)


def _depositable(table: ParticleTable) -> np.ndarray:
    """Kinetic energy of baryons (antibaryons: what annihilation adds), total energy of everything else."""
    energy = _total_energy(table)
    baryon = np.isin(np.abs(table.pdg), _BARYONS)
    return np.where(baryon, energy - np.sign(table.pdg) * table.mass, energy)


def _at_front(table: ParticleTable, config: CalorimeterConfig) -> tuple[np.ndarray, np.ndarray]:
    """Fly to the front face: (P, 6) as in :class:`Entering` (not a number where it is never reached) and the side."""
    front = get_geometry(config.geometry).front_z / _CM
    side = np.where(table.pz >= 0, 1, -1)
    pt, pz = np.maximum(table.pt, 1e-9), np.abs(table.pz)
    distance = front - side * table.z
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        across = distance * pt / pz
        turn = -table.charge * across * 0.299792458e-3 * config.field_tesla / pt
        phi = np.arctan2(table.py, table.px)
        chord = across * np.sinc(turn / 2 / np.pi)  # the chord of an arc of this length and angle
        x = table.x + chord * np.cos(phi + turn / 2)
        y = table.y + chord * np.sin(phi + turn / 2)
        slope = pt / pz
        beta = np.sqrt(table.pt**2 + pz**2) / _total_energy(table)
        time = (table.t + np.hypot(distance, across) / beta) / _LIGHT
        sx, sy = slope * np.cos(phi + turn), slope * np.sin(phi + turn)
    lost = (distance < 0) | (pz <= 0) | ~(np.abs(turn) <= np.pi)
    at = np.stack([x * _CM, y * _CM, np.full(len(table), front * _CM), sx, sy, time], axis=1)
    at[lost] = np.nan
    return at, side


def _with_products(
    table: ParticleTable, *, probability: float, config: CalorimeterConfig, seed: tuple[int, int]
) -> ParticleTable:
    """Replace neutral pions by two photons, and some hadrons by the products of an interaction on their way."""
    is_pion = table.pdg == _NEUTRAL_PION
    hadron = ~is_pion & ~np.isin(np.abs(table.pdg), _LEPTONS_AND_PHOTON)
    if not probability:
        hadron[:] = False
    ids = table.packed_ids()
    kept = np.ones(len(table), dtype=bool)
    products: list[tuple[float, ...]] = []
    for row in np.flatnonzero(is_pion | hadron).tolist():
        rng = np.random.default_rng([*seed, 2, int(ids[row])])
        if is_pion[row]:
            made = _decay(table, row, rng)
        elif rng.random() < probability:
            made = _interaction(table, row, rng, config)
        else:
            continue
        kept[row] = not made
        products += made
    return concatenate([table.select(kept), ParticleTable.from_rows(products)])


def _product(
    table: ParticleTable, row: int, number: int, process: int, pdg: int, place: np.ndarray, time: float, p: np.ndarray
) -> tuple[float, ...]:
    charge, mass = _PRODUCTS[pdg]
    return (
        int(table.vertex[row]), int(table.primary[row]), 1, number, process, pdg, charge, mass,
        *place.tolist(), time, *p.tolist(),
    )  # fmt: skip


def _decay(table: ParticleTable, row: int, rng: np.random.Generator) -> list[tuple[float, ...]]:
    """A neutral pion into two photons, isotropic in its rest frame."""
    momentum, mass = table.momentum[row], float(table.mass[row])
    energy = float(np.sqrt(momentum @ momentum + mass**2))
    cosine, phi = rng.uniform(-1, 1), rng.uniform(-np.pi, np.pi)
    sine = np.sqrt(1 - cosine**2)
    flight = momentum / max(float(np.linalg.norm(momentum)), 1e-12)
    in_rest = mass / 2 * np.array([sine * np.cos(phi), sine * np.sin(phi), cosine])
    along = float(in_rest @ flight)
    gamma, beta = energy / mass, float(np.linalg.norm(momentum)) / energy
    first = in_rest + flight * ((gamma - 1) * along + gamma * beta * mass / 2)
    place, time = table.position[row], float(table.t[row])
    return [
        _product(table, row, number, DECAY, 22, place, time, p) for number, p in ((1, first), (2, momentum - first))
    ]


def _interaction(
    table: ParticleTable, row: int, rng: np.random.Generator, config: CalorimeterConfig
) -> list[tuple[float, ...]]:
    """Products of a hadron that interacts at a random place on its straight way to the front face."""
    momentum = table.momentum[row]
    size = float(np.linalg.norm(momentum))
    if size < 1.0 or momentum[2] == 0.0:
        return []
    flight = momentum / size
    front = get_geometry(config.geometry).front_z / _CM
    path = (front - np.sign(momentum[2]) * table.z[row]) / abs(flight[2])
    if path <= 0:
        return []
    done = path * rng.random()
    count_0, count_1 = config.shower.multiplicity
    num = 2 + rng.poisson(max(0.4 * (count_0 + count_1 * np.log(size)), 0.1))
    shares = rng.dirichlet(np.full(num, 0.7))
    place, time = table.position[row] + flight * done, float(table.t[row]) + done
    shower = config.shower
    kinds = rng.choice(
        [22, 130, 211, -211],
        size=num,
        p=_kind_weights(shower.neutral_pion_fraction, shower.neutral_fraction),
    )
    made = []
    axis = np.eye(3)[int(np.argmin(np.abs(flight)))]
    u = np.cross(flight, axis)
    u /= np.linalg.norm(u)
    v = np.cross(flight, u)
    for number, (share, pdg) in enumerate(zip(shares, kinds.tolist(), strict=True), start=1):
        p = share * size
        sine = min(shower.transverse_momentum * rng.gamma(2.0) / 2 / max(p, 1e-3), 0.95)
        phi = rng.uniform(-np.pi, np.pi)
        direction = np.sqrt(1 - sine**2) * flight + sine * (np.cos(phi) * u + np.sin(phi) * v)
        if p > config.min_pt:
            made.append(_product(table, row, number, INTERACTION, pdg, place, time, p * direction))
    return made


def _kind_weights(neutral_pions: float, neutrals: float) -> np.ndarray:
    charged = max(1.0 - neutral_pions - neutrals, 0.0)
    weights = np.array([neutral_pions, neutrals, charged / 2, charged / 2])
    return weights / weights.sum()
