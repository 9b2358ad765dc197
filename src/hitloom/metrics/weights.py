"""Hit weights of the TrackML score, phase 1 (accuracy) and phase 2 (throughput); arXiv:1904.06778.

weight = w_order(number of hits, place of the hit) * w_pt(generated pt), noise 0, normalised to sum 1 in the event.
Phase 2 gives weight 0 to hits of particles that are not primary (generation != 0 in the particle id).

Shape letters: N hits, K particles.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError
from hitloom.metrics.particle_id import decode_particle_id
from hitloom.metrics.truth import FloatArray, IntArray, as_integers

ORDER_PROFILE = (10.0, 8.0, 6.0, 5.0, 3.0, 3.0, 3.0, 5.0, 6.0)
MIN_HITS, MAX_HITS = 4, 20


def weight_pt(
    pt: ArrayLike, *, pt_low: float = 0.5, pt_high: float = 3.0, weight_low: float = 0.2, weight_high: float = 1.0
) -> FloatArray:
    """Return the momentum weight: 0 below 0.05 GeV, ``weight_low`` up to ``pt_low``, then linear to ``pt_high``.

    Examples
    --------
    >>> weight_pt([0.01, 0.3, 3.0, 9.0]).tolist()
    [0.0, 0.2, 1.0, 1.0]
    """
    pt = np.asarray(pt, dtype=np.float64)
    inside = np.interp(pt, [pt_low, pt_high], [weight_low, weight_high])
    return np.where(pt >= 0.05, inside, 0.0)


def order_table() -> FloatArray:
    """Return (21, 21): row n, column i is the weight of hit i of a particle with n hits; rows below 4 are 0."""
    table = np.zeros((MAX_HITS + 1, MAX_HITS + 1))
    for n in range(MIN_HITS, MAX_HITS + 1):
        support = np.linspace(0, n - 1, len(ORDER_PROFILE))
        row = np.interp(np.arange(n), support, ORDER_PROFILE)
        table[n, :n] = row / row.sum()
    return table


def weight_order(num_hits: ArrayLike, hit_place: ArrayLike) -> FloatArray:
    """Return the order weight of hits by the particle's number of hits and the hit's place, from 0.

    Particles with more than 20 hits use the row of 20; a place from 20 on weighs 0 and warns.

    Raises
    ------
    DataError
        When a place is negative or not below the number of hits (of a particle of 4 to 20 hits).
    """
    count, place = np.broadcast_arrays(as_integers(num_hits, "num_hits"), as_integers(hit_place, "hit_place"))
    beyond = (place >= count) & (count >= MIN_HITS) & (count <= MAX_HITS)
    if (place < 0).any() or beyond.any():
        bad = np.argmax((place < 0) | beyond)
        raise DataError(
            f"hit_place: {int(place.flat[bad])} is no place among the {int(count.flat[bad])} hits of its particle"
        )
    if ((place >= MAX_HITS) & (count >= MIN_HITS)).any():
        warnings.warn("hits from place 20 on have order weight 0", stacklevel=2)
    in_table = (place < MAX_HITS) & (count >= MIN_HITS)
    row, column = np.clip(count, 0, MAX_HITS), np.minimum(place, MAX_HITS)
    return np.where(in_table, order_table()[row, column], 0.0)


def hit_place(object_index: IntArray, distance: NDArray[np.floating]) -> IntArray:
    """Return each hit's rank by ``distance`` within its particle, from 0 (N,); ties share the truncated mean rank.

    Noise (row -1) gets 0.
    """
    order = np.lexsort((distance, object_index))
    owner, value = object_index[order], distance[order]
    new_owner = np.diff(owner, prepend=np.int64(-2)) != 0
    new_value = new_owner | np.concatenate([[False], value[1:] != value[:-1]])[: owner.size]
    first_of_owner = np.flatnonzero(new_owner)
    start = first_of_owner[np.cumsum(new_owner) - 1]
    first_of_tie = np.flatnonzero(new_value)
    last_of_tie = np.append(first_of_tie[1:], owner.size) - 1
    tie = np.cumsum(new_value) - 1
    place = np.zeros(owner.size, dtype=np.int64)
    place[order] = (first_of_tie[tie] + last_of_tie[tie]) // 2 - start
    # (first + last) / 2 - start truncated equals the average rank minus 1, truncated, for ranks from 1.
    place[object_index < 0] = 0
    return place


def hit_weights(
    *,
    object_index: ArrayLike,
    object_id: ArrayLike,
    object_pt: ArrayLike,
    object_vertex_z: ArrayLike,
    object_num_points: ArrayLike,
    truth_z: ArrayLike,
    phase: Literal[1, 2],
) -> FloatArray:
    """Return the weight of every hit (N,), summing to 1 (0 where no hit has weight).

    Parameters
    ----------
    object_index : (N,) int
        Row of the particle, -1 = noise.
    object_id, object_pt, object_vertex_z, object_num_points : (K,)
        Id, generated pt in GeV, z of the production vertex in mm, number of hits from the particle table.
    truth_z : (N,)
        z of the true crossing point in mm. Hits are ordered by |z - vertex z|, not by 3D distance.
    phase : 1 or 2

    Raises
    ------
    DataError
        When ``phase`` is neither, or a particle has more hits than the table says.
    """
    if phase not in (1, 2):
        raise DataError(f"phase: 1 or 2 was wanted, not {phase!r}")
    index = as_integers(object_index, "object_index")
    count = as_integers(object_num_points, "object_num_points")
    particle = np.flatnonzero(index >= 0)
    row = index[particle]
    place = hit_place(index, np.abs(np.asarray(truth_z) - np.append(np.asarray(object_vertex_z), 0)[index]))[particle]
    raw = weight_order(count[row], place) * weight_pt(object_pt)[row]
    if phase == 2:
        raw = np.where(decode_particle_id(object_id).generation[row] == 0, raw, 0.0)
    weight = np.zeros(index.size)
    weight[particle] = raw
    total = weight.sum()
    return weight / total if total > 0 else weight
