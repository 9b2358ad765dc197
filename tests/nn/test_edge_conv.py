"""Gated edge convolution against joining every pair, in values and gradients, whole and in chunks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hitloom.nn import edge_conv
from hitloom.nn.dropout import draw_seed, drop_rows
from hitloom.nn.edge_conv import EdgeConvBlock, pair_messages
from hitloom.nn.edge_graph import EdgeGraph, make_graph, unsorted_graph


def setting(num: int = 40, num_edges: int = 150, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return nodes (N, 6), edges (2, E) with repeats and loops, and gates (2E,) in the order given."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(num, 6, generator=g)
    edges = torch.randint(num - 3, (2, num_edges), generator=g)  # three nodes stay alone
    return x, edges, torch.rand(2 * num_edges, generator=g)


def as_fed(graph: EdgeGraph, gate: Tensor) -> Tensor:
    return gate if graph.place is None else torch.empty_like(gate).index_copy(0, graph.place, gate)


def by_pairs(block: EdgeConvBlock, x: Tensor, edges: Tensor, gate: Tensor) -> Tensor:
    """The definition: every pair joined, every node with itself once."""
    own = torch.arange(len(x))
    receiver, other = torch.cat([own, edges[1], edges[0]]), torch.cat([own, edges[0], edges[1]])
    message = F.relu(block.second(F.relu(block.first(torch.cat([x[receiver], x[other] - x[receiver]], 1)))))
    message = message * torch.cat([torch.ones(len(x), dtype=x.dtype), gate])[:, None]
    total = torch.zeros(len(x), message.shape[1], dtype=x.dtype).index_add(0, receiver, message)
    return F.relu(block.shortcut(x) + total)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["kernels", "plain"])
@pytest.mark.parametrize("num_bytes", [1 << 20, 0], ids=["whole", "chunks"])
def test_values_and_gradients_equal_the_joined_form(dtype, num_bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(edge_conv, "CHUNK_BYTES", num_bytes)  # 0: chunks of 64 pairs
    torch.manual_seed(1)
    block = EdgeConvBlock(in_dim=6, hidden_dim=12, out_dim=5, dropout=0.4).to(dtype).eval()
    x, edges, gate = setting()
    x, gate = x.to(dtype).requires_grad_(), gate.to(dtype).requires_grad_()
    graph = make_graph(edges, len(x), both_directions=True)
    own, plain = block(x, graph, as_fed(graph, gate)), by_pairs(block, x, edges, gate)
    torch.testing.assert_close(own, plain, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(own)
    wanted = [x, gate, *block.parameters()]
    for a, b in zip(*(torch.autograd.grad((out * weight).sum(), wanted) for out in (own, plain)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(block(x, graph, as_fed(graph, gate)), plain, atol=1e-5, rtol=1e-5)


def test_an_unsorted_graph_gives_the_same():
    block = EdgeConvBlock(in_dim=6, hidden_dim=12, out_dim=5, dropout=0.0)
    x, edges, gate = setting()
    graph = make_graph(edges, len(x), both_directions=True)
    plain = unsorted_graph(edges, len(x), both_directions=True)
    torch.testing.assert_close(block(x, plain, gate), block(x, graph, as_fed(graph, gate)), atol=1e-5, rtol=1e-5)


def test_without_gates_all_pairs_count_once():
    block = EdgeConvBlock(in_dim=6, hidden_dim=12, out_dim=5, dropout=0.0)
    x, edges, gate = setting()
    graph = make_graph(edges, len(x), both_directions=True)
    torch.testing.assert_close(block(x, graph, None), block(x, graph, torch.ones_like(gate)))


def test_loops_can_be_counted_otherwise():
    block = EdgeConvBlock(in_dim=6, hidden_dim=12, out_dim=5, dropout=0.0)
    x, edges, _ = setting()
    graph = make_graph(edges, len(x), both_directions=True)
    torch.testing.assert_close(block(x, graph, None, torch.ones(len(x))), block(x, graph, None))
    alone = make_graph(edges[:, :0], len(x), both_directions=True)
    none = block(x, alone, None, torch.zeros(len(x)))
    torch.testing.assert_close(none, F.relu(block.shortcut(x)))


@pytest.mark.parametrize(("num", "num_edges"), [(0, 0), (1, 0), (5, 0)])
def test_graphs_without_edges(num: int, num_edges: int):
    block = EdgeConvBlock(in_dim=6, hidden_dim=12, out_dim=5, dropout=0.5).train()
    graph = make_graph(torch.zeros(2, num_edges, dtype=torch.int64), num, both_directions=True)
    out = block(torch.randn(num, 6), graph, torch.zeros(0))
    assert out.shape == (num, 5)
    out.sum().backward()


def test_dropout_takes_the_same_entries_back_and_forth(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(edge_conv, "CHUNK_BYTES", 1 << 30)
    torch.manual_seed(2)
    x, edges, gate = setting()
    graph = make_graph(edges, len(x), both_directions=True)
    second = torch.nn.Linear(12, 5)
    centre, other, gate = (t.requires_grad_() for t in (torch.randn(40, 12), torch.randn(40, 12), gate))
    torch.manual_seed(7)
    own = pair_messages(centre, other, gate, graph, second, 0.4)
    torch.manual_seed(7)
    mask = drop_rows(torch.ones(2 * edges.shape[1], 12), 0.4, draw_seed())
    assert set(mask.unique().tolist()) == {0.0, float(torch.tensor(1 / 0.6))}
    hidden = F.relu(centre[graph.target] + other[graph.source]) * mask
    plain = torch.zeros(40, 5).index_add(0, graph.target, F.relu(second(hidden)) * gate[:, None])
    torch.testing.assert_close(own, plain, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(own)
    wanted = [centre, other, gate, *second.parameters()]
    for a, b in zip(*(torch.autograd.grad((out * weight).sum(), wanted) for out in (own, plain)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_dropout_keeps_the_mean_of_what_enters_the_second_layer():
    torch.manual_seed(3)
    x, edges, _ = setting(num_edges=4000)
    graph = make_graph(edges, len(x), both_directions=True)
    same = torch.nn.Linear(6, 6)
    torch.nn.init.eye_(same.weight)
    torch.nn.init.zeros_(same.bias)
    whole, dropped = (pair_messages(x.abs(), x.abs(), None, graph, same, p) for p in (0.0, 0.5))
    assert not torch.equal(whole, dropped)
    assert abs(float((dropped.sum() / whole.sum()).detach()) - 1) < 0.02
