"""Interaction networks against the plain formulation in double precision, and against PyG message passing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from edge_oracles import make_graph, plain_edge_first, plain_interaction, plain_mlp, plain_multistep, softplus_sum
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from hitloom.errors import ConfigError, DataError
from hitloom.nn import EdgeFirstNetwork, InteractionNetwork, MultistepNetwork, chunked_mlp, edge_pass

SHAPE: dict[str, Any] = {
    "num_node_features": 3, "num_edge_features": 2, "hidden": 8, "num_iterations": 3, "num_node_layers": 2,
    "num_edge_layers": 3,
}  # fmt: skip
ACORN: dict[str, Any] = {
    "residual": False, "updated_nodes": True, "in_out": True, "aggregation": ["sum"], "layernorm": "plain",
    "output_activation": "Tanh", "num_edge_layers": 2,
}  # fmt: skip
VARIANTS: list[dict[str, Any]] = [
    {},
    {"num_edge_features": 0, "both_directions": False, "activation": "ReLU"},
    ACORN,
    {"aggregation": ["mean", "max"], "shared": False},
    {"aggregation": ["min", "std", "mean", "sum"], "in_out": True, "activation": "Tanh"},
    {"layernorm": "none", "num_edge_layers": 1, "num_node_layers": 1},
    {"activation": "GELU", "num_iterations": 1},
    {"batchnorm": True, "layernorm": "none"},
    {"num_iterations": 0},
]


def roughen(net: nn.Module) -> nn.Module:
    """Give scales and shifts of normalisations values that an error would show in."""
    for name, parameter in net.named_parameters():
        if "norms" in name:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return net


def compare(net: nn.Module, oracle: Any, x: Tensor, edges: Tensor, attributes: Tensor | None) -> None:
    exact = copy.deepcopy(net).double()
    inputs = [value.clone().requires_grad_() for value in (x, attributes) if value is not None]
    wide = [value.detach().double().requires_grad_() for value in inputs]
    ours = net(inputs[0], edges, inputs[1] if attributes is not None else None)
    theirs = oracle(exact, wide[0], edges, wide[1] if attributes is not None else None)
    torch.testing.assert_close(ours.double(), theirs, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(net(x, edges, attributes).double(), theirs, atol=1e-5, rtol=1e-5)
    for leaves, out in ((inputs + list(net.parameters()), ours), (wide + list(exact.parameters()), theirs)):
        gradients = torch.autograd.grad(softplus_sum(out), leaves, allow_unused=True)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
    pairs = zip([*inputs, *net.parameters()], [*wide, *exact.parameters()], strict=True)
    for a, b in pairs:
        assert (a.grad is None) == (b.grad is None)
        if b.grad is not None:
            torch.testing.assert_close(a.grad.double(), b.grad, atol=3e-5, rtol=3e-4)


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_equals_the_plain_formulation(
    changes: dict, checkpointing: bool, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(chunked_mlp, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(edge_pass, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(edge_pass, "CHECKPOINT_ROWS", 100)
    torch.manual_seed(0)
    net = roughen(InteractionNetwork(**(SHAPE | changes), checkpointing=checkpointing))
    x, edges, attributes = make_graph(30, 150)
    compare(net, plain_interaction, x, edges, attributes if net.num_edge_features else None)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_edge_features": 0, "concat": False},
        {"in_out": False, "shared": True, "activation": "SiLU", "output_activation": "ReLU"},
        {"batchnorm": True, "layernorm": "none"},
    ],
    ids=str,
)
def test_edge_first_equals_the_plain_formulation(changes: dict, checkpointing: bool):
    torch.manual_seed(0)
    net = roughen(EdgeFirstNetwork(**(SHAPE | changes), checkpointing=checkpointing))
    x, edges, attributes = make_graph(20, 90)
    compare(net, plain_edge_first, x, edges, attributes if net.num_edge_features else None)


@pytest.mark.parametrize("both_directions", [False, True])
def test_multistep_equals_the_plain_formulation(both_directions: bool):
    torch.manual_seed(0)
    net = roughen(MultistepNetwork(**SHAPE, both_directions=both_directions))
    x, edges, attributes = make_graph(20, 90)
    compare(net, lambda *a: plain_multistep(*a)[-1], x, edges, attributes)
    steps = net.forward_steps(x, edges, attributes)
    assert len(steps) == 3
    for ours, theirs in zip(steps, plain_multistep(net, x, edges, attributes), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


class PyGInteraction(MessagePassing):
    """One iteration of the published network in PyG's own message passing, on directed edges."""

    def __init__(self, net: InteractionNetwork) -> None:
        super().__init__(aggr=["max", "sum"], flow="source_to_target")
        self.net = net

    def forward(self, x: Tensor, edges: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        m = self.propagate(edges, e=e, size=(len(x), len(x)))
        new_e = self.edge_updater(edges, x=x, e=e)
        return plain_mlp(self.net.node_networks[0], torch.cat([x, m], 1)) + x, new_e

    def message(self, e: Tensor) -> Tensor:
        return e

    def edge_update(self, x_i: Tensor, x_j: Tensor, e: Tensor) -> Tensor:
        return plain_mlp(self.net.edge_networks[0], torch.cat([x_j, x_i, e], 1)) + e


def test_equals_pyg_message_passing():
    torch.manual_seed(0)
    net = InteractionNetwork(**(SHAPE | {"num_edge_features": 0}), both_directions=False)
    features, edges, _ = make_graph(40, 200)
    s, t = edges
    x = plain_mlp(net.node_encoder, features)
    e = plain_mlp(net.edge_encoder, torch.cat([x[s], x[t]], 1))
    layer = PyGInteraction(net)
    for _ in range(net.num_iterations):
        x, e = layer(x, edges, e)
    expected = plain_mlp(net.classifier, torch.cat([x[s], x[t], e], 1))[:, 0]
    torch.testing.assert_close(net(features, edges), expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 15), st.integers(0, 40), st.integers(0, 10**6), st.booleans())
