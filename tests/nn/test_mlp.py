"""The multilayer perceptron and its normalisations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hitloom.errors import ConfigError
from hitloom.nn import MLP
from hitloom.nn.norm import MaskedBatchNorm


def test_equals_a_chain_of_torch_modules():
    torch.manual_seed(0)
    mlp = MLP(in_dim=5, hidden_dim=7, out_dim=3, num_layers=3, activation="SiLU", output_activation="Tanh")
    a, b, c = mlp.linears
    chain = nn.Sequential(
        a, nn.LayerNorm(7, elementwise_affine=False), nn.SiLU(),
        b, nn.LayerNorm(7, elementwise_affine=False), nn.SiLU(),
        c, nn.Tanh(),
    )  # fmt: skip
    x = torch.randn(4, 6, 5)
    torch.testing.assert_close(mlp(x), chain(x))


def test_batchnorm_equals_torch_without_running_statistics():
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(num_channels=6), nn.BatchNorm1d(6, eps=6e-5, track_running_stats=False)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight.uniform_(0.5, 2))
        theirs.bias.copy_(ours.bias.uniform_(-1, 1))
    x = torch.randn(40, 6) * 3 + 1
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_batchnorm_ignores_rows_outside_the_mask():
    norm = MaskedBatchNorm(num_channels=3)
    x = torch.randn(10, 4, 3)
    mask = torch.rand(10, 4) < 0.6
    spoiled = torch.where(mask[..., None], x, 1e3)
    torch.testing.assert_close(norm(x, mask)[mask], norm(spoiled, mask)[mask])
    torch.testing.assert_close(norm(x, mask)[mask], norm(x[mask]), atol=1e-6, rtol=1e-5)


def test_both_normalisations_and_one_layer_run_and_count_parameters():
    both = MLP(in_dim=4, hidden_dim=8, out_dim=2, num_layers=2, batchnorm=True)
    assert sum(p.numel() for p in both.parameters()) == 4 * 8 + 8 + 2 * 8 + 8 * 2 + 2
    assert both(torch.randn(1, 4)).isfinite().all()
    one = MLP(in_dim=4, hidden_dim=8, out_dim=2, num_layers=1)
    torch.testing.assert_close(one(torch.eye(4)), one.linears[0](torch.eye(4)))


def test_split_first_weight_sums_to_the_whole():
    mlp = MLP(in_dim=7, hidden_dim=5, out_dim=1, num_layers=2)
    left, right = mlp.split_first([3, 4])
    a, b = torch.randn(6, 3), torch.randn(6, 4)
    first = a @ left.T + b @ right.T + mlp.linears[0].bias
    torch.testing.assert_close(mlp.body(first), mlp(torch.cat([a, b], 1)))


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="Did you mean 'SiLU'"):
        MLP(in_dim=1, hidden_dim=1, out_dim=1, num_layers=1, activation="SiLu")
    with pytest.raises(ConfigError, match="num_layers came as 0"):
        MLP(in_dim=1, hidden_dim=1, out_dim=1, num_layers=0)


def test_affine_normalisation_and_a_normalised_output():
    torch.manual_seed(0)
    mlp = MLP(
        in_dim=5, hidden_dim=[7, 4], out_dim=3, activation="ReLU", output_activation="Tanh", affine=True,
        normalise_output=True,
    )  # fmt: skip
    layers: list[nn.Module] = []
    for depth, linear in enumerate(mlp.linears):
        norm = nn.LayerNorm(linear.out_features)
        with torch.no_grad():
            norm.weight.copy_(mlp.norms[depth][0].weight.uniform_(0.5, 2))
            norm.bias.copy_(mlp.norms[depth][0].bias.uniform_(-1, 1))
        layers += [linear, norm, nn.Tanh() if depth == 2 else nn.ReLU()]
    x = torch.randn(4, 6, 5)
    torch.testing.assert_close(mlp(x), nn.Sequential(*layers)(x))
    assert [linear.out_features for linear in mlp.linears] == [7, 4, 3]


def test_widths_and_number_of_layers_must_agree():
    with pytest.raises(ConfigError, match="num_layers came as 2 with 2 hidden widths, wanted 3"):
        MLP(in_dim=1, hidden_dim=[2, 2], out_dim=1, num_layers=2)
    with pytest.raises(ConfigError, match="num_layers came as None"):
        MLP(in_dim=1, hidden_dim=2, out_dim=1)
