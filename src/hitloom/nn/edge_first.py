"""Edge-first interaction network ("InteractionGNN2" of acorn): directed, the first encodings at hand at every step.

x = x0 = ENC(features), e = e0 = EENC(attributes). Every iteration, with y = [x, x0] and f = [e, e0] if ``concat``:
e = EDGE([f, y_s, y_t]); x = NODE([sum of e in, sum of e out, y]). Logit = HEAD(DECODER(e)).

Shape letters: N nodes, F node features, E edges, G edge features, h width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hitloom.nn.edge_graph import check_inputs, make_graph
from hitloom.nn.edge_pass import edge_pass, row_pass
from hitloom.nn.mlp import MLP, LayerNorm


class EdgeFirstNetwork(nn.Module):
    """Edge classifier whose score depends on the direction of an edge.

    The decoder reads the edges alone, so the node network of the last iteration has no part in the score; it is there
    in the published count of parameters.

    Shapes: x (N, F) float32, edge_index (2, E) int64, edge_attr (E, G) float32 or None -> logits (E,) float32.

    Parameters
    ----------
    num_node_features, num_edge_features : int
        Without edge features the edges start from the encoded nodes at their two ends.
    hidden : int
        Width h of nodes and edges.
    num_iterations : int
    num_node_layers, num_edge_layers : int
        Linear layers of the node networks, and of the edge networks and the decoder.
    activation, output_activation : str
        Of the hidden layers, and of the last one of every network but the head; the last one is not normalised.
    layernorm : str
        ``affine``, ``plain`` (without scale and shift) or ``none``.
    batchnorm : bool
        Batch normalisation over the edges at hand, without running statistics: a score then depends on the other
        edges of the call.
    shared : bool
        All iterations share their networks.
    concat : bool
        Every step sees the first encodings next to the current ones.
    in_out : bool
        Sums over the edges that end at a node and over those that start there are kept apart, not added up.
    checkpointing : bool
        Keep only the states between iterations for the backward pass, and compute the rest again.
    """

    def __init__(
        self,
        *,
        num_node_features: int,
        num_edge_features: int = 6,
        hidden: int,
        num_iterations: int,
        num_node_layers: int,
        num_edge_layers: int,
        activation: str = "ReLU",
        output_activation: str = "identity",
        layernorm: LayerNorm = "affine",
        batchnorm: bool = False,
        shared: bool = False,
        concat: bool = True,
        in_out: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.num_node_features, self.num_edge_features = num_node_features, num_edge_features
        self.num_iterations, self.concat, self.in_out = num_iterations, concat, in_out
        self.checkpointing = checkpointing

        def network(in_dim: int, num_layers: int, out_dim: int = hidden, output: str = output_activation) -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim, num_layers=num_layers, activation=activation,
                output_activation=output, layernorm=layernorm != "none", affine=layernorm == "affine",
                batchnorm=batchnorm,
            )  # fmt: skip

        state = 2 * hidden if concat else hidden
        num_networks = min(1, num_iterations) if shared else num_iterations
        self.node_encoder = network(num_node_features, num_node_layers)
        self.edge_encoder = network(num_edge_features or 2 * hidden, num_edge_layers)
        self.edge_networks = nn.ModuleList(network(3 * state, num_edge_layers) for _ in range(num_networks))
        self.node_networks = nn.ModuleList(
            network(state + (2 if in_out else 1) * hidden, num_node_layers) for _ in range(num_networks)
        )
        self.decoder = network(hidden, num_edge_layers)
        self.head = network(hidden, 2, out_dim=1, output="identity")

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        check_inputs(x, edge_index, edge_attr, self.num_node_features, self.num_edge_features)
        graph = make_graph(edge_index, x.shape[0], both_directions=False)
        again = self.checkpointing
        x = first_x = row_pass(self.node_encoder, [x], checkpointing=again)
        if edge_attr is None:
            edges, _ = edge_pass(self.edge_encoder, graph, x, checkpointing=again)
        else:
            edges = row_pass(self.edge_encoder, graph.attributes(edge_attr), checkpointing=again)
        first_edges = edges
        for iteration in range(self.num_iterations):
            at = min(iteration, len(self.node_networks) - 1)
            node_network, edge_network = self.node_networks[at], self.edge_networks[at]
            last = iteration == self.num_iterations - 1  # its node network would tell nobody
            state = torch.cat([x, first_x], 1) if self.concat else x
            edges, messages = edge_pass(
                edge_network, graph, state, [edges, first_edges] if self.concat else [edges],  # type: ignore[arg-type]
                checkpointing=again, reuse=iteration > 0 or not self.concat, in_out=True,
                aggregation=() if last else ["sum"],
            )  # fmt: skip
            if last:
                break
            if not self.in_out:
                messages = [messages[0] + messages[1]]
            x = row_pass(node_network, [*messages, state], checkpointing=again)  # type: ignore[arg-type]
        decoded = row_pass(self.decoder, [edges], checkpointing=again)
        return graph.collect(row_pass(self.head, [decoded], checkpointing=again)[:, 0])
