"""Tracks against particles: the sparse table of shared hits, and the matching styles on it.

All inequalities are strict and decided in integers. Noise never matches anything. Unassigned hits (-1) are no track.

Shape letters: N hits, K particles, C tracks (all labels >= 0, valid or not), Q pairs (track, particle) that share hits.

Every style demands 2 n_cp > n_c (or more) of a matched track, so a matched particle is the track's majority owner and
only that pair has to be examined. The exceptions are handled apart: the particle side of ``one_way`` (any track) and
the proposals of ``one_to_one`` (largest overlap, majority or not).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.definitions import MATCHES, ONE_TO_ONE, check_names
from hitloom.metrics.selection import ParticlesFrom, Universe
from hitloom.metrics.truth import BoolArray, EventTruth, IntArray, as_integers


@dataclass(frozen=True, kw_only=True, eq=False)
class Contingency:
    """Shared hits of tracks and particles in one universe.

    Attributes
    ----------
    track_id, track_size : (C,) int64
        Labels, ascending, and n_c with noise included.
    owner, owner_shared : (C,) int64
        Majority owner (row, -1 = noise): largest count; ties to noise, then to the smallest particle id.
    best, best_shared : (C,) int64
        Particle of the largest overlap, noise left out; ties to the lowest row; -1 and 0 where there is none.
    pair_track, pair_particle, pair_shared : (Q,) int64
        n_cp of every pair with n_cp > 0, noise left out, ordered by track.
    particle_size, assigned_size : (K,) int64
        n_p in the universe, and those of them with label >= 0.
    is_particle : (K,) bool
        False for rows that count as noise.
    num_noise_points, num_assigned_noise_points : int
    """

    track_id: IntArray
    track_size: IntArray
    owner: IntArray
    owner_shared: IntArray
    best: IntArray
    best_shared: IntArray
    pair_track: IntArray
    pair_particle: IntArray
    pair_shared: IntArray
    particle_size: IntArray
    assigned_size: IntArray
    is_particle: BoolArray
    num_noise_points: int
    num_assigned_noise_points: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """Outcome of one matching style.

    Attributes
    ----------
    track_particle : (C,) int64
        Row of the matched particle, -1 = unmatched or not valid.
    found : (K,) bool
    num_tracks_of : (K,) int64
        Valid tracks that find the particle.
    """

    track_particle: IntArray
    found: BoolArray
    num_tracks_of: IntArray


def check_labels(labels: ArrayLike, num_hits: int, name: str = "labels") -> IntArray:
    """Return labels (N,) as int64.

    Raises
    ------
    DataError
        When the shape is not (N,), the dtype is not an integer, or a label is below -1.
    """
    array = as_integers(labels, name)
    if array.shape != (num_hits,):
        raise DataError(f"{name}: one label for each of {num_hits} hits was wanted, not shape {array.shape}")
    if array.size and array.min() < -1:
        raise DataError(f"{name}: the label {int(array.min())} came; -1 = unassigned and tracks from 0 were wanted")
    return array


def check_mask(mask: ArrayLike | None, num_hits: int, name: str = "in_input") -> BoolArray | None:
    """Return a boolean mask (N,) or None.

    Raises
    ------
    DataError
        When shape or dtype differ.
    """
    if mask is None:
        return None
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.shape != (num_hits,):
        raise DataError(f"{name}: a boolean mask of shape ({num_hits},) was wanted, not {array.dtype} {array.shape}")
    return array


def contingency(
    labels: ArrayLike,
    truth: EventTruth,
    *,
    universe: Universe = "original",
    particles_from: ParticlesFrom = "hits",
    in_input: ArrayLike | None = None,
) -> Contingency:
    """Count shared hits of tracks and particles by sorting packed (track, particle) pairs.

    Parameters
    ----------
    labels : (N,) int
        Track of each hit, -1 = unassigned.
    in_input : (N,) bool or None
        Hits that the network saw; None = all.

    Raises
    ------
    DataError
        For impossible labels, or a hit that the network never saw and that carries a label.
    """
    labels = check_labels(labels, truth.num_hits)
    seen = check_mask(in_input, truth.num_hits)
    if seen is not None and (labels[~seen] >= 0).any():
        raise DataError("labels: a hit outside in_input has a label; mend: -1 for hits that the network never saw")
    index, size = owners(truth, universe, particles_from, seen)
    if universe == "input" and seen is not None:
        index, labels = index[seen], labels[seen]
    num_objects = truth.num_objects
    is_particle = np.ones(num_objects, dtype=np.bool_) if particles_from == "hits" else size > 0

    assigned = labels >= 0
    track_id, track = _compact(labels[assigned])
    order = np.argsort(truth.object_id)  # rank 0 = noise, then particles by ascending id
    rank = np.zeros(num_objects + 1, dtype=np.int64)  # the last entry serves row -1
    rank[order] = np.arange(1, num_objects + 1)
    row_of_rank = np.concatenate([[-1], order]).astype(np.int64)

    key = np.sort(track * (num_objects + 1) + rank[index[assigned]])
    first = np.flatnonzero(np.diff(key, prepend=-1))
    shared = np.diff(first, append=key.size)
    pair_track, pair_rank = np.divmod(key[first], num_objects + 1)
    pair_row = row_of_rank[pair_rank]
    starts = np.flatnonzero(np.diff(pair_track, prepend=-1))

    owner_shared, owner_rank = _largest(shared, pair_rank, starts, num_objects)
    real = pair_row >= 0
    best_shared, best = _largest(np.where(real, shared, 0), np.where(real, pair_row, 0), starts, num_objects)
    pair_particle = pair_row[real]
    return Contingency(
        track_id=track_id,
        track_size=np.bincount(track, minlength=track_id.size).astype(np.int64),
        owner=row_of_rank[owner_rank],
        owner_shared=owner_shared,
        best=np.where(best_shared > 0, best, -1),
        best_shared=best_shared,
        pair_track=pair_track[real],
        pair_particle=pair_particle,
        pair_shared=shared[real],
        particle_size=size,
        assigned_size=np.bincount(pair_particle, weights=shared[real], minlength=num_objects).astype(np.int64),
        is_particle=is_particle,
        num_noise_points=int((index < 0).sum()),
        num_assigned_noise_points=int(shared[~real].sum()),
    )


def owners(
    truth: EventTruth, universe: Universe, particles_from: ParticlesFrom, seen: BoolArray | None
) -> tuple[IntArray, IntArray]:
    """Return each hit's particle (N,) and n_p (K,) in the universe, particles that count as noise taken out."""
    index = truth.object_index
    if universe == "original":
        size = truth.num_points
    else:
        inside = index if seen is None else index[seen]
        size = np.bincount(inside[inside >= 0], minlength=truth.num_objects).astype(np.int64)
    if particles_from == "hits":
        return index, size
    if truth.truth_edge_index is None:
        known = size >= 2
    else:
        edges = truth.truth_edge_index
        if universe == "input" and seen is not None:
            edges = edges[:, seen[edges].all(axis=0)]
        ends = index[edges]
        known = np.zeros(truth.num_objects, dtype=np.bool_)
        known[ends[0, (ends[0] == ends[1]) & (ends[0] >= 0)]] = True
    known_or_noise = np.append(known, False)
    return np.where(known_or_noise[index], index, -1), np.where(known, size, 0)