def test_order_of_edges_and_nodes_and_direction_do_not_matter(n: int, num_edges: int, seed: int, grad: bool):
    torch.manual_seed(seed)
    x, edges, attributes = make_graph(n, num_edges, seed)
    nodes, order = torch.randperm(n), torch.randperm(edges.shape[1])
    where = torch.empty_like(nodes)
    where[nodes] = torch.arange(n)
    net = InteractionNetwork(**SHAPE, aggregation=["mean", "max"])
    with torch.set_grad_enabled(grad):
        logit = net(x, edges, attributes)
        torch.testing.assert_close(net(x, edges[:, order], attributes[order]), logit[order], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(net(x[nodes], where[edges], attributes), logit, atol=2e-5, rtol=1e-4)
        flipped = edges.clone()
        flipped[:, ::2] = edges[:, ::2].flip(0)
        torch.testing.assert_close(net(x, flipped, attributes), logit, atol=2e-5, rtol=1e-4)


def test_without_both_directions_the_direction_matters():
    x, edges, attributes = make_graph()
    for net in (InteractionNetwork(**SHAPE, both_directions=False), EdgeFirstNetwork(**SHAPE)):
        assert not torch.allclose(net(x, edges, attributes), net(x, edges.flip(0), attributes), atol=1e-4)


@pytest.mark.parametrize("names", [["max", "sum"], ["mean", "max"], ["min", "std"]])
@pytest.mark.parametrize(("n", "num_edges"), [(0, 0), (1, 0), (2, 0), (4, 1)])
def test_no_edges_no_nodes_and_isolated_nodes(n: int, num_edges: int, names: list[str]):
    x, edges, attributes = make_graph(n, num_edges)
    for net in (
        InteractionNetwork(**SHAPE, aggregation=names),
        InteractionNetwork(**SHAPE, aggregation=names, batchnorm=True),
        EdgeFirstNetwork(**SHAPE),
        MultistepNetwork(**SHAPE, aggregation=names),
    ):
        logit = net(x, edges, attributes)
        assert logit.shape == (edges.shape[1],)
        logit.sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
        with torch.no_grad():
            assert net(x, edges, attributes).isfinite().all()


def test_double_precision_and_autocast_take_the_plain_path():
    x, edges, attributes = make_graph()
    net = InteractionNetwork(**SHAPE)
    logit = net(x, edges, attributes)
    wide = copy.deepcopy(net).double()(x.double(), edges, attributes.double())
    assert wide.dtype == torch.float64
    torch.testing.assert_close(wide.float(), logit, atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(x, edges, attributes)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), logit, atol=0.1, rtol=0.1)


def test_several_threads_give_the_same_answer(monkeypatch: pytest.MonkeyPatch):
    x, edges, attributes = make_graph(300, 4000)
    net = InteractionNetwork(**SHAPE, aggregation=["max", "sum", "mean", "min"])
    answers = []
    for threads in (1, 3):
        for name in ("chunked_mlp", "_workers"):
            monkeypatch.setattr(f"hitloom.nn.{name}.num_threads", lambda threads=threads: threads)
        monkeypatch.setattr(chunked_mlp, "CHUNK_BYTES", 1 << 15)
        monkeypatch.setattr(chunked_mlp, "GRAIN", 8)
        monkeypatch.setattr("hitloom.nn.node_sums.GRAIN", 8)
        monkeypatch.setattr("hitloom.nn.node_sums.CHANNELS", 2)
        logit = net(x, edges, attributes)
        answers.append([logit, *torch.autograd.grad(softplus_sum(logit), list(net.parameters()))])
    for a, b in zip(*answers, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


def test_inputs_are_left_alone():
    x, edges, _ = make_graph()
    attributes = torch.randn(edges.shape[1], 8)
    net = InteractionNetwork(**(SHAPE | {"num_edge_features": 8}), both_directions=False)
    given = [value.clone() for value in (x, edges, attributes)]
    with torch.no_grad():
        net(x, edges, attributes)
    assert all(torch.equal(a, b) for a, b in zip(given, (x, edges, attributes), strict=True))


def test_mistakes_are_named():
    x, edges, attributes = make_graph()
    net = InteractionNetwork(**SHAPE)
    with pytest.raises(DataError, match=r"x: came as torch.float32 \(12, 2\), wanted float32 \(N, 3\)"):
        net(x[:, :2], edges, attributes)
    with pytest.raises(DataError, match=r"edge_index: came as torch.int32"):
        net(x, edges.int(), attributes)
    with pytest.raises(DataError, match=r"edge_index: holds 12, wanted a row of x \(from 0 to 11\)"):
        net(x, edges + (12 - edges.max()), attributes)
    with pytest.raises(DataError, match="edge_attr: came as None"):
        net(x, edges)
    with pytest.raises(DataError, match=r"edge_attr: came as .* wanted None"):
        InteractionNetwork(**(SHAPE | {"num_edge_features": 0}))(x, edges, attributes)
    with pytest.raises(ConfigError, match="Did you mean 'mean'"):
        InteractionNetwork(**SHAPE, aggregation=["meen"])
    with pytest.raises(ConfigError, match="wanted a list"):
        InteractionNetwork(**SHAPE, aggregation=[])
    with pytest.raises(ConfigError, match="num_iterations came as 0"):
        MultistepNetwork(**(SHAPE | {"num_iterations": 0}))
