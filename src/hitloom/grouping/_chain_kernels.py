# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Compiled steps of thin 2D clusters: hits on wires linked to chains.

M hits, L layers (wires with a hit), C chains. All hits are sorted by layer, then by drift; ``first`` (L+1,) are the
rows where layers begin, ``layer`` (L,) their numbers. NONE = no hit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

NONE = -1


@njit(cache=True, nogil=True)
def set_aside(x, energy, first, near):
    """Return (M,) bool: a hit nearer than ``near`` on the same layer has strictly more energy."""
    aside = np.zeros(x.shape[0], np.bool_)
    for g in range(first.shape[0] - 1):
        for i in range(first[g], first[g + 1]):
            for j in range(i + 1, first[g + 1]):
                if x[j] - x[i] >= near:
                    break
                if energy[j] > energy[i]:
                    aside[i] = True
                elif energy[i] > energy[j]:
                    aside[j] = True
    return aside


@njit(cache=True, nogil=True)
def primary_links(x, w, kept, first, layer, max_gap, reach):
    """Return (M,) forward and (M,) backward targets: the nearest kept hit within ``reach`` on the next layers."""
    num = x.shape[0]
    forward = np.full(num, NONE, np.int64)
    backward = np.full(num, NONE, np.int64)
    ahead = np.full(num, np.inf)
    behind = np.full(num, np.inf)
    for g in range(layer.shape[0]):
        for h in range(g + 1, layer.shape[0]):
            if layer[h] - layer[g] > max_gap + 1:
                break
            low = first[h]
            for i in range(first[g], first[g + 1]):
                if not kept[i]:
                    continue
                while low < first[h + 1] and x[low] < x[i] - reach:
                    low += 1
                for j in range(low, first[h + 1]):
                    if x[j] > x[i] + reach:
                        break
                    if not kept[j]:
                        continue
                    away = math.hypot(x[j] - x[i], w[j] - w[i])
                    if away > reach:
                        continue
                    if away < ahead[i]:
                        ahead[i] = away
                        forward[i] = j
                    if away < behind[j]:
                        behind[j] = away
                        backward[j] = i
    return forward, backward


@njit(cache=True, nogil=True)
def secondary_links(x, w, out, back, close):
    """Return (M,) for each hit the nearest one that targets it by ``out`` and is not its own target ``back``."""
    second = np.full(x.shape[0], NONE, np.int64)
    best = np.full(x.shape[0], close)
    for i in range(x.shape[0]):
        target = out[i]
        if target == NONE or back[target] == i:
            continue
        away = math.hypot(x[i] - x[target], w[i] - w[target])
        if away < best[target]:
            best[target] = away
            second[target] = i
    return second


@njit(cache=True, nogil=True)
def _trace(i, out, back):
    """Follow mutual links from ``i``; return the last hit and the number of hits."""
    steps = 1
    while out[i] != NONE and back[out[i]] == i:
        i = out[i]
        steps += 1
    return i, steps


@njit(cache=True, nogil=True)
def choices(out, back, second, min_steps):
    """Return (M,) whom each hit would join in one direction; NONE where a branch is as good as the first choice."""
    chosen = out.copy()
    for i in range(out.shape[0]):
        if out[i] == NONE or second[i] == NONE:
            continue
        end, _ = _trace(out[i], out, back)
        other, steps = _trace(second[i], out, back)
        if end != other and steps >= min_steps:
            chosen[i] = NONE
    return chosen


@njit(cache=True, nogil=True)
def mutual(ahead, behind):
    """Return (M,) the hit that each chose and that chose it too, else NONE."""
    both = np.full(ahead.shape[0], NONE, np.int64)
    for i in range(ahead.shape[0]):
        if ahead[i] != NONE and behind[ahead[i]] == i:
            both[i] = ahead[i]
    return both


@njit(cache=True, nogil=True)
def chain_numbers(ahead, behind, kept):
    """Return (M,) chain of each kept hit, NONE for others, and the first (C,) and last (C,) hit of each chain.

    ``ahead``, ``behind`` are mutual; chains are numbered by their first hit.
    """
    num = kept.shape[0]
    chain = np.full(num, NONE, np.int64)
    heads = np.empty(num, np.int64)
    tails = np.empty(num, np.int64)
    count = 0
    for i in range(num):
        if not kept[i] or behind[i] != NONE:
            continue
        heads[count] = i
        at = i
        chain[at] = count
        while ahead[at] != NONE:
            at = ahead[at]
            chain[at] = count
        tails[count] = at
        count += 1
    return chain, heads[:count].copy(), tails[:count].copy()


