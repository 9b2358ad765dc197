"""Tracks as paths from sources (points without an edge in) to sinks (points without an edge out).

Rules after acorn's WeaklyConnectedComponentsAllSimplePath and Walkthrough. N points, E edges.
"""

from __future__ import annotations

import logging

import numpy as np
from torch import Tensor

from hitloom.errors import ConfigError
from hitloom.grouping._labels import numbered
from hitloom.grouping._outward import outward_graph
from hitloom.grouping._paths import MAX_POINTS, shortest_paths_labels, simple_paths
from hitloom.grouping._walk import chains

log = logging.getLogger("hitloom")


def all_simple_paths(
    edge_index: Tensor,
    score: Tensor,
    *,
    num_points: int,
    order: Tensor,
    tie_key: Tensor | None = None,
    score_cut_low: float = 0.1,
    score_cut_high: float = 0.5,
    min_points: int = 8,
    max_steps: int = 25,
    min_size: int = 2,
    max_paths: int = 1000,
) -> Tensor:
    """Label points by components of good edges, and by paths along the middling ones.

    1. Components of edges scored above ``score_cut_high`` are tracks.
    2. Edges scored above ``score_cut_low`` and not above ``score_cut_high`` point outwards by ``order``. Every path
       along them from a source to a sink, of at most ``max_steps`` edges and at least ``min_points`` points, is a track
       and takes its points; of several paths through a point the last has it. Paths are ordered by their source, then
       point after point, in the rank of the points.
    3. A track left with fewer than ``min_size`` points gets no label.

    A point that middling edges touch keeps the label of its component unless a path takes it; the published code loses
    it. At most ``max_paths`` paths are followed from a source, the last ones first; a warning counts the sources that
    have more. Points of equal ``order`` are ranked by ``tie_key``, then by row; no other tie can matter.

    Parameters
    ----------
    edge_index, score, num_points, order, tie_key
        As for :func:`hitloom.grouping.walk.walk`.

    Returns
    -------
    (N,) int64
        Labels counted from 0 by the lowest point of each track, -1 = none.

    Raises
    ------
    ConfigError
        When the cuts are in the wrong order, or a path may have more than 62 points.
    DataError
        When an edge leaves 0..N-1, a score is no probability, or an order is not finite.
    """
    if score_cut_low > score_cut_high:
        raise ConfigError(f"score_cut_low: {score_cut_low} is above score_cut_high {score_cut_high}; mend: lower it")
    if not 0 < max_steps < MAX_POINTS:
        raise ConfigError(f"max_steps: {max_steps} came, wanted 1 to {MAX_POINTS - 1}")
    graph = outward_graph(edge_index, score, num_points=num_points, order=order, tie_key=tie_key)
    good = graph.above(score_cut_high)
    root, size, _ = chains(good.source, good.target, num_points)
    label = np.where(size >= max(2, min_size), root, -1)
    rest = graph.above(score_cut_low)
    rest = rest.select(~(rest.score > rest.score.dtype.type(score_cut_high)))
    num_in, num_out = rest.degrees()
    longest = max_steps + 1
    shortest = min(max(2, min_points), longest + 1)  # impossible demands find nothing
    path, truncated = simple_paths(
        rest.starts(), rest.target, (num_in == 0) & (num_out > 0), shortest, longest, max_paths
    )
    if truncated:
        log.warning(
            "simple paths: %d sources have more than %d paths; the first of them in order were left out", truncated,
            max_paths,
        )  # fmt: skip
    label = np.where(path >= 0, num_points + path, label)
    return numbered(graph.labels(label), min_size).to(edge_index.device)


def shortest_paths(
    edge_index: Tensor,
    score: Tensor,
    *,
    num_points: int,
    order: Tensor,
    tie_key: Tensor | None = None,
    score_cut: float = 0.5,
    min_size: int = 2,
) -> Tensor:
    """Label points by the path of fewest edges from each source to each sink that it reaches.

    Edges scored above ``score_cut`` point outwards by ``order``. Paths are ordered by their source, then by their sink,
    in the rank of the points, and a point belongs to the first path on it; of equally short paths between the same two
    points the first in the rank of its points counts. A track left with fewer than ``min_size`` points gets no label.
    Points of equal ``order`` are ranked by ``tie_key``, then by row; no other tie can matter.

    The published code lists points of several paths without saying which path they belong to; keeping the first is
    what it does to the list afterwards.

    Parameters
    ----------
    edge_index, score, num_points, order, tie_key
        As for :func:`hitloom.grouping.walk.walk`.

    Returns
    -------
    (N,) int64
        Labels counted from 0 by the lowest point of each track, -1 = none.

    Raises
    ------
    DataError
        When an edge leaves 0..N-1, a score is no probability, or an order is not finite.

    Examples
    --------
    >>> import torch
    >>> edges = torch.tensor([[0, 1, 1, 2], [1, 2, 3, 3]])
    >>> shortest_paths(edges, torch.full((4,), 0.9), num_points=4, order=torch.arange(4.0)).tolist()
    [0, 0, -1, 0]
    """
    graph = outward_graph(edge_index, score, num_points=num_points, order=order, tie_key=tie_key, cut=score_cut)
    num_in, num_out = graph.degrees()
    label = shortest_paths_labels(graph.starts(), graph.target, (num_in == 0) & (num_out > 0))
    return numbered(graph.labels(label), min_size).to(edge_index.device)
