# mypy: disable-error-code="no-untyped-def"
"""Compiled passes from deposits to hits on wires.

D deposits, Q pieces of deposits (one wire each), M hits, A pairs of a hit and a particle.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True)
def _num_parts(w0, w1, x0, x1, pitch, longest):
    """Wires that a step crosses minus 1, and parts into which its piece on each wire is cut."""
    crossed = abs(math.floor(w1 / pitch) - math.floor(w0 / pitch))
    return crossed, max(math.ceil(abs(x1 - x0) / longest), 1)


@njit(cache=True)
def cut_at_wires(x0, w0, x1, w1, energy, particle, pitch, longest):
    """Return the pieces of straight steps: wire, x of the centre, extent in x, energy, particle; (Q,) each.

    Steps are cut where they pass from one wire to the next, and no piece is longer in x than ``longest``.
    """
    total = 0
    for d in range(x0.shape[0]):
        crossed, parts = _num_parts(w0[d], w1[d], x0[d], x1[d], pitch, longest)
        total += crossed + parts
    wire = np.empty(total, np.int64)
    centre = np.empty(total)
    extent = np.empty(total)
    share = np.empty(total)
    owner = np.empty(total, np.int64)
    q = 0
    for d in range(x0.shape[0]):
        crossed, parts = _num_parts(w0[d], w1[d], x0[d], x1[d], pitch, longest)
        dw, dx = w1[d] - w0[d], x1[d] - x0[d]
        forward = dw >= 0
        at_wire = math.floor(w0[d] / pitch)
        begin, next_part = 0.0, 1
        for _ in range(crossed + parts):
            end = next_part / parts
            leaves = False
            if crossed > 0:
                border = (at_wire + 1) * pitch if forward else at_wire * pitch
                where = min(max((border - w0[d]) / dw, begin), 1.0)
                if where <= end:
                    end, leaves = where, True
            wire[q] = at_wire
            centre[q] = x0[d] + dx * 0.5 * (begin + end)
            extent[q] = abs(dx) * (end - begin)
            share[q] = energy[d] * (end - begin)
            owner[q] = particle[d]
            q += 1
            begin = end
            if leaves:
                at_wire += 1 if forward else -1
                crossed -= 1
            else:
                next_part += 1
    return wire, centre, extent, share, owner


@njit(cache=True)
def hit_starts(wire, x, distance, longest):
    """Return (Q,) bool: where a new hit begins among pieces sorted by wire and x.

    Pieces nearer than ``distance`` to the one before belong together; what is longer than ``longest`` is cut into equal
    parts.
    """
    num = wire.shape[0]
    starts = np.zeros(num, np.bool_)
    begin = 0
    while begin < num:
        stop = begin + 1
        while stop < num and wire[stop] == wire[begin] and x[stop] - x[stop - 1] < distance:
            stop += 1
        starts[begin] = True
        length = x[stop - 1] - x[begin]
        if length > longest:
            num_parts = math.ceil(length / longest)
            before = 0
            for q in range(begin + 1, stop):
                now = min(int((x[q] - x[begin]) / length * num_parts), num_parts - 1)
                if now != before:
                    starts[q] = True
                    before = now
        begin = stop
    return starts


@njit(cache=True)
def sum_hits(x, extent, energy, owner, starts):
    """Return energy, mean x, variance of x of each hit, (M,), and hit, particle, energy of each pair, (A,).

    The variance counts the extent of a piece too. Pairs are ordered by hit, then by first appearance.
    """
    num_hits = starts.sum()
    total = np.zeros(num_hits)
    mean = np.zeros(num_hits)
    spread = np.zeros(num_hits)
    pair_hit = np.empty(x.shape[0], np.int64)
    pair_owner = np.empty(x.shape[0], np.int64)
    pair_energy = np.empty(x.shape[0])
    hit, count, first = -1, 0, 0
    origin = 0.0
    for q in range(x.shape[0]):
        if starts[q]:
            hit += 1
            first = count
            origin = x[q]
        away = x[q] - origin
        total[hit] += energy[q]
        mean[hit] += energy[q] * away
        spread[hit] += energy[q] * (away * away + extent[q] * extent[q] / 12.0)
        place = first
        while place < count and pair_owner[place] != owner[q]:
            place += 1
        if place == count:
            pair_hit[count] = hit
            pair_owner[count] = owner[q]
            pair_energy[count] = 0.0
            count += 1
        pair_energy[place] += energy[q]
        if q + 1 == x.shape[0] or starts[q + 1]:
            if total[hit] > 0.0:
                mean[hit] /= total[hit]
                spread[hit] = max(spread[hit] / total[hit] - mean[hit] * mean[hit], 0.0)
            mean[hit] += origin
    return total, mean, spread, pair_hit[:count].copy(), pair_owner[:count].copy(), pair_energy[:count].copy()
