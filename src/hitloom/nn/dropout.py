"""Dropout that stores nothing: what it takes away follows from a seed drawn from torch's generator.

In float32 on the CPU a compiled pass makes the choice by a hash (:mod:`hitloom.nn._dropout_kernels`), many times faster
than drawing numbers one by one; the share taken away is rounded to 1/65536. Elsewhere it is torch's own.

Shape letters: leading axes (...) of any number, C channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hitloom.nn._workers import over_spans
from hitloom.nn.fused import can_fuse

GRAIN = 512  # rows worth a thread
_MAX_SEED = 1 << 62


def draw_seed() -> int:
    """Return a seed from torch's generator on the CPU."""
    return int(torch.randint(_MAX_SEED, (), dtype=torch.int64))


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Set a share ``p`` of the entries to 0 and divide the others by 1 - p. Shapes: (..., C) -> (..., C)."""
    if not training or p == 0.0:
        return x
    if not can_fuse(x):
        return F.dropout(x, p, True)
    return _Dropout.apply(x, p, draw_seed())  # type: ignore[no-any-return]


def drop_rows(x: Tensor, p: float, seed: int, *, offset: int = 0, out: Tensor | None = None) -> Tensor:
    """Return the rows (R, C) contiguous after dropout with this seed; ``offset`` numbers the first row.

    ``out`` may be ``x``.
    """
    from hitloom.nn._dropout_kernels import drop

    out = torch.empty_like(x) if out is None else out
    constants = (np.uint64(seed), np.int64(offset), np.uint64(round(p * 65536)), np.float32(1 / (1 - p)))
    over_spans(drop, len(x), x.numpy(), *constants, out.numpy(), grain=GRAIN)
    return out


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, seed: int) -> Tensor:
        ctx.p, ctx.seed = p, seed
        rows = x.detach().reshape(-1, x.shape[-1]) if x.numel() else x.detach().reshape(0, 1)
        return drop_rows(rows.contiguous(), p, seed).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        rows = grad.reshape(-1, grad.shape[-1]) if grad.numel() else grad.reshape(0, 1)
        return drop_rows(rows.contiguous(), ctx.p, ctx.seed).view(grad.shape), None, None
