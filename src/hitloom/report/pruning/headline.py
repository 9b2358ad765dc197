"""The numbers on top of a report of pruning, each with what it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RATES = ("f1", "energy_sum", "exact_match", "energy_retained", "energy_pruned")
SIDES_OF_F1 = ("precision", "recall")
PURITIES = ("purity_before", "purity_after", "completeness_before", "completeness_after")
LABEL_PURITIES = ("label_purity_before", "label_purity_after")
SHORT = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
    "energy_retained": "energy retained",
    "energy_pruned": "energy pruned",
    "energy_sum": "retained + pruned",
    "exact_match": "exact match",
    "purity_before": "purity before",
    "purity_after": "purity after",
    "completeness_before": "completeness before",
    "completeness_after": "completeness after",
    "label_purity_before": "purity before (labels)",
    "label_purity_after": "purity after (labels)",
    "log_likelihood": "ln P(truth)",
    "auc": "ROC-AUC",
    "average_precision": "average precision",
    "calibration_error": "calibration error",
}
"""How tables call a rate."""


def headline_rates(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the rates of the headline that these events allow: purity by particles, else by labels."""
    purities = PURITIES if PURITIES[0] in metrics["rates"]["all"] else LABEL_PURITIES
    return (*RATES, *purities, *SIDES_OF_F1)


def headline_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline block: rates over all tracksters, sample, cuts, matching, decisions and intervals."""
    counts, choices = metrics["per_event"]["counts"], metrics["choices"]
    positive = sum(counts["true_positive"]) + sum(counts["false_negative"])
    size = metrics["per_event"]["num_points"]
    with_positive = sum(
        hit + lost > 0 for hit, lost in zip(counts["true_positive"], counts["false_negative"], strict=True)
    )
    probability = metrics["probability"] or {}
    return {
        "sample": {
            "num_events": metrics["num_events"],
            "num_tracksters": metrics["num_events"],
            "num_layer_clusters": sum(size),
            "num_units": len(set(metrics["per_event"]["unit"])),
            "share_to_prune": positive / max(1, sum(size)),
            "share_without_positive": 1 - with_positive / max(1, metrics["num_events"]),
            "source": choices["source"] + (", shapes of showers are toy" if choices["is_toy"] else ""),
        },
        "cuts": choices["cuts"],
        "matching": choices["labels"],
        "decisions": choices["decisions"],
        "interval": choices["interval"] + "; exact match: Clopper-Pearson, 68 %",
        "rates": {name: metrics["rates"]["all"][name] for name in headline_rates(metrics)},
        "probability": {name: probability[name] for name in ("auc", "average_precision") if name in probability},
    }
