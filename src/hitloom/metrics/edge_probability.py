"""Probabilities of edges: the threshold that serves best, how reliable they are, and their ROC, weighted by energy.

Shape letters: E edges, C thresholds, H bins, R points of a ROC.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.curves import plain
from hitloom.metrics.edge_energy import confusion, edge_rates
from hitloom.metrics.truth import FloatArray

THRESHOLD_STEP = 0.05
FALLBACK_THRESHOLD = 0.65
"""Threshold of the rule ``first_local`` where the F1 never falls."""
ThresholdRule = Literal["global", "first_local"]


class ThresholdScan(NamedTuple):
    """The chosen threshold, its F1, and every threshold with its rates (lists of C numbers)."""

    threshold: float
    f1: float
    curves: dict[str, list[Any]]


def threshold_scan(
    *,
    probability: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    rule: ThresholdRule = "global",
    step: float = THRESHOLD_STEP,
) -> ThresholdScan:
    """Choose the threshold with the best weighted F1 among ``step``, 2 ``step`` ... below 1.

    Parameters
    ----------
    probability, target, weight : (E,) float
        Weight None = 1 each. An edge is true where its target is above 0, merged where its probability is above the
        threshold.
    rule : {"global", "first_local"}
        ``global``: the highest F1, of equals the lowest threshold. ``first_local``: the first threshold after which the
        F1 falls, else 0.65.

    Raises
    ------
    ConfigError
        When the rule is unknown or the step is not within 0 to 1.

    Examples
    --------
    >>> threshold_scan(probability=[0.9, 0.7, 0.3], target=[1.0, 1.0, 0.0]).threshold
    0.3
    """
    if rule not in ("global", "first_local"):
        raise ConfigError(f"threshold rule '{rule}' is unknown; wanted global or first_local")
    if not 0 < step < 1:
        raise ConfigError(f"threshold step {step:g}: a number between 0 and 1 was wanted")
    score, true, weights = _columns(probability, target, weight)
    cuts = np.round(np.arange(step, 1.0 - 1e-9, step), 10)
    rows = [edge_rates(confusion(score > cut, true, weights)) for cut in cuts]
    f1 = np.nan_to_num([row["f1"] for row in rows], nan=0.0)
    chosen, value = float(cuts[np.argmax(f1)]), float(f1.max())
    if rule == "first_local":
        falls = np.flatnonzero(f1[1:] < f1[:-1])
        chosen = float(cuts[falls[0]]) if len(falls) else FALLBACK_THRESHOLD
        value = edge_rates(confusion(score > chosen, true, weights))["f1"]
    names = ("f1", "precision", "recall", "specificity", "accuracy", "merged_fraction")
    curves = {"threshold": plain(cuts)} | {name: plain([row[name] for row in rows]) for name in names}
    return ThresholdScan(chosen, value, curves)


def reliability(
    *, probability: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None, num_bins: int = 20
) -> dict[str, Any]:
    """Compare probabilities with what came true, in equal bins of probability.

    Returns
    -------
    dict
        Lists of H entries: ``low``, ``high``, ``num_edges``, ``weight`` and the weighted means ``mean_probability``,
        ``mean_target`` (soft label) and ``true_fraction``, None in empty bins; ``calibration_error``: the weighted mean
        of |mean probability - mean target| over bins, None without edges.
    """
    score, true, weights = _columns(probability, target, weight)
    place = np.minimum((score * num_bins).astype(np.int64), num_bins - 1)
    whole = np.bincount(place, weights, minlength=num_bins)

    def mean(values: FloatArray) -> FloatArray:
        sums = np.bincount(place, weights * values, minlength=num_bins)
        return np.divide(sums, whole, out=np.full(num_bins, np.nan), where=whole > 0)

    soft = np.asarray(target, dtype=np.float64)
    predicted, found = mean(score), mean(soft)
    gap = np.nan_to_num(np.abs(predicted - found))
    edges = np.linspace(0, 1, num_bins + 1)
    return {
        "low": plain(edges[:-1]),
        "high": plain(edges[1:]),
        "num_edges": plain(np.bincount(place, minlength=num_bins)),
        "weight": plain(whole),
        "mean_probability": plain(predicted),
        "mean_target": plain(found),
        "true_fraction": plain(mean(true.astype(np.float64))),
        "calibration_error": float((gap * whole).sum() / whole.sum()) if whole.sum() > 0 else None,
    }


def weighted_roc(
    *, probability: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None, num_points: int = 400
) -> dict[str, Any]:
    """Return the weighted ROC: ``auc``, and ``false_positive_rate``, ``true_positive_rate``, ``threshold`` (R,).

    Ties count half. The area is None and the lists are empty where a class has no weight.
    """
    score, true, weights = _columns(probability, target, weight)
    order = np.argsort(-score, kind="stable")
    score, true, weights = score[order], true[order], weights[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else np.zeros(0, np.int64)
    hits, false = np.cumsum(weights * true)[ends], np.cumsum(weights * ~true)[ends]
    if not len(ends) or hits[-1] <= 0 or false[-1] <= 0:
        return {"auc": None, "false_positive_rate": [], "true_positive_rate": [], "threshold": []}
    x, y = np.append(0.0, false / false[-1]), np.append(0.0, hits / hits[-1])
    at = np.append(score[0], score[ends])
    kept = np.searchsorted(x + y, np.linspace(0, 2, num_points)).clip(0, len(x) - 1)
    kept = np.unique(np.append(kept, [0, len(x) - 1]))
    return {
        "auc": float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2),
        "false_positive_rate": plain(x[kept]),
        "true_positive_rate": plain(y[kept]),
        "threshold": plain(at[kept]),
    }


def _columns(probability: ArrayLike, target: ArrayLike, weight: ArrayLike | None) -> tuple[FloatArray, Any, FloatArray]:
    score = np.asarray(probability, dtype=np.float64)
    true = np.asarray(target, dtype=np.float64) > 0
    weights = np.ones(len(score)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not score.shape == true.shape == weights.shape:
        raise DataError(f"edges: {score.shape} probabilities, {true.shape} targets, {weights.shape} weights came")
    return score, true, weights
