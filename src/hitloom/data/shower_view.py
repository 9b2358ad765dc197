"""The event of one wire view, made of its hits: the one place where readers and the simulation put a view together.

N clusters, M hits, K particles of the slice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitloom.data.shower_clusters import cluster_shares_of_counts, cluster_sums
from hitloom.data.shower_layout import CLUSTER_FEATURES, HIT_FEATURES, MIP_MEV_PER_CM, shower_event_id
from hitloom.data.tensors import floats, integers
from hitloom.event import FIELDS, Event

MM_PER_CM, MEV_PER_GEV = 10.0, 1000.0
Columns = Mapping[str, NDArray[Any]]


def shower_view(
    hits: Columns,
    cluster: NDArray[np.int64],
    *,
    slice_: int,
    view: int,
    point_id: NDArray[np.int64],
    part_id: NDArray[np.int64],
    owner: NDArray[np.int64] | None = None,
    objects: Columns | None = None,
    source: str,
    provenance: Mapping[str, Any],
) -> Event:
    """Return the event of one view, as :mod:`hitloom.data.shower_layout` says.

    Hits are put in the order of their clusters; hits of one cluster stay as they stand.

    Parameters
    ----------
    hits : mapping
        (M,) columns of :data:`~hitloom.data.shower_layout.HIT_FEATURES`, in cm and MIP; ``x_gap`` and the volumes may
        be absent.
    cluster : (M,) int64
        Row of the cluster of each hit; every row from 0 to N - 1 occurs.
    point_id, part_id : (N,) and (M,) int64
        Identifiers of clusters and hits in the slice.
    owner : (M,) int64, optional
        Row of the particle of each hit among ``objects``, -1 = none; without it the event has no truth.
    objects : mapping, optional
        ``object_*`` columns, (K,) or (K, 3), of the particles of the slice; those without a hit here are left out.

    Examples
    --------
    >>> columns = {"x": [0.5, 1.0], "z": [2.0, 3.0], "x_width": [0.3, 0.3], "pitch": [0.479, 0.479], "energy": [1, 2]}
    >>> view = shower_view(
    ...     columns, np.array([0, 0]), slice_=7, view=6, point_id=np.array([4]), part_id=np.array([10, 11]),
    ...     source="example", provenance={},
    ... )  # fmt: skip
    >>> view.event_id, view.num_points, view.num_parts
    (76, 1, 2)
    """
    order = np.argsort(cluster, kind="stable")
    names = [name for name in HIT_FEATURES if name in hits]
    values = floats(np.stack([np.asarray(hits[name], dtype=np.float32)[order] for name in names], axis=1))
    at = {name: values[:, place] for place, name in enumerate(names)}
    of, num_clusters = integers(cluster[order]), len(point_id)
    part_pos = torch.stack([at["x"], torch.zeros_like(at["x"]), at["z"]], dim=1) * MM_PER_CM
    gev = (at["energy"].double() * at["pitch"].double() * (MIP_MEV_PER_CM / MEV_PER_GEV)).float()
    pos, energy = cluster_sums(part_pos, gev, of, num_clusters)
    num_hits = torch.bincount(of, minlength=num_clusters)
    event = Event(
        event_id=shower_event_id(slice_, view),
        source=source,
        provenance=json.dumps(dict(provenance)),
        feature_names=list(CLUSTER_FEATURES),
        part_feature_names=names,
        pos=pos,
        x=torch.stack([num_hits.float(), torch.zeros(num_clusters)], dim=1),
        energy=energy,
        layer=torch.full((num_clusters,), view),
        point_id=integers(point_id),
        part_pos=part_pos,
        part_x=values,
        part_energy=gev,
        part_point_index=of,
        part_id=integers(part_id[order]),
    )
    if owner is not None:
        _set_truth(event, owner[order], objects or {}, num_hits)
    return event


def _set_truth(event: Event, owner: NDArray[np.int64], objects: Columns, num_hits: torch.Tensor) -> None:
    there = np.unique(owner[owner >= 0])
    hit = np.flatnonzero(owner >= 0)
    row = integers(np.searchsorted(there, owner[hit]))
    index, fraction, event.object_index = cluster_shares_of_counts(
        event.part_point_index[integers(hit)], row, torch.ones_like(row), num_hits, len(there)
    )
    event.share_index, event.share_fraction = index, fraction
    event.part_share_index = torch.stack([integers(hit), row])
    event.part_share_fraction = torch.ones(len(hit))
    for name, column in objects.items():
        event[name] = torch.from_numpy(np.asarray(column)[there]).to(FIELDS[name].dtype)
