"""Approximate nearest neighbours by faiss, only ever by explicit name.

Q queries, N points, D dimensions, k neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.errors import require_extra

PROBES = 8  # inverted lists visited
LINKS, BREADTH = 16, 32  # HNSW links per point and breadth of the search


def faiss_knn(
    x: NDArray[np.float32],
    query: NDArray[np.float32],
    k: int,
    *,
    kind: str,
    rows: NDArray[np.int64],
    batch: NDArray[np.int64] | None,
    query_batch: NDArray[np.int64] | None,
    num_batch: int,
    exclude_self: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return rows (Q, k) of near candidates and squared distances (Q, k); neighbours may be missed (-1 and inf).

    Raises
    ------
    MissingDependencyError
        When faiss is not installed.
    """
    require_extra("faiss", "bench")
    import importlib

    faiss: Any = importlib.import_module("faiss")

    index = np.full((len(query), k), -1, np.int64)
    square = np.full((len(query), k), np.inf, np.float32)
    for element in range(num_batch):
        own = rows if batch is None else rows[batch[rows] == element]
        asked = np.arange(len(query)) if query_batch is None else np.flatnonzero(query_batch == element)
        if not len(own) or not len(asked) or not k:
            continue
        dim = x.shape[1]
        if kind == "faiss-hnsw":
            search = faiss.IndexHNSWFlat(dim, LINKS)
            search.hnsw.efSearch = max(BREADTH, k + 1)
        elif len(own) < 1000:
            search = faiss.IndexFlatL2(dim)
        else:
            lists = int(4 * np.sqrt(len(own)))
            search = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, lists)
            search.cp.min_points_per_centroid = 1
            search.cp.max_points_per_centroid = 64
            search.nprobe = PROBES
            search.train(x[own])
        search.add(x[own])
        _, place = search.search(query[asked], min(k + 1, len(own)))
        found = np.where(place >= 0, own[place], -1)
        gap = query[asked][:, None, :] - x[found]
        exact = np.square(gap).sum(axis=-1, dtype=np.float32)
        bad = (found < 0) | (exclude_self & (found == asked[:, None]))
        exact[bad] = np.inf
        order = np.lexsort((found, exact), axis=1)[:, :k]
        exact, found = np.take_along_axis(exact, order, 1), np.take_along_axis(found, order, 1)
        index[asked, : found.shape[1]] = np.where(np.isinf(exact), -1, found)
        square[asked, : found.shape[1]] = exact
    return index, square
