# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Compiled connected accessory clustering: reads every entry of the matrix at most once or twice, copies none.

N clusters, C core clusters, A accessories, G groups.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def join_connected(similarity, threshold, members, labels, count):
    """Label the connected components among ``members`` (ascending rows) from ``count`` on; return the next number."""
    rest = members.copy()
    num_rest = rest.shape[0]
    queue = np.empty(num_rest, np.int64)
    while num_rest:
        queue[0], num_queue = rest[0], 1
        num_rest -= 1
        for k in range(num_rest):
            rest[k] = rest[k + 1]
        done = 0
        while done < num_queue:
            i = queue[done]
            done += 1
            labels[i] = count
            kept = 0
            for k in range(num_rest):
                j = rest[k]
                if similarity[i, j] > threshold:
                    queue[num_queue] = j
                    num_queue += 1
                else:
                    rest[kept] = j
                    kept += 1
            num_rest = kept
        count += 1
    return count


@njit(cache=True, nogil=True)
def join_accessories(similarity, threshold, core, accessory, labels):
    """Give accessories the group of their most similar member, round after round; return those left over.

    ``best`` holds the largest similarity to a member so far, so that a round reads the newest members only.
    """
    num_free = accessory.shape[0]
    free = accessory.copy()
    best = np.full(labels.shape[0], threshold)
    choice = np.full(labels.shape[0], -1, np.int64)
    fresh = core.copy()
    while fresh.shape[0] and num_free:
        for k in range(num_free):
            i = free[k]
            top, group = best[i], choice[i]
            for m in range(fresh.shape[0]):
                j = fresh[m]
                value = similarity[i, j]
                if value > top or (value == top and group >= 0 and labels[j] < group):
                    top, group = value, labels[j]
            best[i], choice[i] = top, group
        joined = np.empty(num_free, np.int64)
        num_joined, kept = 0, 0
        for k in range(num_free):
            i = free[k]
            if choice[i] >= 0:
                labels[i] = choice[i]
                joined[num_joined] = i
                num_joined += 1
            else:
                free[kept] = i
                kept += 1
        num_free = kept
        fresh = joined[:num_joined].copy()
    return free[:num_free].copy()


@njit(cache=True, nogil=True)
def least_between(similarity, labels, num_groups):
    """Return the smallest similarity between the members of two groups (G, G), 1 on the diagonal."""
    least = np.full((num_groups, num_groups), np.inf, similarity.dtype)
    for i in range(labels.shape[0]):
        row = least[labels[i]]
        for j in range(labels.shape[0]):
            value = similarity[i, j]
            if value < row[labels[j]]:
                row[labels[j]] = value
    for g in range(num_groups):
        least[g, g] = 1.0
    return least
