"""Compiled union-find and the DBSCAN pass over a stored neighbour graph.

N points, E ordered pairs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ROW = np.int64(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def find(parent, i):  # type: ignore[no-untyped-def]
    """Return the root of ``i``, halving the path to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def join(parent, i, j):  # type: ignore[no-untyped-def]
    """Join the sets of ``i`` and ``j``; the lower root stays."""
    a = find(parent, i)
    b = find(parent, j)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@njit(cache=True, nogil=True)
def join_edges(parent, source, target):  # type: ignore[no-untyped-def]
    """Join the two ends of every edge."""
    for e in range(source.shape[0]):
        join(parent, source[e], target[e])


@njit(cache=True, nogil=True)
def number(parent, member):  # type: ignore[no-untyped-def]
    """Return labels (N,): sets numbered by their lowest member, -1 for points with ``member`` false."""
    num = parent.shape[0]
    labels = np.full(num, -1, np.int64)
    names = np.full(num, -1, np.int64)
    count = 0
    for i in range(num):
        if member[i]:
            root = find(parent, i)
            if names[root] < 0:
                names[root] = count
                count += 1
            labels[i] = names[root]
    return labels


@njit(cache=True, nogil=True)
def scan_labels(indptr, keys, limit, min_samples):  # type: ignore[no-untyped-def]
    """DBSCAN labels (N,) from rows of keys sorted by distance, of which those below ``limit`` count."""
    num = indptr.shape[0] - 1
    core = np.zeros(num, np.bool_)
    parent = np.arange(num).astype(np.int32)
    for i in range(num):
        need = indptr[i] + min_samples - 2
        core[i] = min_samples <= 1 or (need < indptr[i + 1] and keys[need] < limit)
    for i in range(num):
        if core[i]:
            for e in range(indptr[i], indptr[i + 1]):
                if keys[e] >= limit:
                    break
                j = np.int32(keys[e] & ROW)
                if j < i and core[j]:
                    join(parent, np.int32(i), j)
    member = core.copy()
    for i in range(num):
        if not core[i]:
            for e in range(indptr[i], indptr[i + 1]):
                if keys[e] >= limit:
                    break
                j = np.int32(keys[e] & ROW)
                if core[j]:
                    parent[i] = find(parent, j)
                    member[i] = True
                    break
    return number(parent, member)
