# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Compiled passes over an outward graph: chains and longest roads. Ranks grow outwards.

N points, E edges.
"""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

from hitloom.grouping._unions import find, join_edges


@njit(cache=True, nogil=True)
def chains(source, target, num):
    """Return (N,) the lowest rank of the component that each rank is in, the component's size, whether it is a chain.

    A chain branches nowhere: no point of it has more than one edge in or more than one out.
    """
    parent = np.arange(num)
    join_edges(parent, source, target)
    num_in = np.zeros(num, np.int64)
    num_out = np.zeros(num, np.int64)
    for e in range(source.shape[0]):
        num_out[source[e]] += 1
        num_in[target[e]] += 1
    root = np.empty(num, np.int64)
    size = np.zeros(num, np.int64)
    simple = np.ones(num, np.bool_)
    for i in range(num):
        root[i] = find(parent, i)
        size[root[i]] += 1
        if num_in[i] > 1 or num_out[i] > 1:
            simple[root[i]] = False
    return root, size[root], simple[root]


@njit(cache=True, nogil=True)
def _step(i, starts, target, score, used, length, min_score, add_score, last):
    """Return the next point of the longest road from ``i`` (-1 = none) and the number of points of that road.

    Open are the unused neighbour with the best score, if that is above ``min_score``, and all other unused ones above
    ``add_score``. Of equally long roads the one with the worst next score is taken (``last``), or with the best one.
    """
    best = -1
    for e in range(starts[i], starts[i + 1]):
        if not used[target[e]] and (best < 0 or score[e] > score[best]):
            best = e
    if best < 0 or not score[best] > min_score:
        return -1, 1
    chosen = best
    for e in range(starts[i], starts[i + 1]):
        if e == best or used[target[e]] or not score[e] > add_score:
            continue
        gain = length[target[e]] - length[target[chosen]]
        if gain == 0:
            # sorted by falling score and rising rank; the best one comes first
            after = chosen == best or score[e] < score[chosen] or (score[e] == score[chosen] and e > chosen)
            gain = 1 if after == last else -1
        if gain > 0:
            chosen = e
    return target[chosen], 1 + length[target[chosen]]


@njit(cache=True, nogil=True)
def longest_roads(starts, target, score, in_starts, in_source, used, min_score, add_score, last):
    """Return the label (N,) of the road that each rank is on, -1 = none; ``used`` ranks take no part, and it grows.

    From each unused rank in turn the longest road is used up. The length of the longest road from every rank is kept
    up to date: when ranks are used up, those that could step on them are computed anew, from the outside inwards.
    """
    num = starts.shape[0] - 1
    length = np.ones(num, np.int64)
    after = np.full(num, -1, np.int64)
    label = np.full(num, -1, np.int64)
    for i in range(num - 1, -1, -1):
        if not used[i]:
            after[i], length[i] = _step(i, starts, target, score, used, length, min_score, add_score, last)
    waiting = np.zeros(num, np.bool_)
    queue = [np.int64(0)]
    queue.pop()
    count = 0
    for first in range(num):
        if used[first]:
            continue
        is_road = after[first] >= 0
        i = first
        while i >= 0:
            used[i] = True
            if is_road:
                label[i] = count
            for e in range(in_starts[i], in_starts[i + 1]):
                j = in_source[e]
                # whoever stepped elsewhere would do so without this point too
                if after[j] == i and j > first and not used[j] and not waiting[j]:
                    waiting[j] = True
                    heapq.heappush(queue, -j)
            i = after[i]
        count += is_road
        while len(queue):
            j = -heapq.heappop(queue)
            waiting[j] = False
            if used[j]:
                continue
            before = length[j]
            after[j], length[j] = _step(j, starts, target, score, used, length, min_score, add_score, last)
            if length[j] == before:
                continue
            for e in range(in_starts[j], in_starts[j + 1]):
                k = in_source[e]
                if (after[k] == j or length[j] > before) and not used[k] and not waiting[k]:
                    waiting[k] = True
                    heapq.heappush(queue, -k)
    return label
