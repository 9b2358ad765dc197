"""Edge classifier without message passing: an MLP on the two nodes of an edge (the filter of arXiv:2103.06995).

Shape letters: N nodes, F node features, E edges, G edge features.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from hitloom.nn.edge_graph import check_inputs, unsorted_graph
from hitloom.nn.edge_pass import edge_pass
from hitloom.nn.mlp import MLP, LayerNorm, make_activation, pyramid
from hitloom.nn.norm import AffineLayerNorm, MaskedBatchNorm, PlainLayerNorm


class EdgeMLP(nn.Module):
    """Edge classifier: MLP([x_s, x_t, attributes]).

    Shapes: x (N, F) float32, edge_index (2, E) int64, edge_attr (E, G) float32 or None -> logits (E,) float32.

    Parameters
    ----------
    num_node_features, num_edge_features : int
    hidden : int
        Width of the (first) hidden layer.
    num_layers : int
        Linear layers before the one to the logit.
    shape : str
        ``plain``: layers of one width. ``pyramid``: each half as wide as the one before. ``vanilla``: no activation
        after the first layer, then (Linear, activation, normalisation) with one normalisation for all.
    activation : str
    layernorm : str
        ``affine``, ``plain`` (without scale and shift) or ``none``.
    batchnorm : bool
        Batch normalisation over the edges at hand: a score then depends on the other edges of the call.
    both_directions : bool
        Average the logits of both directions of an edge.
    """

    def __init__(
        self,
        *,
        num_node_features: int,
        num_edge_features: int = 0,
        hidden: int,
        num_layers: int,
        shape: Literal["plain", "pyramid", "vanilla"] = "plain",
        activation: str = "Tanh",
        layernorm: LayerNorm = "affine",
        batchnorm: bool = False,
        both_directions: bool = False,
    ) -> None:
        super().__init__()
        self.num_node_features, self.num_edge_features = num_node_features, num_edge_features
        self.both_directions = both_directions
        in_dim = 2 * num_node_features + num_edge_features
        self.network: MLP
        if shape == "vanilla":
            self.network = _VanillaMLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=1, num_layers=num_layers + 1, activation=activation,
                layernorm=layernorm, batchnorm=batchnorm,
            )  # fmt: skip
        else:
            self.network = MLP(
                in_dim=in_dim, out_dim=1, activation=activation, batchnorm=batchnorm,
                hidden_dim=pyramid(hidden, num_layers) if shape == "pyramid" else [hidden] * num_layers,
                layernorm=layernorm != "none", affine=layernorm == "affine",
            )  # fmt: skip

    @property
    def row_wise(self) -> bool:
        """Whether the score of an edge depends on this edge alone, so that edges may be scored in parts."""
        return self.network.row_wise

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        check_inputs(x, edge_index, edge_attr, self.num_node_features, self.num_edge_features)
        graph = unsorted_graph(edge_index, x.shape[0], both_directions=self.both_directions)
        return graph.collect(edge_pass(self.network, graph, x, graph.attributes(edge_attr))[0][:, 0])


class _VanillaMLP(MLP):
    """Linear; (Linear, activation, one normalisation for all) several times; Linear."""

    def __init__(
        self,
        *,
        in_dim: int,
        hidden_dim: int,
        out_dim: int,
        num_layers: int,
        activation: str,
        layernorm: LayerNorm,
        batchnorm: bool,
    ) -> None:
        super().__init__(
            in_dim=in_dim, hidden_dim=hidden_dim, out_dim=out_dim, num_layers=num_layers, activation=activation,
            layernorm=False,
        )  # fmt: skip
        layers: list[nn.Module] = []
        if layernorm != "none":
            layers.append(AffineLayerNorm(num_channels=hidden_dim) if layernorm == "affine" else PlainLayerNorm())
        if batchnorm:
            layers.append(MaskedBatchNorm(num_channels=hidden_dim))
        self.norms = nn.ModuleList(layers)
        self.activation = make_activation(activation)
        self.row_wise, self.fusible, self.fits_rows = not batchnorm, False, False

    def body(self, first: Tensor, mask: Tensor | None = None) -> Tensor:
        value = first
        for linear in self.linears[1:-1]:  # type: ignore[union-attr]
            value = self.activation(linear(value))
            for norm in self.norms:
                value = norm(value, mask)
        return self.linears[-1](value) if len(self.linears) > 1 else value
