"""Weights of points in the loss, from the ``weighting`` section.

Shape letters: N points.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.data.conditions import Conditions, point_mask
from hitloom.event import FIELDS, Event
from hitloom.systems.eggnet.config import WeightingConfig


def weight_fields(weighting: WeightingConfig) -> tuple[str, ...]:
    """Return the fields of the event that the rules' conditions look at, each once (features aside)."""
    names = [item.name for rule in weighting.conditional_weighting for item in Conditions.parse(rule.conditions).items]
    return tuple(dict.fromkeys(name for name in names if name in FIELDS))


def true_weights(event: Event, weighting: WeightingConfig) -> Tensor:
    """Return the weight (N,) float32 that each point has as a member of a true object; later rules win."""
    weight = torch.full((event.num_points,), weighting.true_default, device=event.x.device)
    for rule in weighting.conditional_weighting:
        weight = weight.masked_fill(point_mask(event, rule.conditions), rule.weight)
    return weight
