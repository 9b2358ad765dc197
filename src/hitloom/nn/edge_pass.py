"""An MLP on every edge or node: the first Linear split between its inputs, in chunks, with messages to the nodes.

W [x_s, x_t, e] = W_s x_s + W_t x_t + W_e e: the first two are computed once for each node and gathered. In float32 on
the CPU this runs in chunks that stay in cache (:mod:`hitloom.nn.chunked_mlp`); anywhere else, under autocast, and
while a graph is traced for export, the same is written in plain torch.

Shape letters: N nodes, F node features, D edges, G edge features, R rows, O outputs, h width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hitloom.nn.aggregation import AGGREGATIONS
from hitloom.nn.chunked_mlp import applies, run_rows
from hitloom.nn.edge_graph import EdgeGraph
from hitloom.nn.fused import is_traced
from hitloom.nn.mlp import MLP
from hitloom.nn.node_sums import CHUNKED, Tell

CHECKPOINT_ROWS = 1 << 17  # rows that plain torch computes again at a time
CHUNK_BYTES = 2 << 20  # of the widest layer of plain torch without gradients, for each thread


def edge_pass(
    mlp: MLP,
    graph: EdgeGraph,
    x: Tensor,
    edges: Sequence[Tensor] = (),
    *,
    residual: bool = False,
    checkpointing: bool = False,
    reuse: bool = False,
    aggregation: Sequence[str] = (),
    in_out: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Return ``mlp([x_s, x_t, *edges])`` for each edge, and what that tells the nodes.

    Shapes: x (N, F), each of ``edges`` (D, G) -> (D, O), and (N, O) for each aggregation.

    Parameters
    ----------
    residual
        Add the first of ``edges``.
    checkpointing
        Keep only inputs and outputs for the backward pass.
    reuse
        The first of ``edges`` may be overwritten when no gradient is asked for.
    aggregation, in_out
        See :func:`hitloom.nn.aggregation.aggregate`: over the edges that end at a node; then, with ``in_out``, over
        those that start there.
    """
    linear: nn.Linear = mlp.linears[0]  # type: ignore[assignment]
    width = x.shape[1]
    w_source, w_target, *w_edges = mlp.split_first([width, width, *(edge.shape[1] for edge in edges)])
    at_source, at_target = F.linear(x, w_source), F.linear(x, w_target, linear.bias)
    sides = [(graph.target, "degree"), *([(graph.source, "out_degree")] if in_out else [])]
    wanted = [(name, index, degree) for index, degree in sides for name in aggregation]
    if applies(mlp, at_source, *edges):
        tells = [Tell(name, index, getattr(graph, degree)) for name, index, degree in wanted if name in CHUNKED]
        out, *messages = run_rows(
            mlp, edges, w_edges, shares=(at_source, at_target), ends=(graph.source, graph.target), tells=tells,
            residual=residual, keep=not checkpointing, reuse=reuse,
        )  # fmt: skip
    else:

        def first(source: Tensor, target: Tensor, *rows: Tensor) -> Tensor:
            total = at_source.index_select(0, source) + at_target.index_select(0, target)
            for row, weight in zip(rows, w_edges, strict=True):
                total = total + F.linear(row, weight)
            out = mlp.after_first(total)
            return out + rows[0] if residual else out

        out = _plain(mlp, first, [graph.source, graph.target, *edges], checkpointing)
        messages = []
    told = [
        messages.pop(0) if messages and name in CHUNKED else AGGREGATIONS[name](out, index, graph.num_nodes)
        for name, index, _ in wanted
    ]
    return out, told


def row_pass(mlp: MLP, rows: Sequence[Tensor], *, residual: bool = False, checkpointing: bool = False) -> Tensor:
    """Return ``mlp([*rows])``, plus the first of ``rows`` if ``residual``. Shapes: each (R, G) -> (R, O)."""
    if applies(mlp, *rows):
        weights = mlp.split_first([row.shape[1] for row in rows])
        return run_rows(mlp, rows, weights, residual=residual, keep=not checkpointing)[0]

    def first(*parts: Tensor) -> Tensor:
        out = mlp(torch.cat(parts, 1))
        return out + parts[0] if residual else out

    return _plain(mlp, first, rows, checkpointing)


def _plain(mlp: MLP, call: Callable[..., Tensor], rows: Sequence[Tensor], checkpointing: bool) -> Tensor:
    """Call on all rows, or part by part.

    With gradients and ``checkpointing`` only inputs and outputs of a part are kept; without gradients, on the CPU, the
    temporaries of a part stay in cache. Rows that see each other (batch normalisation) are never parted.
    """
    grad = torch.is_grad_enabled()
    num = rows[0].shape[0]
    if is_traced() or not (checkpointing if grad else rows[0].device.type == "cpu"):
        return call(*rows)
    widest = max(int(linear.out_features) for linear in mlp.linears)  # type: ignore[arg-type]
    size = CHECKPOINT_ROWS if grad else max(64, CHUNK_BYTES * torch.get_num_threads() // (4 * widest))
    if not mlp.row_wise:
        size = max(1, num)
    parts = []
    for first in range(0, max(1, num), size):
        part = [row[first : first + size] for row in rows]
        parts.append(checkpoint(call, *part, use_reentrant=False) if grad else call(*part))
    return torch.cat(parts) if len(parts) > 1 else parts[0]
