# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Loops of the module map. Fit and search use the same arithmetic, so that bounds hold for what they were made of.

Hits are rows of (r, phi, z, eta, x, y), float64, mm and rad.
Shape letters: N hits, M modules of the map, D pairs of modules, R rows of the map, S doublets, P what is computed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

R, PHI, Z, ETA, X, Y = range(6)


@njit(cache=True, nogil=True, error_model="numpy")
def doublet_values(inner, outer, values):
    """Write z0, dphi, phislope and deta of the hits ``inner`` and ``outer`` into ``values`` (4,)."""
    dr = outer[R] - inner[R]
    dphi = outer[PHI] - inner[PHI]
    if dphi >= math.pi:
        dphi -= 2 * math.pi
    elif dphi < -math.pi:
        dphi += 2 * math.pi
    values[0] = inner[Z] - inner[R] * (outer[Z] - inner[Z]) / dr if dr != 0 else 0.0
    values[1] = dphi
    values[2] = dphi / dr if dr != 0 else 0.0
    values[3] = inner[ETA] - outer[ETA]


@njit(cache=True, nogil=True, error_model="numpy")
def triplet_values(first, middle, last, turned, values):
    """Write diff_dzdr and diff_dydx of three hits into ``values`` (2,); a term with denominator 0 is 0.

    ``turned``: x points from the beam to the middle hit, so that diff_dydx is the same at every azimuth.
    """
    dr12, dr23 = middle[R] - first[R], last[R] - middle[R]
    inner = (middle[Z] - first[Z]) / dr12 if dr12 != 0 else 0.0
    outer = (last[Z] - middle[Z]) / dr23 if dr23 != 0 else 0.0
    values[0] = inner - outer
    cos, sin = 1.0, 0.0
    if turned and middle[R] > 0:
        cos, sin = middle[X] / middle[R], middle[Y] / middle[R]
    # the second difference of y is taken backwards: the published maps have it so
    dx12, dx23 = first[X] - middle[X], middle[X] - last[X]
    dy12, dy23 = middle[Y] - first[Y], middle[Y] - last[Y]
    if turned:
        dx12, dy12 = cos * dx12 - sin * dy12, cos * dy12 + sin * dx12
        dx23, dy23 = cos * dx23 + sin * dy23, cos * dy23 - sin * dx23
    inner = dy12 / dx12 if dx12 != 0 else 0.0
    outer = dy23 / dx23 if dx23 != 0 else 0.0
    values[1] = inner - outer


@njit(cache=True, nogil=True)
def many_doublets(hits, inner, outer):
    """Return (P, 4) of the pairs of rows ``inner`` (P,) and ``outer`` (P,)."""
    values = np.empty((inner.shape[0], 4))
    for i in range(inner.shape[0]):
        doublet_values(hits[inner[i]], hits[outer[i]], values[i])
    return values


@njit(cache=True, nogil=True)
def many_triplets(hits, first, middle, last, turned):
    """Return (P, 2) of the triples of rows ``first``, ``middle`` and ``last`` (P,); see :func:`triplet_values`."""
    values = np.empty((first.shape[0], 2))
    for i in range(first.shape[0]):
        triplet_values(hits[first[i]], hits[middle[i]], hits[last[i]], turned, values[i])
    return values


@njit(cache=True, nogil=True)
def _inside(values, bounds):
    for q in range(bounds.shape[0]):  # noqa: SIM110 (compiled)
        if not bounds[q, 0] <= values[q] <= bounds[q, 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def find_doublets(hits, start, pairs, bounds):
    """Return the hits whose doublet lies within the bounds of its pair of modules.

    Parameters
    ----------
    hits : (N, 6), sorted by module.
    start : (M + 1,) first hit of each module.
    pairs : (D, 2) modules.
    bounds : (D, 4, 2) least and greatest of each quantity.

    Returns
    -------
    first : (D + 1,) first doublet of each pair.
    ends : (S, 2) rows of ``hits``, by pair and then by inner hit.
    values : (S, 4)
    """
    num_pairs = pairs.shape[0]
    first = np.zeros(num_pairs + 1, np.int64)
    room = 1024
    ends, values, value = np.empty((room, 2), np.int64), np.empty((room, 4)), np.empty(4)
    fill = 0
    for p in range(num_pairs):
        for a in range(start[pairs[p, 0]], start[pairs[p, 0] + 1]):
            for b in range(start[pairs[p, 1]], start[pairs[p, 1] + 1]):
                doublet_values(hits[a], hits[b], value)
                if not _inside(value, bounds[p]):
                    continue
                if fill == room:
                    room *= 2
                    more_ends, more_values = np.empty((room, 2), np.int64), np.empty((room, 4))
                    more_ends[:fill], more_values[:fill] = ends, values
                    ends, values = more_ends, more_values
                ends[fill, 0], ends[fill, 1] = a, b
                values[fill] = value
                fill += 1
        first[p + 1] = fill
    return first, ends[:fill], values[:fill]


@njit(cache=True, nogil=True)
def mark_doublets(hits, first, ends, values, row_pairs, bounds, turned):
    """Return (S,) bool, the doublets of a triplet that passes all bounds of a row of the map.

    Parameters
    ----------
    first, ends, values : doublets as :func:`find_doublets` returns them.
    row_pairs : (R, 2) the pairs of modules of each row, inner and outer.
    bounds : (R, 10, 2) of the inner doublet, the outer doublet, the triplet.
    turned : bool, see :func:`triplet_values`.
    """
    used = np.zeros(ends.shape[0], np.bool_)
    value = np.empty(2)
    for row in range(row_pairs.shape[0]):
        inner, outer = row_pairs[row, 0], row_pairs[row, 1]
        last = first[outer + 1]
        if first[outer] == last:
            continue
        for d in range(first[inner], first[inner + 1]):
            if not _inside(values[d], bounds[row, :4]):
                continue
            middle = ends[d, 1]
            low, high = first[outer], last  # the first outer doublet that begins at the middle hit
            while low < high:
                half = (low + high) // 2
                if ends[half, 0] < middle:
                    low = half + 1
                else:
                    high = half
            for e in range(low, last):
                if ends[e, 0] != middle:
                    break
                if (used[d] and used[e]) or not _inside(values[e], bounds[row, 4:8]):
                    continue
                triplet_values(hits[ends[d, 0]], hits[middle], hits[ends[e, 1]], turned, value)
                if _inside(value, bounds[row, 8:]):
                    used[d] = True
                    used[e] = True
    return used
