"""The two networks: edge convolutions between tracksters, with (PUNet) or without (GNN) a transformer before them.

Nodes and edges are encoded; two gates are read off the edge latent, one for each direction, and serve all blocks; the
edge head reads both ends, the latent and the features of the edge. Its output is the embedding of the edge, from which
comes the logit.

Everywhere here ``edge_index`` is (2, E) with the OUTER trackster above the inner one: the order of the published
networks. (Events keep the inner one above.)

Shape letters: N nodes, E edges, B events, F inputs of a node, G inputs of an edge, h width, e width of the edge latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.nn.cosine_attention import CosineEncoderLayer, init_xavier
from hitloom.nn.edge_conv import EdgeConvBlock
from hitloom.nn.edge_graph import EdgeGraph, check_inputs, make_graph, unsorted_graph
from hitloom.nn.edge_pass import edge_pass, row_pass
from hitloom.nn.fused import is_traced
from hitloom.nn.mlp import MLP
from hitloom.nn.traceable_knn import traceable_knn
from hitloom.ops import knn
from hitloom.systems.linking.config import LinkingConfig
from hitloom.systems.linking.inputs import TracksterInputs

_ETA, _PHI = NODE_FEATURES.index("barycenter_eta"), NODE_FEATURES.index("barycenter_phi")


@dataclass(frozen=True)
class LinkOutput:
    """Embedding (E, h) and logit (E,) of the edges; logit (N,) of being pile-up where there is a head for it."""

    embedding: Tensor
    logit: Tensor
    pu_logit: Tensor | None


class LinkNetwork(nn.Module):
    """Scalers, network and heads.

    Shapes: x (N, 29) float32, edge_index (2, E) int64 outer above inner, edge_attr (E, 5 or 7) float32 -> LinkOutput.

    Parameters
    ----------
    config : LinkingConfig
    """

    def __init__(self, config: LinkingConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = TracksterInputs(config.inputs)
        width, latent, attention = config.hidden, config.edge_hidden, config.attention

        self.node_encoder = self._encoder(self.inputs.num_node_inputs, width)
        self.edge_encoder = self._encoder(self.inputs.num_edge_inputs, latent)
        self.attention = nn.ModuleList()
        if config.network == "punet":
            self.attention.extend(
                CosineEncoderLayer(
                    width=width, num_heads=attention.num_heads, dropout=config.dropout,
                    temperature=attention.temperature if attention.cosine else None,
                )
                for _ in range(attention.num_layers)
            )  # fmt: skip
        self.gates = nn.ModuleList()
        if config.gated and config.num_iterations:
            self.gates.extend(self._encoder(latent, latent, out_dim=1, output="Sigmoid") for _ in range(2))
        self.blocks = nn.ModuleList(
            EdgeConvBlock(in_dim=width, hidden_dim=2 * width, out_dim=width, dropout=config.dropout)
            for _ in range(config.num_iterations)
        )
        self.edge_head = self._encoder(2 * width + latent + self.inputs.num_edge_inputs, width)
        self.output = _head(width, layers=2)
        self.pu_head = None if config.loss.pu_weight is None else _head(width, layers=3)
        if config.network == "punet" and attention.init == "xavier":
            init_xavier(self)
        with torch.no_grad():
            for layer in self.attention:
                layer.attention.output.weight.mul_(attention.output_gain)  # type: ignore[operator, union-attr]

    def _encoder(self, in_dim: int, hidden: int, *, out_dim: int | None = None, output: str = "LeakyReLU") -> MLP:
        return MLP(
            in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim or hidden, num_layers=2, activation="LeakyReLU",
            output_activation=output, layernorm=False, dropout=self.config.dropout,
        )  # fmt: skip

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, sizes: Sequence[int] | None = None
    ) -> LinkOutput:
        """Return what the network says of the edges.

        Parameters
        ----------
        sizes : sequence of int or None
            Number of tracksters of each event of a batch; None = one event.
        """
        check_inputs(x, edge_index, edge_attr, len(NODE_FEATURES), len(self.inputs.edge_features))
        rows, edges = self.inputs(x, edge_index, edge_attr)
        nodes = row_pass(self.node_encoder, [rows])
        latent = row_pass(self.edge_encoder, [edges])
        neighbours = self._neighbours(x, sizes) if len(self.attention) else None
        for layer in self.attention:
            nodes = layer(nodes, sizes, neighbours)
        # a pair receives at its target: the outer end by the first gate, the inner end by the second
        graph = make_graph(edge_index.flip(0), x.shape[0], both_directions=True)
        gate = self._gates(graph, latent)
        loops = legacy_loops(x.shape[0], sizes, x) if self.config.legacy_self_loops else None
        for block in self.blocks:
            nodes = block(nodes, graph, gate, loops)
        ends = unsorted_graph(edge_index, x.shape[0], both_directions=False)
        embedding = edge_pass(self.edge_head, ends, nodes, [latent, edges])[0]
        logit = row_pass(self.output, [embedding])[:, 0]
        pu_logit = None if self.pu_head is None else row_pass(self.pu_head, [nodes])[:, 0]
        return LinkOutput(embedding, logit, pu_logit)

    def _gates(self, graph: EdgeGraph, latent: Tensor) -> Tensor | None:
        """Return the factor (2E,) of each pair as fed."""
        if not len(self.gates):
            return None
        gate = torch.cat([row_pass(network, [latent])[:, 0] for network in self.gates])  # type: ignore[arg-type]
        return gate if graph.place is None else torch.empty_like(gate).index_copy(0, graph.place, gate)

    def _neighbours(self, x: Tensor, sizes: Sequence[int] | None) -> Tensor | None:
        """Return the rows (N, k) that each trackster looks at: nearest in (eta, phi), itself among them."""
        k = self.config.attention.num_neighbours
        if k is None:
            return None
        phi = x[:, _PHI]
        place = torch.stack([x[:, _ETA], torch.cos(phi), torch.sin(phi)], 1).detach()
        return nearest_rows(place, k, sizes)


def nearest_rows(place: Tensor, k: int, sizes: Sequence[int] | None) -> Tensor:
    """Return (N, k) int64: each row itself, then the nearest others of its event; -1 = no more."""
    own = torch.arange(place.shape[0], device=place.device)
    if is_traced():
        everyone = torch.ones_like(own, dtype=torch.bool)
        others = traceable_knn(place, k - 1, asks=everyone, chosen=everyone)
    else:
        batch = None
        if sizes is not None:
            events = torch.arange(len(sizes), device=place.device)
            batch = events.repeat_interleave(torch.tensor(list(sizes), device=place.device))
        others = knn(place, k - 1, batch=batch).index
    return torch.cat([own[:, None], others], 1)


def legacy_loops(num_nodes: int, sizes: Sequence[int] | None, like: Tensor) -> Tensor:
    """Return how often each node meets itself in old weights: the first of an event for all of it, others never."""
    loops = like.new_zeros(num_nodes)
    if sizes is None:  # neither a number nor a device is frozen in a traced graph
        place = (loops + 1).cumsum(0)
        return (place == 1) * (loops + 1).sum()
    first = 0
    for size in sizes:
        if size:
            loops[first] = size
        first += size
    return loops


def _head(width: int, *, layers: int) -> MLP:
    return MLP(in_dim=width, hidden_dim=width, out_dim=1, num_layers=layers, activation="LeakyReLU", layernorm=False)
