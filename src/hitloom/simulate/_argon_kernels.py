"""Compiled transport of all particles of an event through argon.

Compiled code is kept on disk per file: after an edit of ``_argon_*.py``, remove ``__pycache__`` here, or callers keep
the old code of what they call.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np
from numba import njit

from hitloom.simulate._argon_common import ELECTRON, FULL, NEUTRAL_PION, NUM_DEPOSITS, NUM_PARTICLES, PHOTON, POSITRON
from hitloom.simulate._argon_showers import move_electron, move_photon
from hitloom.simulate._argon_tracks import decay_neutral_pion, move_track


@njit(cache=True)
def transport(rng, bank, tables, settings):
    """Take every particle of the bank to its end, and all that comes of it; False when the bank is too small."""
    for row in range(len(bank.ids)):  # secondaries are appended meanwhile
        if row >= bank.counts[NUM_PARTICLES] or bank.counts[FULL]:
            break
        pdg = bank.ids[row, 0]
        place = (bank.particles[row, 0], bank.particles[row, 1], bank.particles[row, 2])
        px, py, pz = bank.particles[row, 6], bank.particles[row, 7], bank.particles[row, 8]
        energy = bank.particles[row, 9]
        if pdg == NEUTRAL_PION:
            decay_neutral_pion(rng, bank, row, place, (px, py, pz))
        else:
            size = math.sqrt(px * px + py * py + pz * pz)
            direction = (px / size, py / size, pz / size) if size > 0.0 else (0.0, 0.0, 1.0)
            if pdg == PHOTON:
                move_photon(rng, bank, row, place, direction, energy, tables, settings)
            elif pdg in (ELECTRON, POSITRON):
                move_electron(rng, bank, row, place, direction, energy, tables, settings)
            else:
                move_track(rng, bank, row, place, direction, energy, tables, settings)
    return bank.counts[FULL] == 0


@njit(cache=True)
def rows_to_keep(bank):
    """Return (P,) bool: primaries, what left energy, and what has descendants that did."""
    num = bank.counts[NUM_PARTICLES]
    keep = np.zeros(num, dtype=np.bool_)
    for i in range(bank.counts[NUM_DEPOSITS]):
        keep[bank.owners[i]] = True
    for row in range(num - 1, -1, -1):
        parent = bank.ids[row, 1]
        if parent < 0:
            keep[row] = True
        elif keep[row]:
            keep[parent] = True
    return keep
