"""Similarity of every pair of elements: an MLP on two vectors, and another on one vector for the diagonal.

For a pair (i, j) the logit of one order is w . relu(W [a_i; a_j] + b) + c. The first layer is a sum of two parts,
W [a_i; a_j] = Wa a_i + Wb a_j, so that it costs N products and not N^2. ``symmetric`` takes the mean of the logits of
both orders; ``ordered`` takes the order of the elements, i < j, and copies it to (j, i), as first published: its answer
depends on how the elements are sorted.

Shape letters: N elements, R rows of a block, A width of a vector, H hidden width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class PairHead(nn.Module):
    """Shapes: (N, A) -> logits (N, N) float32, symmetric.

    Parameters
    ----------
    num_inputs, hidden : int
        A and H.
    symmetric : bool
    max_pairs : int
        Pairs that are computed at once, at least one row.
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
        first = self.pair[0]
        a, b = first.weight.split(vectors.shape[-1], 1)
        return nn.functional.linear(vectors, a, first.bias).float(), nn.functional.linear(vectors, b).float()

    def diagonal(self, vectors: Tensor) -> Tensor:
        """Return the logit (N,) float32 of each vector with itself."""
        return self.single(vectors)[:, 0].float()

    def from_parts(self, left: Tensor, right: Tensor, diagonal: Tensor) -> Tensor:
        """Return the logits of one set from what :meth:`project` and :meth:`diagonal` gave its vectors."""
        num = len(left)
        with torch.autocast(left.device.type, enabled=False):
            last = self.pair[2]
            rows = max(1, self.max_pairs // max(1, num))
            saves = torch.is_grad_enabled() and rows < num
            parts = []
            for first in range(0, num, rows):
                arguments = (left[first : first + rows], right, last.weight[0].float(), last.bias.float())
                parts.append(checkpoint(_logits, *arguments, use_reentrant=False) if saves else _logits(*arguments))
            one_order = torch.cat(parts) if parts else left.new_zeros((0, 0))
            return joined(one_order, diagonal, symmetric=self.symmetric)


def _logits(left: Tensor, right: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the logits (R, N) of the ordered pairs of R rows of ``left`` with all of ``right``."""
    return torch.relu(left[:, None, :] + right[None, :, :]) @ weight + bias


def joined(one_order: Tensor, diagonal: Tensor, *, symmetric: bool) -> Tensor:
    """Return symmetric logits (N, N) from those of all ordered pairs and the diagonal."""
    if symmetric:
        both = 0.5 * (one_order + one_order.T)
    else:
        upper = one_order.triu(1)
        both = upper + upper.T
    return both.diagonal_scatter(diagonal)
