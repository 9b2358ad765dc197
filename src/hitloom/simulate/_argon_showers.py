"""Compiled electrons, positrons and photons in argon; sources of the formulas: :mod:`hitloom.simulate.lartpc_physics`.

A positron annihilates where it stops: two photons of the mass of an electron. So what a photon leaves adds up to its
energy, what an electron leaves to its kinetic energy, what a positron leaves to that and two electron masses.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

from numba import njit

from hitloom.simulate._argon_common import (
    ELECTRON,
    PHOTON,
    POSITRON,
    add_particle,
    ahead,
    any_angle,
    anywhere,
    deposit,
    deposit_here,
    end_particle,
    forward_cosine,
    lookup,
    mean_loss,
    position,
    scattered,
    share_inside,
    straggled,
    turned,
)
from hitloom.simulate.lartpc_physics import ELECTRON_MASS, RADIATION_LENGTH, SCREENING, SCREENING_OFFSET, XI

_MOST = 1000  # draws before a rejection gives up
_FIRST_0, _SECOND_0 = 20.867 - SCREENING_OFFSET, 20.209 - SCREENING_OFFSET
_EVEN_SHARES_BELOW = 2.1  # MeV; the screening functions do not hold for pairs of slower photons


@njit(cache=True)
def _screening(delta):
    """Both screening functions, as :func:`hitloom.simulate.lartpc_physics.screening_functions`."""
    if delta <= 1.0:
        return (
            20.867 - 3.242 * delta + 0.625 * delta * delta - SCREENING_OFFSET,
            20.209 - 1.930 * delta - 0.086 * delta * delta - SCREENING_OFFSET,
        )
    value = max(21.12 - 4.184 * math.log(delta + 0.952) - SCREENING_OFFSET, 0.0)
    return value, value


@njit(cache=True)
def radiated_energy(rng, energy, cut):
    """Draw the energy of a photon above ``cut`` that an electron radiates."""
    total = energy + ELECTRON_MASS
    largest = 2.0 * _FIRST_0 - 2.0 / 3.0 * _SECOND_0
    for _ in range(_MOST):
        photon = cut * (energy / cut) ** rng.random()
        after = total - photon
        first, second = _screening(SCREENING * photon * ELECTRON_MASS / (total * after))
        share = after / total
        if rng.random() * largest < (1.0 + share * share) * first - 2.0 / 3.0 * share * second:
            return photon
    return cut


@njit(cache=True)
def knocked_energy(rng, energy, cut):
    """Draw the energy above ``cut`` that an electron gives to another one, at most half of its own (Moller)."""
    gamma = 1.0 + energy / ELECTRON_MASS
    slow = ((gamma - 1.0) / gamma) ** 2
    mixed = (2.0 * gamma - 1.0) / (gamma * gamma)
    low = cut / energy
    for _ in range(_MOST):
        share = 1.0 / (1.0 / low - rng.random() * (1.0 / low - 2.0))
        other = share / (1.0 - share)
        weight = slow * share * share + 1.0 - mixed * share + other * other - mixed * share * other
        if rng.random() * 2.25 < weight:
            return energy * share
    return cut


@njit(cache=True)
def pair_share(rng, energy):
    """Draw the share of a photon's energy that the positron gets, its mass included."""
    low = ELECTRON_MASS / energy
    for _ in range(_MOST):
        share = low + (1.0 - 2.0 * low) * rng.random()
        if energy < _EVEN_SHARES_BELOW:
            return share
        product = share * (1.0 - share)
        first, second = _screening(SCREENING * ELECTRON_MASS / (energy * product))
        if rng.random() * _FIRST_0 < (1.0 - 2.0 * product) * first + 2.0 / 3.0 * product * second:
            return share
    return 0.5


@njit(cache=True)
def scattered_share(rng, energy):
    """Draw the share of its energy that a photon keeps when it scatters on an electron (Klein and Nishina)."""
    lowest = 1.0 / (1.0 + 2.0 * energy / ELECTRON_MASS)
    by_log = -math.log(lowest)
    by_square = 0.5 * (1.0 - lowest * lowest)
    for _ in range(_MOST):
        if rng.random() * (by_log + by_square) < by_log:
            share = math.exp(-by_log * rng.random())
        else:
            share = math.sqrt(lowest * lowest + (1.0 - lowest * lowest) * rng.random())
        versine = ELECTRON_MASS * (1.0 - share) / (energy * share)
        if rng.random() < 1.0 - share * versine * (2.0 - versine) / (1.0 + share * share):
            return share
    return 1.0


@njit(cache=True)
def _electron_or_spot(bank, owner, place, direction, energy, settings):
    """An electron goes off as a particle of its own, or is too slow for that."""
    if energy < settings.cut:
        deposit_here(bank, owner, place, energy)
    else:
        add_particle(bank, ELECTRON, owner, place, direction, energy, ELECTRON_MASS)


@njit(cache=True)
def _radiate(rng, bank, row, place, direction, energy, settings):
    """One photon of an electron; return the energy left."""
    photon = radiated_energy(rng, energy, settings.bremsstrahlung_cut)
    away = turned(direction, forward_cosine(rng, energy, ELECTRON_MASS), any_angle(rng))
    add_particle(bank, PHOTON, row, place, away, photon, 0.0)
    return energy - photon


