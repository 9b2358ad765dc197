"""Deliberately good and bad answers, to test a scorer and to calibrate expectations. The generator is passed in.

Shape letter: N hits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.truth import IntArray, as_integers


def truth_labels(particle_id: ArrayLike, *, rng: np.random.Generator | None = None) -> IntArray:
    """Return the perfect partition (N,): one track per particle id (noise, id 0, is one of them), from 0.

    With a generator the track numbers are shuffled.
    """
    ids, track = np.unique(as_integers(particle_id, "particle_id"), return_inverse=True)
    numbers = np.arange(ids.size) if rng is None else rng.permutation(ids.size)
    return numbers[track].astype(np.int64)


def random_solution(num_hits: int, num_tracks: int, *, rng: np.random.Generator) -> IntArray:
    """Return random labels (N,) within 0 .. num_tracks - 1."""
    return rng.integers(0, num_tracks, size=num_hits, dtype=np.int64)


def drop_hits(particle_id: ArrayLike, probability: float, *, rng: np.random.Generator) -> IntArray:
    """Return the perfect partition where each hit, with this probability, becomes a track of its own."""
    _check(probability)
    labels = truth_labels(particle_id)
    dropped = np.flatnonzero(rng.random(labels.size) < probability)
    first_new = int(labels.max()) + 1 if labels.size else 0
    labels[dropped] = first_new + np.arange(dropped.size)
    return _renumber(labels, rng)


def shuffle_hits(particle_id: ArrayLike, probability: float, *, rng: np.random.Generator) -> IntArray:
    """Return the perfect partition where each hit, with this probability, goes to a uniformly drawn particle id.

    Noise and the hit's own particle can be drawn.
    """
    _check(probability)
    labels = truth_labels(particle_id)
    moved = rng.random(labels.size) < probability
    num_tracks = int(labels.max()) + 1 if labels.size else 1
    labels[moved] = rng.integers(0, num_tracks, size=int(moved.sum()), dtype=np.int64)
    return _renumber(labels, rng)


def _renumber(labels: IntArray, rng: np.random.Generator) -> IntArray:
    present, track = np.unique(labels, return_inverse=True)
    return rng.permutation(present.size)[track].astype(np.int64)


def _check(probability: float) -> None:
    if not 0 <= probability <= 1:
        raise DataError(f"probability: a value within 0 .. 1 was wanted, not {probability}")
