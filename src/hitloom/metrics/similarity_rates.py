"""Predicted similarity of pairs of clusters against the true one, over the upper triangle without the diagonal.

Two clusters are adjacent where their similarity is above the threshold, strictly: the same rule as grouping has.
A similarity is compared as float32, as grouping compares it.

Shape letters: B events, P pairs of all events.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.counts import divide
from hitloom.metrics.hit_partition import Columns
from hitloom.metrics.truth import FloatArray

SIMILARITY_DEFINITIONS: dict[str, str] = {
    "mae": "mean over pairs of clusters of |predicted - true similarity|",
    "mse": "mean over pairs of clusters of (predicted - true similarity)^2",
    "acc": "pairs whose adjacency (similarity > threshold) is predicted rightly / pairs",
    "bal_acc": "mean of the shares of truly adjacent pairs and of truly separate pairs that are predicted rightly",
    "prec": "truly adjacent pairs / pairs predicted adjacent",
    "rec": "pairs predicted adjacent / truly adjacent pairs, of the truly adjacent ones",
    "f1": "2 TP / (2 TP + FP + FN) of adjacency",
}
"""Rates by the names of the text file ``metrics_test_sim.txt``."""


def similarity_counts(
    predicted: ArrayLike, target: ArrayLike, *, event: ArrayLike, num_events: int, threshold: float
) -> Columns:
    """Return sums over the pairs of each event, (B,) each.

    Parameters
    ----------
    predicted, target : (P,) float
        Similarity of each pair i < j, probabilities.
    event : (P,) int
    threshold : float
        Adjacent above it.

    Raises
    ------
    DataError
        When the columns differ in length or a value is not within 0 to 1.

    Examples
    --------
    >>> counts = similarity_counts([0.9, 0.5], [1.0, 0.0], event=[0, 0], num_events=1, threshold=0.5)
    >>> int(counts["true_positive"][0]), int(counts["true_negative"][0])
    (1, 1)
    """
    found, truth = (np.asarray(values, dtype=np.float32) for values in (predicted, target))
    row = np.asarray(event, dtype=np.int64)
    if not len(found) == len(truth) == len(row):
        raise DataError(
            f"similarities: {len(found)} predicted, {len(truth)} true and {len(row)} rows of events; equal "
            "numbers were wanted"
        )
    for name, values in (("predicted", found), ("true", truth)):
        if len(values) and not (values.min() >= 0 and values.max() <= 1 + 1e-6):
            raise DataError(f"similarities: {name} values within 0 to 1 were wanted")
    error = found.astype(np.float64) - truth
    positive, true = found > np.float32(threshold), truth > np.float32(threshold)

    def count(mask: np.ndarray) -> np.ndarray:
        return np.bincount(row[mask], minlength=num_events)

    return {
        "num_pairs": np.bincount(row, minlength=num_events),
        "absolute_error": np.bincount(row, np.abs(error), minlength=num_events),
        "squared_error": np.bincount(row, error**2, minlength=num_events),
        "true_positive": count(positive & true),
        "false_positive": count(positive & ~true),
        "false_negative": count(~positive & true),
        "true_negative": count(~positive & ~true),
    }


def similarity_rates(counts: Columns) -> dict[str, FloatArray]:
    """Return the rates of counts of any shape; sums over events give pooled rates. NaN where undefined."""
    tp, fp, fn, tn = (
        np.asarray(counts[name], dtype=np.float64)
        for name in ("true_positive", "false_positive", "false_negative", "true_negative")
    )
    pairs = np.asarray(counts["num_pairs"], dtype=np.float64)
    return {
        "mae": divide(counts["absolute_error"], pairs),
        "mse": divide(counts["squared_error"], pairs),
        "acc": divide(tp + tn, pairs),
        "bal_acc": (divide(tp, tp + fn) + divide(tn, tn + fp)) / 2,
        "prec": divide(tp, tp + fp),
        "rec": divide(tp, tp + fn),
        "f1": divide(2 * tp, 2 * tp + fp + fn),
    }
