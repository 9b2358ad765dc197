"""The particle that a trackster stands for: how much of the trackster is its energy, how much of it is in there.

The particle of a trackster is the one with a share in most of the layer clusters that should be kept, of equals the one
with more energy in them: the particle that the labels were made by.

Shape letters: N layer clusters, G tracksters, K particles, A shares. Energies in the unit that they come in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hitloom.metrics.pruning_counts import Counts, PruningRate
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

PARTICLE_DEFINITIONS: dict[str, str] = {
    "energy_particle": "energy of the trackster's particle in the trackster before pruning",
    "energy_particle_kept": "energy of the trackster's particle in the layer clusters kept",
    "energy_particle_everywhere": "energy of the trackster's particle in all layer clusters of the collision",
}
PARTICLE_RATES: dict[str, PruningRate] = {
    "purity_before": PruningRate(
        ("energy_particle",),
        ("energy",),
        "energy of the trackster's particle / energy of the trackster, before pruning",
    ),
    "purity_after": PruningRate(
        ("energy_particle_kept",),
        ("energy_kept",),
        "energy of the trackster's particle / energy of the trackster, after pruning",
    ),
    "completeness_before": PruningRate(
        ("energy_particle",),
        ("energy_particle_everywhere",),
        "energy of the particle in its trackster / energy of the particle in all layer clusters, before pruning",
    ),
    "completeness_after": PruningRate(
        ("energy_particle_kept",),
        ("energy_particle_everywhere",),
        "energy of the particle in its trackster / energy of the particle in all layer clusters, after pruning",
    ),
}
"""Rates that need the shares of particles; quotients of counts here and in :mod:`hitloom.metrics.pruning_counts`."""


def main_particles(
    *,
    to_keep: ArrayLike,
    energy: ArrayLike,
    share_point: ArrayLike,
    share_object: ArrayLike,
    share_fraction: ArrayLike,
    object_trackster: ArrayLike,
    num_tracksters: int,
) -> IntArray:
    """Return (G,): row of the particle of each trackster, -1 where no layer cluster to keep has a particle.

    Parameters
    ----------
    to_keep, energy : (N,) bool and float
    share_point, share_object, share_fraction : (A,)
        Row of the layer cluster, row of the particle, share of the energy.
    object_trackster : (K,) int
        Row of the trackster that lists each particle; a particle in two tracksters stands in two rows.
    """
    owner = np.asarray(object_trackster, dtype=np.int64)
    point, thing = np.asarray(share_point, dtype=np.int64), np.asarray(share_object, dtype=np.int64)
    weight = np.asarray(energy, dtype=np.float64)[point] * np.asarray(share_fraction, dtype=np.float64)
    some = np.asarray(to_keep, dtype=np.bool_)[point] & (weight > 0)
    number = np.bincount(thing[some], minlength=len(owner))
    whole = np.bincount(thing[some], weight[some], minlength=len(owner))
    order = np.lexsort((-np.arange(len(owner)), whole, number))  # the last of each trackster stays
    order = order[number[order] > 0]
    result = np.full(num_tracksters, -1, dtype=np.int64)
    result[owner[order]] = order
    return result


def particle_counts(
    particle: IntArray,
    *,
    trackster: ArrayLike,
    pruned: ArrayLike,
    energy: ArrayLike,
    share_point: ArrayLike,
    share_object: ArrayLike,
    share_fraction: ArrayLike,
    object_energy: ArrayLike,
) -> Counts:
    """Return the sums of :data:`PARTICLE_DEFINITIONS`, (G,) each; 0 for a trackster without a particle.

    Parameters
    ----------
    particle : (G,) int
        From :func:`main_particles`.
    trackster, pruned, energy : (N,)
    share_point, share_object, share_fraction : (A,)
    object_energy : (K,) float
        Energy of each particle in all layer clusters of its collision.
    """
    row, point = np.asarray(trackster, dtype=np.int64), np.asarray(share_point, dtype=np.int64)
    weight = np.asarray(energy, dtype=np.float64)[point] * np.asarray(share_fraction, dtype=np.float64)
    own: BoolArray = np.asarray(share_object, dtype=np.int64) == particle[row[point]]
    kept: BoolArray = ~np.asarray(pruned, dtype=np.bool_)[point]
    everywhere = np.append(np.asarray(object_energy, dtype=np.float64), 0.0)[particle]  # row -1 reads the added entry

    def sums(mask: BoolArray) -> FloatArray:
        return np.bincount(row[point][mask], weight[mask], minlength=len(particle)).astype(np.float64)

    return {
        "energy_particle": sums(own),
        "energy_particle_kept": sums(own & kept),
        "energy_particle_everywhere": everywhere,
    }
