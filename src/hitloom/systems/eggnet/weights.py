"""Weights of points in the loss, from the ``weighting`` section.

Shape letters: N points.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.systems.eggnet.config import WeightingConfig


def true_weights(event: Event, weighting: WeightingConfig) -> Tensor:
    """Return the weight (N,) float32 that each point has as a member of a true object; later rules win."""
    weight = torch.full((event.num_points,), weighting.true_default, device=event.x.device)
    for rule in weighting.conditional_weighting:
        from hitloom.data.conditions import point_mask

        weight = weight.masked_fill(point_mask(event, rule.conditions), rule.weight)
    return weight
