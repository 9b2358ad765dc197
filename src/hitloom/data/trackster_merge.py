"""Linked tracksters: the event whose points are the groups of another event's tracksters.

With layer clusters in the event, a merged trackster holds the union of those of its members, with the sum of their
shares: where all holders of a layer cluster are merged its share is 1 again, so no energy is lost or counted twice.
Every quantity, match and edge is computed anew. Without layer clusters see
:mod:`hitloom.data.trackster_merge_features`.

Shape letters: N tracksters, M layer clusters, V memberships. Lengths cm in the tables, mm in events.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.data.layer_clusters import PID_NAMES, Tracksters
from hitloom.data.ticl_columns import cluster_table
from hitloom.data.trackster_event import trackster_event
from hitloom.data.trackster_features import NODE_FEATURES, SKELETON_EDGE_FEATURES
from hitloom.data.trackster_merge_features import merge_by_features
from hitloom.data.trackster_quantities import PcaCleaning
from hitloom.data.trackster_truth import set_truth
from hitloom.errors import DataError
from hitloom.event import FIELDS, Event
from hitloom.metrics.associations import merge_memberships

_PROBABILITIES = tuple(f"{name}_prob" for name in PID_NAMES if f"{name}_prob" in NODE_FEATURES)


def merge_tracksters(
    event: Event,
    labels: Tensor,
    *,
    geometry: Any = None,
    cms_compatible: bool = False,
    cleaning: PcaCleaning | None = None,
) -> Event:
    """Return the event of the merged tracksters.

    Parameters
    ----------
    event : Event
        Tracksters as points.
    labels : (N,) int64
        Group of each trackster; groups appear in the order of their numbers, -1 leaves a trackster out.
    geometry, cms_compatible, cleaning
        As in :func:`hitloom.data.trackster_event.trackster_event`; without layer clusters they are not used.

    Returns
    -------
    Event
        Layer clusters, their ids, objects and shares are those of ``event``, bit by bit. Probabilities of particle
        types are means weighted by raw energy. The provenance holds the number of tracksters before as
        ``merged_from``.

    Raises
    ------
    DataError
        When the labels do not fit the event, or fields of a trackster event are missing.

    Examples
    --------
    >>> import torch
    >>> from hitloom.grouping.edge_linking import link_edges
    >>> def linked(event, probability):  # scores of the event's edges to the merged tracksters
    ...     labels = link_edges(event.edge_index, probability, event.energy, event.num_points)
    ...     return merge_tracksters(event, labels)
    """
    group = _groups(event, labels)
    if "member_index" not in event:
        merged = merge_by_features(event, group)
    else:
        merged = _merge_clusters(event, group, geometry=geometry, cms_compatible=cms_compatible, cleaning=cleaning)
    merged.provenance = json.dumps(event.provenance_dict() | {"merged_from": event.num_points})
    return merged.validate()


def _merge_clusters(
    event: Event, group: NDArray[np.int64], *, geometry: Any, cms_compatible: bool, cleaning: PcaCleaning | None
) -> Event:
    index, fraction = merge_memberships(event.member_index, event.member_fraction, group)
    order = np.lexsort(index)  # by trackster, then layer cluster
    number = int(group.max(initial=-1)) + 1
    tracksters = Tracksters(
        num_tracksters=number,
        member_index=index[:, order],
        member_fraction=fraction[order],
        id_probabilities=_probabilities(event, group, number),
    )
    merged = trackster_event(
        cluster_table(event),
        tracksters,
        event_id=int(event.event_id) if "event_id" in event else 0,
        source=event.source if "source" in event else "event",
        geometry=geometry,
        cms_compatible=cms_compatible,
        cleaning=cleaning,
        skeleton_features=list(event.get("edge_feature_names") or []) == list(SKELETON_EDGE_FEATURES),
    )
    for name, value in event.to_dict().items():
        if _is_kept(name):
            merged[name] = value
    return set_truth(merged) if "part_share_index" in event else merged


def _is_kept(name: str) -> bool:
    """Return whether a field speaks of layer clusters or objects, which merging leaves as they are."""
    field = FIELDS.get(name)
    return field is not None and (field.shape[0] in ("M", "K") or name in ("part_share_index", "part_share_fraction"))


def _probabilities(event: Event, group: NDArray[np.int64], number: int) -> NDArray[np.float64] | None:
    """Return the particle types (number, 8), weighted by energy; the last two are not in events and 0."""
    names = event.column_names()
    if any(name not in names for name in _PROBABILITIES):
        return None
    held = group >= 0
    weight = event.energy.double().numpy()[held]
    owner = group[held]
    whole = np.bincount(owner, weight, minlength=number)
    weight = np.where(whole[owner] > 0, weight, 1.0)  # without energy all weigh the same
    whole = np.bincount(owner, weight, minlength=number)
    result = np.zeros((number, len(PID_NAMES)))
    columns = event.columns(_PROBABILITIES).double().numpy()[held]
    for place, name in enumerate(_PROBABILITIES):
        where = PID_NAMES.index(name.removesuffix("_prob"))
        result[:, where] = np.bincount(owner, weight * columns[:, place], minlength=number) / np.maximum(whole, 1e-300)
    return result


def _groups(event: Event, labels: Tensor) -> NDArray[np.int64]:
    """Return the labels (N,), counted anew from 0 without gaps in the order of their numbers."""
    for name in ("energy", "x"):
        if name not in event:
            raise DataError(
                f"{event.describe()}: field '{name}' of a trackster is needed to merge and not in the event"
            )
    if labels.shape != (event.num_points,) or labels.dtype != torch.int64:
        raise DataError(
            f"{event.describe()}: labels came as {labels.dtype} {tuple(labels.shape)}, "
            f"wanted one int64 for each of {event.num_points} tracksters"
        )
    values = labels.detach().cpu().numpy()
    if (values < -1).any():
        raise DataError(f"{event.describe()}: label {int(values.min())} came, wanted -1 or more")
    names, place = np.unique(values, return_inverse=True)
    return place.reshape(-1).astype(np.int64) - int((names < 0).sum())
