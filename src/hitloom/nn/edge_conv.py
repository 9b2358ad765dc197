"""Edge convolution with a gate on each edge (after "Dynamic Graph CNN", arXiv:1801.07829).

Every edge is walked in both directions and every node meets itself once. For a pair (p, q),
m_pq = ReLU(W2 drop(ReLU(W1 [x_p, x_q - x_p]))); out_p = ReLU(S x_p + sum over q of a_pq m_pq).

W1 [x_p, x_q - x_p] = (W1a - W1b) x_p + W1b x_q: two products for each node, gathered and added for each pair. In
float32 on the CPU the pairs are walked in chunks that stay in cache, with the backward pass written out; anywhere
else, and while a graph is traced for export, the same is written in plain torch.

Shape letters: N nodes, I inputs, E edges, D pairs (2E), H hidden width, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hitloom.nn._workers import over_spans
from hitloom.nn.dropout import draw_seed, drop_rows, dropout
from hitloom.nn.edge_graph import EdgeGraph
from hitloom.nn.fused import can_fuse

CHUNK_BYTES = 1 << 20  # of the hidden layer, for each thread
CHANNELS = 32  # channels worth a thread


class EdgeConvBlock(nn.Module):
    """One block.

    Shapes: x (N, I), graph in both directions, gate (D,) or None -> (N, O).

    Parameters
    ----------
    in_dim, hidden_dim, out_dim : int
    dropout : float
        After the first activation of a message.
    """

    def __init__(self, *, in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(2 * in_dim, hidden_dim)
        self.second = nn.Linear(hidden_dim, out_dim)
        self.shortcut = nn.Linear(in_dim, out_dim)
        self.dropout = dropout

    def forward(self, x: Tensor, graph: EdgeGraph, gate: Tensor | None, loops: Tensor | None = None) -> Tensor:
        """Return the new nodes.

        Parameters
        ----------
        x : (N, I)
        graph : EdgeGraph
            Pairs as fed: ``target`` is p, which receives, ``source`` is q.
        gate : (D,) or None
            Factor a of each pair as fed; None = 1.
        loops : (N,) or None
            How often each node meets itself; None = once.
        """
        own, other = self.first.weight.chunk(2, 1)
        at_other = F.linear(x, other)
        at_own = F.linear(x, own, self.first.bias)
        loop = F.relu(self.second(dropout(F.relu(at_own), self.dropout, self.training)))
        if loops is not None:
            loop = loop * loops[:, None]
        received = pair_messages(
            at_own - at_other, at_other, gate, graph, self.second, self.dropout if self.training else 0.0
        )
        return F.relu(self.shortcut(x) + loop + received)


def pair_messages(
    centre: Tensor, other: Tensor, gate: Tensor | None, graph: EdgeGraph, second: nn.Linear, p: float
) -> Tensor:
    """Return the gated sum (N, O) of ReLU(second(drop(ReLU(centre_p + other_q)))) over the pairs of each p.

    Shapes: centre and other (N, H), gate (D,) or None.
    """
    tensors = (centre, other, second.weight) if gate is None else (centre, other, second.weight, gate)
    if all(can_fuse(tensor) for tensor in tensors if not isinstance(tensor, nn.Parameter)) and _plain_float(second):
        gated = torch.ones(1) if gate is None else gate.contiguous()
        keep = torch.is_grad_enabled()
        return _Messages.apply(graph, p, keep, centre, other, gated, second.weight, second.bias)  # type: ignore[no-any-return]
    hidden = F.relu(centre.index_select(0, graph.target) + other.index_select(0, graph.source))
    message = F.relu(second(dropout(hidden, p, p > 0)))
    if gate is not None:
        message = message * gate[:, None].to(message.dtype)
    return message.new_zeros((graph.num_nodes, message.shape[1])).index_add(0, graph.target, message)


def _plain_float(second: nn.Linear) -> bool:
    return second.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def _chunks(num_rows: int, width: int) -> Iterator[slice]:
    size = max(64, CHUNK_BYTES * min(8, torch.get_num_threads()) // (4 * max(1, width)))
    for first in range(0, num_rows, size):
        yield slice(first, min(num_rows, first + size))


def _add_at(index: Tensor, rows: Tensor, into: Tensor) -> None:
    """Add rows (C, O) to the rows of ``into`` (N, O) that ``index`` (C,) names."""
    from hitloom.nn import _edge_kernels

    arrays = (index.numpy(), rows.numpy(), into.numpy())
    over_spans(_edge_kernels.add_at, rows.shape[1], *arrays, grain=CHANNELS)


class _Messages(torch.autograd.Function):
    """Chunk by chunk; keeps both activations, whose zeros also tell what dropout took away."""

    @staticmethod
    def forward(
        ctx: Any,
        graph: EdgeGraph,
        p: float,
        keep: bool,
        centre: Tensor,
        other: Tensor,
        gate: Tensor,
        weight: Tensor,
        bias: Tensor,
    ) -> Tensor:
        target, source = graph.target, graph.source
        num, width = len(target), centre.shape[1]
        out = centre.new_zeros((graph.num_nodes, weight.shape[0]))
        kept: list[tuple[Tensor, Tensor]] = []
        weight_t = weight.detach().t()
        seed = draw_seed() if p else 0
        for s in _chunks(num, width):
            hidden = centre.index_select(0, target[s])
            hidden.add_(other.index_select(0, source[s])).relu_()
            if p:
                drop_rows(hidden, p, seed, offset=s.start, out=hidden)
            message = torch.addmm(bias, hidden, weight_t).relu_()
            if keep:
                kept.append((hidden, message))
            _add_at(target[s], message * gate[s, None] if len(gate) == num else message, out)
        if keep:
            ctx.graph, ctx.p, ctx.kept, ctx.num_nodes = graph, p, kept, graph.num_nodes
            ctx.save_for_backward(gate, weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        gate, weight = ctx.saved_tensors
        graph, kept = ctx.graph, ctx.kept
        ctx.kept = None
        target, source = graph.target, graph.source
        num, gated = len(target), len(gate) == len(target)
        width = weight.shape[1]
        into_centre, into_other = (grad_out.new_zeros((ctx.num_nodes, width)) for _ in range(2))
        grad_gate = torch.zeros_like(gate)
        grad_weight, grad_bias = torch.zeros_like(weight), grad_out.new_zeros(weight.shape[0])
        kept.reverse()
        for s in _chunks(num, width):
            hidden, message = kept.pop()
            grad = grad_out.index_select(0, target[s])
            if gated:
                grad_gate[s] = torch.einsum("ij,ij->i", grad, message)
                grad.mul_(gate[s, None])
            grad.mul_(message > 0)
            grad_weight.addmm_(grad.t(), hidden)
            grad_bias += grad.sum(0)
            first = torch.mm(grad, weight)
            first.mul_(hidden > 0)
            if ctx.p:
                first.mul_(1 / (1 - ctx.p))
            _add_at(target[s], first, into_centre)
            _add_at(source[s], first, into_other)
        return None, None, None, into_centre, into_other, grad_gate if gated else None, grad_weight, grad_bias
