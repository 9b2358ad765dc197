"""Layer normalisation with SiLU, and the tail of an attention layer, in one pass each.

In float32 on the CPU compiled kernels do the work and keep only the input for the backward pass; anywhere else, under
autocast to half precision, and while a graph is traced for export, the same is written in plain torch.

Shape letters: C channels, P points, k neighbours, w width of edges, leading axes (...) of any number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from hitloom.nn._workers import GRAIN, over_rows


def is_traced() -> bool:
    """Whether an exporter or compiler is recording, so that only plain torch may run."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


def can_fuse(x: Tensor) -> bool:
    """Whether the compiled kernels apply."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and type(x) is Tensor and not is_traced()


def _array(x: Tensor) -> NDArray[np.float32]:
    return x.detach().contiguous().numpy()


def norm_silu(x: Tensor) -> Tensor:
    """SiLU of the layer-normalised rows, without affine parameters.

    Shapes: (..., C) -> (..., C).
    """
    if not can_fuse(x):
        return F.silu(F.layer_norm(x, x.shape[-1:]))
    return _NormSilu.apply(x)


class _NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        from hitloom.nn._kernels import norm_silu as kernel

        ctx.save_for_backward(x)
        out = torch.empty(x.shape, dtype=torch.float32)
        width = x.shape[-1]
        over_rows(kernel, (_array(x).reshape(-1, width), out.numpy().reshape(-1, width)))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        from hitloom.nn._kernels import norm_silu_backward as kernel

        (x,) = ctx.saved_tensors
        out = torch.empty(x.shape, dtype=torch.float32)
        width = x.shape[-1]
        arrays = (_array(x), _array(grad), out.numpy())
        over_rows(kernel, tuple(array.reshape(-1, width) for array in arrays))
        return out


def gather_add(source: Tensor, centre: Tensor, index: Tensor) -> Tensor:
    """Rows of ``source`` named by ``index``, plus ``centre``.

    Shapes: source (N, C), centre (P, C), index (P, k) int64 -> (P, k, C). Differentiable where the kernels do not
    apply; where they do, meant for code that differentiates by itself.
    """
    if not can_fuse(source) or torch.is_grad_enabled():
        gathered = source.index_select(0, index.reshape(-1)).view(*index.shape, source.shape[1])
        return gathered + centre[:, None, :]
    from hitloom.nn._kernels import gather_add as kernel

    out = torch.empty((*index.shape, source.shape[1]), dtype=torch.float32)
    arrays = (index.contiguous().numpy(), _array(centre), out.numpy())
    over_rows(kernel, arrays, _array(source), grain=GRAIN // max(1, index.shape[1]))
    return out


def attend(
    raw: Tensor, logit: Tensor, mask: Tensor, *, saturated_logit: bool = True, into: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """SiLU of the edges, and their sum weighted by the softmax of the logits over neighbours.

    Shapes: raw (P, k, w), logit (P, k), mask (P, k) bool -> edges (P, k, w), message (P, w).

    Parameters
    ----------
    raw, logit
        Before the activation.
    mask
        Neighbours that exist; a point without any gets the message 0.
    saturated_logit
        Whether the logit passes the SiLU too.
    into
        (P, k, w) contiguous, receives the edges when no gradient is asked for.
    """
    if not can_fuse(raw):
        state = F.silu(raw)
        alpha = masked_softmax((F.silu(logit) if saturated_logit else logit).float(), mask)
        return state, torch.bmm(alpha.to(state.dtype)[:, None, :], state)[:, 0]
    if torch.is_grad_enabled():
        return _Attend.apply(raw, logit, mask, saturated_logit)
    return _attend(raw, logit, mask, saturated_logit, into)


def _attend(raw: Tensor, logit: Tensor, mask: Tensor, saturated: bool, into: Tensor | None) -> tuple[Tensor, Tensor]:
    from hitloom.nn._kernels import attend as kernel

    state = torch.empty(raw.shape, dtype=torch.float32) if into is None or not into.is_contiguous() else into
    message = torch.empty((raw.shape[0], raw.shape[2]), dtype=torch.float32)
    arrays = (_array(raw), _array(logit), mask.contiguous().numpy(), state.numpy(), message.numpy())
    over_rows(kernel, arrays, saturated, grain=GRAIN // max(1, raw.shape[1]))
    return state, message


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, raw: Tensor, logit: Tensor, mask: Tensor, saturated: bool) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(raw, logit, mask)
        ctx.saturated = saturated
        return _attend(raw, logit, mask, saturated, None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_state: Tensor, grad_message: Tensor) -> tuple[Tensor | None, ...]:
        from hitloom.nn._kernels import attend_backward as kernel

        raw, logit, mask = ctx.saved_tensors
        out, out_logit = torch.empty(raw.shape, dtype=torch.float32), torch.empty(logit.shape, dtype=torch.float32)
        arrays = (
            _array(raw), _array(logit), mask.contiguous().numpy(), _array(grad_state), _array(grad_message),
            out.numpy(), out_logit.numpy(),
        )  # fmt: skip
        over_rows(kernel, arrays, ctx.saturated, grain=GRAIN // max(1, raw.shape[1]))
        return out, out_logit, None, None


def masked_softmax(logit: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the slots where ``mask`` is true; all 0 where none is.

    Shapes: (P, k), (P, k) bool -> (P, k).
    """
    logit = logit.masked_fill(~mask, torch.finfo(logit.dtype).min)
    return torch.softmax(logit, -1) * mask.to(logit.dtype)
