# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Compiled union-find: sets joined by edges, by stored neighbour lists, or by leaves met on the way.

N points, E ordered pairs, L leaves, D dimensions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hitloom.ops._keys import ROW
from hitloom.ops._leaf_knn import GROW, box_distances
from hitloom.ops._vector import LEAF, lowest, meet, reach


@njit(cache=True, nogil=True)
def find(parent, i):
    """Return the root of ``i``, halving the path to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def join(parent, i, j):
    """Join the sets of ``i`` and ``j``; the lower root stays."""
    a = find(parent, i)
    b = find(parent, j)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@njit(cache=True, nogil=True)
def join_edges(parent, source, target):
    """Join the two ends of every edge."""
    for e in range(source.shape[0]):
        join(parent, source[e], target[e])


@njit(cache=True, nogil=True)
def number(parent, member):
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
def adopt(parent, points, owners):
    """Put each of ``points`` into the set of its owner; -1 owns nothing."""
    for i in range(points.shape[0]):
        if owners[i] >= 0:
            parent[points[i]] = find(parent, owners[i])


@njit(cache=True, nogil=True)
def scan_labels(indptr, keys, limit, min_samples):
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


@njit(cache=True, nogil=True, error_model="numpy")
def _join_leaves(parent, tree, one, other, query, bounds, limit, square, whole):
    """Join the points of leaf ``one`` to those of leaf ``other`` within ``limit``.

    ``whole[leaf]`` says that a leaf is one set already: then one meeting is enough for each point.
    """
    askers = reach(tree.soa, one, tree.box, other, bounds)
    while askers:
        j = lowest(askers)
        askers &= askers - np.uint64(1)
        mine = tree.ids[one, j]
        if whole[other] and find(parent, mine) == find(parent, tree.ids[other, 0]):
            if whole[one]:
                return
            continue
        found = meet(tree.soa, other, query, j, limit, square)
        while found:
            join(parent, mine, tree.ids[other, lowest(found)])
            found &= found - np.uint64(1)
            if whole[other]:
                if whole[one]:
                    return
                break


@njit(cache=True, nogil=True, error_model="numpy")
def join_within(tree, limit, parent):
    """Join all points of a tree that lie within squared distance ``limit``, without holding a pair.

    Leaves that are one set already, because their own points and near leaves were met first, are not met in full:
    the cost does not grow with the number of pairs when everything is close together.
    """
    dim = tree.soa.shape[1]
    num_leaves = tree.soa.shape[0]
    boxes = np.empty(num_leaves, np.float32)
    query = np.empty((LEAF, dim), np.float32)
    square = np.empty(LEAF, np.float32)
    bounds = np.empty(LEAF, np.float32)
    whole = np.zeros(num_leaves, np.bool_)
    for phase in range(2):
        for leaf in range(num_leaves):
            bounds[: tree.filled[leaf]] = limit * GROW
            bounds[tree.filled[leaf] :] = -1.0
            for d in range(dim):
                for j in range(LEAF):
                    query[j, d] = tree.soa[leaf, d, j]
            stop = tree.first[tree.element[leaf] + 1]
            if phase == 0:
                last = min(stop, leaf + 2)  # its own points and the next leaf
            else:
                last = stop
                box_distances(tree, leaf, tree, leaf, stop, boxes)
            for other in range(leaf, last):
                if phase == 1 and (other == leaf or boxes[other - leaf] > limit * GROW):
                    continue
                _join_leaves(parent, tree, leaf, other, query, bounds, limit, square, whole)
        for leaf in range(num_leaves):
            root = find(parent, tree.ids[leaf, 0])
            whole[leaf] = True
            for j in range(1, tree.filled[leaf]):
                if find(parent, tree.ids[leaf, j]) != root:
                    whole[leaf] = False
                    break
