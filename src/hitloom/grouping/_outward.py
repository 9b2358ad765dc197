# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""A graph of scored edges that all point outwards, in a form that no order of rows or edges can change.

Points are ranked by ``order``, then by ``tie_key``, then by row. Every edge points from the lower rank to the higher
one, so there are no cycles, not even between points at the same radius. Loops are left out; of parallel edges (either
direction) the best scored one stays. Whatever is computed from ranks alone follows the points under any permutation,
as long as ``order`` and ``tie_key`` together tell any two points apart; where they do not, the row decides.

N points, E edges, K columns of a tie key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from hitloom.errors import DataError
from hitloom.grouping._labels import checked_edges, checked_scores


@dataclass(frozen=True, kw_only=True)
class OutwardGraph:
    """Edges of ranks, sorted by (source, target).

    Attributes
    ----------
    point : (N,) int64
        Row of the point of each rank.
    source, target : (E,) int64
        Ranks, source below target.
    score : (E,) float32 or float64
    """

    point: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    score: NDArray[Any]

    @property
    def num_points(self) -> int:
        return int(self.point.size)

    def above(self, cut: float) -> OutwardGraph:
        """Return the graph of the edges scored above ``cut``, compared in the precision of the scores."""
        return self.select(self.score > self.score.dtype.type(cut))

    def select(self, keep: NDArray[np.bool_]) -> OutwardGraph:
        """Return the graph of the edges of a mask (E,)."""
        return OutwardGraph(
            point=self.point, source=self.source[keep], target=self.target[keep], score=self.score[keep]
        )

    def starts(self) -> NDArray[np.int64]:
        """Return (N+1,): where the out-edges of each rank begin."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.source, minlength=self.num_points))]).astype(np.int64)

    def incoming(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (N+1,) where the in-edges of each rank begin, and (E,) the sources of the in-edges."""
        starts, order = sort_by(self.target, self.num_points)
        return starts, self.source[order]

    def degrees(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (N,) numbers of in-edges and of out-edges."""
        size = self.num_points
        return np.bincount(self.target, minlength=size), np.bincount(self.source, minlength=size)

    def labels(self, by_rank: NDArray[np.int64]) -> Tensor:
        """Return labels by row (N,) from labels by rank."""
        labels = np.full(self.num_points, -1, np.int64)
        labels[self.point] = by_rank
        return torch.from_numpy(labels)


def outward_graph(
    edge_index: Tensor,
    score: Tensor,
    *,
    num_points: int,
    order: Tensor,
    tie_key: Tensor | None = None,
    cut: float | None = None,
) -> OutwardGraph:
    """Return the graph of edges (2, E), scores (E,), outwards by ``order`` (N,), ties by ``tie_key`` (N,) or (N, K).

    Only edges scored above ``cut`` are kept, compared in the precision of the scores; None keeps all.

    Raises
    ------
    DataError
        When an edge leaves 0..N-1, a score is no probability, or the order is not one finite number for each point.
    """
    edges = checked_edges(edge_index, num_points)
    values = checked_scores(score, edges.shape[1])
    point = ranked(num_points, order, tie_key)
    rank = np.empty(num_points, np.int64)
    rank[point] = np.arange(num_points)
    if cut is not None:
        keep = values > values.dtype.type(cut)
        edges, values = edges[:, keep], values[keep]
    source, target, best = _outwards(rank, edges[0], edges[1], values)
    return OutwardGraph(point=point, source=source, target=target, score=best)


def ranked(num_points: int, order: Tensor, tie_key: Tensor | None) -> NDArray[np.int64]:
    """Return (N,) the row of the point of each rank."""
    first = _key(order, "order", num_points)[:, 0]
    rest = [] if tie_key is None else [*_key(tie_key, "tie_key", num_points).T[::-1]]
    point = np.argsort(first)
    outwards = first[point]
    if (outwards[1:] == outwards[:-1]).any():
        point = np.lexsort([*rest, first])
    return point.astype(np.int64)


def _key(values: Tensor, name: str, num_points: int) -> NDArray[Any]:
    held = values.detach().cpu()
    columns: NDArray[Any] = (held.double() if held.is_floating_point() else held).numpy()
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2 or columns.shape[0] != num_points or (name == "order" and columns.shape[1] != 1):
        raise DataError(f"{name}: came as {tuple(values.shape)}, wanted one number for each of {num_points} points")
    if not np.isfinite(columns).all():
        row = int(np.argmax(~np.isfinite(columns).all(1)))
        raise DataError(f"{name}: point {row} came with {columns[row].tolist()}, wanted finite numbers")
    return columns


@njit(cache=True, nogil=True)
def sort_by(key, num):
    """Return (num + 1,) where each key begins, and the stable order (E,) of keys 0..num-1."""
    starts = np.zeros(num + 1, np.int64)
    for e in range(key.shape[0]):
        starts[key[e] + 1] += 1
    for i in range(num):
        starts[i + 1] += starts[i]
    place = starts[:-1].copy()
    order = np.empty(key.shape[0], np.int64)
    for e in range(key.shape[0]):
        order[place[key[e]]] = e
        place[key[e]] += 1
    return starts, order


@njit(cache=True, nogil=True)
def _sort_short(row, key):
    """Sort the edges of a row by their key, in place; by insertion while the row is short."""
    if row.shape[0] > 32:
        row[:] = row[np.argsort(key[row])]
        return
    for place in range(1, row.shape[0]):
        e = row[place]
        while place > 0 and key[row[place - 1]] > key[e]:
            row[place] = row[place - 1]
            place -= 1
        row[place] = e


@njit(cache=True, nogil=True)
def _outwards(rank, one, other, score):
    """Return sources, targets and scores of distinct outward edges, sorted by source and target."""
    num_edges = one.shape[0]
    low = np.empty(num_edges, np.int64)
    high = np.empty(num_edges, np.int64)
    for e in range(num_edges):
        a = rank[one[e]]
        b = rank[other[e]]
        low[e] = min(a, b)
        high[e] = max(a, b)
    starts, by_low = sort_by(low, rank.shape[0])
    source = np.empty(num_edges, np.int64)
    target = np.empty(num_edges, np.int64)
    best = np.empty(num_edges, score.dtype)
    count = 0
    for i in range(rank.shape[0]):
        row = by_low[starts[i] : starts[i + 1]]
        _sort_short(row, high)
        for e in row:
            if high[e] == i:
                continue
            if count and source[count - 1] == i and target[count - 1] == high[e]:
                best[count - 1] = max(best[count - 1], score[e])
                continue
            source[count] = i
            target[count] = high[e]
            best[count] = score[e]
            count += 1
    return source[:count].copy(), target[:count].copy(), best[:count].copy()
