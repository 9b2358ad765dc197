"""Merged 2D clusters: the view whose points are the groups of another view's clusters.

A merged cluster holds the hits of its members; number of hits, position, energy, shares and owner are those of the
merged hits. What is known of hits and particles stays as it is, so no energy is lost or counted twice.

N clusters, G groups, M hits, B views of a batch.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from hitloom.data.shower_clusters import cluster_shares_of_counts, cluster_sums
from hitloom.data.shower_layout import CLUSTER_FEATURES
from hitloom.data.shower_truth import has_stored_similarity, named
from hitloom.errors import DataError
from hitloom.event import FIELDS, Event

_HITS, _TIER = CLUSTER_FEATURES.index("num_hits"), CLUSTER_FEATURES.index("tier")


def merge_clusters(event: Event, labels: Tensor) -> Event:
    """Return the view, or batch of views, of merged clusters.

    Parameters
    ----------
    event : Event
        Clusters as points, as :mod:`hitloom.data.shower_layout` says.
    labels : (N,) int64
        Group of each cluster from 0; groups appear in the order of their numbers, numbers without a cluster are left
        out. In a batch the numbers may begin at 0 in each view: groups never reach into another view.

    Returns
    -------
    Event
        ``tier`` is one above the highest of the members. Hits stand by cluster, within a cluster as they stood. Every
        cluster has the ``point_id`` of its first member. A similarity that the event holds itself becomes that of the
        merged clusters; edges of another kind are left out.

    Raises
    ------
    DataError
        When the labels do not fit.
    """
    _check(event, labels)
    batched = "ptr" in event
    view = event.batch if batched else torch.zeros_like(labels)
    width = labels.max() + 1 if len(labels) else 1
    key, group = torch.unique(view * width + labels, return_inverse=True)
    number = len(key)
    rows = torch.arange(len(labels), device=labels.device)
    first = torch.full_like(key, len(labels)).scatter_reduce_(0, group, rows, "amin")
    merged = copy.copy(event)
    for name in [name for name, value in event.to_dict().items() if _is_gone(name) and value is not None]:
        del merged[name]
    for name in ("layer", "point_id"):
        merged[name] = event[name][first]
    _regroup_hits(event, merged, group)
    merged.pos, merged.energy = cluster_sums(merged.part_pos, merged.part_energy, merged.part_point_index, number)
    num_hits = event.x.new_zeros(number).index_add_(0, group, event.x[:, _HITS])
    tier = event.x.new_zeros(number).scatter_reduce_(0, group, event.x[:, _TIER], "amax") + 1
    merged.x = torch.stack([num_hits, tier], dim=1)
    if "share_index" in event:
        _regroup_shares(event, merged, group, num_hits)
    elif has_stored_similarity(event):
        _regroup_similarity(event, merged, group, num_hits)
    if batched:
        _mend_batch(event, merged, view[first])
    return merged


def _check(event: Event, labels: Tensor) -> None:
    if labels.shape != (event.num_points,) or labels.dtype != torch.int64:
        raise DataError(
            f"{named(event)}: labels came as {labels.dtype} {tuple(labels.shape)}, wanted one int64 for each of "
            f"{event.num_points} clusters"
        )
    if len(labels) and int(labels.min()) < 0:
        raise DataError(
            f"{named(event)}: label {int(labels.min())} came, wanted 0 or more: every cluster is in a group"
        )


def _is_gone(name: str) -> bool:
    """Return whether a field speaks of the clusters before the merge, or of edges between them."""
    field = FIELDS.get(name)
    return field is not None and (field.shape[0] in ("N", "E") or name in ("edge_index", "truth_edge_index"))


def _regroup_hits(event: Event, merged: Event, group: Tensor) -> None:
    """Order the hits by group; within one they stand as they stood."""
    cluster = group[event.part_point_index]
    order = torch.argsort(cluster, stable=True)
    for name in event.to_dict():
        field = FIELDS.get(name)
        if field is not None and field.shape[0] == "M":
            merged[name] = event[name][order]
    merged.part_point_index = cluster[order]
    if "part_share_index" in event:
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        hit = place[event.part_share_index[0]]
        kept = torch.argsort(hit, stable=True)
        merged.part_share_index = torch.stack([hit[kept], event.part_share_index[1][kept]])
        merged.part_share_fraction = event.part_share_fraction[kept]


def _regroup_shares(event: Event, merged: Event, group: Tensor, num_hits: Tensor) -> None:
    """Add up the hits of each particle; shares of integers of hits are integers again after rounding."""
    cluster, owner = event.share_index
    count = (event.share_fraction.double() * event.x[cluster, _HITS].double()).round().long()
    index, fraction, merged.object_index = cluster_shares_of_counts(
        group[cluster], owner, count, num_hits, event.num_objects
    )
    merged.share_index, merged.share_fraction = index, fraction


def _regroup_similarity(event: Event, merged: Event, group: Tensor, num_hits: Tensor) -> None:
    """Mean of the similarity over pairs of hits: exactly that of the merged hits where all hits count."""
    hits = event.x[:, _HITS].double()
    low, high = event.edge_index
    rows = torch.arange(event.num_points, device=low.device)
    one, other = torch.cat([low, high, rows]), torch.cat([high, low, rows])
    value = torch.cat([event.edge_y, event.edge_y, event.point_y]).double() * hits[one] * hits[other]
    number = len(num_hits)
    pair, place = torch.unique(group[one] * number + group[other], return_inverse=True)
    low, high = pair // number, pair % number
    mean = value.new_zeros(len(pair)).index_add_(0, place, value) / (num_hits[low] * num_hits[high]).double()
    mean = mean.float()
    merged.point_y = mean.new_zeros(number).index_put((low[low == high],), mean[low == high])
    merged.edge_index, merged.edge_y = torch.stack([low, high])[:, low < high], mean[low < high]


def _mend_batch(event: Any, merged: Any, view: Tensor) -> None:
    """Set what PyG keeps of a batch: the view of each cluster, where each view begins, and the shifts of indices."""
    number = int(event.num_graphs)
    merged.batch = view
    merged.ptr = _bounds(view, number)
    ptr = merged.ptr.cpu()
    slices, shifts = dict(event._slice_dict), dict(event._inc_dict)
    for name in [name for name in slices if name not in merged]:
        del slices[name], shifts[name]
    for name in slices:
        field = FIELDS.get(name)
        if field is None:
            continue
        if field.shape[0] == "N":
            slices[name] = ptr
        if name in ("share_index", "share_fraction") and "share_index" in merged:
            slices[name] = _bounds(view[merged.share_index[0]], number).cpu()
        if name in ("edge_index", "edge_y"):
            slices[name] = _bounds(view[merged.edge_index[0]], number).cpu()
        if field.shifted_by == "points":
            shifts[name] = ptr[:-1]
        elif field.shifted_by == "points,none":
            shifts[name] = torch.stack([ptr[:-1], torch.zeros_like(ptr[:-1])], dim=1)[:, :, None]
    merged._slice_dict, merged._inc_dict = slices, shifts


def _bounds(view: Tensor, number: int) -> Tensor:
    return torch.cat([view.new_zeros(1), torch.bincount(view, minlength=number).cumsum(0)])
