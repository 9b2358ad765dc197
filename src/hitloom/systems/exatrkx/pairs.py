"""Training pairs of metric learning: hard negatives, random pairs, and every signal edge in both directions.

Shape letters: N points, Q queries, P pairs, D embedding, T truth edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.ops import knn
from hitloom.systems.exatrkx.config import PairsConfig, TruthConfig
from hitloom.systems.exatrkx.truth import signal_edges, truth_of


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs (2, P) of rows, whether each is positive (P,) bool, and its weight (P,) float32."""

    index: Tensor
    positive: Tensor
    weight: Tensor


def query_points(event: Event, signal: Tensor, config: PairsConfig) -> Tensor:
    """Return the rows (Q,) that ask for neighbours."""
    if config.query == "all":
        rows = torch.arange(event.num_points, device=event.pos.device)
    else:
        chosen = torch.zeros(event.num_points, dtype=torch.bool, device=event.pos.device)
        chosen[signal.reshape(-1)] = True
        if config.query == "signal-and-noise":
            chosen |= event.object_index < 0
        rows = chosen.nonzero()[:, 0]
    if len(rows) <= config.points_per_batch:
        return rows
    picked = torch.randperm(len(rows), device="cpu")[: config.points_per_batch].to(rows.device)
    return rows[picked.sort().values]


def random_partners(event: Event, query: Tensor, num_each: int) -> Tensor:
    """Return (2, Q num_each) pairs of each query with random points of its event, itself left out."""
    first = query.repeat_interleave(num_each)
    if "batch" in event:
        element = event.batch[first]
        start, size = event.ptr[element], (event.ptr[element + 1] - event.ptr[element])
    else:
        start, size = torch.zeros_like(first), torch.full_like(first, event.num_points)
    draw = torch.rand(len(first), dtype=torch.float64).to(first.device)
    # one of the size - 1 others: those from the query on are shifted by one
    other = start + torch.minimum((draw * (size - 1)).long(), (size - 2).clamp(min=0))
    other = other + (other >= first).long()
    return torch.stack([first, other])[:, size > 1]


def hard_pairs(embedding: Tensor, event: Event, query: Tensor, config: PairsConfig) -> Tensor:
    """Return (2, P) pairs of each query with its nearest points within ``config.radius`` of the embedding (N, D)."""
    z = embedding.detach()
    batch = event.batch if "batch" in event else None
    if len(query) == len(z):
        table = knn(z, config.num_neighbours, batch=batch, r_max=config.radius)
        centre = query
    else:
        # a query finds itself among the points: one more neighbour is asked for, and itself is left out
        table = knn(
            z, config.num_neighbours + 1, batch=batch, query=z[query],
            query_batch=None if batch is None else batch[query], r_max=config.radius,
        )  # fmt: skip
        centre = query
    found = table.index >= 0
    pairs = torch.stack([centre[:, None].expand_as(table.index)[found], table.index[found]])
    pairs = pairs[:, pairs[0] != pairs[1]]
    if config.hard_share < 1:
        pairs = pairs[:, torch.rand(pairs.shape[1]).to(pairs.device) < config.hard_share]
    return pairs


def training_pairs(embedding: Tensor, event: Event, query: Tensor, pairs: PairsConfig, truth: TruthConfig) -> Pairs:
    """Return the pairs of one training step: drawn ones, each once, then all signal edges in both directions."""
    num_points = event.num_points
    drawn = []
    if pairs.hard_negatives:
        drawn.append(hard_pairs(embedding, event, query, pairs))
    if pairs.num_random:
        drawn.append(random_partners(event, query, pairs.num_random))
    signal, signal_weight = signal_edges(event, truth)
    if drawn:
        both = torch.cat(drawn, 1)
        key = torch.unique(both[0] * num_points + both[1])
        both = torch.stack([key.div(max(1, num_points), rounding_mode="floor"), key % max(1, num_points)])
    else:
        both = signal.new_zeros((2, 0))
    known = truth_of(both, event, truth)
    return Pairs(
        index=torch.cat([both, signal, signal.flip(0)], 1),
        positive=torch.cat([known.signal, signal.new_ones(2 * signal.shape[1], dtype=torch.bool)]),
        weight=torch.cat([known.weight, signal_weight, signal_weight]),
    )
