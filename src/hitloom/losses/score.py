"""Loss of the point score: is a point part of a true object, or noise?

Shape letters: N points.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def score_loss(logit: Tensor, is_object: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Return the weighted mean binary cross-entropy, () float32; 0 without points or weight.

    Parameters
    ----------
    logit : (N,) float
        Score before the sigmoid; computed in float32.
    is_object : (N,) bool
    weight : (N,) float32 or None
    """
    weight = torch.ones_like(logit, dtype=torch.float32) if weight is None else weight
    value = binary_cross_entropy_with_logits(logit.float(), is_object.float(), weight=weight, reduction="sum")
    total = weight.sum()
    return torch.where(total > 0, value / torch.where(total > 0, total, 1.0), value)
