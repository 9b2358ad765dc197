"""TrackML particle ids: five bit fields in 64 bits, taken apart and put together without a float."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.truth import IntArray, as_integers

# name: (bits, shift), high to low
FIELDS: dict[str, tuple[int, int]] = {
    "vertex": (12, 52),
    "primary": (16, 36),
    "generation": (12, 24),
    "secondary": (12, 12),
    "process": (12, 0),
}


class ParticleIdFields(NamedTuple):
    """The five fields, int64 each."""

    vertex: IntArray
    primary: IntArray
    generation: IntArray
    secondary: IntArray
    process: IntArray


def decode_particle_id(particle_id: ArrayLike) -> ParticleIdFields:
    """Take ids apart; the 64 bits are read as unsigned.

    Examples
    --------
    >>> [int(field) for field in decode_particle_id(4505867370102784)]
    [1, 33, 0, 0, 0]
    """
    bits = as_integers(particle_id, "particle_id").view(np.uint64)
    parts = {
        name: ((bits >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)
        for name, (width, shift) in FIELDS.items()
    }
    return ParticleIdFields(**parts)


def encode_particle_id(
    *,
    vertex: ArrayLike,
    primary: ArrayLike,
    generation: ArrayLike = 0,
    secondary: ArrayLike = 0,
    process: ArrayLike = 0,
) -> IntArray:
    """Put ids together.

    Raises
    ------
    DataError
        When a field does not fit into its bits, or the vertex would set the sign bit (vertex >= 2048).
    """
    values = {
        "vertex": vertex,
        "primary": primary,
        "generation": generation,
        "secondary": secondary,
        "process": process,
    }
    packed = np.zeros((), dtype=np.int64)
    for name, (width, shift) in FIELDS.items():
        field = as_integers(values[name], name)
        largest = (1 << (width - (name == "vertex"))) - 1
        if field.size and (field.min() < 0 or field.max() > largest):
            bad = int(field.min() if field.min() < 0 else field.max())
            raise DataError(f"particle_id: {name} = {bad} does not fit; 0 .. {largest} was wanted")
        packed = packed | (field << shift)
    return np.asarray(packed, dtype=np.int64)
