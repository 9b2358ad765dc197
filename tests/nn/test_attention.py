"""Dense neighbour attention against an edge list with sums over the edges of every point."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hitloom.nn import AttentionBlock
from hitloom.nn import chunked as module


def make_block(**changes) -> AttentionBlock:
    torch.manual_seed(3)
    shape = {
        "node_dim": 6, "edge_dim": 5, "edge_hidden": 7, "node_hidden": 8, "num_edge_layers": 3, "num_node_layers": 3,
        "num_layers": 3,
    }  # fmt: skip
    return AttentionBlock(**(shape | changes))


def neighbour_lists(num_points: int, k: int, seed: int, keep: float = 0.8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(max(1, num_points), (num_points, k), generator=generator)
    return torch.where(torch.rand(index.shape, generator=generator) < keep, index, -1)


def edge_list_oracle(block: AttentionBlock, x: Tensor, index: Tensor) -> Tensor:
    """The published formulation: concatenate along edges, one softmax and one sum for each target in turn."""
    targets, slots = (index >= 0).nonzero(as_tuple=True)
    sources = index[targets, slots]
    state = None
    for layer in block.layers:
        columns = [x[sources], x[targets], *([state] if state is not None else [])]
        raw = layer.edge_network.body(layer.edge_network.linears[0](torch.cat(columns, 1)))
        out = layer.edge_network.output_activation(raw)
        logit = (out if layer.saturated_logit else raw)[:, -1]
        new_state = out[:, :-1]
        if layer.residual and state is not None:
            new_state = new_state + state
        rows = []
        for target in range(len(x)):
            own = targets == target
            alpha = torch.softmax(logit[own], 0)
            rows.append((alpha[:, None] * new_state[own]).sum(0))
        gathered = torch.stack(rows) if rows else x.new_zeros(0, new_state.shape[1])
        new_x = layer.node_network(torch.cat([x, gathered], 1))
        x, state = (new_x + x if layer.residual else new_x), new_state
    return x


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shared": True},
        {"num_edge_layers": 1, "num_node_layers": 1},
        {"residual": True, "saturated_logit": False},
        {"layernorm": False, "activation": "ReLU"},
        {"batchnorm": True},
        {"checkpointing": True},
    ],
)
@pytest.mark.parametrize("chunk_bytes", [200, 2 << 20])
def test_dense_equals_the_edge_list_with_gradients(changes: dict, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    block = make_block(**changes)
    x = torch.randn(30, 6, requires_grad=True)
    index = neighbour_lists(30, 4, seed=1)
    weights = torch.randn(30, 6)
    gradients = []
    for compute in (lambda: block(x, index), lambda: edge_list_oracle(block, x, index)):
        out = compute()
        gradients.append((out.detach(), *torch.autograd.grad((out * weights).sum(), [x, *block.parameters()])))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0]))
def test_without_autograd_the_answer_is_the_same(num_points: int, k: int, seed: int, keep: float):
    block = make_block()
    x = torch.randn(num_points, 6, generator=torch.Generator().manual_seed(seed))
    index = neighbour_lists(num_points, k, seed, keep)
    with torch.no_grad():
        torch.testing.assert_close(block(x, index), edge_list_oracle(block, x, index), atol=2e-5, rtol=1e-4)


def test_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch):
    block = make_block(shared=True)
    x, index = torch.randn(101, 6), neighbour_lists(101, 5, seed=2)
    with torch.no_grad():
        whole = block(x, index)
        monkeypatch.setattr(module, "CHUNK_BYTES", 4 * 5 * 7 * 10)
        torch.testing.assert_close(block(x, index), whole, atol=1e-6, rtol=1e-5)


def test_a_point_without_neighbours_sees_only_itself():
    block = make_block()
    x = torch.randn(5, 6)
    index = torch.full((5, 3), -1)
    moved = torch.cat([x[:1], torch.randn(4, 6)])
    with torch.no_grad():
        assert torch.equal(block(x, index)[0], block(moved, index)[0])
        assert block(x, index).isfinite().all()


def test_order_of_neighbours_does_not_matter():
    block = make_block()
    x, index = torch.randn(20, 6), neighbour_lists(20, 5, seed=4)
    with torch.no_grad():
        torch.testing.assert_close(block(x, index), block(x, index[:, torch.randperm(5)]), atol=1e-5, rtol=1e-4)
