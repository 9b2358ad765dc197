"""Edge classifier on a graph convolution of PyTorch Geometric: encoder, convolutions both ways, a score for each edge.

With one or two convolutions this is the filter with a graph encoder ("GNNFilter" of acorn).

Shape letters: N nodes, F node features, E edges, G edge features, h width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hitloom.errors import ConfigError, nearest
from hitloom.nn.edge_graph import check_inputs, make_graph
from hitloom.nn.edge_pass import edge_pass
from hitloom.nn.mlp import MLP, LayerNorm, make_activation

_PLAIN = (
    "SAGEConv", "GCNConv", "GraphConv", "GATConv", "GATv2Conv", "TransformerConv", "TAGConv", "LEConv",
    "ResGatedGraphConv",
)  # fmt: skip
_OF_MLP = {"GINConv": 1, "EdgeConv": 2}  # how many node states the network inside reads
CONVOLUTIONS = (*_PLAIN, *_OF_MLP)


class PyGEdgeNetwork(nn.Module):
    """Edge classifier: x = activation(CONV(x)) (+ x), several times; logit = CLS([x_s, x_t, attributes]).

    Shapes: x (N, F) float32, edge_index (2, E) int64, edge_attr (E, G) float32 or None -> logits (E,) float32.

    Parameters
    ----------
    conv : str
        Name in :data:`CONVOLUTIONS`, a layer of ``torch_geometric.nn``.
    num_node_features, num_edge_features : int
        Edge features enter the classifier alone.
    hidden : int
    num_iterations : int
        Convolutions, each with its own weights.
    num_node_layers, num_edge_layers : int
        Linear layers of the encoder (and of a network inside the convolution); hidden layers of the classifier.
    residual : bool
        Add the old state to the new one.
    activation, layernorm, both_directions, checkpointing
        See :class:`hitloom.nn.InteractionNetwork`.
    """

    def __init__(
        self,
        *,
        conv: str = "SAGEConv",
        num_node_features: int,
        num_edge_features: int = 0,
        hidden: int,
        num_iterations: int,
        num_node_layers: int,
        num_edge_layers: int,
        activation: str = "SiLU",
        layernorm: LayerNorm = "affine",
        residual: bool = True,
        both_directions: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if conv not in CONVOLUTIONS:
            raise ConfigError(f"conv: unknown name '{conv}'.{nearest(conv, CONVOLUTIONS)}")
        self.num_node_features, self.num_edge_features = num_node_features, num_edge_features
        self.residual, self.both_directions, self.checkpointing = residual, both_directions, checkpointing

        def network(in_dim: int, out_dim: int, num_layers: int) -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim, num_layers=num_layers, activation=activation,
                layernorm=layernorm != "none", affine=layernorm == "affine",
            )  # fmt: skip

        self.activation = make_activation(activation)
        self.node_encoder = network(num_node_features, hidden, num_node_layers)
        self.convolutions = nn.ModuleList(
            _convolution(conv, hidden, lambda in_dim: network(in_dim, hidden, num_node_layers))
            for _ in range(num_iterations)
        )
        self.classifier = network(2 * hidden + num_edge_features, 1, num_edge_layers + 1)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        check_inputs(x, edge_index, edge_attr, self.num_node_features, self.num_edge_features)
        ways = torch.cat([edge_index, edge_index.flip(0)], 1)
        x = self.node_encoder(x)
        for convolution in self.convolutions:
            if self.checkpointing and torch.is_grad_enabled():
                new_x = checkpoint(convolution, x, ways, use_reentrant=False)
            else:
                new_x = convolution(x, ways)
            new_x = self.activation(new_x)
            x = new_x + x if self.residual else new_x
        graph = make_graph(edge_index, x.shape[0], both_directions=self.both_directions)
        return graph.collect(edge_pass(self.classifier, graph, x, graph.attributes(edge_attr))[0][:, 0])


def _convolution(name: str, hidden: int, make_network: Callable[[int], nn.Module]) -> nn.Module:
    import torch_geometric.nn as layers

    if name in _OF_MLP:
        return getattr(layers, name)(make_network(_OF_MLP[name] * hidden))
    return getattr(layers, name)(hidden, hidden)
