"""From an embedding to a graph: every pair within a radius once, directed outwards.

Shape letters: N points, D embedding, E edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.ops import knn
from hitloom.systems.exatrkx.config import GraphConfig


@dataclass(frozen=True, kw_only=True)
class BuiltGraph:
    """Edges (2, E), outwards and sorted by outer point; ``saturated``: share of points with no room for a neighbour."""

    edge_index: Tensor
    saturated: float


def outward_order(pos: Tensor) -> Tensor:
    """Return (N,) float64 r^2 + z^2, which grows outwards."""
    return pos.double().square().sum(1)


def outward_edges(edge_index: Tensor, pos: Tensor) -> Tensor:
    """Return the edges (2, E) of any direction, each once, from the inner point to the outer one.

    Of two points at the same distance the one with the smaller (z, y, x) is the inner one, so that the order of the
    rows does not matter. Loops are left out.
    """
    num_points = pos.shape[0]
    a, b = edge_index[:, edge_index[0] != edge_index[1]]
    order = outward_order(pos)
    swap = order[a] > order[b]
    tie = order[a] == order[b]
    if bool(tie.any()):
        first, second = pos[a[tie]].flip(1), pos[b[tie]].flip(1)
        differs = first != second
        place = differs.float().argmax(1, keepdim=True)
        larger = first.gather(1, place) > second.gather(1, place)
        swap[tie] = torch.where(differs.any(1), larger[:, 0], a[tie] > b[tie])
    inner, outer = torch.where(swap, b, a), torch.where(swap, a, b)
    key = torch.unique(outer * num_points + inner)
    return torch.stack([key % max(1, num_points), key.div(max(1, num_points), rounding_mode="floor")])


def build_graph(embedding: Tensor, event: Event, config: GraphConfig) -> BuiltGraph:
    """Connect points whose embeddings (N, D) lie within ``config.radius``, at most ``max_neighbours`` from each."""
    batch = event.batch if "batch" in event else None
    table = knn(embedding.detach().float(), config.max_neighbours, batch=batch, r_max=config.radius)
    full = table.index[:, -1] >= 0
    edges = outward_edges(table.edge_index(), event.pos)
    if config.forbid_same_module:
        same = torch.ones(edges.shape[1], dtype=torch.bool, device=edges.device)
        for name in ("volume", "layer", "module"):
            same &= event[name][edges[0]] == event[name][edges[1]]
        edges = edges[:, ~same]
    return BuiltGraph(edge_index=edges, saturated=float(full.float().mean()) if len(full) else 0.0)
