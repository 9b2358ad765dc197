"""The numbers on top of a report of tracksters, each with what it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hitloom.report.tracksters.compare import EDGE_F1, JOINED_F1, LOST

RATES = ("efficiency", "purity", "split", "merge", "fake", "duplicate")
OVERLAP_GROUPS = "objects"
"""True groups of the lost energy on top: the objects themselves, else (without shares) the groups of one match."""


def headline_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline block: official rates and lost energy of signal, and F1 of the edges."""
    truth = metrics["truth"]
    return {
        "sample": {"num_events": metrics["num_events"], "num_tracksters": sum(metrics["per_event"]["num_points"])},
        "truth": truth,
        "truth_meaning": metrics["choices"]["truths"][truth],
        "objects": metrics["choices"]["objects"],
        "rates": dict(rates_of(metrics, "signal")),
        "lost_energy": lost_energy(metrics, "signal"),
        "edge_f1": edge_f1(metrics),
        "joined_edge_f1": edge_f1(metrics, "joined_edges"),
    }


def rates_of(metrics: Mapping[str, Any], kind: str, truth: str | None = None) -> Iterator[tuple[str, Any]]:
    """Yield rate -> entry of a class; nothing where there are no rates."""
    entries = metrics["rates"].get(truth or metrics["truth"], {}).get(kind, {})
    yield from ((rate, entries[rate]) for rate in RATES if rate in entries)


def groups_of(metrics: Mapping[str, Any], truth: str | None = None) -> str:
    """Return the true groups of the headline that these events allow."""
    return OVERLAP_GROUPS if OVERLAP_GROUPS in metrics["overlap"][truth or metrics["truth"]] else "matches"


def lost_energy(metrics: Mapping[str, Any], kind: str, truth: str | None = None) -> dict[str, Any]:
    """Return missing and foreign energy over the energy of the true groups of a class."""
    groups = groups_of(metrics, truth)
    sums = metrics["overlap"][truth or metrics["truth"]][groups][kind]
    return {
        "value": sums["lost_fraction"],
        "missing": sums["missing_fraction"],
        "foreign": sums["foreign_fraction"],
        "energy": sums["energy"],
        "groups": groups,
        "definition": LOST,
    }


def edge_f1(metrics: Mapping[str, Any], which: str = "decided_edges") -> dict[str, Any] | None:
    """Return the energy-weighted F1 of the decisions on edges, or of the ``joined_edges``; None without scores."""
    found = metrics[which]
    if found is None:
        return None
    return {
        "value": found["classes"]["all"]["weighted"]["f1"],
        "interval": found["f1_interval"],
        "interval_kind": found["f1_interval_kind"],
        "definition": EDGE_F1 if which == "decided_edges" else JOINED_F1,
    }
