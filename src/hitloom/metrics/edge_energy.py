"""Edges weighted by energy: confusion by class of pair, rates, bins of energy, reliability, ROC.

An edge is merged when its probability is above the threshold, strictly, and true when its target is above 0. Its weight
is the larger raw energy of its two ends in GeV, as it is. Classes of pairs: cross (signal with pile-up), signal,
pile-up, and unmatched, where an end has no match. Everything is computed from the pooled edges of all events, so that
sums over events, bins and classes agree.

Shape letters: E edges, B events, H bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.associations import sums_by
from hitloom.metrics.edge_curves import MAX_EDGES
from hitloom.metrics.intervals import percentile_interval, resampling_weights
from hitloom.metrics.summary import bootstrap_text, number, pair
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

PAIR_CLASSES: tuple[str, ...] = ("cross", "signal", "pileup", "unmatched")
"""Names of the classes 0 to 3."""
ENERGY_EDGES: tuple[float, ...] = (5.0, 10.0, 20.0, 50.0, 100.0, 300.0)
"""Inner edges of the bins of the larger raw energy; the first bin starts at the smallest, the last ends at the largest
value, both inclusive. An edge of a bin belongs to the bin above it."""
CONFUSION_NAMES: tuple[str, ...] = ("true_positive", "false_positive", "false_negative", "true_negative")
EDGE_ENERGY_DEFINITIONS: dict[str, str] = {
    "merged_fraction": "(TP + FP) / all",
    "true_fraction": "(TP + FN) / all",
    "accuracy": "(TP + TN) / all",
    "balanced_accuracy": "(recall + specificity) / 2",
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
    "specificity": "TN / (TN + FP)",
    "negative_predictive_value": "TN / (TN + FN)",
    "f1": "2 TP / (2 TP + FP + FN)",
    "lr_plus": "recall / (1 - specificity)",
    "lr_minus": "(1 - recall) / specificity",
}


def confusion(merged: ArrayLike, true: ArrayLike, weight: ArrayLike | None = None) -> dict[str, float]:
    """Return the sums of weights (None = 1 each) of :data:`CONFUSION_NAMES`, all (E,).

    Examples
    --------
    >>> confusion([True, True, False], [True, False, True], [5.0, 2.0, 1.0])
    {'true_positive': 5.0, 'false_positive': 2.0, 'false_negative': 1.0, 'true_negative': 0.0}
    """
    yes, truth = np.asarray(merged, dtype=np.bool_), np.asarray(true, dtype=np.bool_)
    weights = np.ones(len(yes)) if weight is None else np.asarray(weight, dtype=np.float64)
    sums = np.bincount(2 * (~truth).astype(np.int64) + (~yes).astype(np.int64), weights, minlength=4)
    positive, missed, false, rejected = (float(value) for value in sums)
    return dict(zip(CONFUSION_NAMES, (positive, false, missed, rejected), strict=True))


def edge_rates(counts: Mapping[str, float]) -> dict[str, float]:
    """Return the rates of :data:`EDGE_ENERGY_DEFINITIONS` from (summed) confusion; 0/0 is NaN, x/0 infinity.

    Examples
    --------
    >>> found = edge_rates({"true_positive": 6, "false_positive": 2, "false_negative": 2, "true_negative": 6})
    >>> found["accuracy"], found["f1"], found["lr_plus"]
    (0.75, 0.75, 3.0)
    """
    tp, fp, fn, tn = (counts[name] for name in CONFUSION_NAMES)
    recall, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return {
        "merged_fraction": _ratio(tp + fp, tp + fp + fn + tn),
        "true_fraction": _ratio(tp + fn, tp + fp + fn + tn),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
        "balanced_accuracy": (recall + specificity) / 2,
        "precision": _ratio(tp, tp + fp),
        "recall": recall,
        "specificity": specificity,
        "negative_predictive_value": _ratio(tn, tn + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "lr_plus": _ratio(recall, 1 - specificity),
        "lr_minus": _ratio(1 - recall, specificity),
    }


def energy_bin(weight: ArrayLike) -> IntArray:
    """Return the bin of energy (E,), 0 to 6, by the inner edges :data:`ENERGY_EDGES`."""
    return np.searchsorted(np.array(ENERGY_EDGES), np.asarray(weight), side="right").astype(np.int64)


def joined(edge_index: ArrayLike, labels: ArrayLike) -> BoolArray:
    """Return (E,): whether both ends of each edge (2, E) have one label (N,); label -1 joins nothing.

    This is the decision of a linking that gives labels instead of scores.
    """
    edges, found = np.asarray(edge_index), np.asarray(labels)
    return (found[edges[0]] == found[edges[1]]) & (found[edges[0]] >= 0)


class EdgeEnergy:
    """Pools the edges of many events.

    Parameters
    ----------
    threshold : float
        Probability above which an edge is merged, for every table; the scan does not use it.
    num_resamples, seed : int
        Of the bootstrap over events.
    max_edges : int
        Events beyond this many edges are left out; ``num_events`` says how many came in.
    """

    def __init__(
        self, *, threshold: float = 0.5, num_resamples: int = 500, seed: int = 1, max_edges: int = MAX_EDGES
    ) -> None:
        self.threshold = threshold
        self._num_resamples, self._seed, self._max_edges = num_resamples, seed, max_edges
        self._parts: list[tuple[Any, ...]] = []
        self.num_edges = 0

    @property
    def num_events(self) -> int:
        return len(self._parts)

    def add(
        self,
        *,
        probability: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike,
        pair_class: ArrayLike | None = None,
    ) -> bool:
        """Add the edges of an event; return False when there is no room for them.

        Parameters
        ----------
        probability, target, weight : (E,) float
            Probability (or 0 / 1 for decisions), soft label, larger raw energy of the two ends.
        pair_class : (E,) int or None
            0 cross, 1 signal, 2 pile-up, 3 unmatched; None = all signal.

        Raises
        ------
        DataError
            When the lengths differ, or a probability is not within 0 to 1.
        """
        arrays = [_floats(values) for values in (probability, target, weight)]
        kind = np.ones(len(arrays[0]), np.int8) if pair_class is None else _floats(pair_class).astype(np.int8)
        shapes = [kind.shape, *(values.shape for values in arrays)]
        if len(set(shapes)) > 1:
            raise DataError(
                f"edge metrics: class, probability, target and weight of one length were wanted, not {shapes}"
            )
        outside = ~((arrays[0] >= 0) & (arrays[0] <= 1))
        if outside.any():
            raise DataError(
                f"edge metrics: probability of edge {int(np.argmax(outside))} is {arrays[0][outside][0]}; wanted 0 to 1"
            )
        if self.num_edges + len(kind) > self._max_edges:
            return False
        self.num_edges += len(kind)
        self._parts.append((*arrays, kind))
        return True

    def pooled(self) -> dict[str, Any]:
        """Return ``probability``, ``target``, ``weight`` (E,) float64, ``pair_class`` (E,) and ``event`` (E,) int."""
        names = ("probability", "target", "weight", "pair_class")
        result = {
            name: np.concatenate([part[k] for part in self._parts]) if self._parts else np.zeros(0)
            for k, name in enumerate(names)
        }
        result["event"] = np.repeat(np.arange(self.num_events), [len(part[0]) for part in self._parts])
        return result

    def result(self, threshold: float | None = None) -> dict[str, Any]:
        """Return the tables at a threshold (None = the own one), ready for JSON.

        ``classes``: class or "all" -> ``weighted`` and ``plain`` -> confusion and rates; ``f1_interval`` of all by
        bootstrap over events; ``energy_bins``: the same for each bin of energy.
        """
        cut = self.threshold if threshold is None else threshold
        edges = self.pooled()
        classes = {"all": np.ones(self.num_edges, dtype=np.bool_)}
        classes |= {name: edges["pair_class"] == k for k, name in enumerate(PAIR_CLASSES)}
        bins = energy_bin(edges["weight"])
        ends = self._bin_ends(edges["weight"])
        interval, kind = self._f1_interval(edges, cut)
        return {
            "threshold": float(cut),
            "num_edges": self.num_edges,
            "num_events": self.num_events,
            "definitions": EDGE_ENERGY_DEFINITIONS,
            "classes": {name: _table(edges, rows, cut) for name, rows in classes.items()},
            "f1_interval": interval,
            "f1_interval_kind": kind,
            "energy_bins": [
                {"low": low, "high": high, **_table(edges, bins == k, cut)}
                for k, (low, high) in enumerate(pairwise(ends))
            ],
        }

    def _bin_ends(self, weight: FloatArray) -> list[float | None]:
        low = float(min(weight.min(), ENERGY_EDGES[0])) if len(weight) else None
        high = float(max(weight.max(), ENERGY_EDGES[-1])) if len(weight) else None
        return [low, *ENERGY_EDGES, high]

    def _f1_interval(self, edges: dict[str, Any], cut: float) -> tuple[Any, str | None]:
        """Return the bootstrap interval of the energy-weighted F1 over events."""
        if self.num_events < 2:
            return None, None
        merged, true = edges["probability"] > cut, edges["target"] > 0

        def sums(rows: BoolArray) -> FloatArray:
            return sums_by(edges["event"], edges["weight"] * rows, self.num_events)

        weights = resampling_weights(self.num_events, num_resamples=self._num_resamples, seed=self._seed)
        top = weights @ (2 * sums(merged & true))
        bottom = top + weights @ sums(merged != true)
        samples = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
        return pair(*percentile_interval(samples)), bootstrap_text(self.num_events, self._num_resamples, self._seed)


def _table(edges: dict[str, Any], rows: BoolArray, cut: float) -> dict[str, Any]:
    merged, true = edges["probability"][rows] > cut, edges["target"][rows] > 0
    result: dict[str, Any] = {"num_edges": int(rows.sum())}
    for name, weight in (("weighted", edges["weight"][rows]), ("plain", None)):
        counts = confusion(merged, true, weight)
        result[name] = counts | {rate: number(value) for rate, value in edge_rates(counts).items()}
    return result


def _ratio(top: float, bottom: float) -> float:
    if bottom == 0:
        return float("nan") if top == 0 or top != top else float("inf")
    return top / bottom


def _floats(values: Any) -> FloatArray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
