"""What rows tell the nodes named by an index, chunk by chunk: sum, mean, maximum, minimum; and its gradient.

Shape letters: R rows, C rows of a chunk, N nodes, O channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hitloom.nn._workers import over_spans

CHUNKED = frozenset({"sum", "mean", "max", "min"})
GRAIN = 512  # rows worth a thread
CHANNELS = 32  # channels worth a thread
_SIGN = {"max": np.float32(1), "min": np.float32(-1)}


@dataclass(frozen=True)
class Tell:
    """The aggregation ``name`` of rows by ``index`` (R,) into nodes; ``degree`` (N,) counts the rows of each node."""

    name: str
    index: Tensor
    degree: Tensor


class NodeSums:
    """The aggregation of one :class:`Tell` while chunks come in; ``ties`` counts what a gradient needs."""

    def __init__(self, tell: Tell, width: int, *, ties: bool) -> None:
        self.tell, self.sign = tell, _SIGN.get(tell.name)
        num = len(tell.degree)
        self.total = torch.zeros(num, width) if self.sign is None else torch.full((num, width), -torch.inf)
        self.ties = torch.zeros(num, width) if ties and self.sign is not None else None

    def put(self, s: slice, rows: Tensor) -> None:
        """Take the rows (C, O) of a chunk in."""
        from hitloom.nn import _edge_kernels

        index, width = self.tell.index.numpy()[s], rows.shape[1]
        if self.sign is None:
            over_spans(_edge_kernels.add_at, width, index, rows.numpy(), self.total.numpy(), grain=CHANNELS)
        elif self.ties is None:
            over_spans(_edge_kernels.best_at, width, index, rows.numpy(), self.sign, self.total.numpy(), grain=CHANNELS)
        else:
            arrays = (self.total.numpy(), self.ties.numpy())
            over_spans(_edge_kernels.best_and_ties_at, width, index, rows.numpy(), self.sign, *arrays, grain=CHANNELS)

    def result(self) -> Tensor:
        """Return the aggregation (N, O); nodes without rows get 0."""
        if self.tell.name == "sum":
            return self.total
        if self.tell.name == "mean":
            return self.total.div_(self.tell.degree.clamp(min=1)[:, None])
        return torch.where(self.tell.degree[:, None] > 0, self.total * float(self.sign), 0.0)  # type: ignore[arg-type]

    def for_backward(self) -> NodeGradient:
        """Return what turns the gradient of the result into that of the rows."""
        return NodeGradient(self.tell, self.total if self.sign is not None else None, self.ties, self.sign)


class NodeGradient:
    """The gradient of one aggregation."""

    def __init__(self, tell: Tell, best: Tensor | None, ties: Tensor | None, sign: np.float32 | None) -> None:
        self.tell, self.best, self.ties, self.sign = tell, best, ties, sign
        self.share: Tensor | None = None

    def gradient(self, grad: Tensor | None) -> NodeGradient | None:
        """Take the gradient (N, O) of the result; None when there is none."""
        if grad is None:
            return None
        if self.tell.name == "mean":
            grad = grad / self.tell.degree.clamp(min=1)[:, None]
        elif self.ties is not None:
            grad = grad / self.ties.clamp(min=1)
        self.share = grad.contiguous()
        return self

    def put(self, s: slice, rows: Tensor, grad: Tensor) -> None:
        """Add the gradient of a chunk's rows (C, O) to ``grad`` (C, O)."""
        from hitloom.nn import _edge_kernels

        assert self.share is not None
        index, share = self.tell.index.numpy()[s], self.share.numpy()
        if self.best is None:
            over_spans(_edge_kernels.add_from, len(rows), index, share, grad.numpy(), grain=GRAIN)
            return
        arrays = (rows.numpy(), self.sign, self.best.numpy(), share, grad.numpy())
        over_spans(_edge_kernels.add_where_best, len(rows), index, *arrays, grain=GRAIN)