@njit(cache=True)
def _knock(rng, bank, row, place, direction, energy, settings):
    """One knock-on electron of an electron; return (energy left, direction)."""
    knocked = knocked_energy(rng, energy, settings.delta_cut)
    left = energy - knocked
    twice = 2.0 * ELECTRON_MASS
    cosine = math.sqrt(knocked * (energy + twice) / (energy * (knocked + twice)))
    kept = math.sqrt(left * (energy + twice) / (energy * (left + twice)))
    angle = any_angle(rng)
    add_particle(bank, ELECTRON, row, place, turned(direction, cosine, angle), knocked, ELECTRON_MASS)
    return left, turned(direction, kept, angle + math.pi)


@njit(cache=True)
def _annihilate(rng, bank, row, place):
    """Two photons back to back from a positron at rest."""
    away = anywhere(rng)
    add_particle(bank, PHOTON, row, place, away, ELECTRON_MASS, 0.0)
    add_particle(bank, PHOTON, row, place, (-away[0], -away[1], -away[2]), ELECTRON_MASS, 0.0)


@njit(cache=True)
def move_electron(rng, bank, row, place, direction, energy, tables, settings):
    """Take an electron or positron to its end."""
    loss_table, reach_table = tables.loss[0], tables.reach[0]
    inside = True
    while energy >= settings.cut:
        at = position(energy)
        radiates, knocks = lookup(tables.electron[0], at), lookup(tables.electron[1], at)
        free = rng.standard_exponential() / max(radiates + knocks, 1e-12)
        reach = lookup(reach_table, at)
        step = min(settings.step, free, reach)
        loss = energy
        if step < reach:
            loss = mean_loss(loss_table, reach_table, energy, at, step)
            if settings.straggling:
                gamma = 1.0 + energy / ELECTRON_MASS
                beta2 = 1.0 - 1.0 / (gamma * gamma)
                variance = XI / beta2 * step * min(settings.delta_cut, energy / 2.0) * (1.0 - beta2 / 2.0)
                loss = min(straggled(rng, loss, variance), energy)
        target = ahead(place, direction, step)
        share = share_inside(settings.box, place, target)
        if share < 1.0:
            wall = ahead(place, direction, share * step)
            deposit(bank, row, place, wall, share * loss)
            place, inside = wall, False
            break
        deposit(bank, row, place, target, loss)
        place = target
        if settings.scattering and loss < energy:
            direction = scattered(rng, direction, energy - loss / 2.0, ELECTRON_MASS, step, RADIATION_LENGTH)
        energy -= loss
        if step == free:
            if rng.random() * (radiates + knocks) < radiates:
                if energy > settings.bremsstrahlung_cut:
                    energy = _radiate(rng, bank, row, place, direction, energy, settings)
            elif energy > 2.0 * settings.delta_cut:
                energy, direction = _knock(rng, bank, row, place, direction, energy, settings)
    end_particle(bank, row, place)
    if inside:
        deposit_here(bank, row, place, energy)
        if bank.ids[row, 0] == POSITRON:
            _annihilate(rng, bank, row, place)


@njit(cache=True)
def _make_pair(rng, bank, row, place, direction, energy, settings):
    """A photon becomes an electron and a positron."""
    share = pair_share(rng, energy)
    first = max(energy * share - ELECTRON_MASS, 0.0)
    second = max(energy - 2.0 * ELECTRON_MASS - first, 0.0)
    angle = any_angle(rng)
    one = turned(direction, forward_cosine(rng, first, ELECTRON_MASS), angle)
    other = turned(direction, forward_cosine(rng, second, ELECTRON_MASS), angle + math.pi)
    add_particle(bank, POSITRON, row, place, one, first, ELECTRON_MASS)
    _electron_or_spot(bank, row, place, other, second, settings)


@njit(cache=True)
def _compton(rng, bank, row, place, direction, energy, settings):
    """A photon scatters; return (energy, direction)."""
    left = energy * scattered_share(rng, energy)
    cosine = 1.0 - ELECTRON_MASS * (1.0 / left - 1.0 / energy)
    new = turned(direction, max(cosine, -1.0), any_angle(rng))
    px, py, pz = (
        energy * direction[0] - left * new[0], energy * direction[1] - left * new[1],
        energy * direction[2] - left * new[2],
    )  # fmt: skip
    norm = max(math.sqrt(px * px + py * py + pz * pz), 1e-12)
    _electron_or_spot(bank, row, place, (px / norm, py / norm, pz / norm), energy - left, settings)
    return left, new


@njit(cache=True)
def move_photon(rng, bank, row, place, direction, energy, tables, settings):
    """Take a photon to its end."""
    while True:
        if energy < settings.photon_cut:
            deposit_here(bank, row, place, energy)
            break
        at = position(energy)
        pairs, scatters, absorbs = (
            lookup(tables.photon[0], at),
            lookup(tables.photon[1], at),
            lookup(tables.photon[2], at),
        )
        total = pairs + scatters + absorbs
        target = ahead(place, direction, rng.standard_exponential() / total)
        share = share_inside(settings.box, place, target)
        if share < 1.0:
            place = (
                place[0] + share * (target[0] - place[0]), place[1] + share * (target[1] - place[1]),
                place[2] + share * (target[2] - place[2]),
            )  # fmt: skip
            break
        place = target
        draw = rng.random() * total
        if draw < pairs and energy > 2.0 * ELECTRON_MASS:
            _make_pair(rng, bank, row, place, direction, energy, settings)
            break
        if draw < pairs + scatters:
            energy, direction = _compton(rng, bank, row, place, direction, energy, settings)
        else:
            _electron_or_spot(bank, row, place, direction, energy, settings)
            break
    end_particle(bank, row, place)
