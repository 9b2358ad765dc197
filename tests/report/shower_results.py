"""Toy wire views, and results of made-up networks, for tests of the evaluation of shower growing."""

from __future__ import annotations

import torch

from hitloom.data.shower_truth import similarity_target
from hitloom.grouping.accessory import connected_accessory
from hitloom.result import Result
from shower_toy import toy_view

VIEWS = (4, 5, 6)


def shower_views(num_slices: int = 6, *, mixed: float = 0.1):
    """Return three toy views of each slice."""
    return [
        toy_view(12 + 7 * (slice_ % 3), seed=slice_, view=view, mixed=mixed)
        for slice_ in range(num_slices)
        for view in VIEWS
    ]


def result_of(event, *, power: float = 6.0, threshold: float = 0.6, seed: int = 0, pairs: bool = True) -> Result:
    """Return groups by a similarity that knows something of the truth."""
    generator = torch.Generator().manual_seed(1000 * seed + int(event.event_id))
    num = event.num_points
    edges = torch.triu_indices(num, num, 1)
    target = similarity_target(event)
    logit = power * (target - 0.5) + torch.randn(num, num, generator=generator)
    similarity = torch.eye(num)
    value = logit[edges[0], edges[1]]
    similarity[edges[0], edges[1]] = similarity[edges[1], edges[0]] = value.sigmoid()
    labels = connected_accessory(similarity, event.x[:, 0].long(), threshold=threshold)
    return Result(
        event_id=int(event.event_id), point_id=event.point_id, labels=labels,
        edge_index=edges if pairs else None, edge_score=value if pairs else None, timing={"network": 1e-3},
    )  # fmt: skip