@njit(cache=True, nogil=True)
def attach(x, energy, first, aside, chain, near):
    """Put hits that were set aside into the chain of the nearest chained hit of their layer, in place.

    The host must be nearer than ``near`` and have at least as much energy. Hits attached in one round are hosts of the
    next ones.
    """
    num = x.shape[0]
    found = np.empty(num, np.int64)
    changed = True
    while changed:
        changed = False
        for g in range(first.shape[0] - 1):
            for i in range(first[g], first[g + 1]):
                found[i] = NONE
                if not aside[i] or chain[i] != NONE:
                    continue
                best = near
                for j in range(i - 1, first[g] - 1, -1):
                    if x[i] - x[j] >= best:
                        break
                    if chain[j] != NONE and energy[j] >= energy[i]:
                        best = x[i] - x[j]
                        found[i] = chain[j]
                for j in range(i + 1, first[g + 1]):
                    if x[j] - x[i] >= best:
                        break
                    if chain[j] != NONE and energy[j] >= energy[i]:
                        best = x[j] - x[i]
                        found[i] = chain[j]
        for i in range(num):
            if found[i] != NONE:
                chain[i] = found[i]
                changed = True


@njit(cache=True, nogil=True)
def _slope(x, w, start, links, most):
    """Return the slope dx/dw of a line through the first ``most`` hits of a chain, and how many there were."""
    at = start
    count = 0
    sum_w = sum_x = sum_ww = sum_wx = 0.0
    while at != NONE and count < most:
        dw, dx = w[at] - w[start], x[at] - x[start]
        sum_w += dw
        sum_x += dx
        sum_ww += dw * dw
        sum_wx += dw * dx
        count += 1
        at = links[at]
    spread = sum_ww - sum_w * sum_w / max(count, 1)
    if count < 2 or spread <= 0.0:
        return 0.0, count
    return (sum_wx - sum_w * sum_x / count) / spread, count


@njit(cache=True, nogil=True)
def _angles(x, w, starts, links, min_hits, num_fitted):
    """Return (C,) the angle of each chain at one end, not a number for chains that are too short to have one."""
    angles = np.full(starts.shape[0], np.nan)
    for c in range(starts.shape[0]):
        slope, count = _slope(x, w, starts[c], links, num_fitted)
        if count >= min_hits:
            angles[c] = math.atan(slope)
    return angles


@njit(cache=True, nogil=True)
def _off_line(dx, dw, angle):
    """Return how far a point lies from a line through the origin; 0 for a line without angle."""
    return 0.0 if math.isnan(angle) else abs(dx * math.cos(angle) - dw * math.sin(angle))


@njit(cache=True, nogil=True)
def continued_by(x, w, ahead, behind, heads, tails, min_hits, num_fitted, gap, angle, offset, known):
    """Return (C,) the chain whose head continues each chain, NONE where none does; the choice is mutual.

    ``ahead``, ``behind`` (M,): the next and the previous hit of a chain, NONE at its ends. Heads must be in order of
    ``w``. The tail of one chain and the head of the other lie nearer than ``gap``, the directions there differ by
    less than ``angle``, and each end lies nearer than ``offset`` to the line of the other; of several the nearest.
    Chains of fewer than ``min_hits`` have no direction and are not joined. ``known`` (C,) are joins that were made
    before, NONE where none was: where there are any, one chain of a new join may be without direction.
    """
    num = heads.shape[0]
    taken = np.zeros(num, np.bool_)
    short = known.shape[0] > 0
    for c in range(known.shape[0]):
        if known[c] != NONE:
            taken[known[c]] = True
    tail_to = np.full(num, NONE, np.int64)
    head_to = np.full(num, NONE, np.int64)
    far = np.full(num, np.inf)
    near = np.full(num, np.inf)
    at_head = _angles(x, w, heads, ahead, min_hits, num_fitted)
    at_tail = _angles(x, w, tails, behind, min_hits, num_fitted)
    place = w[heads]
    for c in range(num):
        end = tails[c]
        if short and known[c] != NONE:
            continue
        for d in range(np.searchsorted(place, w[end], "right"), num):
            dx, dw = x[heads[d]] - x[end], place[d] - w[end]
            if dw >= gap:
                break
            missing = int(math.isnan(at_tail[c])) + int(math.isnan(at_head[d]))
            if taken[d] or missing == 2 or (missing == 1 and not short) or abs(at_head[d] - at_tail[c]) >= angle:
                continue
            away = math.hypot(dx, dw)
            if away >= gap or max(_off_line(dx, dw, at_tail[c]), _off_line(dx, dw, at_head[d])) >= offset:
                continue
            if away < far[c]:
                far[c] = away
                tail_to[c] = d
            if away < near[d]:
                near[d] = away
                head_to[d] = c
    joins = mutual(tail_to, head_to)
    for c in range(known.shape[0]):
        if known[c] != NONE:
            joins[c] = known[c]
    return joins


@njit(cache=True, nogil=True)
def rename(chain, continued):
    """Give the hits of continued chains the number of the first one, in place; a chain continues in a later one."""
    root = np.arange(continued.shape[0])
    for c in range(continued.shape[0]):
        if continued[c] != NONE:
            root[continued[c]] = root[c]
    for i in range(chain.shape[0]):
        if chain[i] != NONE:
            chain[i] = root[chain[i]]
