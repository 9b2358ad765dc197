"""The other edge classifiers: against plain formulations, PyG's own layers, and in every export format."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from edge_oracles import count, expected_count, make_graph, plain_aggregate, plain_mlp, softplus_sum
from torch import Tensor, nn

from hitloom.errors import ConfigError, DataError
from hitloom.nn import (
    CONVOLUTIONS,
    MLP,
    AttentionEdgeNetwork,
    EdgeFirstNetwork,
    EdgeMLP,
    GCNEdgeNetwork,
    InteractionNetwork,
    MultistepNetwork,
    PyGEdgeNetwork,
)
from hitloom.nn.aggregation import AGGREGATIONS, aggregate

SHAPE: dict[str, Any] = {
    "num_node_features": 3, "num_edge_features": 2, "hidden": 8, "num_iterations": 2, "num_node_layers": 2,
    "num_edge_layers": 2,
}  # fmt: skip
FILTER: dict[str, Any] = {"num_node_features": 3, "num_edge_features": 2, "hidden": 8, "num_layers": 3}


def mean_of_directions(mlp: MLP, x: Tensor, edges: Tensor, attributes: Tensor) -> Tensor:
    s, t = edges
    ways = [plain_mlp(mlp, torch.cat([x[a], x[b], attributes], 1))[:, 0] for a, b in ((s, t), (t, s))]
    return (ways[0] + ways[1]) / 2


def neighbour_sum(values: Tensor, weight: Tensor, edges: Tensor) -> Tensor:
    """For each node, one edge after the other."""
    total = [torch.zeros(values.shape[1]) for _ in values]
    for e, (a, b) in enumerate(edges.T.tolist()):
        total[b] = total[b] + weight[e] * values[a]
        total[a] = total[a] + weight[e] * values[b]
    return torch.stack(total)


def plain_attention(net: AttentionEdgeNetwork, x: Tensor, edges: Tensor, attributes: Tensor) -> Tensor:
    shortcut = [x] if net.shortcut else []
    state = torch.cat([plain_mlp(net.node_encoder, x), *shortcut], 1)
    for _ in range(net.num_iterations):
        gate = torch.sigmoid(mean_of_directions(net.edge_network, state, edges, attributes))
        message = neighbour_sum(state, gate, edges)
        new = torch.cat([plain_mlp(net.node_network, torch.cat([message, state], 1)), *shortcut], 1)
        state = new + state if net.residual else new
    return mean_of_directions(net.edge_network, state, edges, attributes)


def plain_gcn(net: GCNEdgeNetwork, x: Tensor, edges: Tensor, attributes: Tensor) -> Tensor:
    x = plain_mlp(net.node_encoder, x)
    for i in range(net.num_iterations):
        total = neighbour_sum(x, torch.ones(edges.shape[1]), edges)
        x = plain_mlp(net.node_networks[min(i, len(net.node_networks) - 1)], torch.cat([x, total], 1))
    return mean_of_directions(net.classifier, x, edges, attributes)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("make", "oracle", "changes"),
    [
        (AttentionEdgeNetwork, plain_attention, {}),
        (AttentionEdgeNetwork, plain_attention, {"residual": False, "shortcut": False, "layernorm": "plain"}),
        (GCNEdgeNetwork, plain_gcn, {}),
        (GCNEdgeNetwork, plain_gcn, {"shared": False, "activation": "ReLU"}),
    ],
)
def test_equals_the_plain_formulation(make: Any, oracle: Any, changes: dict, checkpointing: bool):
    torch.manual_seed(0)
    net = make(**SHAPE, **changes, checkpointing=checkpointing)
    x, edges, attributes = make_graph(14, 40)
    answers = []
    for call in (net, lambda *inputs: oracle(net, *inputs)):
        leaf = x.clone().requires_grad_()
        logit = call(leaf, edges, attributes)
        answers.append([logit, *torch.autograd.grad(softplus_sum(logit), [leaf, *net.parameters()])])
    for ours, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("conv", ["SAGEConv", "GraphConv", "EdgeConv"])
def test_pyg_layers_see_both_directions(conv: str):
    torch.manual_seed(0)
    net = PyGEdgeNetwork(**SHAPE, conv=conv)
    features, edges, attributes = make_graph(14, 40)
    both = torch.cat([edges, edges.flip(0)], 1)
    x = plain_mlp(net.node_encoder, features)
    for layer in net.convolutions:
        x = torch.nn.functional.silu(layer(x, both)) + x
    expected = mean_of_directions(net.classifier, x, edges, attributes)
    torch.testing.assert_close(net(features, edges, attributes), expected, atol=1e-5, rtol=1e-5)


def all_networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    networks: dict[str, nn.Module] = {
        "interaction": InteractionNetwork(**SHAPE, aggregation=["max", "sum", "mean", "min", "std"]),
        "acorn": InteractionNetwork(
            **SHAPE, layernorm="plain", output_activation="Tanh", residual=False, updated_nodes=True, in_out=True
        ),
        "edge-first": EdgeFirstNetwork(**SHAPE),
        "attention": AttentionEdgeNetwork(**SHAPE),
        "gcn": GCNEdgeNetwork(**SHAPE),
        "multistep": MultistepNetwork(**SHAPE),
        "plain filter": EdgeMLP(**FILTER, both_directions=True),
        "pyramid filter": EdgeMLP(**FILTER, shape="pyramid", activation="ReLU"),
        "vanilla filter": EdgeMLP(**FILTER, shape="vanilla"),
    }
    return networks | {conv: PyGEdgeNetwork(**SHAPE, conv=conv) for conv in CONVOLUTIONS}


DIRECTED = {"edge-first", "pyramid filter", "vanilla filter"}


@pytest.mark.parametrize("name", all_networks())
def test_symmetric_covariant_and_defined_on_empty_graphs(name: str):
    net = all_networks()[name]
    x, edges, attributes = make_graph(15, 50, seed=3)
    logit = net(x, edges, attributes)
    softplus_sum(logit).backward()
    missing = {key for key, p in net.named_parameters() if p.grad is None}
    assert all(key.startswith("node_networks.1.") for key in missing) if name == "edge-first" else not missing
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)
    order, nodes = torch.randperm(50), torch.randperm(15)
    where = torch.empty_like(nodes)
    where[nodes] = torch.arange(15)
    close = {"atol": 2e-5, "rtol": 1e-4}
    torch.testing.assert_close(net(x, edges[:, order], attributes[order]), logit[order], **close)
    torch.testing.assert_close(net(x[nodes], where[edges], attributes), logit, **close)
    flipped = net(x, edges.flip(0), attributes)
    if name in DIRECTED:
        assert not torch.allclose(flipped, logit, atol=1e-4)
    else:
        torch.testing.assert_close(flipped, logit, **close)
    for num_nodes in (0, 1, 4):
        net.zero_grad()
        x, edges, attributes = make_graph(num_nodes, 0)
        empty = net(x, edges, attributes)
        assert empty.shape == (0,)
        empty.sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def short(net: nn.Module) -> nn.Module:
    """The network with one iteration: what is exported grows with their number, and so does the time it takes."""
    if hasattr(net, "num_iterations"):
        net.num_iterations = 1
    return net.eval()


@pytest.mark.parametrize("name", ["interaction", "acorn", "edge-first", "multistep", "attention", "vanilla filter"])
@pytest.mark.filterwarnings("ignore")  # raised inside torch while it traces
def test_traced_and_exported_networks_say_the_same_at_sizes_never_seen(name: str):
    net = short(all_networks()[name])
    example = make_graph(23, 61)
    traced = torch.jit.trace(net, example, check_trace=False)
    free = ({0: torch.export.Dim.DYNAMIC}, {1: torch.export.Dim.DYNAMIC}, {0: torch.export.Dim.DYNAMIC})
    exported = torch.export.export(net, example, dynamic_shapes=free).module()
    for num_nodes, num_edges in ((2, 2), (7, 19), (40, 160)):
        inputs = make_graph(num_nodes, num_edges, seed=num_nodes)
        with torch.no_grad():
            expected = net(*inputs)
            torch.testing.assert_close(traced(*inputs), expected, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(exported(*inputs), expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        assert traced(*make_graph(5, 0)).shape == (0,)


@pytest.mark.parametrize("name", ["interaction", "vanilla filter"])
def test_onnx_says_the_same_at_sizes_never_seen(name: str):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net = short(all_networks()[name])
    free = ({0: torch.export.Dim.DYNAMIC}, {1: torch.export.Dim.DYNAMIC}, {0: torch.export.Dim.DYNAMIC})
    names = ["x", "edge_index", "edge_attr"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised inside torch while it traces
        program = torch.export.export(net, make_graph(23, 61), dynamic_shapes=free)
        made = torch.onnx.export(program, input_names=names, opset_version=18, dynamo=True, verbose=False)
    assert made is not None
    session = runtime.InferenceSession(made.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for num_nodes, num_edges in ((7, 19), (40, 160), (5, 0)):
        inputs = make_graph(num_nodes, num_edges, seed=num_nodes)
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        with torch.no_grad():
            expected = net(*inputs)
        torch.testing.assert_close(torch.from_numpy(session.run(None, feed)[0]), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_edges", [0, 1, 30])
@pytest.mark.parametrize("name", sorted(AGGREGATIONS))
def test_aggregation_against_a_loop_over_nodes(name: str, num_edges: int):
    _, edges, _ = make_graph(9, num_edges)
    values = torch.randn(num_edges, 4, dtype=torch.float64).round(decimals=1).requires_grad_()
    found = aggregate(values, edges[1], 9, [name])
    expected = plain_aggregate(values, edges[1], 9, [name])
    torch.testing.assert_close(found, expected)
    grads = [torch.autograd.grad((out * torch.arange(36.0).view(9, 4)).sum(), values, allow_unused=True)[0]
             for out in (found, expected + 0 * values.sum())]  # fmt: skip
    torch.testing.assert_close(grads[0], grads[1])
    assert (found[-2:] == 0).all()


def test_filters():
    assert count(EdgeMLP(num_node_features=12, hidden=1024, num_layers=4, shape="pyramid", activation="ReLU",
                         layernorm="plain", batchnorm=True)) == 718_593  # fmt: skip
    vanilla = EdgeMLP(num_node_features=3, num_edge_features=2, hidden=8, num_layers=3, shape="vanilla")
    assert count(vanilla) == expected_count([8, 8, 8, 8, 1]) + 16
    x, edges, attributes = make_graph()
    first, second, third, last = vanilla.network.linears
    norm = vanilla.network.norms[0]
    value = first(torch.cat([x[edges[0]], x[edges[1]], attributes], 1))
    for linear in (second, third):
        value = norm(torch.tanh(linear(value)))
    torch.testing.assert_close(vanilla(x, edges, attributes), last(value)[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", ["plain", "pyramid", "vanilla"])
def test_only_layer_normalisation_lets_a_graph_be_scored_in_parts(shape: Any):
    x, edges, attributes = make_graph()
    for batchnorm in (False, True):
        net = EdgeMLP(**FILTER, shape=shape, layernorm="none" if batchnorm else "affine", batchnorm=batchnorm)
        parts = [net(x, edges[:, s], attributes[s]) for s in (slice(0, 11), slice(11, None))]
        whole = net(x, edges, attributes)
        assert net.row_wise is not batchnorm
        assert torch.allclose(torch.cat(parts), whole, atol=1e-5) is not batchnorm


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="Did you mean 'SAGEConv'"):
        PyGEdgeNetwork(**SHAPE, conv="SAGEconv")
    with pytest.raises(ConfigError, match="pyramid: 5 layers from width 8"):
        EdgeMLP(**(FILTER | {"num_layers": 5}), shape="pyramid")
    x, edges, attributes = make_graph()
    for net in all_networks().values():
        with pytest.raises(DataError, match="x: came as"):
            net(x[:, :2], edges, attributes)
