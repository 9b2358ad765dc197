# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Compiled passes over an outward graph: paths from sources (no edge in) to sinks (no edge out). Ranks grow outwards.

N points, E edges. Lengths count points.
"""

from __future__ import annotations

import numpy as np
from numba import njit

MAX_POINTS = 62  # lengths are bits of an int64


@njit(cache=True, nogil=True)
def simple_paths(starts, target, is_source, min_points, max_points, max_paths):
    """Return the path (N,) that each rank belongs to, -1 = none, and how many sources had more than ``max_paths``.

    All paths of ``min_points`` to ``max_points`` points count; a rank belongs to the last of those it is on, sources in
    rising order, paths of a source in the order of their ranks. They are followed from the last to the first, so the
    first one to reach a rank keeps it, and the paths left out of a source with too many are those that matter least.
    Bit l of ``lengths`` says that a path of l points leads from a rank to a sink: no dead end is ever entered.
    """
    num = starts.shape[0] - 1
    lengths = np.zeros(num, np.int64)
    window = (np.int64(1) << (max_points + 1)) - 1
    for i in range(num - 1, -1, -1):
        if starts[i] == starts[i + 1]:
            lengths[i] = 2
        for e in range(starts[i], starts[i + 1]):
            lengths[i] |= (lengths[target[e]] << 1) & window
    label = np.full(num, -1, np.int64)
    path = np.empty(max_points + 1, np.int64)
    edge = np.empty(max_points + 1, np.int64)
    wanted = window & ~((np.int64(1) << min_points) - 1)
    count = 0
    truncated = 0
    for source in range(num - 1, -1, -1):
        if not is_source[source] or not lengths[source] & wanted:
            continue
        depth = 0
        path[0] = source
        edge[0] = starts[source + 1] - 1
        found = 0
        while depth >= 0:
            i = path[depth]
            if starts[i] == starts[i + 1]:  # a sink: the path is complete
                if found == max_paths:
                    truncated += 1
                    break
                found += 1
                for place in range(depth + 1):
                    if label[path[place]] < 0:
                        label[path[place]] = count
                count += 1
                depth -= 1
                continue
            e = edge[depth]
            # the rest must have a length that makes the whole path long and short enough
            while e >= starts[i] and not (lengths[target[e]] << (depth + 1)) & wanted:
                e -= 1
            if e < starts[i]:
                depth -= 1
                continue
            edge[depth] = e - 1
            depth += 1
            path[depth] = target[e]
            edge[depth] = starts[target[e] + 1] - 1
    return label, truncated


@njit(cache=True, nogil=True)
def shortest_paths_labels(starts, target, is_source):
    """Return the path (N,) that each rank belongs to, -1 = none: the first one on it, by source and then by sink.

    Of equally short paths between two ranks the first in the order of their ranks is taken.
    """
    num = starts.shape[0] - 1
    label = np.full(num, -1, np.int64)
    seen = np.full(num, -1, np.int64)
    before = np.full(num, -1, np.int64)
    queue = np.empty(num, np.int64)
    count = 0
    for source in range(num):
        if not is_source[source]:
            continue
        seen[source] = source
        before[source] = -1
        queue[0] = source
        end = 1
        place = 0
        while place < end:
            i = queue[place]
            place += 1
            for e in range(starts[i], starts[i + 1]):
                j = target[e]
                if seen[j] != source:
                    seen[j] = source
                    before[j] = i
                    queue[end] = j
                    end += 1
        reached = queue[:end].copy()
        reached.sort()
        for sink in reached:
            if starts[sink] != starts[sink + 1]:
                continue
            i = sink
            while i >= 0:
                if label[i] < 0:
                    label[i] = count
                i = before[i]
            count += 1
    return label
