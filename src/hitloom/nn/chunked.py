"""The messages of an attention layer in chunks of points, so that temporaries stay in cache.

Without autograd the chunks are simply run. With autograd there are two ways, both differentiating chunk by chunk:
``keep`` stores what each chunk's backward pass needs; otherwise nothing inside a chunk is stored and the backward pass
runs each chunk again, so that the peak holds the inputs and outputs of every layer, and one chunk.

Shape letters: N points, C points of a chunk, k neighbours, w width of edges, H hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hitloom.nn.fused import gather_add

CHUNK_BYTES = 6 << 20  # of one pass over the edges, for each thread


class MessageLayer(Protocol):
    """What a layer must offer: the network of its edges, and the messages of the centres of a chunk."""

    @property
    def edge_network(self) -> nn.Module: ...

    def messages(
        self, first: Tensor, mask: Tensor, state: Tensor | None, into: Tensor | None = None
    ) -> tuple[Tensor, Tensor]: ...


def chunked_messages(
    layer: MessageLayer,
    source: Tensor,
    centre: Tensor,
    index: Tensor,
    mask: Tensor,
    state: Tensor | None,
    *,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Run ``layer.messages`` chunk by chunk.

    Shapes: source and centre (N, H), index and mask (N, k), state (N, k, w) or None -> state (N, k, w),
    message (N, w). Without autograd the new state replaces the old one in place.
    """
    if not torch.is_grad_enabled():
        return _run(layer, source, centre, index, mask, state, into=state)
    return _Chunked.apply(layer, keep, index, mask, source, centre, state, *layer.edge_network.parameters())


def _chunks(index: Tensor, width: int) -> Iterator[slice]:
    budget = CHUNK_BYTES * min(8, torch.get_num_threads())
    rows = max(1, budget // (4 * max(1, index.shape[1]) * max(1, width)))
    for first in range(0, max(1, index.shape[0]), rows):
        yield slice(first, first + rows)


class _Gathered:
    """The outputs of the chunks, put together."""

    def __init__(self, index: Tensor, into: Tensor | None) -> None:
        self.index, self.state = index, into
        self.message: Tensor | None = None

    def place(self, s: slice) -> Tensor | None:
        """Return where the state of a chunk may be written, if that exists."""
        return None if self.state is None else self.state[s]

    def put(self, s: slice, state: Tensor, message: Tensor) -> None:
        """Store the outputs of a chunk."""
        num, k = self.index.shape
        if self.message is None:
            self.message = message.new_empty((num, message.shape[-1]))
        if self.state is None:
            self.state = state.new_empty((num, k, state.shape[-1]))
        self.message[s] = message.detach()
        place = self.state[s]
        if state.data_ptr() != place.data_ptr():
            place.copy_(state.detach())

    def result(self) -> tuple[Tensor, Tensor]:
        assert self.state is not None
        assert self.message is not None
        return self.state, self.message


def _run(
    layer: MessageLayer,
    source: Tensor,
    centre: Tensor,
    index: Tensor,
    mask: Tensor,
    state: Tensor | None,
    *,
    into: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    out = _Gathered(index, into)
    for s in _chunks(index, source.shape[1]):
        old = None if state is None else state[s]
        out.put(s, *layer.messages(gather_add(source, centre[s], index[s]), mask[s], old, out.place(s)))
    return out.result()


class _Chunked(torch.autograd.Function):
    """Autograd over chunks: a graph of its own for each, made in the forward or again in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        layer: MessageLayer,
        keep: bool,
        index: Tensor,
        mask: Tensor,
        source: Tensor,
        centre: Tensor,
        state: Tensor | None,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.layer, ctx.has_state, ctx.kept = layer, state is not None, None
        device = source.device.type
        ctx.autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
        if not keep:
            ctx.save_for_backward(index, mask, source, centre, *([] if state is None else [state]), *parameters)
            return _run(layer, source, centre, index, mask, state)
        ctx.save_for_backward(index, mask, *parameters)
        ctx.shapes = (source.shape, centre.shape, None if state is None else state.shape)
        out, ctx.kept = _Gathered(index, None), []
        for s in _chunks(index, source.shape[1]):
            leaves, outs = _graph(layer, source, centre, index, mask, state, s)
            ctx.kept.append((s, leaves, outs))
            out.put(s, *outs)
        return out.result()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_state: Tensor, grad_message: Tensor) -> tuple[Tensor | None, ...]:
        sums: list[Tensor | None]
        if ctx.kept is not None:
            index, _, *parameters = ctx.saved_tensors
            (num, width), _, state_shape = ctx.shapes
            graphs, ctx.kept = ctx.kept, None
        else:
            index, mask, source, centre, *rest = ctx.saved_tensors
            state = rest.pop(0) if ctx.has_state else None
            parameters, (num, width), state_shape = rest, source.shape, None if state is None else state.shape
            graphs = _again(ctx, source, centre, index, mask, state)
        out_source, out_centre = grad_message.new_zeros((num, width)), grad_message.new_empty((num, width))
        out_state = None if state_shape is None else grad_state.new_empty(state_shape)
        sums = [None] * len(parameters)
        for s, leaves, outs in graphs:
            # The first Linear acts outside, but for its share of the state: its bias has no part in here.
            grads = [grad_state[s], grad_message[s]]
            found = torch.autograd.grad(outs, [*leaves, *parameters], grads, allow_unused=True)
            out_centre[s] = found[0].sum(1)
            out_source.index_add_(0, index[s].reshape(-1), found[0].reshape(-1, width).to(out_source.dtype))
            if out_state is not None:
                out_state[s] = found[1]
            for place, grad in enumerate(found[len(leaves) :]):
                if grad is not None:
                    total = sums[place]
                    sums[place] = grad if total is None else total.add_(grad)
        return (None, None, None, None, out_source, out_centre, out_state, *sums)


def _graph(
    layer: MessageLayer, source: Tensor, centre: Tensor, index: Tensor, mask: Tensor, state: Tensor | None, s: slice
) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    """Run one chunk with a graph of its own; return its leaves and outputs."""
    leaves = [gather_add(source, centre[s], index[s]), *([] if state is None else [state[s]])]
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    with torch.enable_grad():
        return leaves, layer.messages(leaves[0], mask[s], leaves[1] if state is not None else None)


def _again(
    ctx: Any, source: Tensor, centre: Tensor, index: Tensor, mask: Tensor, state: Tensor | None
) -> Iterator[tuple[slice, list[Tensor], tuple[Tensor, Tensor]]]:
    """Run the chunks again, one at a time, under the autocast state of the forward pass."""
    device, dtype, enabled = ctx.autocast
    for s in _chunks(index, source.shape[1]):
        with torch.autocast(device, dtype=dtype, enabled=enabled):
            leaves, outs = _graph(ctx.layer, source, centre, index, mask, state, s)
        yield s, leaves, outs
