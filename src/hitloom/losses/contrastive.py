"""Pairwise hinge loss in an embedding (EggNet, arXiv:2407.13925).

With y = +1 for two points of one true object and -1 else, d = sqrt(|z_a - z_b|^2 + 1e-12):
l = d^2 for y = +1, max(0, margin - d)^2 for y = -1; a term is sum(w l) / sum(w).

Shape letters: N points, D embedding, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hitloom.losses.base import Loss
from hitloom.losses.pairs import same_object


@dataclass(frozen=True, kw_only=True)
class PairWeights:
    """Weights of pairs.

    Attributes
    ----------
    positive : (N,) float32 or None
        Weight of a positive pair by its FIRST point; None = 1.
    negative : float
        Weight of every negative pair.
    negatives_from_members : bool
        Multiply the weight of a negative pair by the larger ``positive`` weight of its two points.
    confidence : (N,) float32 or None
        Factor of both points of a pair, differentiable (the weighted loss: sigmoid of the point score).
    """

    positive: Tensor | None = None
    negative: float = 1.0
    negatives_from_members: bool = False
    confidence: Tensor | None = None

    def of(self, pairs: Tensor, positive: Tensor) -> Tensor:
        """Return the weight (P,) of each pair."""
        share = torch.ones(pairs.shape[1], device=pairs.device) if self.positive is None else self.positive[pairs[0]]
        negative = torch.full_like(share, self.negative)
        if self.negatives_from_members and self.positive is not None:
            negative = negative * torch.maximum(share, self.positive[pairs[1]])
        weight = torch.where(positive, share, negative)
        if self.confidence is not None:
            weight = weight * self.confidence[pairs[0]] * self.confidence[pairs[1]]
        return weight


def pair_hinge(
    embedding: Tensor, pairs: Tensor, positive: Tensor, *, margin: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Return the weighted mean hinge of the pairs, () float32; 0 (attached to the graph) without pairs or weight.

    Parameters
    ----------
    embedding : (N, D)
        Any floating dtype; distances are computed in float32.
    pairs : (2, P) int64
    positive : (P,) bool
    margin : float
        Distance beyond which a negative pair costs nothing.
    weight : (P,) float32 or None
    """
    z = embedding.float()
    square = (z.index_select(0, pairs[0]) - z.index_select(0, pairs[1])).square().sum(1)
    distance = torch.sqrt(square + 1e-12)
    value = torch.where(positive, distance.square(), (margin - distance).clamp(min=0).square())
    if weight is None:
        return value.sum() / max(1, value.shape[0])
    total = weight.sum()
    return torch.where(total > 0, (weight * value).sum() / torch.where(total > 0, total, 1.0), (weight * value).sum())


def contrastive_loss(
    embedding: Tensor,
    key: Tensor,
    *,
    terms: dict[str, Tensor],
    weights: PairWeights | None = None,
    margin: float = 1.0,
) -> Loss:
    """Return one part for every set of pairs.

    Parameters
    ----------
    embedding : (N, D)
    key : (N,) int64
        Object of each point, -1 = noise.
    terms : dict of (2, P) int64
        Pairs by the name of their part; each is labelled by ``key``.
    weights : PairWeights or None
        None weighs all pairs alike.

    Returns
    -------
    Loss
        Parts and counts under the names of ``terms``.
    """
    parts, counts = {}, {}
    for name, pairs in terms.items():
        positive = same_object(key, pairs)
        weight = None if weights is None else weights.of(pairs, positive)
        parts[name] = pair_hinge(embedding, pairs, positive, margin=margin, weight=weight)
        counts[name] = pairs.shape[1]
    return Loss(parts=parts, counts=counts)
