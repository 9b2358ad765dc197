"""The edge networks written out plainly in torch: gather, join, one MLP, loops over nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.nn import EdgeFirstNetwork, InteractionNetwork, MultistepNetwork
from hitloom.nn.norm import AffineLayerNorm, MaskedBatchNorm, PlainLayerNorm


def plain_mlp(mlp: nn.Module, x: Tensor) -> Tensor:
    for depth, linear in enumerate(mlp.linears):
        x = x @ linear.weight.T + linear.bias
        for norm in mlp.norms[depth] if depth < len(mlp.norms) else []:
            if isinstance(norm, PlainLayerNorm | AffineLayerNorm):
                x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
            else:
                assert isinstance(norm, MaskedBatchNorm)
                x = (x - x.mean(0)) / (x.var(0, unbiased=False) + norm.eps).sqrt()
            if not isinstance(norm, PlainLayerNorm):
                x = x * norm.weight + norm.bias
        x = (mlp.activation if depth < len(mlp.linears) - 1 else mlp.output_activation)(x)
    return x


def plain_aggregate(edges: Tensor, index: Tensor, num_nodes: int, names: Sequence[str]) -> Tensor:
    """One node after the other."""
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "sum": lambda rows: rows.sum(0),
        "mean": lambda rows: rows.mean(0),
        "max": lambda rows: rows.amax(0),
        "min": lambda rows: rows.amin(0),
        "std": lambda rows: _std(rows),
    }
    rows = []
    for node in range(num_nodes):
        own = edges[index == node]
        rows.append(torch.cat([ways[name](own) if len(own) else edges.new_zeros(edges.shape[1]) for name in names]))
    return torch.stack(rows) if rows else edges.new_zeros(0, len(names) * edges.shape[1])


def _std(rows: Tensor) -> Tensor:
    variance = rows.var(0, unbiased=False)
    return torch.where(variance > 1e-5, variance.clamp(min=1e-5).sqrt(), 0.0)


def plain_interaction(net: InteractionNetwork, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
    s, t = edge_index
    attributes = [] if edge_attr is None else [edge_attr]
    if net.both_directions:
        s, t = torch.cat([s, t]), torch.cat([t, s])
        attributes = [torch.cat([a, a]) for a in attributes]
    x = plain_mlp(net.node_encoder, x)
    e = plain_mlp(net.edge_encoder, torch.cat([x[s], x[t], *attributes], 1))
    for i in range(net.num_iterations):
        at = min(i, len(net.node_networks) - 1)
        m = [plain_aggregate(e, t, len(x), net.aggregation)]
        if net.in_out:
            m.append(plain_aggregate(e, s, len(x), net.aggregation))
        new_x = plain_mlp(net.node_networks[at], torch.cat([x, *m], 1))
        new_x = new_x + x if net.residual else new_x
        seen = new_x if net.updated_nodes else x
        new_e = plain_mlp(net.edge_networks[at], torch.cat([seen[s], seen[t], e], 1))
        x, e = new_x, new_e + e if net.residual else new_e
    logit = plain_mlp(net.classifier, torch.cat([x[s], x[t], e], 1))[:, 0]
    return (logit[: len(logit) // 2] + logit[len(logit) // 2 :]) / 2 if net.both_directions else logit


def plain_edge_first(net: EdgeFirstNetwork, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
    s, t = edge_index
    x = x0 = plain_mlp(net.node_encoder, x)
    e = e0 = plain_mlp(net.edge_encoder, torch.cat([x[s], x[t]], 1) if edge_attr is None else edge_attr)
    for i in range(net.num_iterations):
        at = min(i, len(net.node_networks) - 1)
        if net.concat:
            x, e = torch.cat([x, x0], 1), torch.cat([e, e0], 1)
        # columns of the first layer are [x_s, x_t, e], in the order of every network here
        e = plain_mlp(net.edge_networks[at], torch.cat([x[s], x[t], e], 1))
        into, out_of = (plain_aggregate(e, end, len(x), ["sum"]) for end in (t, s))
        x = plain_mlp(net.node_networks[at], torch.cat([into, out_of, x] if net.in_out else [into + out_of, x], 1))
    return plain_mlp(net.head, plain_mlp(net.decoder, e))[:, 0]


def plain_multistep(net: MultistepNetwork, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> list[Tensor]:
    s, t = edge_index
    attributes = [] if edge_attr is None else [edge_attr]
    if net.both_directions:
        s, t = torch.cat([s, t]), torch.cat([t, s])
        attributes = [torch.cat([a, a]) for a in attributes]
    x = x0 = plain_mlp(net.node_encoder, x)
    e = e0 = plain_mlp(net.edge_encoder, torch.cat([x[s], x[t], *attributes], 1))
    steps = []
    for _ in range(net.num_iterations):
        m = plain_aggregate(e, t, len(x), net.aggregation)
        y = torch.cat([x, x0], 1)
        e = plain_mlp(net.edge_network, torch.cat([y[s], y[t], e, e0], 1))
        x = plain_mlp(net.node_network, torch.cat([y, m], 1)) + x
        logit = plain_mlp(net.classifier, torch.cat([x[s], x[t], e], 1))[:, 0]
        half = len(logit) // 2
        steps.append((logit[:half] + logit[half:]) / 2 if net.both_directions else logit)
    return steps


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def widths(mlp: nn.Module) -> list[int]:
    return [mlp.linears[0].in_features, *(linear.out_features for linear in mlp.linears)]


def expected_count(layers: Sequence[int]) -> int:
    return sum(a * b + b for a, b in pairwise(layers))


def make_graph(
    num_nodes: int = 12, num_edges: int = 40, seed: int = 0, features: int = 3, attributes: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes (N, features), edges (2, E) among all but the last two nodes, attributes (E, attributes)."""
    g = torch.Generator().manual_seed(seed)
    used = max(1, num_nodes - 2)
    edges = torch.randint(used, (2, num_edges if num_nodes else 0), generator=g)
    return (
        torch.randn(num_nodes, features, generator=g),
        edges,
        torch.randn(edges.shape[1], attributes, generator=g),
    )


def softplus_sum(logit: Tensor) -> Tensor:
    """A loss whose gradient differs from edge to edge."""
    return (F.softplus(logit) * torch.linspace(0.5, 1.5, len(logit), dtype=logit.dtype)).sum()
