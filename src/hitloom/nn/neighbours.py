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
from hitloom.ops.segments import segment_count, segment_max, segment_sum


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
    _share: Tensor | None = field(default=None, repr=False)

    @property
    def num_nodes(self) -> int:
        return self.bounds.shape[0] - 1

    @staticmethod
    def of(edge_index: Tensor, num_nodes: int, *, symmetric: bool = False) -> Neighbours:
        """Sort the edges (2, E), source above target; ``symmetric`` says that every edge has its reverse."""
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
        loops = torch.arange(num_nodes, device=edge_index.device).expand(2, -1)
        return Neighbours.of(torch.cat([edge_index, edge_index.flip(0), loops], 1), num_nodes, symmetric=True)

    def first(self, num_nodes: int) -> Neighbours:
        """Return the part of the first nodes; no edge may join them to a later one."""
        if num_nodes == self.num_nodes:
            return self
        num_edges = int(self.bounds[num_nodes])
        back = None if self.backward is None else self.backward[:, :num_edges]
        return Neighbours(
            source=self.source[:num_edges], target=self.target[:num_edges], bounds=self.bounds[: num_nodes + 1],
            backward=back,
        )  # fmt: skip

    def told(self, h: Tensor, aggregator: str) -> Tensor:
        """Return the mean, sum or max of ``h`` (N, C) over the neighbours of each node; 0 where there are none."""
        if aggregator == "max":
            return segment_max(h.index_select(0, self.source), self.target, h.shape[0])
        if aggregator not in ("mean", "sum"):
            raise ConfigError(f"aggregator: mean, sum or max was wanted, not '{aggregator}'")
        total = self._sum(h)
        return total * self.share(h) if aggregator == "mean" else total

    def share(self, h: Tensor) -> Tensor:
        """Return one over the number of neighbours (N, 1), 1 where there are none."""
        if self._share is None or self._share.dtype != h.dtype:
            count = segment_count(self.target, h.shape[0]) if is_traced() else self.bounds[1:] - self.bounds[:-1]
            share = count.clamp(min=1).to(h.dtype).reciprocal()[:, None]
            if is_traced():
                return share
            self._share = share
        return self._share

    def _sum(self, h: Tensor) -> Tensor:
        if is_traced() or h.dtype not in (torch.float32, torch.float64) or not h.shape[0]:
            return segment_sum(h.index_select(0, self.source), self.target, h.shape[0])
        if self.backward is None:
            back, back_bounds = self.source, self.bounds
        else:
            back, back_bounds = self.backward[0], _bounds(self.backward[1], h.shape[0])
        return _RowSums.apply(h, self.source, self.bounds, back, back_bounds)  # type: ignore[no-any-return]

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


class _RowSums(torch.autograd.Function):
    """Sums of rows by sorted lists: one pass over the lists, forward and backward."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, source: Tensor, bounds: Tensor, back: Tensor, back_bounds: Tensor) -> Tensor:
        ctx.save_for_backward(back, back_bounds)
        return _sum_lists(h, source, bounds)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _sum_lists(grad, *ctx.saved_tensors), None, None, None, None


def _sum_lists(rows: Tensor, source: Tensor, bounds: Tensor) -> Tensor:
    return F.embedding_bag(source, rows.contiguous(), bounds, mode="sum", include_last_offset=True)


def _bounds(sorted_index: Tensor, num: int) -> Tensor:
    count = segment_count(sorted_index, num)
    return torch.cat([count.new_zeros(1), count.cumsum(0)])


def _at_most(lengths: Tensor) -> list[int]:
    """Return for t = 0, 1, ... below the largest length how many lengths are at most t."""
    if not len(lengths):
        return []
    return torch.bincount(lengths).cumsum(0)[:-1].tolist()
