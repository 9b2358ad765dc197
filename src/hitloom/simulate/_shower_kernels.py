"""Compiled showers: one particle at the front face in, spots of energy on the layers out.

A toy, with the structure of the real thing: electromagnetic showers are clouds of spots along a gamma profile (a core
and a halo across), hadrons travel and interact, interactions make neutral pions (electromagnetic showers), hadrons
that go on, and nuclear energy, part of which is lost and part of which slow neutrons carry away. Lengths cm, energies
GeV, times ns; z is its absolute value. Sources: G. Grindhammer and S. Peters, hep-ex/0001020, for the electromagnetic
profile and its fluctuations (homogeneous form).

Letters: L layers, S spots. Tables of layers: ``planes`` (L+2,) z of the front, the sensors and the back;
``radiation``, ``interaction`` (L+2,) depth at those; ``mip`` (L,) loss seen by a layer of a crossing particle.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np
from numba import njit

PHOTON, ELECTRON, MUON, CHARGED, NEUTRAL = 0, 1, 2, 3, 4
LIGHT = 29.9792458  # cm / ns
FULL = -1  # the buffer of spots is too small
_STACK = 20000
_LUMP = 3.0  # mean energy of a nuclear fragment in a layer, in units of what a minimum-ionising particle leaves
_MIN_ENERGY = 0.3  # GeV; hadrons below stop on the spot
_MOYAL_MODE, _MOYAL_WIDTH = 0.873, 0.1  # of the loss in silicon, mean 1

# rows of the settings handed to the kernel
(
    HALO, HALO_SCALE, CRITICAL, SLOPE, FINE, TERM_0, TERM_1, TERM_2, RADIUS_0, RADIUS_1, REFERENCE, PION_SHARE,
    NEUTRAL_SHARE, COUNT_0, COUNT_1, PT, NUCLEAR_0, NUCLEAR_1, LOCAL, NEUTRON, REACH, DELAY, FRONT, NUM_SETTINGS,
) = range(24)  # fmt: skip


@njit(cache=True)
def depth_at(table, planes, z):
    """Return the depth at ``z``, linear between the planes."""
    i = min(max(np.searchsorted(planes, z), 1), len(planes) - 1)
    share = (z - planes[i - 1]) / (planes[i] - planes[i - 1])
    return table[i - 1] + share * (table[i] - table[i - 1])


@njit(cache=True)
def place_at(table, planes, depth):
    """Return the z at ``depth``, the inverse of :func:`depth_at`."""
    i = min(max(np.searchsorted(table, depth), 1), len(planes) - 1)
    share = (depth - table[i - 1]) / max(table[i] - table[i - 1], 1e-12)
    return planes[i - 1] + share * (planes[i] - planes[i - 1])


@njit(cache=True)
def _nearest_layer(planes, z):
    """Return the row of the layer whose half-way borders hold ``z``."""
    num = len(planes) - 2
    i = min(max(np.searchsorted(planes[1:-1], z), 1), num - 1)
    return i if z > (planes[i] + planes[i + 1]) / 2 else i - 1


@njit(cache=True)
def _put(spots, count, layer, x, y, energy, time):
    if count < 0 or count >= spots.shape[0]:
        return FULL
    spots[count, 0] = layer
    spots[count, 1] = x
    spots[count, 2] = y
    spots[count, 3] = energy
    spots[count, 4] = time
    return count + 1


@njit(cache=True)
def _coarseness(layer, radius, mip, settings):
    """Mean energy of a spot here over the finest one: sensor thickness and absorber decide."""
    term = settings[TERM_0]
    if radius > settings[RADIUS_1]:
        term = settings[TERM_2]
    elif radius > settings[RADIUS_0]:
        term = settings[TERM_1]
    return max(term * term / 2 * mip[layer] / settings[REFERENCE] / settings[FINE], 1.0)


@njit(cache=True)
def _electromagnetic(rng, electron, energy, at, planes, radiation, mip, settings, spots, count):
    """Spots of a photon or electron that starts at ``at`` = (x, y, z, slope x, slope y, time)."""
    x, y, z, sx, sy, time = at
    cosine = 1.0 / math.sqrt(1.0 + sx * sx + sy * sy)
    start = depth_at(radiation, planes, z) if z > planes[0] else -settings[FRONT]
    if not electron:
        start += 9.0 / 7.0 * rng.standard_exponential() * cosine
    log_y = math.log(max(energy / settings[CRITICAL], 3.0))
    mean_t = math.log(max(log_y - 0.812, 0.3))
    mean_a = math.log(0.81 + 0.53 * log_y)
    sigma_t = min(1.0 / max(-1.4 + 1.26 * log_y, 2.0), 0.5)
    sigma_a = min(1.0 / max(-0.58 + 0.86 * log_y, 2.0), 0.5)
    correlation = max(0.705 - 0.023 * log_y, 0.0)
    first, second = rng.standard_normal(), rng.standard_normal()
    together, apart = math.sqrt((1 + correlation) / 2), math.sqrt((1 - correlation) / 2)
    peak = math.exp(mean_t + sigma_t * (together * first + apart * second))
    shape = max(math.exp(mean_a + sigma_a * (together * first - apart * second)), 1.1)
    rate = (shape - 1.0) / peak
    num = rng.poisson(energy / settings[FINE])
    for _ in range(num):
        path = rng.standard_gamma(shape) / rate
        depth = start + path * cosine
        if depth < 0.0 or depth >= radiation[-1]:
            continue
        at_z = place_at(radiation, planes, depth)
        layer = _nearest_layer(planes, at_z)
        step = planes[layer + 1] - z
        px, py = x + sx * step, y + sy * step
        coarse = _coarseness(layer, math.sqrt(px * px + py * py), mip, settings)
        if coarse > 1.0 and rng.random() * coarse > 1.0:
            continue
        old_layer = path / 0.93
        width = (8.93 + 0.046 * old_layer + 0.081 * old_layer * old_layer) / 28.0 * settings[SLOPE]
        if rng.random() < settings[HALO]:
            width *= settings[HALO_SCALE]
        r = width * rng.standard_exponential()
        phi = 2 * math.pi * rng.random()
        amount = settings[FINE] * coarse * rng.standard_exponential()
        arrival = time + abs(step) / cosine / LIGHT
        count = _put(spots, count, layer, px + r * math.cos(phi), py + r * math.sin(phi), amount, arrival)
        if count < 0:
            return count
    return count


@njit(cache=True)
def _travel(rng, energy, at, end_z, planes, mip, spots, count):
    """Cross the sensors up to ``end_z`` as a minimum-ionising particle; return (energy left, spots)."""
    x, y, z, sx, sy, time = at
    stretch = math.sqrt(1.0 + sx * sx + sy * sy)
    layer = np.searchsorted(planes[1:-1], z)
    while layer < len(mip) and planes[layer + 1] <= end_z:
        step = planes[layer + 1] - z
        normal = rng.standard_normal()
        factor = _MOYAL_MODE - _MOYAL_WIDTH * math.log(max(normal * normal, 1e-12))
        loss = mip[layer] * stretch
        seen = min(loss * factor, energy) if energy > loss else energy
        count = _put(spots, count, layer, x + sx * step, y + sy * step, seen, time + step * stretch / LIGHT)
        energy -= loss
        if energy <= 0.0 or count < 0:
            return 0.0, count
        layer += 1
    return energy, count


@njit(cache=True)
def _turned(rng, sx, sy, sine):
    """Return the slopes of a direction at the angle of that sine to (sx, sy, 1), and whether it still flies on."""
    norm = math.sqrt(1.0 + sx * sx + sy * sy)
    dx, dy, dz = sx / norm, sy / norm, 1.0 / norm
    flat = math.sqrt(dx * dx + dz * dz)
    ux, uz = dz / flat, -dx / flat
    vx, vy, vz = dy * uz, dz * ux - dx * uz, -dy * ux
    phi = 2 * math.pi * rng.random()
    cosine = math.sqrt(1.0 - sine * sine)
    a, b = sine * math.cos(phi), sine * math.sin(phi)
    ex, ey, ez = cosine * dx + a * ux + b * vx, cosine * dy + b * vy, cosine * dz + a * uz + b * vz
    if ez < 0.1:
        return 0.0, 0.0, False
    return ex / ez, ey / ez, True


@njit(cache=True)
def _lumps(rng, energy, at, reach, delay, planes, mip, spots, count):
    """Deposit ``energy`` in lumps around a place: exponential distance in a random direction."""
    x, y, z, time = at[0], at[1], at[2], at[5]
    layer = _nearest_layer(planes, z)
    mean = mip[layer] * _LUMP
    num = rng.poisson(energy / mean)
    for _ in range(num):
        distance = reach * rng.standard_exponential()
        along = 2.0 * rng.random() - 1.0
        across = distance * math.sqrt(1.0 - along * along)
        phi = 2 * math.pi * rng.random()
        at_z = z + distance * along
        if at_z < planes[0] or at_z > planes[-1]:
            continue
        place = _nearest_layer(planes, at_z)
        amount = mean * rng.standard_exponential()
        late = time + distance / LIGHT + delay * rng.standard_exponential()
        count = _put(spots, count, place, x + across * math.cos(phi), y + across * math.sin(phi), amount, late)
        if count < 0:
            return count
    return count


@njit(cache=True)
def _push(stack, kinds, size, kind, energy, at, sx, sy):
    if size < stack.shape[0]:
        kinds[size] = kind
        stack[size, 0] = energy
        stack[size, 1], stack[size, 2], stack[size, 3] = at[0], at[1], at[2]
        stack[size, 4], stack[size, 5], stack[size, 6] = sx, sy, at[5]
        return size + 1
    return size


@njit(cache=True)
def _kind(rng, settings):
    draw = rng.random()
    if draw < settings[PION_SHARE]:
        return PHOTON
    return NEUTRAL if draw < settings[PION_SHARE] + settings[NEUTRAL_SHARE] else CHARGED


@njit(cache=True)
def _interact(rng, kind, energy, at, planes, mip, settings, stack, kinds, size, spots, count):
    """One hadronic interaction at ``at``; return (size of the stack, spots)."""
    log_e = math.log(max(energy, 1.0))
    excitation = (settings[NUCLEAR_0] + settings[NUCLEAR_1] * log_e) * rng.standard_gamma(2.0) / 2.0
    excitation = min(excitation, energy * (0.6 if energy < 3.0 else 0.4))
    count = _lumps(rng, excitation * settings[LOCAL], at, 0.8, 0.3, planes, mip, spots, count)
    count = _lumps(rng, excitation * settings[NEUTRON], at, settings[REACH], settings[DELAY], planes, mip, spots, count)
    if count < 0:
        return size, count
    left = energy - excitation
    num = 1 + rng.poisson(max(settings[COUNT_0] + settings[COUNT_1] * log_e - 1.0, 0.3))
    num = max(min(num, int(left / 0.15)), 1)
    shares = np.empty(num)
    total = 0.0
    for i in range(num):
        shares[i] = rng.standard_exponential() * rng.standard_exponential()
        total += shares[i]
    leader = np.argmax(shares)
    for i in range(num):
        product = kind if i == leader and rng.random() < 0.6 else _kind(rng, settings)
        amount = left * shares[i] / total
        sine = min(settings[PT] * rng.standard_gamma(2.0) / 2.0 / max(amount, 1e-3), 0.98)
        sx, sy, ahead = _turned(rng, at[3], at[4], sine)
        if amount < 0.05 or not ahead:
            count = _lumps(rng, amount * settings[LOCAL], at, 0.8, 0.3, planes, mip, spots, count)
            if count < 0:
                return size, count
        else:
            size = _push(stack, kinds, size, product, amount, at, sx, sy)
    return size, count


@njit(cache=True)
def shower(rng, kind, energy, at, planes, radiation, interaction, mip, settings, spots):
    """Fill ``spots`` (S, 5) [row of the layer, x, y, energy, time] with one particle's shower.

    Parameters
    ----------
    rng
        The particle's own generator: it alone decides the shower.
    kind, energy, at
        What flies in, GeV, and (x, y, z, dx/dz, dy/dz, time).

    Returns
    -------
    int
        Number of spots, or :data:`FULL` when the buffer is too small.
    """
    stack = np.empty((_STACK, 7))
    kinds = np.empty(_STACK, dtype=np.int64)
    count = 0
    size = _push(stack, kinds, 0, kind, energy, at, at[3], at[4])
    while size > 0:
        size -= 1
        what, left = kinds[size], stack[size, 0]
        place = (stack[size, 1], stack[size, 2], stack[size, 3], stack[size, 4], stack[size, 5], stack[size, 6])
        if what in (PHOTON, ELECTRON):
            count = _electromagnetic(rng, what == ELECTRON, left, place, planes, radiation, mip, settings, spots, count)
        elif what == MUON:
            _, count = _travel(rng, left, place, planes[-1], planes, mip, spots, count)
        elif left < _MIN_ENERGY:
            count = _lumps(
                rng, left * (1.0 if what == CHARGED else settings[LOCAL]), place, 0.8, 0.3, planes, mip, spots, count
            )
        else:
            stretch = math.sqrt(1.0 + place[3] * place[3] + place[4] * place[4])
            depth = depth_at(interaction, planes, place[2]) + rng.standard_exponential() / stretch
            end_z = place_at(interaction, planes, depth) if depth < interaction[-1] else planes[-1]
            if what == CHARGED:
                left, count = _travel(rng, left, place, end_z, planes, mip, spots, count)
            if count >= 0 and left > 0.0 and depth < interaction[-1]:
                step = end_z - place[2]
                place = (
                    place[0] + place[3] * step, place[1] + place[4] * step, end_z, place[3], place[4],
                    place[5] + step * stretch / LIGHT,
                )  # fmt: skip
                size, count = _interact(rng, what, left, place, planes, mip, settings, stack, kinds, size, spots, count)
        if count < 0:
            return FULL
    return count
