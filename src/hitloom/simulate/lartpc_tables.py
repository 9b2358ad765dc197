"""Tables of what happens to a particle of some energy in argon, for the compiled transport.

All tables have T energies in equal steps of the logarithm; kinetic energies in MeV, lengths in cm, rates in 1/cm.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from hitloom.simulate import lartpc_physics as physics
from hitloom.simulate.lartpc_config import CascadeConfig
from hitloom.simulate.lartpc_physics import Floats

LOWEST, HIGHEST, PER_DECADE = 1e-2, 1e6, 64
MASSES = (physics.ELECTRON_MASS, physics.MUON_MASS, physics.PION_MASS, physics.PROTON_MASS)


class ArgonTables(NamedTuple):
    """What the transport looks up.

    Attributes
    ----------
    loss, reach : (4, T) float64
        Mean loss that is not in knock-on electrons or photons of their own, and how far it lets a particle go; rows:
        electron, muon, pion, proton.
    full_reach : (4, T) float64
        The same with the whole loss.
    electron : (2, T) float64
        Rates of photons and knock-on electrons above their cuts.
    photon : (3, T) float64
        Rates of pairs, Compton scattering, absorption.
    """

    loss: Floats
    reach: Floats
    full_reach: Floats
    electron: Floats
    photon: Floats


def grid() -> Floats:
    """Return the energies (T,) of all tables."""
    decades = np.log10(HIGHEST / LOWEST)
    return np.geomspace(LOWEST, HIGHEST, round(decades * PER_DECADE) + 1)


@lru_cache(maxsize=8)
def argon_tables(config: CascadeConfig) -> ArgonTables:
    """Make the tables for the cuts of a configuration; fast, and made once."""
    energy = grid()
    delta_cut = config.delta_cut if config.delta_rays else np.inf
    brems_cut = config.bremsstrahlung_cut
    loss = [physics.electron_loss(energy, delta_cut) + physics.soft_radiation(energy, brems_cut)]
    full = [physics.electron_loss(energy) + physics.soft_radiation(energy)]
    for mass in MASSES[1:]:
        loss.append(physics.heavy_loss(energy, mass, delta_cut))
        full.append(physics.heavy_loss(energy, mass))
    return ArgonTables(
        loss=np.stack(loss),
        reach=np.stack([_reach(energy, one) for one in loss]),
        full_reach=np.stack([_reach(energy, one) for one in full]),
        electron=np.stack(
            [
                physics.bremsstrahlung_rate(energy, brems_cut),
                physics.moller_rate(energy, delta_cut) if config.delta_rays else np.zeros_like(energy),
            ]
        ),
        photon=np.stack([physics.pair_rate(energy), physics.compton_rate(energy), physics.photoelectric_rate(energy)]),
    )


def energy_for_length(length: float, row: int, config: CascadeConfig) -> float:
    """Return the kinetic energy with which a particle (row of :data:`MASSES`) goes so far on average."""
    reach = argon_tables(config).full_reach[row]
    return float(np.exp(np.interp(np.log(length), np.log(reach), np.log(grid()))))


def _reach(energy: Floats, loss: Floats) -> Floats:
    """Integrate 1/loss over the energy (trapezoids in the logarithm), from 0."""
    step = np.diff(np.log(energy))
    inside = energy / loss
    return energy[0] / loss[0] + np.concatenate([[0.0], np.cumsum((inside[1:] + inside[:-1]) / 2 * step)])
