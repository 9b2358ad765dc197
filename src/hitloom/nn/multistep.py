"""Multi-step interaction network: a score for each edge after every iteration (InteractionMultistep of Exa.TrkX).

x = x0 = ENC(features), e = e0 = EENC([x_s, x_t, attributes]). Every iteration, with y = [x, x0] and m_i = aggregation
of e over the edges that end at i: x' = NODE([y, m]) + x; e' = sigmoid(EDGE([y_s, y_t, e, e0])); logit = CLS([x'_s,
x'_t, e']).

Shape letters: N nodes, F node features, E edges, G edge features, D edges as fed, h width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hitloom.errors import ConfigError
from hitloom.nn.aggregation import check_aggregation
from hitloom.nn.edge_graph import check_inputs, make_graph
from hitloom.nn.edge_pass import edge_pass, row_pass
from hitloom.nn.mlp import MLP, LayerNorm


class MultistepNetwork(nn.Module):
    """Edge classifier for a loss that averages over all steps; all iterations share their networks.

    Shapes: x (N, F) float32, edge_index (2, E) int64, edge_attr (E, G) float32 or None -> logits (E,) float32.

    Parameters
    ----------
    num_node_features, num_edge_features, hidden : int
    num_iterations : int
        At least 1.
    num_node_layers, num_edge_layers : int
    aggregation, activation, layernorm, batchnorm, both_directions, checkpointing
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
        aggregation: Sequence[str] = ("max", "sum"),
        activation: str = "SiLU",
        layernorm: LayerNorm = "affine",
        batchnorm: bool = False,
        both_directions: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if num_iterations < 1:
            raise ConfigError(f"num_iterations came as {num_iterations}, wanted at least 1; mend: use 1 or more")
        self.aggregation = check_aggregation(aggregation)
        self.num_node_features, self.num_edge_features = num_node_features, num_edge_features
        self.num_iterations, self.both_directions, self.checkpointing = num_iterations, both_directions, checkpointing

        def network(in_dim: int, out_dim: int, num_layers: int, output: str = "identity") -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim, num_layers=num_layers, activation=activation,
                output_activation=output,
                layernorm=layernorm != "none", affine=layernorm == "affine", batchnorm=batchnorm,
            )  # fmt: skip

        self.node_encoder = network(num_node_features, hidden, num_node_layers)
        self.edge_encoder = network(2 * hidden + num_edge_features, hidden, num_edge_layers)
        self.node_network = network((2 + len(self.aggregation)) * hidden, hidden, num_node_layers)
        self.edge_network = network(6 * hidden, hidden, num_edge_layers, "Sigmoid")
        self.classifier = network(3 * hidden, 1, num_edge_layers + 1)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        return self._run(x, edge_index, edge_attr, every_step=False)[-1]

    def forward_steps(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> list[Tensor]:
        """Return the logits (E,) after every iteration."""
        return self._run(x, edge_index, edge_attr, every_step=True)

    def _run(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, *, every_step: bool) -> list[Tensor]:
        check_inputs(x, edge_index, edge_attr, self.num_node_features, self.num_edge_features)
        graph = make_graph(edge_index, x.shape[0], both_directions=self.both_directions)
        again = self.checkpointing
        x = first_x = row_pass(self.node_encoder, [x], checkpointing=again)
        edges, messages = edge_pass(
            self.edge_encoder, graph, x, graph.attributes(edge_attr), checkpointing=again, aggregation=self.aggregation
        )
        first_edges, logits = edges, []
        for iteration in range(self.num_iterations):
            last = iteration == self.num_iterations - 1
            state = torch.cat([x, first_x], 1)
            edges, new_messages = edge_pass(
                self.edge_network, graph, state, [edges, first_edges], checkpointing=again, reuse=iteration > 0,
                aggregation=() if last else self.aggregation,
            )  # fmt: skip
            x = x + row_pass(self.node_network, [state, *messages], checkpointing=again)
            messages = new_messages
            if every_step or last:
                logit, _ = edge_pass(self.classifier, graph, x, [edges], checkpointing=again)
                logits.append(graph.collect(logit[:, 0]))
        return logits
