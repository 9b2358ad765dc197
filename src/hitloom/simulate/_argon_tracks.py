"""Compiled muons, charged pions and protons in argon, and what comes of them: knock-on electrons, decays, interactions.

Ionisation, scattering and decays follow textbook formulas. What comes out of a nucleus is a toy: a leading hadron,
now and then another pion, slow protons and photons; neutrons and the energy that binds nucleons are lost.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

from numba import njit

from hitloom.simulate._argon_common import (
    ELECTRON,
    MUON,
    NEUTRAL_PION,
    PHOTON,
    PION,
    POSITRON,
    PROTON,
    add_particle,
    ahead,
    any_angle,
    anywhere,
    deposit,
    deposit_here,
    end_particle,
    lookup,
    mean_loss,
    position,
    scattered,
    share_inside,
    straggled,
    turned,
)
from hitloom.simulate.lartpc_physics import (
    ELECTRON_MASS,
    INTERACTION_LENGTH,
    MUON_MASS,
    NEUTRAL_PION_MASS,
    PION_MASS,
    PROTON_MASS,
    RADIATION_LENGTH,
    XI,
)

_DECAYED_SHARE = 0.28  # of stopped negative muons; nuclei capture the others
_STOP = 0.5  # MeV; slower tracks stop on the spot (a proton of 0.5 MeV goes 0.01 mm)
_SLOWEST = 30.0  # MeV; slower hadrons do not interact
_BINDING = 8.0  # MeV to set a nucleon free
_NUCLEON = 40.0  # MeV; mean energy of a nucleon that is set free
_MICHEL_END = MUON_MASS / 2.0 * (1.0 + (ELECTRON_MASS / MUON_MASS) ** 2)
_PION_TO_MUON = (PION_MASS - MUON_MASS) ** 2 / (2.0 * PION_MASS)


@njit(cache=True)
def track_row(pdg):
    """Return the row of a track in the tables, and its mass."""
    kind = abs(pdg)
    if kind == MUON:
        return 1, MUON_MASS
    if kind == PION:
        return 2, PION_MASS
    return 3, PROTON_MASS


@njit(cache=True)
def _knock(rng, bank, row, place, direction, energy, largest, beta2, settings):
    """Maybe one knock-on electron; return the energy left."""
    inverse = 1.0 / settings.delta_cut
    knocked = 1.0 / (inverse - rng.random() * (inverse - 1.0 / largest))
    if rng.random() > 1.0 - beta2 * knocked / largest:
        return energy
    twice = 2.0 * ELECTRON_MASS
    cosine = math.sqrt(knocked * (largest + twice) / (largest * (knocked + twice)))
    away = turned(direction, min(cosine, 1.0), any_angle(rng))
    add_particle(bank, ELECTRON, row, place, away, knocked, ELECTRON_MASS)
    return energy - knocked


@njit(cache=True)
def _nuclear_photons(rng, bank, row, place, mean, available):
    """Photons of a nucleus that calms down; return the energy left."""
    for _ in range(rng.poisson(mean)):
        photon = 0.5 + 1.5 * rng.standard_exponential()
        if photon < available:
            add_particle(bank, PHOTON, row, place, anywhere(rng), photon, 0.0)
            available -= photon
    return available


@njit(cache=True)
def _star(rng, bank, row, place, direction, mean, available):
    """Nucleons set free, half of them protons, and photons."""
    available = _nuclear_photons(rng, bank, row, place, 1.5, available)
    for _ in range(1 + rng.poisson(mean)):
        energy = _NUCLEON * rng.standard_exponential()
        available -= energy + _BINDING
        if available < 0.0:
            break
        if rng.random() < 0.5:
            away = turned(direction, 2.0 * math.sqrt(rng.random()) - 1.0, any_angle(rng))
            add_particle(bank, PROTON, row, place, away, energy, PROTON_MASS)


@njit(cache=True)
def _some_pion(rng):
    draw = rng.random()
    if draw < 1.0 / 3.0:
        return NEUTRAL_PION, NEUTRAL_PION_MASS
    return (PION if draw < 2.0 / 3.0 else -PION), PION_MASS


@njit(cache=True)
def _leading_direction(rng, direction, energy, mass):
    """Direction of a hadron that goes on: some 300 MeV of momentum across."""
    momentum = math.sqrt(energy * (energy + 2.0 * mass))
    versine = 0.5 * (300.0 / momentum) ** 2 * rng.standard_exponential()
    if versine > 2.0:
        versine = 2.0 * rng.random()
    return turned(direction, 1.0 - versine, any_angle(rng))


@njit(cache=True)
def _interact(rng, bank, row, place, direction, energy, pdg):
    """One interaction of a hadron with a nucleus; what comes out has at most the energy that goes in."""
    left = energy
    if pdg == PROTON:
        leading, mass = PROTON, PROTON_MASS
    else:
        if rng.random() < (0.6 if energy < 150.0 else 0.3):  # absorbed
            _star(rng, bank, row, place, direction, 3.0, energy + PION_MASS)
            return
        leading, mass = pdg, PION_MASS
        if rng.random() < 0.35:
            leading, mass = NEUTRAL_PION, NEUTRAL_PION_MASS
    share = (0.2 + 0.7 * rng.random()) * energy
    add_particle(bank, leading, row, place, _leading_direction(rng, direction, share, mass), share, mass)
    left -= share
    if left > 300.0 and rng.random() < 0.5:
        kind, mass = _some_pion(rng)
        share = (0.1 + 0.6 * rng.random()) * (left - mass)
        add_particle(bank, kind, row, place, _leading_direction(rng, direction, share, mass), share, mass)
        left -= share + mass
    _star(rng, bank, row, place, direction, 1.0, left)


@njit(cache=True)
def _decay(rng, bank, row, place, pdg):
    """What a stopped muon or pion becomes."""
    if pdg == PION:
        add_particle(bank, -MUON, row, place, anywhere(rng), _PION_TO_MUON, MUON_MASS)
    elif pdg == -PION:
        _star(rng, bank, row, place, anywhere(rng), 3.0, PION_MASS)
    elif pdg == -MUON or (pdg == MUON and rng.random() < _DECAYED_SHARE):
        while True:  # spectrum of Michel: x^2 (3 - 2 x)
            x = rng.random()
            if rng.random() < x * x * (3.0 - 2.0 * x):
                break
        electron = max(x * _MICHEL_END - ELECTRON_MASS, 0.0)
        add_particle(bank, ELECTRON if pdg > 0 else POSITRON, row, place, anywhere(rng), electron, ELECTRON_MASS)
    elif pdg == MUON:
        _nuclear_photons(rng, bank, row, place, 2.0, MUON_MASS)


@njit(cache=True)
def decay_neutral_pion(rng, bank, row, place, momentum):
    """Two photons of a neutral pion in flight."""
    px, py, pz = momentum
    size = math.sqrt(px * px + py * py + pz * pz)
    total = math.sqrt(size * size + NEUTRAL_PION_MASS * NEUTRAL_PION_MASS)
    beta = size / total
    direction = (px / size, py / size, pz / size) if size > 0.0 else anywhere(rng)
    rest = 2.0 * rng.random() - 1.0
    angle = any_angle(rng)
    for sign in (1.0, -1.0):
        photon = total / 2.0 * (1.0 + sign * beta * rest)
        cosine = (sign * rest + beta) / (1.0 + sign * beta * rest)
        around = angle if sign > 0 else angle + math.pi
        add_particle(bank, PHOTON, row, place, turned(direction, cosine, around), photon, 0.0)


@njit(cache=True)
def move_track(rng, bank, row, place, direction, energy, tables, settings):
    """Take a muon, a charged pion or a proton to its end."""
    pdg = bank.ids[row, 0]
    kind, mass = track_row(pdg)
    loss_table, reach_table = tables.loss[kind], tables.reach[kind]
    ratio = ELECTRON_MASS / mass
    until = math.inf
    if settings.interactions and kind > 1:
        until = INTERACTION_LENGTH * rng.standard_exponential()
    while energy > _STOP:
        at = position(energy)
        gamma = 1.0 + energy / mass
        beta2 = 1.0 - 1.0 / (gamma * gamma)
        largest = 2.0 * ELECTRON_MASS * (gamma * gamma - 1.0) / (1.0 + 2.0 * gamma * ratio + ratio * ratio)
        free = math.inf
        if settings.delta_rays and largest > settings.delta_cut:
            free = rng.standard_exponential() / (XI / beta2 * (1.0 / settings.delta_cut - 1.0 / largest))
        reach = lookup(reach_table, at)
        step = min(min(settings.step, free), min(until, reach))
        loss = energy
        if step < reach:
            loss = mean_loss(loss_table, reach_table, energy, at, step)
            if settings.straggling:
                upper = min(settings.delta_cut, largest)
                variance = XI / beta2 * step * upper * (1.0 - beta2 * upper / (2.0 * largest))
                loss = min(straggled(rng, loss, variance), energy)
        target = ahead(place, direction, step)
        share = share_inside(settings.box, place, target)
        if share < 1.0:
            wall = ahead(place, direction, share * step)
            deposit(bank, row, place, wall, share * loss)
            end_particle(bank, row, wall)
            return
        deposit(bank, row, place, target, loss)
        place = target
        until -= step
        if settings.scattering and loss < energy:
            direction = scattered(rng, direction, energy - loss / 2.0, mass, step, RADIATION_LENGTH)
        energy -= loss
        if step == free and energy > largest:
            energy = _knock(rng, bank, row, place, direction, energy, largest, beta2, settings)
        if until <= 0.0:
            if energy > _SLOWEST:
                end_particle(bank, row, place)
                _interact(rng, bank, row, place, direction, energy, pdg)
                return
            until = math.inf
    deposit_here(bank, row, place, energy)
    end_particle(bank, row, place)
    if settings.decays:
        _decay(rng, bank, row, place, pdg)
