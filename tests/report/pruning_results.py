"""Toy tracksters with particles, and results of made-up networks, for tests of the evaluation of pruning."""

from __future__ import annotations

import torch

from hitloom.result import Result
from pruning_toy import toy_trackster


def event_with_particles(num_points: int, seed: int, *, share: float = 0.3):
    """Return a toy trackster of two particles: what should be kept is of the first, the rest of the second."""
    event = toy_trackster(num_points, seed=seed, share=share)
    owner = (event.point_y > 0.5).long()
    event.object_index = owner
    event.object_id = torch.tensor([10 * seed, 10 * seed + 1])
    event.share_index = torch.stack([torch.arange(num_points), owner])
    event.share_fraction = torch.full((num_points,), 0.9)
    event.object_raw_energy = 1.25 * torch.stack([event.energy[owner == row].sum() * 0.9 for row in (0, 1)])
    return event


def tracksters(number: int = 24, *, share: float = 0.3):
    """Return toy tracksters of 1 to 12 layer clusters."""
    return [event_with_particles(1 + (5 * seed) % 12, seed, share=share) for seed in range(number)]


def result_of(event, *, power: float = 3.0, seed: int = 0) -> Result:
    """Return decisions at P(prune) > 0.5 of scores that know something of the truth."""
    generator = torch.Generator().manual_seed(1000 * seed + int(event.event_id))
    truth = event.point_y if "point_y" in event else torch.zeros(event.num_points)
    logit = torch.randn(event.num_points, generator=generator) - power * (truth - 0.5)
    return Result(
        event_id=int(event.event_id), point_id=event.point_id, labels=torch.where(logit < 0, -1, 0),
        point_score=logit, timing={"network": 1e-3},
    )  # fmt: skip
