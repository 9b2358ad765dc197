"""The update of an LSTM, and the ReLU of a head with its dropout, in one pass over the rows each.

In float32 on the CPU compiled kernels do the work, write into their input and keep what the backward pass needs and no
more; anywhere else, and while a graph is traced for export, the same is written in plain torch.

Shape letters: N nodes, d width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hitloom.nn._workers import over_rows
from hitloom.nn.fused import can_fuse

_LANES = 1 << 32


def lstm_update(gates: Tensor, cell: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return hidden state and cell (N, d) from the sums of the gates (N, 4d); no cell = a cell of zeros.

    Order of the gates: input, forget, cell, output. ``gates`` must be of no further use to the caller.
    """
    if can_fuse(gates):
        return _LSTM.apply(gates, cell)  # type: ignore[no-any-return]
    i, f, g, o = gates.chunk(4, 1)
    new = i.sigmoid() * g.tanh()
    if cell is not None:
        new = new + f.sigmoid() * cell
    return o.sigmoid() * new.tanh(), new


def drop_relu(x: Tensor, p: float, training: bool) -> Tensor:
    """Return the ReLU of ``x`` (N, d) after dropout of a share ``p``; ``x`` must be of no further use to the caller."""
    share = p if training else 0.0
    if share == 0.0:
        return x.relu_()
    if not can_fuse(x):
        return F.dropout(x, share, True).relu_()
    return _DropReLU.apply(x, share, int(torch.randint(_LANES, (), dtype=torch.int64)))  # type: ignore[no-any-return]


class _LSTM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor | None) -> tuple[Tensor, Tensor]:
        from hitloom.nn._cell_kernels import lstm

        rows = gates.contiguous()
        before = rows[:, : rows.shape[1] // 4] if cell is None else cell.contiguous()
        h, new = (torch.empty(rows.shape[0], rows.shape[1] // 4) for _ in range(2))
        over_rows(_with_flag(lstm, cell is not None), (_array(rows), _array(before), _array(h), _array(new)))
        ctx.save_for_backward(rows, new, *(() if cell is None else (before,)))
        return h, new

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_new: Tensor) -> tuple[Tensor, Tensor | None]:
        from hitloom.nn._cell_kernels import lstm_backward

        gates, new, *rest = ctx.saved_tensors
        cell = rest[0] if rest else new
        grad_gates, grad_cell = torch.empty_like(gates), torch.empty_like(new)
        tensors = (gates, cell, new, grad_h.contiguous(), grad_new.contiguous(), grad_gates, grad_cell)
        over_rows(_with_flag(lstm_backward, bool(rest)), tuple(_array(tensor) for tensor in tensors))
        return grad_gates, grad_cell if rest else None


class _DropReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, seed: int) -> Tensor:
        from hitloom.nn._cell_kernels import drop_relu as kernel

        out = x.contiguous()
        ctx.scale = np.float32(1 / (1 - p))
        kernel(_array(out), np.uint32(seed), np.uint32(int(p * _LANES)), ctx.scale)
        if out is x:
            ctx.mark_dirty(x)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        from hitloom.nn._cell_kernels import drop_relu_backward as kernel

        (out,) = ctx.saved_tensors
        result = torch.empty_like(out)
        kernel(_array(out), _array(grad.contiguous()), ctx.scale, _array(result))
        return result, None, None


def _array(x: Tensor) -> Any:
    return x.detach().numpy()


def _with_flag(kernel: Any, flag: bool) -> Any:
    """Return the kernel of arrays alone: whether there is a cell stands second among its arguments."""
    return lambda gates, cell, *others: kernel(gates, cell, flag, *others)
