"""Focal loss of binary targets that may be soft (arXiv:1708.02002).

With p = sigmoid(logit), p_t = p t + (1-p)(1-t), alpha_t = a t + (1-a)(1-t): l = BCE alpha_t (1 - p_t)^gamma. With
weights, sum(w l) / max(sum w, 1e-8), else the mean.

Shape letters: E edges.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

LEAST_WEIGHT = 1e-8


def focal_loss(
    logit: Tensor, target: Tensor, *, gamma: float = 2.0, alpha: float | Tensor = 0.4, weight: Tensor | None = None
) -> Tensor:
    """Return the focal loss, () float32; 0 (attached to the graph) without edges.

    Parameters
    ----------
    logit : (E,) float
        Before the sigmoid; computed in float32.
    target : (E,) float
        0 to 1.
    gamma, alpha : float
    weight : (E,) float32, not negative, or None
        Carries no gradient.
    """
    logit, target = logit.float(), target.float()
    probability = logit.sigmoid()
    right = probability * target + (1 - probability) * (1 - target)
    share = alpha * target + (1 - alpha) * (1 - target)
    value = binary_cross_entropy_with_logits(logit, target, reduction="none") * share * (1 - right) ** gamma
    if weight is None:
        return value.sum() / max(1, value.shape[0])
    weight = weight.detach().float()
    return (weight * value).sum() / weight.sum().clamp(min=LEAST_WEIGHT)


def focal_loss_on_probabilities(
    probability: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | Tensor = 0.4,
    weight: Tensor | None = None,
) -> Tensor:
    """Return the older form, for comparison: the weight stands inside the cross-entropy c, and p_t = exp(-c).

    So the weight distorts p_t: an edge of small weight counts as one that is right already.

    Shapes and units as in :func:`focal_loss`, but for ``probability`` (E,) after the sigmoid.
    """
    probability, target = probability.float(), target.float()
    weight = None if weight is None else weight.detach().float()
    entropy = binary_cross_entropy(probability, target, weight=weight, reduction="none")
    share = alpha * target + (1 - alpha) * (1 - target)
    value = share * (1 - torch.exp(-entropy)) ** gamma * entropy
    return value.sum() / max(1, value.shape[0])
