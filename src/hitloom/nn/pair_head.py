"""Similarity of every pair of elements: an MLP on two vectors, and another on one vector for the diagonal.

For a pair (i, j) the logit of one order is w . relu(W [a_i; a_j] + b) + c. The first layer is a sum of two parts,
W [a_i; a_j] = Wa a_i + Wb a_j, so that it costs N products and not N^2. ``symmetric`` takes the mean of the logits of
both orders; ``ordered`` takes the order of the elements, i < j, and copies it to (j, i), as first published: its answer
depends on how the elements are sorted.

In float32 on the CPU a compiled pass goes through the pairs and stores nothing of the size pairs times H, forward nor
backward. With l_i = Wa a_i + b, r_j = Wb a_j, G the gradient of the logits of ordered pairs and
c_i = sum_j G_ij [l_i + r_j > 0] (and c'_j likewise): dl_i = w c_i, dr_j = w c'_j, dw = sum_i l_i c_i + sum_j r_j c'_j.
Elsewhere blocks of at most ``max_pairs`` pairs are computed at a time, and again in the backward pass.

Shape letters: N elements, R rows of a block, A width of a vector, H hidden width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from hitloom.nn._workers import over_spans
from hitloom.nn.fused import can_fuse


class PairHead(nn.Module):
    """Shapes: (N, A) -> logits (N, N) float32, symmetric.

    Parameters
    ----------
    num_inputs, hidden : int
        A and H.
    symmetric : bool
    max_pairs : int
        Pairs that are computed at once, at least one row; the compiled pass needs no limit.
    """

    def __init__(self, *, num_inputs: int, hidden: int, symmetric: bool = True, max_pairs: int = 65536) -> None:
        super().__init__()
        self.symmetric, self.max_pairs = symmetric, max_pairs
        self.pair = nn.Sequential(nn.Linear(2 * num_inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.single = nn.Sequential(nn.Linear(num_inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, vectors: Tensor) -> Tensor:
        left, right = self.project(vectors)
        return self.from_parts(left, right, self.diagonal(vectors))

    def project(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return Wa a + b and Wb a of each vector, (N, H) float32 each."""
        first: Any = self.pair[0]
        a, b = first.weight.split(vectors.shape[-1], 1)
        return nn.functional.linear(vectors, a, first.bias).float(), nn.functional.linear(vectors, b).float()

    def diagonal(self, vectors: Tensor) -> Tensor:
        """Return the logit (N,) float32 of each vector with itself."""
        logit: Tensor = self.single(vectors)
        return logit[:, 0].float()

    def from_parts(self, left: Tensor, right: Tensor, diagonal: Tensor) -> Tensor:
        """Return the logits of one set from what :meth:`project` and :meth:`diagonal` gave its vectors."""
        last: Any = self.pair[2]
        with torch.autocast(left.device.type, enabled=False):
            weight, bias = last.weight[0].float(), last.bias.float()
            if can_fuse(left):
                pairs: Tensor = _Pairs.apply(left, right, weight, bias, self.symmetric)
            else:
                pairs = self.in_blocks(left, right, weight, bias)
            return pairs.diagonal_scatter(diagonal)

    def in_blocks(self, left: Tensor, right: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the logits (N, N) of pairs, block of rows by block of rows; the diagonal means nothing."""
        num = len(left)
        rows = max(1, self.max_pairs // max(1, num))
        again = torch.is_grad_enabled() and rows < num
        parts = []
        for first in range(0, num, rows):
            arguments = (left[first : first + rows], right, weight, bias)
            parts.append(checkpoint(_block, *arguments, use_reentrant=False) if again else _block(*arguments))
        one_order = torch.cat(parts) if parts else left.new_zeros((0, 0))
        if self.symmetric:
            return 0.5 * (one_order + one_order.T)
        upper = one_order.triu(1)
        return upper + upper.T


def _block(left: Tensor, right: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the logits (R, N) of the ordered pairs of R rows of ``left`` with all of ``right``."""
    return torch.relu(left[:, None, :] + right[None, :, :]) @ weight + bias


class _Pairs(torch.autograd.Function):
    """The compiled pass; the diagonal of what it returns is 0."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, weight: Tensor, bias: Tensor, symmetric: bool) -> Tensor:
        from hitloom.nn._pair_kernels import num_spans, pair_logits

        left, right, weight = left.contiguous(), right.contiguous(), weight.contiguous()
        ctx.save_for_backward(left, right, weight)
        ctx.symmetric = symmetric
        num = len(left)
        out = torch.empty((num, num), dtype=torch.float32)
        arrays = (left.detach().numpy(), right.detach().numpy(), weight.detach().numpy())
        over_spans(pair_logits, num_spans(num), *arrays, bias.detach().numpy()[0], symmetric, out.numpy(), grain=4)
        return out.fill_diagonal_(0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from hitloom.nn._pair_kernels import active_sums

        left, right, weight = ctx.saved_tensors
        both = (grad + grad.T).triu(1)
        total = both.sum()[None]
        if ctx.symmetric:
            both = 0.5 * (both + both.T)
        sums = []
        for one, other, matrix in ((left, right, both), (right, left, both.T)):
            out = torch.empty_like(one)
            arrays = (one.numpy(), other.numpy(), matrix.contiguous().numpy(), out.numpy())
            over_spans(active_sums, len(one), *arrays, grain=64)
            sums.append(out)
        of_left, of_right = sums
        of_weight = (left * of_left).sum(0) + (right * of_right).sum(0)
        return weight * of_left, weight * of_right, of_weight, total, None
