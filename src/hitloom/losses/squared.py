"""Metric-learning loss in squared distances (Exa.TrkX, arXiv:2103.06995).

With d = |z_a - z_b|^2: mean over negative pairs of max(0, margin^2 - d), plus ``weight`` times the mean over positive
pairs of d. The margin is a plain distance, compared as a square.

Shape letters: N points, D embedding, P pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.losses.base import Loss


def squared_distance(embedding: Tensor, pairs: Tensor) -> Tensor:
    """Return the squared distance (P,) float32 of each pair (2, P) of rows of the embedding (N, D)."""
    z = embedding.float()
    return (z.index_select(0, pairs[0]) - z.index_select(0, pairs[1])).square().sum(1)


def squared_hinge_loss(
    embedding: Tensor,
    pairs: Tensor,
    positive: Tensor,
    *,
    margin: float,
    positive_weight: float = 1.0,
    weight: Tensor | None = None,
) -> Loss:
    """Return the parts ``positive`` and ``negative``.

    Parameters
    ----------
    embedding : (N, D) float
    pairs : (2, P) int64
    positive : (P,) bool
    margin : float
        Distance beyond which a negative pair costs nothing.
    positive_weight : float
        Weight of the positive part in the total.
    weight : (P,) float32 or None
        Weight of each pair inside its mean (sum of weight times value over number of pairs); 0 masks a pair.

    Examples
    --------
    >>> z = torch.tensor([[0.0], [0.3], [0.4]])
    >>> value = squared_hinge_loss(z, torch.tensor([[0, 1], [1, 2]]), torch.tensor([True, False]), margin=0.2)
    >>> [round(float(part), 4) for part in value.parts.values()]
    [0.09, 0.03]
    """
    d = squared_distance(embedding, pairs)
    parts, counts = {}, {}
    for name, chosen, value in (
        ("positive", positive, d),
        ("negative", ~positive, (margin**2 - d).clamp(min=0)),
    ):
        if weight is not None:
            chosen = chosen & (weight > 0)
            value = value * weight
        count = int(chosen.sum())
        parts[name] = torch.where(chosen, value, 0.0).sum() / max(1, count)
        counts[name] = count
    return Loss(parts=parts, weights={"positive": positive_weight}, counts=counts)
