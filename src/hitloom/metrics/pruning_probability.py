"""What the probabilities to prune are worth: ROC, precision against recall, likelihood, reliability.

Everything is made from logits, so probabilities that are 0 or 1 to a float's precision still have an order.

Shape letters: N layer clusters, G tracksters, R resamples, B units, H bins of the logit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.metrics.counts import divide
from hitloom.metrics.curves import plain
from hitloom.metrics.edge_probability import reliability, weighted_roc
from hitloom.metrics.intervals import percentile_interval
from hitloom.metrics.pruning_rates import LOG_LIMIT, Resamples
from hitloom.metrics.summary import number, pair
from hitloom.metrics.truth import BoolArray, FloatArray

PROBABILITY_DEFINITIONS: dict[str, str] = {
    "auc": "area under the ROC of layer clusters by P(prune), positive = to prune; ties count half",
    "average_precision": "sum over recall steps of precision at that step, by falling P(prune)",
    "calibration_error": "mean over layer clusters of |mean P(prune) - share to prune| in 20 equal bins of P(prune)",
}
_NUM_BINS = 1024  # of the logit, for intervals; values are exact


def probability_of(logit: ArrayLike) -> FloatArray:
    """Return 1 / (1 + exp(-logit)) without overflow."""
    values = np.asarray(logit, dtype=np.float64)
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))


def log_likelihood(logit: ArrayLike, to_prune: ArrayLike) -> FloatArray:
    """Return (N,): ln P of the truth of each layer cluster, at least ln of 1e-12.

    Examples
    --------
    >>> log_likelihood([0.0, 800.0], [True, False]).round(3).tolist()
    [-0.693, -27.631]
    """
    right = np.where(np.asarray(to_prune, dtype=np.bool_), 1, -1) * np.asarray(logit, dtype=np.float64)
    return np.maximum(-np.logaddexp(0, -right), np.log(LOG_LIMIT))


def average_precision(logit: ArrayLike, to_prune: ArrayLike) -> float | None:
    """Return the average precision, None where no layer cluster is to prune; of ties all count at once.

    Examples
    --------
    >>> average_precision([2.0, 1.0, 0.0], [True, False, True])
    0.8333333333333333
    """
    precision, recall, _ = precision_recall(logit, to_prune)
    return float((precision * np.diff(recall, prepend=0.0)).sum()) if len(recall) else None


def precision_recall(logit: ArrayLike, to_prune: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return precision, recall and logit at every different logit, falling; empty where nothing is to prune."""
    score, truth = np.asarray(logit, dtype=np.float64), np.asarray(to_prune, dtype=np.bool_)
    if not truth.any():
        return np.zeros(0), np.zeros(0), np.zeros(0)
    order = np.argsort(-score, kind="stable")
    score, truth = score[order], truth[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    hits = np.cumsum(truth)[ends]
    return hits / (ends + 1), hits / hits[-1], score[ends]


def probability_block(
    *, logit: ArrayLike, to_prune: ArrayLike, trackster: ArrayLike, resamples: Resamples | None, num_points: int = 300
) -> dict[str, Any]:
    """Return ``auc`` and ``average_precision`` with intervals, ``roc``, ``precision_recall`` and ``reliability``.

    Values that need both classes are None, and curves empty, where one is missing.

    Parameters
    ----------
    logit, to_prune, trackster : (N,)
        Logit to prune, truth, row of the trackster.
    num_points : int
        Points of each curve, about.
    """
    score, truth = np.asarray(logit, dtype=np.float64), np.asarray(to_prune, dtype=np.bool_)
    roc = weighted_roc(probability=score, target=truth, num_points=num_points)
    precision, recall, at = precision_recall(score, truth)
    kept = np.unique(np.searchsorted(recall, np.linspace(0, 1, num_points)).clip(0, max(0, len(recall) - 1)))
    kept = kept[kept < len(recall)]
    values = {"auc": roc["auc"], "average_precision": average_precision(score, truth)}
    samples = _samples(score, truth, np.asarray(trackster, dtype=np.int64), resamples) if truth.any() else {}
    entries: dict[str, Any] = {}
    for name, value in values.items():
        interval = pair(*percentile_interval(samples[name])) if value is not None and name in samples else None
        kind = resamples.text if interval and resamples is not None else None
        entries[name] = {
            "value": value,
            "interval": interval,
            "interval_kind": kind,
            "definition": PROBABILITY_DEFINITIONS[name],
        }
    found = reliability(probability=probability_of(score), target=truth)
    return {
        **entries,
        "roc": {
            "auc": roc["auc"],
            "false_positive_rate": roc["false_positive_rate"],
            "true_positive_rate": roc["true_positive_rate"],
        },
        "precision_recall": {
            "precision": plain(precision[kept]),
            "recall": plain(recall[kept]),
            "threshold": plain(probability_of(at[kept])),
        },
        "reliability": {name: found[name] for name in ("low", "high", "mean_probability", "true_fraction")}
        | {"num_layer_clusters": found["num_edges"]},
        "calibration_error": {
            "value": number(found["calibration_error"]) if found["calibration_error"] is not None else None,
            "interval": None,
            "interval_kind": None,
            "definition": PROBABILITY_DEFINITIONS["calibration_error"],
        },
    }


def _samples(score: FloatArray, truth: BoolArray, trackster: Any, resamples: Resamples | None) -> dict[str, FloatArray]:
    """Return both areas in each resample (R,), from fine bins of the logit between logits of what is to prune."""
    if resamples is None:
        return {}
    from scipy.sparse import csr_matrix

    edges = np.unique(np.quantile(score[truth], np.linspace(0, 1, _NUM_BINS), method="nearest"))
    low, high = np.searchsorted(edges, score, side="left"), np.searchsorted(edges, score, side="right")
    place = low + high  # an edge has a bin of its own, even numbers lie between edges
    shape = (2 * len(edges) + 1, resamples.weights.shape[1])
    tables = []
    for mask in (truth, ~truth):
        entries = (np.ones(int(mask.sum())), (place[mask], resamples.unit[trackster[mask]]))
        tables.append((csr_matrix(entries, shape=shape) @ resamples.weights.T)[::-1])  # (H, R), highest first
    hits, false = tables
    found, wrong = np.cumsum(hits, axis=0), np.cumsum(false, axis=0)
    lost = (hits * (wrong - false / 2)).sum(0)  # pairs in which the false one stands above; ties count half
    precision = np.divide(found, found + wrong, out=np.zeros_like(found), where=found + wrong > 0)
    average = divide((precision * hits).sum(0), found[-1])
    return {"auc": 1 - divide(lost, found[-1] * wrong[-1]), "average_precision": average}
