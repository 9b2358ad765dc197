"""Smaller problems from an event: fewer objects, fewer points, fewer labels. Each is recorded in the provenance.

Random choices depend on (seed, event id) alone. Shape letters: N points, K objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hitloom.data.conditions import Conditions
from hitloom.errors import DataError
from hitloom.event import FIELDS, Event


def select_objects(event: Event, keep: Tensor) -> Event:
    """Return the event with only the objects of the mask ``keep`` (K,) in its table; points of others become noise.

    Truth edges and shares of other objects go. No point is removed.

    Raises
    ------
    DataError
        When the mask does not fit.
    """
    if keep.dtype != torch.bool or keep.shape != (event.num_objects,):
        raise DataError(f"{event.describe()}: a boolean mask of shape ({event.num_objects},) was wanted")
    new_row = torch.full((event.num_objects + 1,), -1, dtype=torch.int64)
    new_row[:-1][keep] = torch.arange(int(keep.sum()))
    result = Event()
    for name, value in event.to_dict().items():
        field = FIELDS.get(name)
        result[name] = value[keep] if field is not None and field.shape[0] == "K" else value
    if event.has_truth:
        result.object_index = new_row[event.object_index]
        if "truth_edge_index" in event:
            edges = event.truth_edge_index
            result.truth_edge_index = edges[:, (result.object_index[edges] >= 0).all(0)]
    if "share_index" in event:
        kept = keep[event.share_index[1]]
        points, objects = event.share_index[:, kept]
        result.share_index = torch.stack([points, new_row[objects]])
        if "share_fraction" in event:
            result.share_fraction = event.share_fraction[kept]
    return result


def cut_labels(event: Event, conditions: Mapping[str, Any] | Conditions) -> Event:
    """Return the event with only the objects that pass as truth; their points stay, as noise.

    For cuts such as ``object_pt: [1, .inf]`` or ``object_generation: [is, 0]`` on the labels alone, where
    :func:`hitloom.data.transforms.hard_cut` would remove the points as well.
    """
    if not isinstance(conditions, Conditions):
        conditions = Conditions.parse(conditions, where="label cuts")
    texts = [f"{item.quantity} {item.operator} {item.operand}" for item in conditions.items]
    return _recorded(select_objects(event, conditions.object_mask(event)), "label_cuts", texts)


def thin_by_object(event: Event, fraction: float, *, seed: int = 0) -> Event:
    """Keep each object, with all its points, with this probability, and each noise point likewise.

    Tracks stay whole; objects that are not kept leave the table. Weights are not renormalised.

    Raises
    ------
    DataError
        When the fraction is not within 0..1 or the event has no truth.
    """
    rng = _rng(event, fraction, seed, stream=1)
    if not event.has_truth:
        raise DataError(f"{event.describe()}: thinning by object needs 'object_index', and the event has none")
    objects = torch.from_numpy(rng.random(event.num_objects) < fraction)
    points = torch.from_numpy(rng.random(event.num_points) < fraction)
    owned = event.object_index >= 0
    points[owned] = objects[event.object_index[owned]]
    thinned = select_objects(event.select_points(points), objects)
    return _recorded(thinned, "thinned_by_object", {"fraction": fraction, "seed": seed})


def thin_by_point(event: Event, fraction: float, *, seed: int = 0) -> Event:
    """Keep each point with this probability; the table of objects stays, with ``object_num_points`` counted anew.

    Weights are not renormalised.

    Raises
    ------
    DataError
        When the fraction is not within 0..1.
    """
    rng = _rng(event, fraction, seed, stream=2)
    result = event.select_points(torch.from_numpy(rng.random(event.num_points) < fraction))
    if result.has_truth and "object_num_points" in result:
        own = result.object_index[result.object_index >= 0]
        result.object_num_points = torch.bincount(own, minlength=result.num_objects)
    return _recorded(result, "thinned_by_point", {"fraction": fraction, "seed": seed})


def _rng(event: Event, fraction: float, seed: int, *, stream: int) -> np.random.Generator:
    if not 0 <= fraction <= 1:
        raise DataError(f"fraction: a value within 0 .. 1 was wanted, not {fraction}")
    event_id = int(event.event_id) if "event_id" in event else 0
    return np.random.default_rng([abs(seed), abs(event_id), stream])


def _recorded(event: Event, name: str, value: Any) -> Event:
    event.provenance = json.dumps(event.provenance_dict() | {name: value}, sort_keys=True)
    return event
