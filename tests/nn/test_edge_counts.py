"""Numbers of parameters of the published networks."""

from __future__ import annotations

import pytest
from torch import nn

from hitloom.nn import MLP, EdgeFirstNetwork, InteractionNetwork
from hitloom.nn.mlp import pyramid


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("affine", "expected"), [(True, 3_182_604), (False, 3_174_412)])
def test_metric_learning(affine: bool, expected: int):
    assert (
        count(MLP(in_dim=12, hidden_dim=1024, out_dim=12, num_layers=5, activation="Tanh", affine=affine)) == expected
    )


def test_pyramid_filter_of_acorn():
    assert count(MLP(in_dim=24, hidden_dim=pyramid(1024, 4), out_dim=1, activation="ReLU", batchnorm=True)) == 718_593


@pytest.mark.parametrize(("hidden", "features", "expected"), [(128, 12, 350_465), (128, 3, 349_313), (32, 3, 22_817)])
def test_interaction_network_of_exatrkx(hidden: int, features: int, expected: int):
    network = InteractionNetwork(
        num_node_features=features, hidden=hidden, num_iterations=6, num_node_layers=3, num_edge_layers=3
    )
    assert count(network) == expected
    if features == 12:
        assert [count(part) for part in network.children()] == [35_200, 66_432, 82_816, 82_816, 83_201]


def test_interaction_network_of_acorn():
    network = InteractionNetwork(
        num_node_features=3, hidden=128, num_iterations=8, num_node_layers=2, num_edge_layers=2, aggregation=["sum"],
        output_activation="Tanh", layernorm="plain", residual=False, updated_nodes=True, in_out=True,
    )  # fmt: skip
    assert count(network) == 263_937


def test_edge_first_network_of_ctd_2023():
    network = EdgeFirstNetwork(
        num_node_features=12, hidden=128, num_iterations=8, num_node_layers=3, num_edge_layers=3, layernorm="none",
        batchnorm=True,
    )  # fmt: skip
    assert count(network) == 1_985_921
