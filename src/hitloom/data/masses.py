"""Masses in GeV by absolute PDG code, for particles that a tracker's truth lists (Particle Data Group, 2024)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MASSES = {
    11: 0.00051099895,
    12: 0.0,
    13: 0.1056583755,
    14: 0.0,
    15: 1.77693,
    16: 0.0,
    22: 0.0,
    111: 0.1349768,
    130: 0.497611,
    211: 0.13957039,
    310: 0.497611,
    321: 0.493677,
    411: 1.86966,
    421: 1.86484,
    431: 1.96835,
    511: 5.27972,
    521: 5.27941,
    531: 5.36693,
    2112: 0.93956542,
    2212: 0.93827209,
    3112: 1.197449,
    3122: 1.115683,
    3212: 1.192642,
    3222: 1.18937,
    3312: 1.32171,
    3322: 1.31486,
    3334: 1.67245,
    4122: 2.28646,
    1000010020: 1.87561294,
    1000010030: 2.80892114,
    1000020030: 2.80839161,
    1000020040: 3.72737938,
}


def mass_of(pdg: ArrayLike) -> NDArray[np.float64]:
    """Return the mass of each code, NaN where it is not in :data:`MASSES`."""
    codes = np.abs(np.asarray(pdg, dtype=np.int64))
    table = np.array(sorted(MASSES))
    values = np.array([MASSES[int(code)] for code in table])
    place = np.minimum(np.searchsorted(table, codes), len(table) - 1)
    return np.where(table[place] == codes, values[place], np.nan)
