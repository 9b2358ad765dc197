"""Graph convolution, then a score for each edge (VanillaGCN of Exa.TrkX).

x = ENC(features). Every iteration: x' = NODE([x, sum of x over all neighbours]). Logit = CLS([x_s, x_t, attributes]).

Shape letters: N nodes, F node features, E edges, G edge features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hitloom.nn.edge_graph import check_inputs, make_graph
from hitloom.nn.edge_pass import edge_pass
from hitloom.nn.mlp import MLP, LayerNorm
from hitloom.ops.segments import segment_sum


class GCNEdgeNetwork(nn.Module):
    """Edge classifier whose messages pass both ways along every edge.

    Shapes: x (N, F) float32, edge_index (2, E) int64, edge_attr (E, G) float32 or None -> logits (E,) float32.

    Parameters
    ----------
    num_node_features, num_edge_features : int
        Edge features enter the classifier alone.
    hidden, num_iterations, num_node_layers, num_edge_layers : int
    activation, layernorm, batchnorm, shared, both_directions, checkpointing
        See :class:`hitloom.nn.InteractionNetwork`.
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
        activation: str = "SiLU",
        layernorm: LayerNorm = "affine",
        batchnorm: bool = False,
        shared: bool = True,
        both_directions: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.num_node_features, self.num_edge_features = num_node_features, num_edge_features
        self.num_iterations, self.both_directions, self.checkpointing = num_iterations, both_directions, checkpointing

        def network(in_dim: int, out_dim: int, num_layers: int) -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim, num_layers=num_layers, activation=activation,
                layernorm=layernorm != "none", affine=layernorm == "affine", batchnorm=batchnorm,
            )  # fmt: skip

        num_networks = min(1, num_iterations) if shared else num_iterations
        self.node_encoder = network(num_node_features, hidden, num_node_layers)
        self.node_networks = nn.ModuleList(network(2 * hidden, hidden, num_node_layers) for _ in range(num_networks))
        self.classifier = network(2 * hidden + num_edge_features, 1, num_edge_layers + 1)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        check_inputs(x, edge_index, edge_attr, self.num_node_features, self.num_edge_features)
        x = self.node_encoder(x)
        for iteration in range(self.num_iterations):
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(self.step, iteration, edge_index, x, use_reentrant=False)
            else:
                x = self.step(iteration, edge_index, x)
        graph = make_graph(edge_index, x.shape[0], both_directions=self.both_directions)
        return graph.collect(edge_pass(self.classifier, graph, x, graph.attributes(edge_attr))[0][:, 0])

    def step(self, iteration: int, edge_index: Tensor, x: Tensor) -> Tensor:
        """Return the nodes (N, h) after one iteration."""
        a, b = edge_index[0], edge_index[1]
        total = segment_sum(x.index_select(0, a), b, x.shape[0]) + segment_sum(x.index_select(0, b), a, x.shape[0])
        return self.node_networks[min(iteration, len(self.node_networks) - 1)](torch.cat([x, total], 1))
