"""An MLP on every edge, with its first Linear split between nodes and edges.

W [x_s, x_t, e] = W_s x_s + W_t x_t + W_e e: the first two are computed once for each node and gathered.

Shape letters: N nodes, F node features, D edges, G edge features, H width of the first layer, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.nn.edge_graph import EdgeGraph
from hitloom.nn.mlp import MLP


def edge_pass(mlp: MLP, graph: EdgeGraph, x: Tensor, edges: Sequence[Tensor] = ()) -> Tensor:
    """Return ``mlp([x_s, x_t, *edges])`` for each edge.

    Shapes: x (N, F), each of ``edges`` (D, G) -> (D, O).
    """
    linear: nn.Linear = mlp.linears[0]  # type: ignore[assignment]
    width = x.shape[1]
    w_source, w_target, *w_edges = mlp.split_first([width, width, *(edge.shape[1] for edge in edges)])
    first = F.linear(x, w_source).index_select(0, graph.source)
    first = first + F.linear(x, w_target, linear.bias).index_select(0, graph.target)
    for edge, weight in zip(edges, w_edges, strict=True):
        first = first + F.linear(edge, weight)
    return mlp.after_first(first)