def _compact(labels: IntArray) -> tuple[IntArray, IntArray]:
    """Return the distinct labels (C,), ascending, and each hit's position among them."""
    if labels.size and labels.max() < 8 * labels.size:
        present = np.flatnonzero(np.bincount(labels))
        position = np.zeros(int(labels.max()) + 1, dtype=np.int64)
        position[present] = np.arange(present.size)
        return present, position[labels]
    distinct, inverse = np.unique(labels, return_inverse=True)
    return distinct, inverse.astype(np.int64)


def _largest(count: IntArray, code: IntArray, starts: IntArray, num_objects: int) -> tuple[IntArray, IntArray]:
    """Per segment return the largest count and the smallest code that has it."""
    if starts.size == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    width = num_objects + 2
    largest = np.maximum.reduceat(count * width + (width - 1 - code), starts)
    shared, reverse = np.divmod(largest, width)
    return shared, width - 1 - reverse


def match_tracks(table: Contingency, name: str, *, min_track_hits: int = 3) -> Match:
    """Match tracks to particles in the style called ``name`` (a key of :data:`~hitloom.metrics.MATCHES`).

    Raises
    ------
    ConfigError
        When there is no such style.
    """
    check_names("matching", (name,), MATCHES)
    valid = table.track_size >= min_track_hits
    num_objects = table.particle_size.size
    candidate = valid & (table.owner >= 0)
    if name.startswith(ONE_TO_ONE):
        candidate &= _greedy(table, valid)
    owner = np.where(candidate, table.owner, -1)
    fits = candidate & _condition(name.removeprefix(ONE_TO_ONE), table, owner)
    track_particle = np.where(fits, owner, -1)
    if name == "one_way":
        majority = valid[table.pair_track] & (2 * table.pair_shared > table.particle_size[table.pair_particle])
        finding = table.pair_particle[majority]
    else:
        finding = track_particle[fits]
    num_tracks_of = np.bincount(finding, minlength=num_objects).astype(np.int64)
    return Match(track_particle=track_particle, found=num_tracks_of > 0, num_tracks_of=num_tracks_of)


def _condition(style: str, table: Contingency, owner: IntArray) -> BoolArray:
    shared, size = table.owner_shared, table.track_size
    if style in ("purity50", "one_way"):
        return 2 * shared > size
    if style == "lhc75":
        return 4 * shared > 3 * size
    if style == "lhc75_inclusive":
        return 4 * shared >= 3 * size
    particle_size = np.append(table.particle_size, 0)[owner]  # row -1 reads the last entry; never a candidate
    if style == "double_majority":
        return (2 * shared > size) & (2 * shared > particle_size)
    return (shared == size) & (shared == particle_size)


def _greedy(table: Contingency, valid: BoolArray) -> BoolArray:
    """Return the tracks (C,) whose proposal is taken: per particle the largest overlap, then the smaller track."""
    proposing = np.flatnonzero(valid & (table.best >= 0))
    order = np.lexsort((proposing, table.track_size[proposing], -table.best_shared[proposing]))
    ranked = proposing[order]
    _, first = np.unique(table.best[ranked], return_index=True)
    taken = np.zeros(valid.size, dtype=np.bool_)
    taken[ranked[first]] = True
    return taken
