"""Sizes and purity of 2D clusters, view by view: what a sample of wire views is like before anything is grouped.

N clusters, B views.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hitloom.data.shower_ceilings import perfect_result, target_result
from hitloom.data.shower_layout import CLUSTER_FEATURES, VIEWS, view_code
from hitloom.data.store import EventStore
from hitloom.event import Event
from hitloom.metrics.hit_partition import hit_table, partition_counts, partition_rates

SIZE_DEFINITIONS = {
    "views": "wire views, one event each",
    "empty": "views without clusters",
    "median_clusters": "median of the 2D clusters per view",
    "max_clusters": "2D clusters of the largest view",
    "median_hits": "median of the hits per view",
    "max_hits": "hits of the largest view",
    "small_fraction": "clusters of at most 2 hits, over the clusters of the view; mean over views",
}
TRUTH_DEFINITIONS = {
    "hits_without_truth": "hits of no particle, over all hits",
    "particles": "particles with a hit in the view; mean over views",
    "purity": "hits of the particle that has most of their cluster, over the hits with truth; mean over views",
    "completeness": "hits in the cluster that holds most of their particle, over the hits with truth; mean over views",
    "ari": "adjusted Rand index of clusters and particles, counted in hits; mean over views",
}
_FIELDS = ("x", "layer", "part_point_index")
_TRUTH = ("object_id", "share_index", "share_fraction")


def shower_statistics(store: EventStore) -> dict[str, Any]:
    """Return the numbers of the definitions for each view, and these; empty when the store holds no wire views."""
    if tuple(store.feature_names) != CLUSTER_FEATURES or "part_point_index" not in store.fields:
        return {}
    fields = [*_FIELDS, *(name for name in _TRUTH if name in store.fields)]
    found = statistics_of_views(store.read(row, fields) for row in range(len(store)))
    with_truth = set(_TRUTH) <= set(store.fields)
    return found | {"definitions": SIZE_DEFINITIONS | (TRUTH_DEFINITIONS if with_truth else {})}


def statistics_of_views(events: Iterable[Event]) -> dict[str, dict[str, float]]:
    """Return the numbers of each view (``U``, ``V``, ``W``) that has an event."""
    rows: dict[int, list[dict[str, float]]] = {}
    for event in events:
        rows.setdefault(view_code(event), []).append(_view_numbers(event))
    return {VIEWS[view]: _summary(rows[view]) for view in sorted(rows)}


def ceiling_rates(
    events: Iterable[Event], *, threshold: float = 0.6, min_clusters: int = 10, max_clusters: int = 400
) -> dict[str, dict[str, float]]:
    """Return mean ARI, purity and completeness of four groupings that need no network.

    ``initial``: no merging; ``target``: accessory clustering on the true similarity; ``perfect``: every cluster with
    its majority particle; ``one``: everything together. Views with fewer or more clusters are left out.
    """
    rates: dict[str, dict[str, list[float]]] = {}
    for event in events:
        if not min_clusters <= event.num_points <= max_clusters:
            continue
        groups = {
            "initial": torch.arange(event.num_points),
            "target": target_result(event, threshold=threshold).labels,
            "perfect": perfect_result(event).labels,
            "one": torch.zeros(event.num_points, dtype=torch.int64),
        }
        for name, labels in groups.items():
            for rate, value in group_rates(event, labels).items():
                rates.setdefault(name, {}).setdefault(rate, []).append(value)
    return {
        name: {rate: float(np.nanmean(values)) for rate, values in columns.items()} for name, columns in rates.items()
    }


def group_rates(event: Event, labels: Tensor) -> dict[str, float]:
    """Return ARI, purity and completeness of groups of clusters, labels (N,), counted in hits with truth."""
    cluster, particle = event.share_index
    num_hits = (event.share_fraction * event.x[cluster, 0]).round().long()
    table = hit_table(
        event=torch.zeros_like(cluster), group=labels[cluster], particle=particle, num_hits=num_hits, num_events=1
    )
    rates = partition_rates(partition_counts(table))
    return {name: float(rates[name][0]) for name in ("ari", "purity", "completeness")}


def _view_numbers(event: Event) -> dict[str, float]:
    num_hits = event.x[:, 0]
    numbers = {
        "clusters": float(len(num_hits)),
        "hits": float(len(event.part_point_index)),
        "small": float((num_hits <= 2).float().mean()) if len(num_hits) else np.nan,
    }
    if "share_index" in event:
        with_truth = float((event.share_fraction * num_hits[event.share_index[0]]).sum())
        numbers |= {"without_truth": numbers["hits"] - with_truth, "particles": float(event.num_objects)}
        numbers |= group_rates(event, torch.arange(len(num_hits)))
    return numbers


def _summary(rows: list[dict[str, float]]) -> dict[str, float]:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    clusters, hits = columns["clusters"], columns["hits"]
    result: dict[str, float] = {
        "views": len(rows),
        "empty": int((clusters == 0).sum()),
        "median_clusters": float(np.median(clusters)),
        "max_clusters": int(clusters.max()),
        "median_hits": float(np.median(hits)),
        "max_hits": int(hits.max()),
        "small_fraction": _mean(columns["small"]),
    }
    if "particles" in columns:
        result |= {
            "hits_without_truth": float(columns["without_truth"].sum() / max(hits.sum(), 1.0)),
            "particles": _mean(columns["particles"]),
            **{name: _mean(columns[name]) for name in ("purity", "completeness", "ari")},
        }
    return result


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is a number; 0 when nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else 0.0
