"""Proton-proton collisions by Pythia 8: hard process and pile-up as one table of particles.

Source: C. Bierlich et al., SciPost Phys. Codebases 8 (2022), https://arxiv.org/abs/2203.11601.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from hitloom.errors import HitloomError, require_extra
from hitloom.simulate.particles import ParticleTable


class CollisionConfig(Protocol):
    """What :class:`Generator` reads of a configuration; see :class:`~hitloom.simulate.tracker_config.TrackerConfig`."""

    @property
    def process(self) -> str: ...
    @property
    def energy(self) -> float: ...
    @property
    def pileup(self) -> float: ...
    @property
    def min_pt(self) -> float: ...
    @property
    def max_eta(self) -> float: ...
    @property
    def max_vertex_rho(self) -> float: ...
    @property
    def max_vertex_z(self) -> float: ...
    @property
    def beam_sigma_xy(self) -> float: ...
    @property
    def beam_sigma_z(self) -> float: ...


Gun = Callable[[np.random.Generator, np.ndarray], list[tuple[float, ...]]]

_PROCESSES = {
    "ttbar": ["Top:gg2ttbar = on", "Top:qqbar2ttbar = on"],
    "minbias": ["SoftQCD:all = on"],
    "zmumu": [
        "WeakSingleBoson:ffbar2gmZ = on",
        "PhaseSpace:mHatMin = 60.",
        "23:onMode = off",
        "23:onIfAny = 13",
    ],
}
_NUM_SEEDS = 900_000_000  # Pythia takes seeds 1 .. 900,000,000
_MAX_TRIES = 100


@lru_cache(maxsize=4)
def _instance(process: str, energy: float) -> Any:
    """Return an initialised, silent Pythia for one process at ``energy`` TeV; it takes seconds, so it is kept."""
    require_extra("pythia8mc", "sim")
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    settings = ["Print:quiet = on", "Print:verbosity = 0", f"Beams:eCM = {energy * 1000.0}"]
    for line in settings + _PROCESSES[process]:
        if not pythia.readString(line):
            raise HitloomError(f"Pythia 8 refused the setting '{line}'; this version is not supported")
    if not pythia.init():
        raise HitloomError(f"Pythia 8 could not be initialised for process '{process}' at {energy} TeV")
    return pythia


def pythia_seeds(seed: int, event_id: int) -> tuple[int, int]:
    """Return the seeds of hard process and pile-up; distinct for all events of one ``seed``.

    A random start drawn from ``seed``, then two consecutive numbers per event, modulo Pythia's 9e8 seeds: two events
    of a sample can never share a sequence, which independent draws would not guarantee.
    """
    start = int(np.random.default_rng([seed, 0x8]).integers(_NUM_SEEDS))
    first = start + 2 * event_id
    return 1 + first % _NUM_SEEDS, 1 + (first + 1) % _NUM_SEEDS


class Generator:
    """Collisions of one configuration; the Pythia instances are initialised once and seeded anew for each event.

    Parameters
    ----------
    config
        Process, pile-up, cuts and beam spot.
    gun
        Makes the rows of :class:`ParticleTable` of the process ``gun``, from a random generator and a point in mm.
    neutrals
        Absolute PDG codes of the neutral particles that are kept besides the charged ones.
    """

    def __init__(self, *, config: CollisionConfig, gun: Gun, neutrals: frozenset[int] = frozenset()) -> None:
        self.config = config
        self._gun, self._neutrals = gun, neutrals
        self._hard: Any = None if config.process == "gun" else _instance(config.process, config.energy)
        self._pileup: Any = _instance("minbias", config.energy) if config.pileup > 0 else None

    def generate(self, *, seed: int, event_id: int) -> ParticleTable:
        """Return the stable particles of one event that pass the cuts of the configuration.

        ``vertex`` is 1 for the hard process and 2, 3, ... for pile-up; ``primary`` counts from 1 in each vertex.
        """
        config = self.config
        rng = np.random.default_rng([seed, event_id, 1])
        hard_seed, pileup_seed = pythia_seeds(seed, event_id)
        num_pileup = int(rng.poisson(config.pileup)) if config.pileup > 0 else 0
        sigma = np.array([config.beam_sigma_xy, config.beam_sigma_xy, config.beam_sigma_z])
        points = rng.normal(size=(1 + num_pileup, 3)) * sigma
        rows: list[tuple[float, ...]] = []
        if self._hard is None:
            rows += self._gun(rng, points[0])
        else:
            self._hard.rndm.init(hard_seed)
            rows += self._collision(self._hard, 1, points[0])
        if num_pileup:
            self._pileup.rndm.init(pileup_seed)
            for vertex in range(2, num_pileup + 2):
                rows += self._collision(self._pileup, vertex, points[vertex - 1])
        return ParticleTable.from_rows(rows)

    def _collision(self, pythia: Any, vertex: int, point: np.ndarray) -> list[tuple[float, ...]]:
        for _ in range(_MAX_TRIES):
            if pythia.next():
                break
        else:
            raise HitloomError(f"Pythia 8 failed {_MAX_TRIES} times in a row to make a collision")
        config = self.config
        x0, y0, z0 = (float(value) for value in point)
        rho2, max_z = config.max_vertex_rho**2, config.max_vertex_z
        min_pt, sinh_eta, neutrals = config.min_pt, math.sinh(config.max_eta), self._neutrals
        rows: list[tuple[float, ...]] = []
        for particle in pythia.event:
            if not particle.isFinal():
                continue
            charge, pdg = particle.charge(), particle.id()
            if charge == 0.0 and abs(pdg) not in neutrals:
                continue
            pt, pz = particle.pT(), particle.pz()
            if pt < min_pt or abs(pz) > sinh_eta * pt:
                continue
            x, y, z = particle.xProd() + x0, particle.yProd() + y0, particle.zProd() + z0
            if x * x + y * y > rho2 or abs(z) > max_z:
                continue
            momentum = (particle.px(), particle.py(), pz)
            rows.append(
                (vertex, len(rows) + 1, 0, 0, 0, pdg, charge, particle.m(), x, y, z, particle.tProd(), *momentum)
            )
        return rows
