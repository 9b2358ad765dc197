"""The networks of filter and graph stage, from their configurations.

Shape letters: N points, I inputs of a point, E edges, G edge features.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from hitloom.nn import (
    AttentionEdgeNetwork,
    EdgeFirstNetwork,
    EdgeMLP,
    GCNEdgeNetwork,
    InteractionNetwork,
    MultistepNetwork,
    PyGEdgeNetwork,
)
from hitloom.systems.exatrkx.config import FilterConfig, GNNConfig


def make_filter(config: FilterConfig, num_edge_features: int) -> EdgeMLP:
    """Return the network of a filter: (inputs (N, I), edge_index (2, E), features (E, G)) -> logits (E,)."""
    return EdgeMLP(
        num_node_features=config.inputs.width, num_edge_features=num_edge_features, hidden=config.hidden,
        num_layers=config.num_layers, shape=config.shape, activation=config.activation, layernorm=config.layernorm,
        batchnorm=config.batchnorm,
    )  # fmt: skip


def make_classifier(config: GNNConfig, num_edge_features: int) -> nn.Module:
    """Return the graph network: (inputs (N, I), edge_index (2, E), features (E, G)) -> logits (E,)."""
    shared: dict[str, Any] = {
        "num_node_features": config.inputs.width,
        "num_edge_features": num_edge_features,
        "hidden": config.hidden,
        "num_iterations": config.num_iterations,
        "num_node_layers": config.num_node_layers,
        "num_edge_layers": config.num_edge_layers,
        "activation": config.activation,
        "layernorm": config.layernorm,
        "checkpointing": config.checkpointing,
    }
    match config.kind:
        case "interaction":
            return InteractionNetwork(
                aggregation=config.aggregation, output_activation=config.output_activation, shared=config.shared,
                residual=config.residual, updated_nodes=config.updated_nodes, in_out=config.in_out,
                both_directions=config.both_directions, batchnorm=config.batchnorm, **shared,
            )  # fmt: skip
        case "edge-first":
            return EdgeFirstNetwork(
                output_activation=config.output_activation, shared=config.shared, concat=config.concat,
                in_out=config.in_out, batchnorm=config.batchnorm, **shared,
            )  # fmt: skip
        case "multistep":
            return MultistepNetwork(
                aggregation=config.aggregation, both_directions=config.both_directions, batchnorm=config.batchnorm,
                **shared,
            )  # fmt: skip
        case "attention":
            return AttentionEdgeNetwork(
                residual=config.residual, both_directions=config.both_directions, batchnorm=config.batchnorm, **shared
            )
        case "gcn":
            return GCNEdgeNetwork(
                shared=config.shared, both_directions=config.both_directions, batchnorm=config.batchnorm, **shared
            )
        case _:
            return PyGEdgeNetwork(
                conv=config.conv, residual=config.residual, both_directions=config.both_directions, **shared
            )
