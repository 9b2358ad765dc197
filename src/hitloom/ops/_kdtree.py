"""Exact nearest neighbours by scipy's kd-tree: good in 3-D, and an independent oracle.

Q queries, N points, D dimensions, k neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hitloom.ops._leaf_knn import leaf_knn
from hitloom.ops._leaf_tree import build_tree
from hitloom.ops._threads import num_threads


def kdtree_knn(
    x: NDArray[np.float32],
    query: NDArray[np.float32],
    k: int,
    *,
    rows: NDArray[np.int64],
    batch: NDArray[np.int64] | None,
    query_batch: NDArray[np.int64] | None,
    num_batch: int,
    exclude_self: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return rows (Q, k) of the nearest of ``x[rows]`` and squared distances (Q, k), -1 and inf where there are fewer.

    The tree breaks ties as it likes: queries whose last place is tied are asked again of the leaf search.
    """
    index = np.full((len(query), k), -1, np.int64)
    square = np.full((len(query), k), np.inf, np.float32)
    tied = []
    for element in range(num_batch):
        own = rows if batch is None else rows[batch[rows] == element]
        asked = np.arange(len(query)) if query_batch is None else np.flatnonzero(query_batch == element)
        if not len(own) or not len(asked) or not k:
            continue
        width = min(len(own), k + 2)
        distance, place = cKDTree(x[own]).query(query[asked], k=[*range(1, width + 1)], workers=num_threads())
        found = own[place]
        if exclude_self:
            distance = np.where(found == asked[:, None], np.inf, distance)
        gap = query[asked][:, None, :] - x[found]
        exact = np.where(np.isinf(distance), np.float32(np.inf), np.square(gap).sum(axis=-1, dtype=np.float32))
        order = np.lexsort((found, exact), axis=1)[:, :k]
        exact, found = np.take_along_axis(exact, order, 1), np.take_along_axis(found, order, 1)
        many = found.shape[1]
        index[asked, :many] = np.where(np.isinf(exact), -1, found)
        square[asked, :many] = exact
        if width < len(own):
            last = np.sort(distance, axis=1)
            reach = last[:, -1] if not exclude_self else np.where(np.isinf(last[:, -1]), last[:, -2], last[:, -1])
            tied.append(asked[last[:, k - 1] * (1 + 1e-6) >= reach])
    again = np.concatenate(tied) if tied else np.zeros(0, np.int64)
    if len(again):
        best = leaf_knn(
            build_tree(query, again, query_batch, num_batch),
            build_tree(x, rows, batch, num_batch),
            k,
            num_queries=len(query),
            exclude_self=exclude_self,
            limit=float(np.finfo(np.float32).max),
        )
        index[again], square[again] = best[0][again], best[1][again]
    return index, square
