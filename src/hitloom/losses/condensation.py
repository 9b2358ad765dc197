"""Object condensation (Kieseler, arXiv:2002.03605), the memory-saving variant.

beta in [0, 1) is how much a point stands for its object; q = arctanh(beta)^2 + q_min its charge; a_k the point of
object k with the largest charge. With N points, K objects and N_noise points of no object:

attractive = 1/N sum_j q_j q_a |x_j - x_a|^2            over points j of object k, a = a_k
repulsive  = 1/N sum_j q_j q_a max(0, 1 - |x_j - x_a|)  over points j of the same event and not of object k
coward     = 1/K sum_k (1 - beta_a)
noise      = 1/N_noise sum_j beta_j                     over points of no object

Repulsion vanishes beyond distance 1, so only pairs within it are formed ("tiger"); when there are more than
``max_repulsive_pairs``, that many are drawn uniformly and scaled up by their share.

Shape letters: N points, K objects, D embedding, P pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.losses.base import Loss

_BLOCK = 1 << 22
_MAX_BETA = 1.0 - 1e-6


def condensation_loss(
    embedding: Tensor,
    beta: Tensor,
    key: Tensor,
    *,
    generator: torch.Generator,
    batch: Tensor | None = None,
    q_min: float = 0.1,
    noise_weight: float = 1.0,
    max_repulsive_pairs: int = 100_000,
) -> Loss:
    """Return the parts attractive, repulsive, coward and noise.

    Parameters
    ----------
    embedding : (N, D)
    beta : (N,)
        In (0, 1): the sigmoid of the point score, never the score itself.
    key : (N,) int64
        Object of each point, unique over the batch, -1 = noise.
    generator : torch.Generator
        On the CPU; draws repulsive pairs when there are too many.
    batch : (N,) int64 or None
        Event of each point; points of different events do not repel.
    q_min : float
        Charge of a point with beta 0.
    noise_weight : float
        Weight of the noise part.
    max_repulsive_pairs : int

    Raises
    ------
    ValueError
        When a beta lies outside [0, 1].
    """
    x, beta = embedding.float(), beta.float()
    if beta.numel() and bool(((beta < 0) | (beta > 1)).any()):
        raise ValueError("beta came outside [0, 1], wanted a probability; mend: apply the sigmoid to the score")
    num = max(1, x.shape[0])
    charge = torch.arctanh(beta.clamp(max=_MAX_BETA)).square() + q_min
    alpha, own = condensation_points(beta.detach(), key)
    is_object = own >= 0
    centre = alpha[own[is_object]]
    attraction = (x[is_object] - x[centre]).square().sum(1) * charge[is_object] * charge[centre]
    point, other, found = _repulsive_pairs(x.detach(), alpha, own, batch, max_repulsive_pairs, generator)
    gap = (1.0 - ((x[point] - x[other]).square().sum(1) + 1e-12).sqrt()).clamp(min=0)
    share = found / max(1, point.shape[0])
    noise = beta[~is_object]
    return Loss(
        parts={
            "attractive": attraction.sum() / num,
            "repulsive": (gap * charge[point] * charge[other]).sum() * share / num,
            "coward": (1.0 - beta[alpha]).sum() / max(1, alpha.shape[0]),
            "noise": noise.sum() / max(1, noise.shape[0]),
        },
        weights={"noise": noise_weight},
        counts={
            "attractive": int(is_object.sum()),
            "repulsive": found,
            "coward": alpha.shape[0],
            "noise": noise.shape[0],
        },
    )


def condensation_points(beta: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row of each object's point with the largest beta (K,), the lowest row among equals, and each point's
    object 0..K-1 or -1 (N,).
    """
    objects, own = torch.unique(key, return_inverse=True)
    num_noise = int((objects < 0).sum())
    own = own - num_noise
    order = torch.argsort(beta, descending=True, stable=True)
    order = order[torch.argsort(own[order], stable=True)]
    group = own[order]
    first = torch.ones_like(group, dtype=torch.bool)
    first[1:] = group[1:] != group[:-1]
    return order[first & (group >= 0)], own.clamp(min=-1)


def _repulsive_pairs(
    x: Tensor, alpha: Tensor, own: Tensor, batch: Tensor | None, limit: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, int]:
    """Return points and the condensation points that repel them, at most ``limit``, and how many there were."""
    device = x.device
    points, others, draws, found = [], [], [], 0
    objects = torch.arange(alpha.shape[0], device=device)
    for some in objects.split(max(1, _BLOCK // max(1, x.shape[0]))):
        near = torch.cdist(x, x[alpha[some]], compute_mode="donot_use_mm_for_euclid_dist") < 1.0
        near &= own[:, None] != some
        if batch is not None:
            near &= batch[:, None] == batch[alpha[some]]
        row, column = near.nonzero(as_tuple=True)
        found += row.shape[0]
        draw = torch.rand(row.shape[0], generator=generator, dtype=torch.float64).to(device)
        keep = draw.topk(min(limit, draw.shape[0]), sorted=False).indices
        points.append(row[keep])
        others.append(alpha[some][column[keep]])
        draws.append(draw[keep])
    if not points:
        empty = torch.zeros(0, dtype=torch.int64, device=device)
        return empty, empty, 0
    draw = torch.cat(draws)
    keep = draw.topk(min(limit, draw.shape[0]), sorted=False).indices
    return torch.cat(points)[keep], torch.cat(others)[keep], found
