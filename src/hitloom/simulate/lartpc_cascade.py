"""Particles through liquid argon: each step with what it leaves, each secondary with its parent.

Shape letters: P particles, D deposits. Lengths cm, energies MeV. What the physics is: docs/lartpc.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hitloom.simulate._argon_common import FULL, Bank, Settings, add_particle
from hitloom.simulate._argon_kernels import rows_to_keep, transport
from hitloom.simulate.lartpc_config import CascadeConfig
from hitloom.simulate.lartpc_deposits import ArgonDeposits, ArgonParticles
from hitloom.simulate.lartpc_physics import ELECTRON_MASS, MUON_MASS, NEUTRAL_PION_MASS, PION_MASS, PROTON_MASS, Floats
from hitloom.simulate.lartpc_tables import argon_tables

MASS_OF = {
    11: ELECTRON_MASS, 13: MUON_MASS, 22: 0.0, 111: NEUTRAL_PION_MASS, 211: PION_MASS, 2212: PROTON_MASS,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Primary:
    """One particle that starts an event: place (3,) cm, unit direction (3,), kinetic energy (a photon's energy) MeV."""

    pdg: int
    start: Floats
    direction: Floats
    energy: float
    from_beam: bool = True


def propagate(
    primaries: Sequence[Primary], config: CascadeConfig, *, box: Floats, rng: np.random.Generator
) -> tuple[ArgonParticles, ArgonDeposits]:
    """Return all particles and deposits that primaries make in a box.

    Particles without deposits and without descendants that have some are left out, primaries excepted; a parent comes
    before its children. Outside of the box (2, 3), lowest and highest corner, nothing is left: there particles are cut.
    Energy is conserved: what an electron or photon leaves adds up to its energy, unless some of it escapes from the
    box; a positron's rest counts too, with that of the electron it meets.
    """
    seed = rng.integers(2**63)
    tables = argon_tables(config)
    settings = Settings(box=np.ascontiguousarray(box, dtype=np.float64), **config.model_dump())
    total = sum(one.energy for one in primaries)
    num_particles, num_deposits = 2000 + int(total), 10000 + int(8 * total)
    while True:
        bank = _bank(primaries, num_particles + len(primaries), num_deposits)
        if transport(np.random.default_rng(seed), bank, tables, settings):
            break
        num_particles, num_deposits = 2 * num_particles, 2 * num_deposits
    return _collected(bank, np.array([one.from_beam for one in primaries], dtype=bool))


def _bank(primaries: Sequence[Primary], num_particles: int, num_deposits: int) -> Bank:
    bank = Bank(
        particles=np.empty((num_particles, 10)),
        ids=np.empty((num_particles, 3), dtype=np.int64),
        deposits=np.empty((num_deposits, 7)),
        owners=np.empty(num_deposits, dtype=np.int64),
        counts=np.zeros(FULL + 1, dtype=np.int64),
    )
    for one in primaries:
        place, direction = tuple(map(float, one.start)), tuple(map(float, one.direction))
        add_particle(bank, one.pdg, -1, place, direction, float(one.energy), MASS_OF[abs(one.pdg)])
    return bank


def _collected(bank: Bank, from_beam: np.ndarray) -> tuple[ArgonParticles, ArgonDeposits]:
    """Return the rows in use, without particles that nothing came of."""
    num_particles, num_deposits, _ = bank.counts
    keep = rows_to_keep(bank)
    row_of = np.append(np.cumsum(keep) - 1, -1)
    particles, ids = bank.particles[:num_particles][keep], bank.ids[:num_particles][keep]
    deposits = bank.deposits[:num_deposits]
    return (
        ArgonParticles(
            pdg=ids[:, 0].copy(),
            parent=row_of[ids[:, 1]],
            start=particles[:, 0:3].copy(),
            end=particles[:, 3:6].copy(),
            momentum=particles[:, 6:9].copy(),
            energy=particles[:, 9].copy(),
            from_beam=from_beam[ids[:, 2]],
        ),
        ArgonDeposits(
            start=deposits[:, 0:3].copy(),
            end=deposits[:, 3:6].copy(),
            energy=deposits[:, 6].copy(),
            particle=row_of[bank.owners[:num_deposits]],
        ),
    )
