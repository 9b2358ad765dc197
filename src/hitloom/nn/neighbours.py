"""Who tells whom in a graph, sorted once: what every layer and every iteration of a network on it shares.

Shape letters: N nodes, E edges, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hitloom.errors import ConfigError
from hitloom.nn.fused import is_traced
from hitloom.ops.segments import segment_count, segment_max, segment_mean, segment_sum


@dataclass(frozen=True, kw_only=True)
class NeighbourLists:
    """The lists of neighbours column by column, longest list first.

    ``sources[t]`` holds the t-th neighbour of every node that has more than t; ``place`` (N,) says where in the sorted
    order a node is.
    """

    sources: tuple[Tensor, ...]
    place: Tensor


@dataclass(kw_only=True)
class Neighbours:
    """Directed edges sorted by the node that listens, in their order of arrival within it.

    Attributes
    ----------
    source, target : (E,) int64
    bounds : (N + 1,) int64
        The edges that end at node i are rows ``bounds[i]`` to ``bounds[i + 1]``.
    backward : (2, E) int64 or None
        Edges sorted by the node that tells: target above source. None = every edge has its reverse.
    """

    source: Tensor
    target: Tensor
    bounds: Tensor
    backward: Tensor | None = None
    _lists: NeighbourLists | None = field(default=None, repr=False)
    _reverse: tuple[Tensor, Tensor, Tensor] | None = field(default=None, repr=False)

    @property
    def num_nodes(self) -> int:
        return self.bounds.shape[0] - 1

    @staticmethod
    def of(edge_index: Tensor, num_nodes: int, *, symmetric: bool = False) -> Neighbours:
        """Sort the edges (2, E), source above target; ``symmetric`` says that every edge has its reverse.

        While an exporter records they stay as they are: sums need no order, and ONNX knows no stable sort.
        """
        if is_traced():
            return Neighbours(source=edge_index[0], target=edge_index[1], bounds=_bounds(edge_index[1], num_nodes))
        order = edge_index[1].argsort(stable=True)
        source, target = edge_index[0].index_select(0, order), edge_index[1].index_select(0, order)
        back = None
        if not symmetric:
            order = edge_index[0].argsort(stable=True)
            back = edge_index.flip(0).index_select(1, order)
        return Neighbours(source=source, target=target, bounds=_bounds(target, num_nodes), backward=back)

    @staticmethod
    def both_ways(edge_index: Tensor, num_nodes: int) -> Neighbours:
        """Return the edges (2, E), then their reverses, then one self loop for each node."""
        return Neighbours.of(both_ways(edge_index, num_nodes), num_nodes, symmetric=True)

    def part(self, first: int, last: int) -> Neighbours:
        """Return nodes ``first`` to ``last`` (not included), numbered anew; no edge may join them to others."""
        if (first, last) == (0, self.num_nodes):
            return self
        edges = slice(int(self.bounds[first]), int(self.bounds[last]))
        return Neighbours(
            source=self.source[edges] - first, target=self.target[edges] - first,
            bounds=self.bounds[first : last + 1] - self.bounds[first],
            backward=None if self.backward is None else self.backward[:, edges] - first,
        )  # fmt: skip

    def told(self, h: Tensor, aggregator: str) -> Tensor:
        """Return the mean, sum or max of ``h`` (N, C) over the neighbours of each node; 0 where there are none."""
        if aggregator == "max":
            return segment_max(h.index_select(0, self.source), self.target, h.shape[0])
        if aggregator not in ("mean", "sum"):
            raise ConfigError(f"aggregator: mean, sum or max was wanted, not '{aggregator}'")
        if is_traced() or h.dtype not in (torch.float32, torch.float64) or not h.shape[0]:
            combine = segment_mean if aggregator == "mean" else segment_sum
            return combine(h.index_select(0, self.source), self.target, h.shape[0])
        return _Told.apply(h, self, aggregator)  # type: ignore[no-any-return]

    def reverse(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return who listens (E,) to each node, list after list, the bounds of the lists, and the share (E,) of it.

        The share is one over the number of nodes that the listener listens to: what the gradient of a mean needs.
        """
        if self._reverse is None:
            listener, bounds = self.source, self.bounds
            if self.backward is not None:
                listener, bounds = self.backward[0], _bounds(self.backward[1], self.num_nodes)
            length = (self.bounds[1:] - self.bounds[:-1]).index_select(0, listener)
            self._reverse = listener, bounds, length.reciprocal()
        return self._reverse

    def lists(self) -> NeighbourLists:
        """Return the lists column by column."""
        if self._lists is None:
            length = self.bounds[1:] - self.bounds[:-1]
            order = length.argsort(descending=True, stable=True)
            place = torch.empty_like(order)
            place[order] = torch.arange(len(order), device=order.device)
            first, longest = self.bounds[:-1].index_select(0, order), length.index_select(0, order)
            num = [len(order) - below for below in _at_most(longest)]
            sources = tuple(self.source.index_select(0, first[:rows] + t) for t, rows in enumerate(num))
            self._lists = NeighbourLists(sources=sources, place=place)
        return self._lists


class _Told(torch.autograd.Function):
    """Mean or sum of rows by sorted lists: one pass over the lists, forward and backward."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, neighbours: Neighbours, aggregator: str) -> Tensor:
        ctx.neighbours, ctx.aggregator = neighbours, aggregator
        return F.embedding_bag(
            neighbours.source, h.contiguous(), neighbours.bounds, mode=aggregator, include_last_offset=True
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        listener, bounds, share = ctx.neighbours.reverse()
        weight = share.to(grad.dtype) if ctx.aggregator == "mean" else None
        rows = grad.contiguous()
        found = F.embedding_bag(listener, rows, bounds, mode="sum", per_sample_weights=weight, include_last_offset=True)
        return found, None, None


def _bounds(sorted_index: Tensor, num: int) -> Tensor:
    count = segment_count(sorted_index, num)
    return torch.cat([count.new_zeros(1), count.cumsum(0)])


def _at_most(lengths: Tensor) -> list[int]:
    """Return for t = 0, 1, ... below the largest length how many lengths are at most t."""
    if not len(lengths):
        return []
    return torch.bincount(lengths).cumsum(0)[:-1].tolist()


def both_ways(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Return the edges (2, E), then their reverses, then one self loop for each node."""
    loops = torch.arange(num_nodes, device=edge_index.device).expand(2, -1)
    return torch.cat([edge_index, edge_index.flip(0), loops], 1)
