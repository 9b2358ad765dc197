"""Exact neighbour searches in plain torch, block by block: the CUDA path, which also runs on the CPU.

Distances of a block of queries to a range of candidates are computed directly (not by the expansion of the square,
whose rounding swallows small distances), thinned out by ``topk`` or by the radius, and computed once more from the
coordinates for what is left, so that all methods sort the same numbers.

Q queries, N points, C candidates, D dimensions, k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BUDGET = 1 << 24  # distances held at once
EXTRA = 8  # neighbours taken beyond k, so that rounding of the first pass cannot lose one


def squares(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of matching rows of ``a`` (..., D) and ``b`` (..., D), summed in the order of the axes."""
    total = torch.zeros(torch.broadcast_shapes(a.shape, b.shape)[:-1], dtype=torch.float32, device=a.device)
    for d in range(a.shape[-1]):
        gap = a[..., d] - b[..., d]
        total += gap * gap
    return total


def _blocks(query_batch: Tensor, batch: Tensor) -> Iterator[tuple[int, int, int, int]]:
    """Yield (query first, query last, candidate first, candidate last) covering two sorted batch vectors."""
    starts = torch.searchsorted(batch, query_batch).tolist()
    stops = torch.searchsorted(batch, query_batch, right=True).tolist()
    first = 0
    while first < len(starts):
        last = first + 1
        while last < len(starts) and (last + 1 - first) * (stops[last] - starts[first]) <= BUDGET:
            last += 1
        yield first, last, starts[first], stops[last - 1]
        first = last


class _Sorted:
    """Queries and candidates ordered by batch element, and the block distances between them."""

    def __init__(
        self, x: Tensor, query: Tensor | None, batch: Tensor | None, query_batch: Tensor | None, mask: Tensor | None
    ) -> None:
        same = query is None
        points = x if query is None else query
        zeros = torch.zeros(1, dtype=torch.int64, device=x.device)
        batch = zeros.expand(len(x)) if batch is None else batch
        query_batch = batch if same else (zeros.expand(len(points)) if query_batch is None else query_batch)
        rows = torch.arange(len(x), device=x.device) if mask is None else mask.nonzero()[:, 0]
        self.rows = rows[torch.argsort(batch[rows], stable=True)]
        self.queries = torch.argsort(query_batch, stable=True)
        self.batch, self.query_batch = batch[self.rows].contiguous(), query_batch[self.queries].contiguous()
        self.x, self.points = x[self.rows], points[self.queries]
        self.same = same

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Yield query range, candidate range and their distances, inf where a pair is not allowed."""
        for first, last, start, stop in _blocks(self.query_batch, self.batch):
            q, c = slice(first, last), slice(start, stop)
            distance = torch.cdist(self.points[q], self.x[c], compute_mode="donot_use_mm_for_euclid_dist")
            if self.query_batch[first] != self.query_batch[last - 1]:
                distance.masked_fill_(self.query_batch[q, None] != self.batch[None, c], torch.inf)
            if self.same:
                distance.masked_fill_(self.queries[q, None] == self.rows[None, c], torch.inf)
            yield q, c, distance


def blocked_knn(
    x: Tensor,
    k: int,
    *,
    query: Tensor | None,
    batch: Tensor | None,
    query_batch: Tensor | None,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return rows (Q, k) of the nearest candidates and squared distances (Q, k), -1 and inf where there are fewer."""
    world = _Sorted(x, query, batch, query_batch, mask)
    num = len(world.points)
    index = torch.full((num, k), -1, dtype=torch.int64, device=x.device)
    square = torch.full((num, k), torch.inf, device=x.device)
    slack = 1.0 + (x.shape[1] + 8) * 2.0**-22
    for q, c, distance in world:
        width = distance.shape[1]
        if not width or not k:
            continue
        take = min(k + EXTRA, width)
        found, place = distance.topk(take, dim=1, largest=False)
        rows = world.rows[c][place]
        exact = squares(world.points[q][:, None, :], world.x[c][place]).masked_fill_(found.isinf(), torch.inf)
        exact, rows = _sort(exact, rows)
        many = min(k, take)
        index[world.queries[q], :many] = torch.where(exact[:, :many].isinf(), -1, rows[:, :many])
        square[world.queries[q], :many] = exact[:, :many]
        if take < width:
            # More candidates may lie within rounding of the k-th (coincident points, grids): settle those rows fully.
            doubtful = ((found[:, -1] <= found[:, k - 1] * slack) & found[:, -1].isfinite()).nonzero()[:, 0]
            for some in doubtful.split(max(1, BUDGET // width)):
                full = squares(world.points[q][some][:, None, :], world.x[c][None])
                full.masked_fill_(distance[some].isinf(), torch.inf)
                best, order = full.sort(dim=1, stable=True)  # candidates of a batch element lie in order of rows
                to = world.queries[q][some]
                index[to] = torch.where(best[:, :k].isinf(), -1, world.rows[c][order[:, :k]])
                square[to] = best[:, :k]
    return index, square


def _sort(square: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each row by (square, row number)."""
    rows, order = rows.sort(dim=1)
    square, again = square.gather(1, order).sort(dim=1, stable=True)
    return square, rows.gather(1, again)


def blocked_pairs(
    x: Tensor, radius: float, *, batch: Tensor | None, max_pairs: int
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return centres, neighbours and squared distances of all pairs within ``radius``, and how many were seen.

    Stops early, with what it has, when more than ``max_pairs`` were seen.
    """
    world = _Sorted(x, None, batch, None, None)
    limit = torch.tensor(radius, dtype=torch.float32, device=x.device)
    wide = radius * (1.0 + (x.shape[1] + 8) * 2.0**-22)
    centre, other, found, seen = [], [], [], 0
    for q, c, distance in world:
        row, col = (distance <= wide).nonzero(as_tuple=True)
        exact = squares(world.points[q][row], world.x[c][col])
        keep = exact.sqrt() <= limit
        centre.append(world.queries[q][row[keep]])
        other.append(world.rows[c][col[keep]])
        found.append(exact[keep])
        seen += len(centre[-1])
        if seen > max_pairs:
            break
    empty = torch.zeros(0, dtype=torch.int64, device=x.device)
    return (
        torch.cat([empty, *centre]),
        torch.cat([empty, *other]),
        torch.cat([empty.to(torch.float32), *found]),
        seen,
    )
