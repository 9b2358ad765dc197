"""Interaction network: node and edge states that update each other, then a score for each edge (arXiv:2103.06995).

x = ENC(features), e = EENC([x_s, x_t, attributes]). Every iteration, m_i = aggregation of e over the edges that end
at i; x' = NODE([x, m]) (+ x); e' = EDGE([x_s, x_t, e]) (+ e). Logit = CLS([x_s, x_t, e]).

Shape letters: N nodes, F node features, E edges, G edge features, D edges as fed, h width.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hitloom.nn.aggregation import check_aggregation
from hitloom.nn.edge_graph import EdgeGraph, check_inputs, make_graph
from hitloom.nn.edge_pass import edge_pass, row_pass
from hitloom.nn.mlp import MLP, LayerNorm


class InteractionNetwork(nn.Module):
    """Edge classifier. Defaults are the published Exa.TrkX form; the options give acorn's.

    Shapes: x (N, F) float32, edge_index (2, E) int64, edge_attr (E, G) float32 or None -> logits (E,) float32.

    Parameters
    ----------
    num_node_features, num_edge_features : int
    hidden : int
        Width h of nodes and edges.
    num_iterations : int
    num_node_layers, num_edge_layers : int
        Linear layers of the node networks, and of the edge networks; the classifier has one more.
    aggregation : sequence of str
        Any of sum, mean, max, min, std, joined in this order. Nodes where no edge ends get 0.
    activation, output_activation : str
        Of the hidden layers, and of the last one of every network but the classifier.
    layernorm : str
        ``affine``, ``plain`` (without scale and shift) or ``none``.
    batchnorm : bool
        Batch normalisation over the edges at hand.
    shared : bool
        All iterations share their networks.
    residual : bool
        Add the old state to the new one.
    updated_nodes : bool
        Edges see the nodes after their update, not before.
    in_out : bool
        Aggregate the edges that start at a node too, next to those that end there.
    both_directions : bool
        Feed every edge in both directions, with the same attributes, and average the two logits: the score does not
        depend on the direction in which an edge is stored.
    checkpointing : bool
        Keep only the states between iterations for the backward pass, and compute the rest again.
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
        aggregation: Sequence[str] = ("max", "sum"),
        activation: str = "SiLU",
        output_activation: str = "identity",
        layernorm: LayerNorm = "affine",
        batchnorm: bool = False,
        shared: bool = True,
        residual: bool = True,
        updated_nodes: bool = False,
        in_out: bool = False,
        both_directions: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.aggregation = check_aggregation(aggregation)
        self.num_node_features, self.num_edge_features = num_node_features, num_edge_features
        self.num_iterations = num_iterations
        self.residual, self.updated_nodes, self.in_out = residual, updated_nodes, in_out
        self.both_directions, self.checkpointing = both_directions, checkpointing

        def network(in_dim: int, num_layers: int) -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=hidden, num_layers=num_layers, activation=activation,
                output_activation=output_activation, normalise_output=output_activation != "identity",
                layernorm=layernorm != "none", affine=layernorm == "affine", batchnorm=batchnorm,
            )  # fmt: skip

        num_messages = len(self.aggregation) * (2 if in_out else 1)
        num_networks = min(1, num_iterations) if shared else num_iterations
        self.node_encoder = network(num_node_features, num_node_layers)
        self.edge_encoder = network(2 * hidden + num_edge_features, num_edge_layers)
        self.node_networks = nn.ModuleList(
            network((1 + num_messages) * hidden, num_node_layers) for _ in range(num_networks)
        )
        self.edge_networks = nn.ModuleList(network(3 * hidden, num_edge_layers) for _ in range(num_networks))
        self.classifier = MLP(
            in_dim=3 * hidden, hidden_dim=hidden, out_dim=1, num_layers=num_edge_layers + 1, activation=activation,
            layernorm=layernorm != "none", affine=layernorm == "affine", batchnorm=batchnorm,
        )  # fmt: skip

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        check_inputs(x, edge_index, edge_attr, self.num_node_features, self.num_edge_features)
        graph = make_graph(edge_index, x.shape[0], both_directions=self.both_directions)
        x = row_pass(self.node_encoder, [x], checkpointing=self.checkpointing)
        edges, messages = self._edges(self.edge_encoder, graph, x, graph.attributes(edge_attr), self.num_iterations > 0)
        for iteration in range(self.num_iterations):
            at = min(iteration, len(self.node_networks) - 1)
            node_network, edge_network = self.node_networks[at], self.edge_networks[at]
            new_x = row_pass(node_network, [x, *messages], residual=self.residual, checkpointing=self.checkpointing)  # type: ignore[arg-type]
            seen, tell = new_x if self.updated_nodes else x, iteration + 1 < self.num_iterations
            edges, messages = self._edges(edge_network, graph, seen, [edges], tell, residual=self.residual)  # type: ignore[arg-type]
            x = new_x
        logit, _ = edge_pass(self.classifier, graph, x, [edges], checkpointing=self.checkpointing)
        return graph.collect(logit[:, 0])

    def _edges(
        self, network: MLP, graph: EdgeGraph, x: Tensor, edges: list[Tensor], tell: bool, *, residual: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        return edge_pass(
            network, graph, x, edges, residual=residual, checkpointing=self.checkpointing,
            reuse=network is not self.edge_encoder, aggregation=self.aggregation if tell else (), in_out=self.in_out,
        )  # fmt: skip
