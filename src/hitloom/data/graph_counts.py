"""Sizes and labels of the candidate graphs in a store of tracksters. Shape letters: N points, E edges."""

from __future__ import annotations

from typing import Any

from hitloom.data.store import EventStore
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.data.trackster_truth import PAIR_CLASSES, pair_class

DEFINITIONS = {
    "nodes": "tracksters, all events",
    "mean_nodes": "tracksters per event",
    "max_nodes": "tracksters of the largest event",
    "edges": "candidate edges, all events",
    "mean_edges": "candidate edges per event",
    "positive_edges": "edges with a target above 0, all events",
    "mean_positive_edges": "edges with a target above 0, per event",
    "negative_edges": "edges with the target 0, all events",
    "mean_negative_edges": "edges with the target 0, per event",
    "positive_fraction": "edges with a target above 0, over all edges; 0 without edges",
    "events_without_edges": "events whose graph has no edge",
    "unmatched_nodes": "tracksters without a match, all events",
    "cross_edges": "edges between signal and pile-up",
    "signal_edges": "edges between two tracksters of signal",
    "pileup_edges": "edges between two tracksters of pile-up",
    "unmatched_edges": "edges with an unmatched end",
}


def graph_counts(store: EventStore) -> dict[str, Any]:
    """Return the counts of :data:`DEFINITIONS` and the definitions; empty when the store is not one of tracksters."""
    needed = ["pos", "edge_index", "edge_y", "object_index", "object_id"]
    if not set(needed) <= set(store.fields) or not set(NODE_FEATURES) <= set(store.feature_names):
        return {}
    fields = [*needed, *(["object_is_signal"] if "object_is_signal" in store.fields else [])]
    total = dict.fromkeys(("edges", "positive_edges", "events_without_edges", "unmatched_nodes"), 0)
    classes = [0] * len(PAIR_CLASSES)
    for row in range(len(store)):
        event = store.read(row, fields)
        number = int(event.edge_index.shape[1])
        total["edges"] += number
        total["positive_edges"] += int((event.edge_y > 0).sum())
        total["events_without_edges"] += number == 0
        total["unmatched_nodes"] += int((event.object_index < 0).sum())
        for kind, count in enumerate(pair_class(event).bincount(minlength=len(classes)).tolist()):
            classes[kind] += count
    events = max(len(store), 1)
    total["negative_edges"] = total["edges"] - total["positive_edges"]
    total["nodes"] = int(store.num_points.sum())
    record: dict[str, Any] = dict(total)
    record |= {f"mean_{name}": total[name] / events for name in ("nodes", "edges", "positive_edges", "negative_edges")}
    record["max_nodes"] = int(store.num_points.max(initial=0))
    record["positive_fraction"] = total["positive_edges"] / max(total["edges"], 1)
    record |= {f"{name}_edges": count for name, count in zip(PAIR_CLASSES, classes, strict=True)}
    return {name: record[name] for name in DEFINITIONS} | {"definitions": DEFINITIONS}
