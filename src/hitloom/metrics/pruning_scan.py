"""Pruning at every threshold at once, and the area under the ROC from histograms that add up.

A layer cluster is pruned when its probability is above the threshold, strictly.

Shape letters: N layer clusters, G tracksters, C thresholds, B bins.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from hitloom.metrics.pruning_counts import Counts
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

LOGIT_LIMIT, NUM_LOGIT_BINS = 15.0, 300


def threshold_counts(
    *,
    probability: ArrayLike,
    cuts: ArrayLike,
    trackster: ArrayLike,
    num_tracksters: int,
    to_prune: ArrayLike,
    energy: ArrayLike,
) -> Counts:
    """Return the counts of :func:`~hitloom.metrics.pruning_counts.pruning_counts` summed over tracksters, (C,) each.

    Parameters
    ----------
    probability, trackster, to_prune, energy : (N,)
        Probability to prune; row of the trackster, truth and energy.
    cuts : (C,) float
        Rising thresholds.
    """
    score, limits = np.asarray(probability, dtype=np.float64), np.asarray(cuts, dtype=np.float64)
    row, truth = np.asarray(trackster, dtype=np.int64), np.asarray(to_prune, dtype=np.bool_)
    weight = np.asarray(energy, dtype=np.float64)
    place = np.searchsorted(limits, score, side="left")  # pruned at the first `place` thresholds

    def pruned(mask: BoolArray, values: FloatArray) -> FloatArray:
        sums = np.bincount(place[mask], values[mask], minlength=len(limits) + 1).astype(np.float64)
        return np.cumsum(sums[::-1])[::-1][1:]

    ones = np.ones(len(score))
    hit, false = pruned(truth, ones), pruned(~truth, ones)
    hit_energy, false_energy = pruned(truth, weight), pruned(~truth, weight)
    to_keep, to_go = weight[~truth].sum(), weight[truth].sum()
    return {
        "num_tracksters": np.full(len(limits), num_tracksters),
        "num_exact": _num_exact(place, row, num_tracksters, truth, len(limits)),
        "true_positive": hit.astype(np.int64),
        "false_positive": false.astype(np.int64),
        "false_negative": (truth.sum() - hit).astype(np.int64),
        "true_negative": ((~truth).sum() - false).astype(np.int64),
        "energy_kept_right": to_keep - false_energy,
        "energy_to_keep": np.full(len(limits), to_keep),
        "energy_pruned_right": hit_energy,
        "energy_to_prune": np.full(len(limits), to_go),
        "energy_kept": to_keep + to_go - hit_energy - false_energy,
        "energy": np.full(len(limits), to_keep + to_go),
    }


def _num_exact(place: IntArray, row: IntArray, num_tracksters: int, truth: BoolArray, num_cuts: int) -> IntArray:
    """Return (C,): tracksters that are right as a whole, from where nothing false is pruned to where a hit is lost."""
    first, end = np.zeros(num_tracksters, dtype=np.int64), np.full(num_tracksters, num_cuts)
    np.maximum.at(first, row[~truth], place[~truth])
    np.minimum.at(end, row[truth], place[truth])
    some = first < end
    steps = np.bincount(first[some], minlength=num_cuts + 1) - np.bincount(end[some], minlength=num_cuts + 1)
    return np.cumsum(steps)[:num_cuts]


def logit_histogram(logit: ArrayLike) -> IntArray:
    """Return (B,): layer clusters by their logit of pruning, in equal steps; the ends take what lies beyond.

    Examples
    --------
    >>> np.flatnonzero(logit_histogram([-np.inf, 0.05, 99.0])).tolist()
    [0, 150, 299]
    """
    step = 2 * LOGIT_LIMIT / NUM_LOGIT_BINS
    inside = np.nan_to_num(np.asarray(logit, dtype=np.float64)).clip(-LOGIT_LIMIT, LOGIT_LIMIT)
    place = np.floor((inside + LOGIT_LIMIT) / step).astype(np.int64).clip(0, NUM_LOGIT_BINS - 1)
    return np.bincount(place, minlength=NUM_LOGIT_BINS)


def auc_of_histograms(positive: Mapping[int, float], negative: Mapping[int, float]) -> float | None:
    """Return the area under the ROC from the entries of two histograms, bin -> number; None where a class is empty.

    Layer clusters in one bin count as ties, which count half.

    Examples
    --------
    >>> auc_of_histograms({3: 1, 5: 1}, {3: 1, 1: 1})
    0.875
    """
    columns = np.zeros((2, NUM_LOGIT_BINS))
    for line, entries in zip(columns, (positive, negative), strict=True):
        line[list(entries)] = list(entries.values())
    hits, false = columns
    if not hits.sum() or not false.sum():
        return None
    below = np.cumsum(false) - false
    return float((hits * (below + false / 2)).sum() / (hits.sum() * false.sum()))
