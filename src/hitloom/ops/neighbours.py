"""Nearest neighbours of every point, exact, within batch elements, with ties settled by index.

Q queries, N points, D dimensions, k neighbours, E edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hitloom.errors import ConfigError, DataError, nearest
from hitloom.ops._blocked import blocked_knn
from hitloom.ops._checks import check_points, check_radius, check_rows

KNN_METHODS = ("auto", "kdtree", "leaf", "blocked", "faiss-ivf", "faiss-hnsw")


@dataclass(frozen=True, slots=True)
class NeighbourTable:
    """The neighbours of every query, nearest first.

    Attributes
    ----------
    index
        (Q, k) int64 row of each neighbour, -1 where there is none.
    distance
        (Q, k) float32 Euclidean distance, inf where there is none.
    """

    index: Tensor
    distance: Tensor

    @property
    def mask(self) -> Tensor:
        """(Q, k) bool, true where there is a neighbour."""
        return self.index >= 0

    @property
    def num_edges(self) -> int:
        """Number of neighbours in all."""
        return int(self.mask.sum())

    def edge_index(self) -> Tensor:
        """(2, E) edges from neighbour (row 0, source) to query (row 1, target), sorted by target, then distance."""
        mask = self.mask
        centre = torch.arange(len(mask), device=mask.device)[:, None].expand_as(mask)
        return torch.stack([self.index[mask], centre[mask]])


def knn(
    x: Tensor,
    k: int,
    *,
    batch: Tensor | None = None,
    query: Tensor | None = None,
    query_batch: Tensor | None = None,
    mask: Tensor | None = None,
    r_max: float | None = None,
    method: str = "auto",
) -> NeighbourTable:
    """Find the ``k`` nearest points of every query.

    Without ``query`` every point of ``x`` asks and is barred from its own list by its index, so coincident points
    find each other: each gets exactly min(k, others in its batch element) neighbours. Distances are float32; the
    choice carries no gradient. Neighbours are sorted by (distance, index).

    Parameters
    ----------
    x
        (N, D) points, any floating type, finite.
    k
        Neighbours wanted; more than there are is allowed, the rest of the row is -1.
    batch
        (N,) batch element of each point, any order; neighbours come from the same element.
    query
        (Q, D) other points that ask instead of ``x``; nothing is barred then.
    query_batch
        (Q,) batch element of each query; wanted with ``query`` when ``batch`` is given.
    mask
        (N,) bool: only these may be chosen as neighbours; every point still asks.
    r_max
        Neighbours farther than this are dropped after the choice of the nearest (same as before it).
    method
        ``leaf`` (compiled, CPU), ``kdtree`` (scipy, CPU), ``blocked`` (torch, any device): exact, same answer up to
        rounding. ``auto`` takes ``leaf`` on the CPU and ``blocked`` elsewhere. ``faiss-ivf`` and ``faiss-hnsw`` are
        approximate: they miss neighbours.

    Raises
    ------
    DataError
        On shapes that do not fit, coordinates that are not finite, negative batch elements.
    ConfigError
        On an unknown method or a negative ``k``.

    Examples
    --------
    >>> knn(torch.tensor([[0.0], [1.0], [3.0]]), 1).index.tolist()
    [[1], [0], [1]]
    """
    if method not in KNN_METHODS:
        raise ConfigError(f"knn: unknown method '{method}'.{nearest(method, KNN_METHODS)}")
    if int(k) != k or k < 0:
        raise ConfigError(f"knn: k came as {k!r}, wanted a whole number >= 0; mend: choose how many neighbours")
    k = int(k)
    x = check_points(x, "x")
    batch = check_rows(batch, len(x), "batch", torch.int64)
    mask = check_rows(mask, len(x), "mask", torch.bool)
    if query is not None:
        query = check_points(query, "query")
        if query.shape[1] != x.shape[1]:
            raise DataError(
                f"query: came with {query.shape[1]} dimensions, x has {x.shape[1]}; mend: embed both in one space"
            )
        query_batch = check_rows(query_batch, len(query), "query_batch", torch.int64)
        if (query_batch is None) != (batch is None):
            raise DataError("query_batch: batch and query_batch come together or not at all; mend: give both")
    elif query_batch is not None:
        raise DataError("query_batch: came without query; mend: give query too")
    radius = None if r_max is None else check_radius(r_max, "r_max")

    if method == "blocked" or (method == "auto" and x.device.type != "cpu"):
        index, square = blocked_knn(x, k, query=query, batch=batch, query_batch=query_batch, mask=mask)
    else:
        index, square = _on_cpu(x, k, query, batch, query_batch, mask, radius, method)
    distance = square.sqrt()
    if radius is not None:
        far = distance > torch.tensor(radius, dtype=torch.float32)
        index, distance = index.masked_fill(far, -1), distance.masked_fill(far, torch.inf)
    return NeighbourTable(index=index, distance=distance)


def _on_cpu(
    x: Tensor,
    k: int,
    query: Tensor | None,
    batch: Tensor | None,
    query_batch: Tensor | None,
    mask: Tensor | None,
    radius: float | None,
    method: str,
) -> tuple[Tensor, Tensor]:
    """Run one of the searches that work on arrays; return index and squared distance on the device of ``x``."""
    points = x.cpu().numpy()
    asks = points if query is None else query.cpu().numpy()
    rows = np.arange(len(points)) if mask is None else np.flatnonzero(mask.cpu().numpy())
    element, query_element, num_batch = _elements(batch, query_batch if query is not None else batch)
    if method in ("auto", "leaf"):
        from hitloom.ops._leaf_knn import leaf_knn
        from hitloom.ops._leaf_tree import build_tree

        candidates = build_tree(points, None if mask is None else rows, element, num_batch)
        if query is None and mask is None:
            queries = candidates
        else:
            queries = build_tree(asks, None, query_element, num_batch)
        largest = float(np.finfo(np.float32).max)
        limit = largest if radius is None else min(largest, radius * radius * (1 + 1e-6))
        index, square = leaf_knn(queries, candidates, k, num_queries=len(asks), exclude_self=query is None, limit=limit)
    elif method == "kdtree":
        from hitloom.ops._kdtree import kdtree_knn

        index, square = kdtree_knn(
            points, asks, k, rows=rows, batch=element, query_batch=query_element, num_batch=num_batch,
            exclude_self=query is None,
        )  # fmt: skip
    else:
        from hitloom.ops._faiss import faiss_knn

        index, square = faiss_knn(
            points, asks, k, kind=method, rows=rows, batch=element, query_batch=query_element,
            num_batch=num_batch, exclude_self=query is None,
        )  # fmt: skip
    return torch.from_numpy(index).to(x.device), torch.from_numpy(square).to(x.device)


def _elements(batch: Tensor | None, query_batch: Tensor | None) -> tuple[np.ndarray | None, np.ndarray | None, int]:
    """Return both batch vectors as arrays numbered 0..B-1, and B."""
    if batch is None or query_batch is None:
        return None, None, 1
    joint = np.concatenate([batch.cpu().numpy(), query_batch.cpu().numpy()])
    values, joint = np.unique(joint, return_inverse=True)
    return joint[: len(batch)], joint[len(batch) :], max(1, len(values))
