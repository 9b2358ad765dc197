"""The scores of a batch, taken apart into those of its events.

Shape letters: N points, E edges.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from hitloom.event import Event
from hitloom.result import PAIR_MATRICES, Scores


def scores_of_events(scores: Scores, event: Event | Batch) -> list[Scores]:
    """Return the scores of each event of a batch, of an event its own.

    Fields of points are cut at the borders of the events, edges go where they start, and of ``own`` those tensors are
    kept that have a row for each point, or hold the matrices of the events (:data:`PAIR_MATRICES`). Graphs, scores of
    stages and of earlier iterations stay behind. Times are shared out evenly.
    """
    if not isinstance(event, Batch):
        return [scores]
    bounds = event.ptr.tolist()
    num_points, num_events = bounds[-1], len(bounds) - 1
    timing = {name: seconds / num_events for name, seconds in scores.timing.items()}
    points = {name: getattr(scores, name) for name in ("embedding", "point_score", "kept")}
    matrices = {name: value for name, value in scores.own.items() if name in PAIR_MATRICES}
    own = {
        name: value
        for name, value in scores.own.items()
        if name not in matrices and value.dim() and len(value) == num_points
    }
    start = 0
    edges = None if scores.edge_index is None else event.batch.to(scores.edge_index.device)[scores.edge_index[0]]
    found = []
    for number, (low, high) in enumerate(pairwise(bounds)):
        fields: dict[str, Any] = {name: None if value is None else value[low:high] for name, value in points.items()}
        if edges is not None:
            fields |= _edges(scores, edges == number, low)
        here = {name: value[low:high] for name, value in own.items()}
        stop = start + (high - low) ** 2
        here |= {name: value[start:stop] for name, value in matrices.items()}
        start = stop
        found.append(Scores(**fields, own=here, timing=dict(timing)))
    return found


def _edges(scores: Scores, chosen: Tensor, start: int) -> dict[str, Tensor | None]:
    """Return the fields of the chosen edges, their ends counted within the event."""
    assert scores.edge_index is not None
    values = {name: getattr(scores, name) for name in ("edge_score", "edge_embedding")}
    found = {name: None if value is None else value[chosen] for name, value in values.items()}
    return found | {"edge_index": scores.edge_index[:, chosen] - torch.as_tensor(start)}
