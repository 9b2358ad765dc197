"""An attention layer in chunks of points, so that temporaries stay in cache and memory does not grow with them.

Without autograd the chunks are simply run. With autograd nothing inside a chunk is kept: the backward pass runs each
chunk again and differentiates it at once, so the peak holds the inputs and outputs of every layer, and one chunk.

Shape letters: N points, C points of a chunk, k neighbours, h width of points, w width of edges, H hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK_BYTES = 2 << 20  # of one pass over the edges, for each thread


class LocalLayer(Protocol):
    """What a layer must offer: its parameters, and ``local`` for the centres of a chunk."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def local(
        self,
        x: Tensor,
        gathered: Tensor,
        centre: Tensor,
        mask: Tensor,
        state: Tensor | None,
        into: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]: ...


def chunked_layer(
    layer: LocalLayer,
    x: Tensor,
    source: Tensor,
    centre: Tensor,
    index: Tensor,
    mask: Tensor,
    state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run ``layer.local`` chunk by chunk.

    Shapes: x (N, h), source and centre (N, H), index and mask (N, k), state (N, k, w) or None
    -> x (N, h), state (N, k, w). Without autograd the new state replaces the old one in place.
    """
    if not torch.is_grad_enabled():
        return _run(layer, x, source, centre, index, mask, state, into=state)
    parameters = list(layer.parameters())
    return _Recomputed.apply(layer, index, mask, x, source, centre, state, *parameters)


def _chunks(index: Tensor, width: int) -> Iterator[slice]:
    budget = CHUNK_BYTES * min(8, torch.get_num_threads())
    rows = max(1, budget // (4 * max(1, index.shape[1]) * max(1, width)))
    for first in range(0, max(1, index.shape[0]), rows):
        yield slice(first, first + rows)


def _gather(source: Tensor, index: Tensor) -> Tensor:
    return source.index_select(0, index.reshape(-1)).view(*index.shape, source.shape[1])


def _run(
    layer: LocalLayer,
    x: Tensor,
    source: Tensor,
    centre: Tensor,
    index: Tensor,
    mask: Tensor,
    state: Tensor | None,
    *,
    into: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    out_x: Tensor | None = None
    for s in _chunks(index, source.shape[1]):
        old, place = None if state is None else state[s], None if into is None else into[s]
        new_x, new_state = layer.local(x[s], _gather(source, index[s]), centre[s], mask[s], old, place)
        if out_x is None:
            out_x = new_x.new_empty((x.shape[0], new_x.shape[1]))
        if into is None:
            into = new_state.new_empty((*index.shape, new_state.shape[-1]))
        out_x[s] = new_x
        if place is None or new_state.data_ptr() != place.data_ptr():
            into[s] = new_state
    assert out_x is not None
    assert into is not None
    return out_x, into


class _Recomputed(torch.autograd.Function):
    """Forward without autograd; backward recomputes and differentiates one chunk at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        layer: LocalLayer,
        index: Tensor,
        mask: Tensor,
        x: Tensor,
        source: Tensor,
        centre: Tensor,
        state: Tensor | None,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.layer, ctx.has_state = layer, state is not None
        device = x.device.type
        ctx.autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
        ctx.save_for_backward(index, mask, x, source, centre, *([] if state is None else [state]), *parameters)
        return _run(layer, x, source, centre, index, mask, state)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_x: Tensor, grad_state: Tensor) -> tuple[Tensor | None, ...]:
        index, mask, x, source, centre, *rest = ctx.saved_tensors
        state = rest.pop(0) if ctx.has_state else None
        parameters = rest
        out_x, out_source, out_centre = torch.empty_like(x), torch.zeros_like(source), torch.empty_like(centre)
        out_state = None if state is None else torch.empty_like(state)
        sums: list[Tensor | None] = [None] * len(parameters)
        device, dtype, enabled = ctx.autocast
        for s in _chunks(index, source.shape[1]):
            leaves = [x[s], _gather(source, index[s]), centre[s], *([] if state is None else [state[s]])]
            leaves = [leaf.detach().requires_grad_() for leaf in leaves]
            with torch.enable_grad(), torch.autocast(device, dtype=dtype, enabled=enabled):
                outs = ctx.layer.local(*leaves[:3], mask[s], leaves[3] if state is not None else None)
            found = torch.autograd.grad(
                outs, [*leaves, *parameters], [grad_x[s], grad_state[s]], allow_unused=True, materialize_grads=False
            )
            d_x, d_gathered, d_centre = found[:3]
            out_x[s] = 0 if d_x is None else d_x
            out_centre[s] = 0 if d_centre is None else d_centre
            if d_gathered is not None:
                out_source.index_add_(0, index[s].reshape(-1), d_gathered.reshape(-1, source.shape[1]))
            if out_state is not None:
                out_state[s] = 0 if found[3] is None else found[3]
            for place, grad in enumerate(found[len(leaves) :]):
                total = sums[place]
                sums[place] = grad if total is None else (total if grad is None else total.add_(grad))
        return (None, None, None, out_x, out_source, out_centre, out_state, *sums)
