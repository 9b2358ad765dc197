"""The numbers on top of a report, each with its interval, sample, cuts, matching and definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.metrics.definitions import MATCHES

MATCH = "double_majority"
RATES = (f"efficiency.{MATCH}", f"fake_per_track.{MATCH}", f"fake_per_fitted_track.{MATCH}")
"""The last only where tracks were fitted."""


def headline_of(metrics: Mapping[str, Any], *, preset: str, target: str) -> dict[str, Any]:
    """Return the headline block: efficiency and fakes per track by double majority, and what they were counted on."""
    choices = metrics["choices"]
    entries = metrics["presets"][preset][target]
    return {
        "sample": {
            "num_events": metrics["num_events"],
            "num_hits": sum(metrics["per_event"]["num_points"]),
            "hit_selection": choices["hit_selection"],
            "truth_selected_input": choices["truth_selected_input"],
            "data_fingerprint": metrics["data_fingerprint"],
        },
        "cuts": choices["presets"][preset]["targets"][target]["text"],
        "matching": {"name": MATCH, "definition": MATCHES[MATCH]},
        "rates": {key: entries[key] for key in RATES if key in entries},
    }
