"""What the network learns: similarities equal to those of the truth, clusters with many hits counting more.

With S the predicted and T the true similarity, over all N^2 entries of a view, diagonal included:

- ``similarity``: sum w (S - T)^2 / sum w with w_ij = u_i u_j; ``log``: u = log(1 + hits); ``log_with_penalty``: u is
  half of that for clusters of at most two hits;
- ``triplet``: soft transitivity, the weighted mean over drawn triples of different clusters of
  relu(s_ij + s_jk - s_ik - 1) and its two cyclic partners; the weight of a triple is the mean of its three pairs;
- ``contrastive``: as ``similarity``, with (cos(a_i, a_j) + 1) / 2 of the context vectors for S.

In training sums run over all views of the batch (so a large view counts more); in evaluation each view has its own
quotient and the mean over views is taken, so that the value does not depend on how views are put into batches.

Shape letters: N clusters of all views, B views, P = sum over views of (clusters of it)^2, T triples of a view.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hitloom.data.shower_layout import CLUSTER_FEATURES
from hitloom.data.shower_truth import similarity_target
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.ops.segments import segment_sum
from hitloom.result import Scores
from hitloom.systems.showers.config import LossConfig

FEW_HITS = 2  # clusters of at most so many hits count half with ``log_with_penalty``


def num_hits(event: Event) -> Tensor:
    """Return the number of hits (N,) float32 of each cluster; summary rows are none."""
    return event.x[:, CLUSTER_FEATURES.index("num_hits")]


def cluster_weights(hits: Tensor, kind: str) -> Tensor:
    """Return u (N,); the weight of a pair is the product of both."""
    if kind == "none":
        return torch.ones_like(hits)
    weight = torch.log1p(hits)
    return weight * torch.where(hits <= FEW_HITS, 0.5, 1.0) if kind == "log_with_penalty" else weight


def pair_products(value: Tensor, sizes: list[int]) -> Tensor:
    """Return v_i v_j (P,) for all pairs of each view; of vectors (N, d) the scalar products."""
    rows = value[:, None] if value.ndim == 1 else value
    parts = [(part @ part.T).flatten() for part in torch.split(rows, sizes)]
    return torch.cat(parts) if parts else value.new_zeros(0)


def shower_loss(config: LossConfig, scores: Scores, event: Event, *, pooled: bool) -> Loss:
    """Return ``similarity`` and, where they have a weight, ``triplet`` and ``contrastive``, in float32.

    ``pooled``: one quotient for the whole batch; else the mean over views of one for each.
    """
    device = event.x.device.type
    with torch.autocast(device, enabled=False):
        sizes = scores.own["sizes"]
        lengths: list[int] = sizes.tolist()
        similarity = scores.own["similarity"].float()
        target = similarity_target(event, config.denominator).flatten()
        weight = pair_products(cluster_weights(num_hits(event).float(), config.weights), lengths)
        view = torch.repeat_interleave(torch.arange(len(lengths), device=sizes.device), sizes * sizes)
        mean = _Mean(view=view, num_views=len(lengths), pooled=pooled)
        loss = Loss(
            parts={"similarity": mean(weight, (similarity - target).square())}, counts={"similarity": len(target)}
        )
        if config.contrastive:
            unit = F.normalize(scores.own["vectors"].float(), dim=1)
            part = mean(weight, ((pair_products(unit, lengths) + 1) / 2 - target).square())
            loss = loss.with_part("contrastive", part, count=len(target), weight=config.contrastive)
        if config.triplet:
            triples, of_view = draw_triples(lengths, config.num_triplets, fixed=not pooled, device=sizes.device)
            value, triple_weight = triple_terms(similarity, weight, triples)
            mean = _Mean(view=of_view, num_views=len(lengths), pooled=pooled)
            part = mean(triple_weight, value)
            loss = loss.with_part("triplet", part, count=len(of_view), weight=config.triplet)
        return loss


class _Mean:
    """Weighted mean of all rows, or mean over views of the weighted means; 0 where there is nothing."""

    def __init__(self, *, view: Tensor, num_views: int, pooled: bool) -> None:
        self.view, self.num_views, self.pooled = view, num_views, pooled

    def __call__(self, weight: Tensor, value: Tensor) -> Tensor:
        product = weight * value
        if self.pooled:
            return product.sum() / weight.sum().clamp(min=1e-12)
        top = segment_sum(product, self.view, self.num_views)
        return (top / segment_sum(weight, self.view, self.num_views).clamp(min=1e-12)).sum() / max(1, self.num_views)


def draw_triples(sizes: list[int], num: int, *, fixed: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw ``num`` triples (i, j, k) of each view with at least three clusters and keep those of three different ones.

    ``fixed``: the draw depends on the number of clusters of the view alone.

    Returns
    -------
    places : (3, T) int64
        Places of the pairs ij, jk and ik among the P entries of all views.
    view : (T,) int64
    """
    places, views, start = [], [], 0
    for view, size in enumerate(sizes):
        if size > 2:
            generator = torch.Generator().manual_seed(size) if fixed else None
            i, j, k = torch.randint(size, (3, num), generator=generator)
            i, j, k = (value[(i != j) & (j != k) & (i != k)] for value in (i, j, k))
            places.append(start + torch.stack([i * size + j, j * size + k, i * size + k]))
            views.append(torch.full((len(i),), view))
        start += size * size
    if not places:
        return torch.zeros((3, 0), dtype=torch.int64, device=device), torch.zeros(0, dtype=torch.int64, device=device)
    return torch.cat(places, 1).to(device), torch.cat(views).to(device)


def triple_terms(similarity: Tensor, weight: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return violation and weight (T,) of each triple; a symmetric matrix is expected."""
    ij, jk, ik = similarity[places]
    value = F.relu(ij + jk - ik - 1) + F.relu(jk + ik - ij - 1) + F.relu(ik + ij - jk - 1)
    return value, weight[places].mean(0)
