"""GraphSAGE layers, lists of neighbours and gates against torch's own cells, PyG and plain loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn import SAGEConv

from hitloom.errors import ConfigError
from hitloom.nn.gates import DecisionGate, NodeMemory
from hitloom.nn.neighbours import Neighbours
from hitloom.nn.sage import AGGREGATORS, SageLayer


def random_graph(num_nodes: int, num_edges: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(num_nodes, (2, num_edges), generator=generator)


def lists_of(edges: torch.Tensor, num_nodes: int) -> list[list[int]]:
    lists: list[list[int]] = [[] for _ in range(num_nodes)]
    for source, target in edges.t().tolist():
        lists[target].append(source)
    return lists


def torch_lstm(layer: SageLayer) -> torch.nn.LSTM:
    width = layer.reader.width
    lstm = torch.nn.LSTM(width, width, batch_first=True)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(lstm, f"{name}_l0", getattr(layer.reader, name))
    return lstm


def by_hand(layer: SageLayer, h: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Return the layer written as its definition, node after node."""
    told = []
    for one in lists_of(edges, len(h)):
        if not one:
            told.append(torch.zeros_like(h[0]))
        elif layer.aggregator == "lstm":
            told.append(torch_lstm(layer)(h[one][None])[1][0][0, 0])
        else:
            own = {"mean": lambda v: v.mean(0), "sum": lambda v: v.sum(0), "max": lambda v: v.amax(0)}
            told.append(own[layer.aggregator](h[one]))
    rows = torch.stack(told)
    return torch.relu(h @ layer.own.weight.t() + rows @ layer.neighbour.weight.t() + layer.own.bias)


@pytest.mark.parametrize("aggregator", AGGREGATORS)
@given(seed=st.integers(0, 10_000), num_nodes=st.integers(1, 9), num_edges=st.integers(0, 25))
@settings(max_examples=12, deadline=None)
def test_a_layer_and_its_gradient_are_those_of_the_definition(aggregator, seed, num_nodes, num_edges):
    torch.manual_seed(seed)
    layer = SageLayer(width=6, aggregator=aggregator).double()
    edges = random_graph(num_nodes, num_edges, seed)
    h = torch.randn(num_nodes, 6, dtype=torch.float64, requires_grad=True)
    own = layer(h, Neighbours.of(edges, num_nodes))
    plain = by_hand(layer, h, edges)
    torch.testing.assert_close(own, plain)
    weight = torch.randn_like(own)
    leaves = [h, *layer.parameters()]
    wanted = torch.autograd.grad((plain * weight).sum(), leaves, allow_unused=True)
    for found, right in zip(torch.autograd.grad((own * weight).sum(), leaves, allow_unused=True), wanted, strict=True):
        torch.testing.assert_close(found if found is not None else right, right if right is not None else found)


def test_lstm_aggregation_equals_torchs_lstm_to_float_precision():
    torch.manual_seed(0)
    layer = SageLayer(width=32, aggregator="lstm")
    edges, h = random_graph(60, 200, 1), torch.randn(60, 32)
    torch.testing.assert_close(layer(h, Neighbours.of(edges, 60)), by_hand(layer, h, edges), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("aggregator", ["mean", "sum", "max"])
def test_equal_to_the_convolution_of_pyg(aggregator):
    torch.manual_seed(0)
    layer = SageLayer(width=8, aggregator=aggregator)
    peer = SAGEConv(8, 8, aggr=aggregator)
    peer.lin_l.weight, peer.lin_r.weight = layer.neighbour.weight, layer.own.weight
    peer.lin_l.bias = layer.own.bias
    edges, h = random_graph(30, 90, 2), torch.randn(30, 8)
    torch.testing.assert_close(layer(h, Neighbours.of(edges, 30)), torch.relu(peer(h, edges)))


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_the_union_of_graphs_gives_what_each_gives_alone(aggregator):
    torch.manual_seed(0)
    layer = SageLayer(width=8, aggregator=aggregator)
    sizes = (5, 1, 9)
    graphs = [random_graph(size, 3 * size, size) for size in sizes]
    states = [torch.randn(size, 8) for size in sizes]
    alone = [layer(h, Neighbours.both_ways(edges, len(h))) for h, edges in zip(states, graphs, strict=True)]
    shifted = torch.cat([edges + first for edges, first in zip(graphs, (0, 5, 6), strict=True)], 1)
    union = Neighbours.both_ways(shifted, 15)
    torch.testing.assert_close(layer(torch.cat(states), union), torch.cat(alone))
    torch.testing.assert_close(layer(torch.cat(states[:2]), union.part(0, 6)), torch.cat(alone[:2]))
    torch.testing.assert_close(layer(states[2], union.part(6, 15)), alone[2])


def test_both_ways_are_the_edges_then_their_reverses_then_loops_in_order_of_arrival():
    edges = torch.tensor([[0, 1, 1], [1, 2, 3]])
    neighbours = Neighbours.both_ways(edges, 4)
    found = [neighbours.source[neighbours.bounds[i] : neighbours.bounds[i + 1]].tolist() for i in range(4)]
    assert found == [[1, 0], [0, 2, 3, 1], [1, 2], [1, 3]]


@pytest.mark.parametrize("aggregator", ["mean", "sum", "max"])
def test_the_order_of_edges_changes_an_lstm_alone(aggregator):
    torch.manual_seed(0)
    edges, h = random_graph(20, 80, 3), torch.randn(20, 8)
    other = edges[:, torch.randperm(80)]
    layer = SageLayer(width=8, aggregator=aggregator)
    torch.testing.assert_close(layer(h, Neighbours.of(edges, 20)), layer(h, Neighbours.of(other, 20)))
    reader = SageLayer(width=8, aggregator="lstm")
    assert not torch.allclose(reader(h, Neighbours.of(edges, 20)), reader(h, Neighbours.of(other, 20)))


def test_an_unknown_aggregator_is_refused_by_name():
    with pytest.raises(ConfigError, match="'maen'.*mean"):
        SageLayer(width=4, aggregator="maen")


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_the_gate_is_torchs_cell_with_zeros_where_nothing_was_decided(kind):
    torch.manual_seed(0)
    gate = DecisionGate(kind=kind, num_inputs=2, width=7).double()
    h, cell = torch.randn(2, 5, 7, dtype=torch.float64)
    rows, decision = torch.tensor([3, 1]), torch.rand(2, 2, dtype=torch.float64)
    dense = torch.zeros(5, 2, dtype=torch.float64).index_copy(0, rows, decision)

    def right(told: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        return gate.cell(told, (h, before)) if kind == "lstm" else (gate.cell(told, h), None)

    for found, wanted in (
        (gate(decision, h, cell, rows), right(dense, cell)),
        (gate(dense, h, cell), right(dense, cell)),
        (gate(None, h, None), right(torch.zeros_like(dense), torch.zeros_like(h))),
    ):
        torch.testing.assert_close(found[0], wanted[0])
        if kind == "lstm":
            torch.testing.assert_close(found[1], wanted[1])
    leaves = list(gate.parameters())
    first = torch.autograd.grad(gate(decision, h, cell, rows)[0].square().sum(), leaves)
    second = torch.autograd.grad(right(dense, cell)[0].square().sum(), leaves)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_memory_begins_with_zeros(kind):
    torch.manual_seed(0)
    memory, h = NodeMemory(kind=kind, width=4), torch.randn(3, 4)
    zeros = torch.zeros(3, 4)
    torch.testing.assert_close(memory(h, None, None), memory(h, zeros, zeros))
