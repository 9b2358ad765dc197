"""The numbers on top of a report of shower growing, each with what it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RATES = ("ari", "purity", "completeness", "group_purity", "particle_completeness")
MAIN_RATES = RATES[:3]
SHORT = {
    "ari": "ARI",
    "purity": "purity",
    "completeness": "completeness",
    "group_purity": "purity, by group",
    "particle_completeness": "completeness, by particle",
    "mae": "MAE",
    "mse": "MSE",
    "acc": "accuracy",
    "bal_acc": "balanced accuracy",
    "prec": "precision",
    "rec": "recall",
    "f1": "F1",
    "energy_completeness": "completeness in energy",
    "majority": "majority of its group",
    "kept_whole": "kept whole",
    "split": "split",
    "swallowed": "swallowed",
    "pieces": "pieces per particle",
    "mixed": "mixed groups",
}
"""How tables call a number."""


def headline_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline block: rates over all views, showers alone, sample, cuts and intervals."""
    choices = metrics["choices"]
    return {
        "sample": {
            "num_events": metrics["num_events"],
            "num_slices": metrics["num_slices"],
            "num_clusters": sum(metrics["per_event"]["num_points"]),
            "num_hits": sum(metrics["per_event"]["num_hits"]),
            "source": choices["source"],
            "detector": choices["detector"],
        },
        "cuts": choices["cuts"],
        "hits": choices["hits"],
        "threshold": choices["threshold"],
        "interval": choices["interval"],
        "rates": metrics["partitions"]["all"]["all"],
        "showers": metrics["partitions"]["shower"]["all"],
        "merging": metrics["merging"]["all"]["shares"],
    }


def gain_of(metrics: Mapping[str, Any], rate: str = "ari") -> float | None:
    """Return how far a result went from ``none`` (0) to ``target`` (1); None where one of them is missing."""
    ends = [metrics.get("baselines", {}).get(name) for name in ("none", "target")]
    values = [item["partitions"]["all"]["all"][rate]["value"] for item in (*ends, metrics) if item is not None]
    if len(values) < 3 or None in values or values[1] == values[0]:
        return None
    return float((values[2] - values[0]) / (values[1] - values[0]))
