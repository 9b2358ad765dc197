"""Attention edge network: the score of an edge weighs what passes along it (ResAGNN of Exa.TrkX, arXiv:2003.11603).

x = [IN(features), features]. Every iteration: g = sigmoid(EDGE([x_s, x_t])); m_i = sum of g x_j over the edges between
i and j, whatever their direction; x' = [NODE([m, x]), features] + x. Logit = the same EDGE([x_s, x_t]).

Shape letters: N nodes, F node features, E edges, G edge features, w width of the node state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hitloom.nn.edge_graph import EdgeGraph, check_inputs, make_graph
from hitloom.nn.edge_pass import edge_pass
from hitloom.nn.mlp import MLP, LayerNorm
from hitloom.ops.segments import segment_sum


class AttentionEdgeNetwork(nn.Module):
    """Edge classifier by gated sums over neighbours; all iterations share their networks.

    Shapes: x (N, F) float32, edge_index (2, E) int64, edge_attr (E, G) float32 or None -> logits (E,) float32.

    Parameters
    ----------
    num_node_features, num_edge_features : int
        The edge network sees the edge features too.
    hidden : int
    num_iterations : int
    num_node_layers, num_edge_layers : int
        Linear layers of the node networks, and hidden layers of the edge network.
    activation, layernorm, batchnorm
        See :class:`hitloom.nn.InteractionNetwork`.
    residual, shortcut : bool
        Add the old state; join the features to the state at every step. Neither: the vanilla form.
    both_directions : bool
        Score and gate of an edge are those of the mean of its two logits.
    checkpointing : bool
        Keep only the node states for the backward pass, and compute the rest again.
    """

    def __init__(
        self,
        *,
        num_node_features: int,
        num_edge_features: int = 0,
        hidden: int,
        num_iterations: int,
        num_node_layers: int,
        num_edge_layers: int,
        activation: str = "Tanh",
        layernorm: LayerNorm = "affine",
        batchnorm: bool = False,
        residual: bool = True,
        shortcut: bool = True,
        both_directions: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.num_node_features, self.num_edge_features = num_node_features, num_edge_features
        self.num_iterations, self.residual, self.shortcut = num_iterations, residual, shortcut
        self.both_directions, self.checkpointing = both_directions, checkpointing

        def network(in_dim: int, out_dim: int, num_layers: int) -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim, num_layers=num_layers, activation=activation,
                layernorm=layernorm != "none", affine=layernorm == "affine", batchnorm=batchnorm,
            )  # fmt: skip

        width = hidden + (num_node_features if shortcut else 0)
        self.node_encoder = network(num_node_features, hidden, num_node_layers)
        self.edge_network = network(2 * width + num_edge_features, 1, num_edge_layers + 1)
        self.node_network = network(2 * width, hidden, num_node_layers)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        check_inputs(x, edge_index, edge_attr, self.num_node_features, self.num_edge_features)
        graph = make_graph(edge_index, x.shape[0], both_directions=self.both_directions)
        features, attributes = x, graph.attributes(edge_attr)
        x = self._join(self.node_encoder(x), features)
        for _ in range(self.num_iterations):
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(self.step, graph, edge_index, x, features, attributes, use_reentrant=False)
            else:
                x = self.step(graph, edge_index, x, features, attributes)
        return self._logit(graph, x, attributes)

    def step(
        self, graph: EdgeGraph, edge_index: Tensor, x: Tensor, features: Tensor, attributes: list[Tensor]
    ) -> Tensor:
        """Return the nodes (N, w) after one iteration."""
        gate = self._logit(graph, x, attributes).sigmoid()[:, None]
        a, b = edge_index[0], edge_index[1]
        message = segment_sum(gate * x.index_select(0, a), b, graph.num_nodes)
        message = message + segment_sum(gate * x.index_select(0, b), a, graph.num_nodes)
        new_x = self._join(self.node_network(torch.cat([message, x], 1)), features)
        return new_x + x if self.residual else new_x

    def _logit(self, graph: EdgeGraph, x: Tensor, attributes: list[Tensor]) -> Tensor:
        return graph.collect(edge_pass(self.edge_network, graph, x, attributes)[0][:, 0])

    def _join(self, state: Tensor, features: Tensor) -> Tensor:
        return torch.cat([state, features], 1) if self.shortcut else state
