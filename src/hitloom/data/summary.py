"""What a store holds, as plain numbers with their definitions beside them. Shape letters: N points, K objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hitloom.data.graph_counts import graph_counts
from hitloom.data.pruning_statistics import pruning_statistics
from hitloom.data.shower_statistics import shower_statistics
from hitloom.data.splits import SPLITS
from hitloom.data.store import EventStore
from hitloom.event import FIELDS, Event

DEFINITIONS = {
    "events": "events in the store",
    "points": "points, all events",
    "noise_points": "points of no object, all events",
    "objects": "objects listed, with or without points, all events",
    "objects_with_points": "objects with at least 1 point",
    "objects_with_3_points": "objects with at least 3 points",
    "objects_pt_above_1": "objects with generated pt > 1 GeV, with or without points",
}
_COUNTS_FROM = {
    "links": "object_index: the points linked to each object",
    "table": "object_num_points: the counts listed with the objects (the points have no links); noise = points - sum",
    "none": "the store has no true objects",
}
_NEEDED = ("object_index", "object_num_points", "object_pt")


def event_counts(event: Event) -> dict[str, int]:
    """Return the counts of one event that has ``object_id``, by the names of :data:`DEFINITIONS`."""
    if event.has_truth:
        index = event.object_index
        counted = torch.bincount(index[index >= 0], minlength=event.num_objects)
        noise = int((index < 0).sum())
    else:
        counted = event.object_num_points
        noise = event.num_points - int(counted.sum())
    return {
        "noise_points": noise,
        "objects_with_points": int((counted > 0).sum()),
        "objects_with_3_points": int((counted >= 3).sum()),
        "objects_pt_above_1": int((event.object_pt > 1).sum()) if "object_pt" in event else 0,
    }


def summarise(store: EventStore) -> dict[str, Any]:
    """Return counts, sizes, fields with units, features, provenance and splits of a store, ready for JSON.

    A count that the store cannot tell is None; ``counts_from`` says what the counts of objects are made from.
    """
    sizes = store.num_points
    record: dict[str, Any] = {
        "store": str(store.path),
        "events": len(store),
        "points": int(sizes.sum()),
        "noise_points": None,
        "objects": None,
        "objects_with_points": None,
        "objects_with_3_points": None,
        "objects_pt_above_1": None,
    }
    source = "none"
    if "object_id" in store.fields:
        record["objects"] = int(store.num_objects.sum())
        linked = "object_index" in store.fields
        source = "links" if linked else "table" if "object_num_points" in store.fields else "none"
        if source != "none":
            record |= _count(store, linked)
    if "object_pt" not in store.fields:
        record["objects_pt_above_1"] = None
    record["counts_from"] = _COUNTS_FROM[source]
    record["points_per_event"] = {
        "min": int(sizes.min()),
        "median": float(np.median(sizes)),
        "max": int(sizes.max()),
    }
    record["features"] = store.feature_names
    record["fields"] = {
        name: {
            "shape": ",".join(str(part) for part in FIELDS[name].shape),
            "dtype": str(FIELDS[name].dtype).removeprefix("torch."),
            "unit": FIELDS[name].unit,
            "meaning": FIELDS[name].meaning,
        }
        for name in store.fields
    }
    graphs = graph_counts(store)
    if graphs:
        record["graphs"] = graphs
    pruning = pruning_statistics(store)
    if pruning:
        record["pruning"] = pruning
    showers = shower_statistics(store)
    if showers:
        record["showers"] = showers
    recorded = store.recorded_split()
    record["splits"] = {
        "rule": {key: value for key, value in recorded.items() if key != "lists"} or "default: 0.8, 0.1, 0.1, seed 0",
        **{name: len(store.indices(name)) for name in SPLITS},
    }
    record["provenance"] = store.provenance
    record["fingerprint"] = store.fingerprint()
    record["definitions"] = DEFINITIONS
    return record


def _count(store: EventStore, linked: bool) -> dict[str, int]:
    fields = [name for name in _NEEDED if name in store.fields and (linked or name != "object_index")]
    total: dict[str, int] = {}
    for index in range(len(store)):
        for name, value in event_counts(store.read(index, ["pos", "object_id", *fields])).items():
            total[name] = total.get(name, 0) + value
    return total
