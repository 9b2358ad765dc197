"""What pruned tracksters count for: decisions on layer clusters, energies and whole configurations, by trackster.

A layer cluster is positive where it does not belong to its trackster; "pruned" is the decision. Every number is a sum
over layer clusters or tracksters, so it adds up over tracksters, events, ranks and processes.

Shape letters: N layer clusters, G tracksters. Energies in the unit that they come in.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

COUNT_DEFINITIONS: dict[str, str] = {
    "num_tracksters": "tracksters",
    "num_exact": "tracksters of which every layer cluster is decided rightly",
    "true_positive": "layer clusters pruned that should be",
    "false_positive": "layer clusters pruned that should be kept",
    "false_negative": "layer clusters kept that should be pruned",
    "true_negative": "layer clusters kept that should be",
    "energy_kept_right": "energy kept that should be",
    "energy_to_keep": "energy that should be kept",
    "energy_pruned_right": "energy pruned that should be",
    "energy_to_prune": "energy that should be pruned",
    "energy_kept": "energy kept",
    "energy": "energy before pruning",
}
CONFUSION: tuple[str, ...] = ("true_positive", "false_positive", "false_negative", "true_negative")
GROUPS: dict[str, str] = {
    "all": "all tracksters",
    "with_positive": "tracksters with at least one layer cluster to prune",
    "over_10_percent": "tracksters of which more than 10 % of the layer clusters are to prune",
}
"""Groups of tracksters by what there is to prune in them."""
Counts = dict[str, NDArray[np.int64] | NDArray[np.float64]]


class PruningRate(NamedTuple):
    """A quotient of counts: names to sum (one named twice counts twice), in words, of whole tracksters or not."""

    numerator: tuple[str, ...]
    denominator: tuple[str, ...]
    definition: str
    of_tracksters: bool = False


_TP, _FP, _FN, _TN = CONFUSION
PRUNING_RATES: dict[str, PruningRate] = {
    "precision": PruningRate((_TP,), (_TP, _FP), "layer clusters pruned that should be / pruned"),
    "recall": PruningRate((_TP,), (_TP, _FN), "layer clusters pruned that should be / that should be pruned"),
    "f1": PruningRate(
        (_TP, _TP),
        (_TP, _TP, _FP, _FN),
        "2 TP / (2 TP + FP + FN) over layer clusters of all tracksters together, positive = prune",
    ),
    "accuracy": PruningRate((_TP, _TN), CONFUSION, "layer clusters decided rightly / layer clusters"),
    "exact_match": PruningRate(
        ("num_exact",),
        ("num_tracksters",),
        "tracksters of which every layer cluster is decided rightly / tracksters",
        of_tracksters=True,
    ),
    "energy_retained": PruningRate(
        ("energy_kept_right",), ("energy_to_keep",), "energy kept that should be / energy that should be kept"
    ),
    "energy_pruned": PruningRate(
        ("energy_pruned_right",), ("energy_to_prune",), "energy pruned that should be / energy that should be pruned"
    ),
    "label_purity_before": PruningRate(
        ("energy_to_keep",), ("energy",), "energy of layer clusters that should be kept / energy of the tracksters"
    ),
    "label_purity_after": PruningRate(
        ("energy_kept_right",), ("energy_kept",), "energy kept that should be / energy kept"
    ),
}
"""Numerator and denominator of every rate, as names of :data:`COUNT_DEFINITIONS`."""
ENERGY_SUM_DEFINITION = "energy_retained + energy_pruned; 1 for whoever keeps all or prunes all, 2 is perfect"


def pruning_counts(
    *, trackster: ArrayLike, num_tracksters: int, to_prune: ArrayLike, pruned: ArrayLike, energy: ArrayLike
) -> Counts:
    """Count layer clusters, energies and whole tracksters, each as (G,) by trackster.

    Parameters
    ----------
    trackster : (N,) int
        Row of the trackster of each layer cluster.
    num_tracksters : int
    to_prune, pruned : (N,) bool
        Truth and decision.
    energy : (N,) float

    Raises
    ------
    DataError
        When the columns differ in length.

    Examples
    --------
    >>> counts = pruning_counts(
    ...     trackster=[0, 0, 1], num_tracksters=2, to_prune=[True, False, False], pruned=[True, True, False],
    ...     energy=[1.0, 2.0, 4.0])
    >>> counts["false_positive"].tolist(), counts["num_exact"].tolist(), counts["energy_kept_right"].tolist()
    ([1, 0], [0, 1], [0.0, 4.0])
    """
    row = np.asarray(trackster, dtype=np.int64)
    truth, decision = np.asarray(to_prune, dtype=np.bool_), np.asarray(pruned, dtype=np.bool_)
    weight = np.asarray(energy, dtype=np.float64)
    if not row.shape == truth.shape == decision.shape == weight.shape:
        raise DataError(
            f"pruning: {row.shape} rows of tracksters, {truth.shape} labels, {decision.shape} decisions and "
            f"{weight.shape} energies came; wanted one of each a layer cluster"
        )

    def number(mask: BoolArray) -> IntArray:
        return np.bincount(row[mask], minlength=num_tracksters)

    def sums(mask: BoolArray) -> FloatArray:
        return np.bincount(row[mask], weight[mask], minlength=num_tracksters).astype(np.float64)

    wrong = number(truth != decision)
    return {
        "num_tracksters": np.ones(num_tracksters, dtype=np.int64),
        "num_exact": (wrong == 0).astype(np.int64),
        "true_positive": number(truth & decision),
        "false_positive": number(~truth & decision),
        "false_negative": number(truth & ~decision),
        "true_negative": number(~truth & ~decision),
        "energy_kept_right": sums(~truth & ~decision),
        "energy_to_keep": sums(~truth),
        "energy_pruned_right": sums(truth & decision),
        "energy_to_prune": sums(truth),
        "energy_kept": sums(~decision),
        "energy": sums(np.ones(len(row), dtype=np.bool_)),
    }


def num_points(counts: Counts) -> IntArray:
    """Return (G,): layer clusters of each trackster."""
    return np.sum([counts[name] for name in CONFUSION], axis=0, dtype=np.int64)


def num_to_prune(counts: Counts) -> IntArray:
    """Return (G,): layer clusters to prune of each trackster."""
    return np.asarray(counts["true_positive"] + counts["false_negative"], dtype=np.int64)


def group_masks(counts: Counts) -> dict[str, BoolArray]:
    """Return name of the group -> (G,) bool, as :data:`GROUPS` defines them."""
    positive, size = num_to_prune(counts), num_points(counts)
    return {
        "all": np.ones(len(size), dtype=np.bool_),
        "with_positive": positive > 0,
        "over_10_percent": 10 * positive > size,
    }


def rate_parts(rate: PruningRate, counts: Counts) -> tuple[FloatArray, FloatArray]:
    """Return numerator and denominator of a rate by trackster, (G,) each."""

    def total(names: tuple[str, ...]) -> FloatArray:
        return np.asarray(np.sum([counts[name] for name in names], axis=0), dtype=np.float64)

    return total(rate.numerator), total(rate.denominator)
