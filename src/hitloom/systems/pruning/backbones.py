"""Graph networks below the tree model: what a layer cluster is like, seen with those that it is linked to.

All take states (N, d) and links (2, E), leader above follower, and give states (N, d). They read the links both ways.

- gated: message MLP and a GRU with the same weights in each step (Li et al., arXiv:1511.05493); messages to the leader
  and to the follower are two kinds;
- attention: graph attention with self loops (Velickovic et al., arXiv:1710.10903), one layer a step;
- tag: topology adaptive convolution over 3 hops (Du et al., arXiv:1710.10370), one layer a step;
- sage: GraphSAGE with self loops and the mean of the neighbours (:mod:`hitloom.nn.sage`), one layer a step.

Layers of attention and tag add to the state that they were given.

Shape letters: N points, E links, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, TAGConv

from hitloom.nn.dropout import dropout
from hitloom.nn.mlp import MLP
from hitloom.nn.neighbours import Neighbours
from hitloom.nn.sage import SageLayer
from hitloom.systems.pruning.config import TreeConfig

NUM_HOPS = 3


class GatedBackbone(nn.Module):
    """``num_steps`` rounds of messages and one GRU step each; shapes as in the module."""

    def __init__(self, *, dim: int, config: TreeConfig) -> None:
        super().__init__()
        self.num_steps = config.num_steps
        self.message = MLP(
            in_dim=dim, hidden_dim=dim, out_dim=2 * dim, num_layers=config.num_message_layers, activation="ReLU",
            layernorm=False, dropout=config.dropout,
        )  # fmt: skip
        self.update = nn.GRUCell(dim, dim)

    def forward(self, h: Tensor, edge_index: Tensor) -> Tensor:
        leader, follower = edge_index
        for _ in range(self.num_steps):
            up, down = self.message(h).chunk(2, dim=1)  # (N, d) each: what a node tells its leader, its followers
            heard = torch.zeros_like(h).index_add(0, leader, up.index_select(0, follower))
            heard = heard.index_add(0, follower, down.index_select(0, leader))
            h = self.update(heard, h)
        return h


class ConvolutionBackbone(nn.Module):
    """``num_steps`` layers of graph attention or of TAG convolution; shapes as in the module."""

    def __init__(self, *, dim: int, config: TreeConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.self_loops = config.backbone == "attention"

        def layer() -> nn.Module:
            if config.backbone == "attention":
                return GATConv(dim, dim // config.num_heads, heads=config.num_heads, add_self_loops=False)
            return TAGConv(dim, dim, K=NUM_HOPS)

        self.layers = nn.ModuleList(layer() for _ in range(config.num_steps))

    def forward(self, h: Tensor, edge_index: Tensor) -> Tensor:
        edges = [edge_index, edge_index.flip(0)]
        if self.self_loops:
            edges.append(torch.arange(h.shape[0], device=h.device).expand(2, -1))
        both_ways = torch.cat(edges, 1)
        for layer in self.layers:
            h = h + dropout(layer(h, both_ways).relu(), self.dropout, self.training)
        return h


class SageBackbone(nn.Module):
    """``num_steps`` layers of GraphSAGE; shapes as in the module."""

    def __init__(self, *, dim: int, config: TreeConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SageLayer(width=dim, dropout=config.dropout) for _ in range(config.num_steps))

    def forward(self, h: Tensor, edge_index: Tensor) -> Tensor:
        neighbours = Neighbours.both_ways(edge_index, h.shape[0])
        for layer in self.layers:
            h = layer(h, neighbours)
        return h


def make_backbone(*, dim: int, config: TreeConfig) -> nn.Module:
    """Return the backbone that the configuration names."""
    kinds = {"gated": GatedBackbone, "sage": SageBackbone}
    return kinds.get(config.backbone, ConvolutionBackbone)(dim=dim, config=config)
