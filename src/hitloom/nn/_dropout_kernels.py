"""Dropout whose choice is a hash of a seed and the place, so that it can be made again instead of being stored.

R rows, C channels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_U = np.uint64
_STEP, _FIRST, _SECOND = _U(0x9E3779B97F4A7C15), _U(0xBF58476D1CE4E5B9), _U(0x94D049BB133111EB)
_LANE = _U(0xFFFF)


@njit(cache=True, nogil=True, inline="always")
def _hash(number):  # type: ignore[no-untyped-def]
    """The finaliser of splitmix64."""
    z = (number + _U(1)) * _STEP
    z = (z ^ (z >> _U(30))) * _FIRST
    z = (z ^ (z >> _U(27))) * _SECOND
    return z ^ (z >> _U(31))


@njit(cache=True, nogil=True, error_model="numpy")
def drop(first, last, x, seed, offset, limit, scale, out):  # type: ignore[no-untyped-def]
    """``x`` (R, C) times 0 or ``scale`` into ``out``: four channels share a hash, a lane below ``limit`` of 65536 is 0.

    ``offset`` is the number of the first row among all rows of the seed.
    """
    num_channels = x.shape[1]
    quads = _U((num_channels + 3) // 4)
    zero = np.float32(0.0)
    for r in range(first, last):
        start = _U(seed) + _U(offset + r) * quads
        for q in range((num_channels + 3) // 4):
            bits = _hash(start + _U(q))
            for lane in range(4):
                c = 4 * q + lane
                if c < num_channels:
                    chance = (bits >> _U(16 * lane)) & _LANE
                    out[r, c] = x[r, c] * (scale if chance >= limit else zero)
