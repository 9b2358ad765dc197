"""Compiled base of the transport in argon: the bank of particles and deposits, directions, tables, walls.

The table of particles is the queue too: secondaries are appended, and rows are worked off from the first to the last.
Lengths cm, energies MeV. Letters: P particles, D deposits, T energies of the tables.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hitloom.simulate.lartpc_tables import LOWEST, PER_DECADE

NUM_PARTICLES, NUM_DEPOSITS, FULL = 0, 1, 2
# as numpy integers: one compiled form of a function serves all of them
ELECTRON, POSITRON, MUON, PHOTON, NEUTRAL_PION, PION, PROTON = (
    np.int64(11), np.int64(-11), np.int64(13), np.int64(22), np.int64(111), np.int64(211), np.int64(2212),
)  # fmt: skip
_LOG_LOWEST = math.log(LOWEST)
_PER_LOG = PER_DECADE / math.log(10.0)


class Bank(NamedTuple):
    """What is filled.

    Attributes
    ----------
    particles : (P, 10) float64
        Start, end, momentum, kinetic energy.
    ids : (P, 3) int64
        PDG number, row of the parent, row of the first ancestor (its own for a primary).
    deposits : (D, 7) float64
        Start, end, energy.
    owners : (D,) int64
    counts : (3,) int64
        Rows in use of both tables, and 1 when there was no room for one more.
    """

    particles: NDArray[np.float64]
    ids: NDArray[np.int64]
    deposits: NDArray[np.float64]
    owners: NDArray[np.int64]
    counts: NDArray[np.int64]


class Settings(NamedTuple):
    """Settings of the transport: as in :class:`~hitloom.simulate.lartpc_config.CascadeConfig`, and the box (2, 3)."""

    step: float
    cut: float
    photon_cut: float
    delta_cut: float
    bremsstrahlung_cut: float
    straggling: bool
    scattering: bool
    delta_rays: bool
    interactions: bool
    decays: bool
    box: NDArray[np.float64]


@njit(cache=True)
def add_particle(bank, pdg, parent, place, direction, energy, mass):
    """Append a particle that ends where it starts, and return its row; -1 when the table is full."""
    row = bank.counts[NUM_PARTICLES]
    if row >= bank.particles.shape[0]:
        bank.counts[FULL] = 1
        return -1
    momentum = math.sqrt(energy * (energy + 2.0 * mass))
    for axis in range(3):
        bank.particles[row, axis] = place[axis]
        bank.particles[row, 3 + axis] = place[axis]
        bank.particles[row, 6 + axis] = momentum * direction[axis]
    bank.particles[row, 9] = energy
    bank.ids[row, 0] = pdg
    bank.ids[row, 1] = parent
    bank.ids[row, 2] = row if parent < 0 else bank.ids[parent, 2]
    bank.counts[NUM_PARTICLES] = row + 1
    return row


@njit(cache=True)
def end_particle(bank, row, place):
    """Note where a particle ends."""
    for axis in range(3):
        bank.particles[row, 3 + axis] = place[axis]


@njit(cache=True)
def deposit(bank, owner, start, end, energy):
    """Append a deposit."""
    row = bank.counts[NUM_DEPOSITS]
    if row >= bank.deposits.shape[0]:
        bank.counts[FULL] = 1
        return
    for axis in range(3):
        bank.deposits[row, axis] = start[axis]
        bank.deposits[row, 3 + axis] = end[axis]
    bank.deposits[row, 6] = energy
    bank.owners[row] = owner
    bank.counts[NUM_DEPOSITS] = row + 1


@njit(cache=True)
def deposit_here(bank, owner, place, energy):
    """Leave energy at a place: on the step of the same particle that ends there, else on one without length."""
    last = bank.counts[NUM_DEPOSITS] - 1
    if last >= 0 and bank.owners[last] == owner:
        end = bank.deposits[last]
        if end[3] == place[0] and end[4] == place[1] and end[5] == place[2]:
            end[6] += energy
            return
    if energy > 0.0:
        deposit(bank, owner, place, place, energy)


@njit(cache=True)
def position(energy):
    """Return where an energy lies in the tables, in steps."""
    return (math.log(energy) - _LOG_LOWEST) * _PER_LOG


@njit(cache=True)
def lookup(table, at):
    """Return a row (T,) of a table at a :func:`position`, linear between its energies."""
    at = min(max(at, 0.0), len(table) - 1.000001)
    low = int(at)
    return table[low] + (at - low) * (table[low + 1] - table[low])


@njit(cache=True)
def energy_at(table, value):
    """Return the energy at which an increasing row (T,) of a table has a value: the inverse of :func:`lookup`."""
    if value <= table[0]:
        return LOWEST * value / table[0]
    low = min(np.searchsorted(table, value) - 1, len(table) - 2)
    at = low + (value - table[low]) / (table[low + 1] - table[low])
    return LOWEST * math.exp(at / _PER_LOG)


@njit(cache=True)
def mean_loss(loss, reach, energy, at, step):
    """Return the mean loss of a step that is shorter than the reach of the particle."""
    first = lookup(loss, at) * step
    if first < 0.02 * energy:
        return first
    return energy - energy_at(reach, lookup(reach, at) - step)


@njit(cache=True)
def straggled(rng, mean, variance):
    """Return a loss drawn from the gamma distribution, which adds up from step to step."""
    if mean <= 0.0 or variance <= 0.0:
        return mean
    return rng.standard_gamma(mean * mean / variance) * variance / mean


@njit(cache=True)
def ahead(place, direction, distance):
    """Return the place at a distance along a direction."""
    return (
        place[0] + distance * direction[0], place[1] + distance * direction[1], place[2] + distance * direction[2]
    )  # fmt: skip


@njit(cache=True)
def share_inside(box, start, end):
    """Return which share of a straight step that starts in the box lies in it."""
    share = 1.0
    for axis in range(3):
        move = end[axis] - start[axis]
        if end[axis] < box[0, axis]:
            share = min(share, (box[0, axis] - start[axis]) / move)
        elif end[axis] > box[1, axis]:
            share = min(share, (box[1, axis] - start[axis]) / move)
    return max(share, 0.0)


@njit(cache=True)
def turned(direction, cosine, angle):
    """Return the unit vector at ``cosine`` to a direction, ``angle`` around it."""
    dx, dy, dz = direction
    sine = math.sqrt(max(1.0 - cosine * cosine, 0.0))
    if abs(dz) < 0.9:
        flat = math.sqrt(dx * dx + dy * dy)
        ux, uy, uz = -dy / flat, dx / flat, 0.0
    else:
        flat = math.sqrt(dy * dy + dz * dz)
        ux, uy, uz = 0.0, -dz / flat, dy / flat
    vx, vy, vz = dy * uz - dz * uy, dz * ux - dx * uz, dx * uy - dy * ux
    a, b = sine * math.cos(angle), sine * math.sin(angle)
    ex, ey, ez = cosine * dx + a * ux + b * vx, cosine * dy + a * uy + b * vy, cosine * dz + a * uz + b * vz
    norm = math.sqrt(ex * ex + ey * ey + ez * ez)
    return ex / norm, ey / norm, ez / norm


@njit(cache=True)
def any_angle(rng):
    """Return an angle around an axis."""
    return 2.0 * math.pi * rng.random()


@njit(cache=True)
def anywhere(rng):
    """Return a unit vector, each direction as likely."""
    return turned((0.0, 0.0, 1.0), 2.0 * rng.random() - 1.0, any_angle(rng))


@njit(cache=True)
def scattered(rng, direction, energy, mass, step, radiation_length):
    """Return the direction after many small deflections: 13.6 MeV / (beta p) sqrt(step / X0) in each plane.

    The logarithm of Highland's formula is left out, so that the width does not depend on how a path is cut into steps;
    it is 1 at one radiation length.
    """
    total = energy + mass
    beta_p = energy * (energy + 2.0 * mass) / total
    variance = (13.6 / beta_p) ** 2 * step / radiation_length
    versine = variance * rng.standard_exponential()
    if versine > 2.0:
        versine = 2.0 * rng.random()
    return turned(direction, 1.0 - versine, any_angle(rng))


@njit(cache=True)
def forward_cosine(rng, energy, mass):
    """Return the cosine to the flight of a fast charge at which it radiates: 1 / (1 - beta cos)^2."""
    total = energy + mass
    beta = math.sqrt(energy * (energy + 2.0 * mass)) / total
    draw = 2.0 * rng.random() - 1.0
    return (draw + beta) / (1.0 + beta * draw)
