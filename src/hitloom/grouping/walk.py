"""Walkthrough: chains first, then the longest road through what branches.

Exa.TrkX (arXiv:2103.06995); rule and defaults are those of acorn's CCandWalk. N points, E edges.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from hitloom.errors import ConfigError
from hitloom.grouping._labels import numbered
from hitloom.grouping._outward import outward_graph
from hitloom.grouping._walk import chains, longest_roads


def walk(
    edge_index: Tensor,
    score: Tensor,
    *,
    num_points: int,
    order: Tensor,
    tie_key: Tensor | None = None,
    score_cut: float = 0.01,
    min_score: float = 0.1,
    add_score: float = 0.6,
    min_chain: int = 3,
    min_road: int = 2,
    prefer: str = "last",
    cc_only: bool = False,
) -> Tensor:
    """Label points by chains and longest roads.

    1. Edges point outwards by ``order``; those scored ``score_cut`` or less go.
    2. A component in which no point has more than one edge in or out is a chain: a track if it has ``min_chain``
       points, else nothing.
    3. From each point of the rest, innermost first, that no road has used: a road steps to the unused neighbour with
       the best score, if that is above ``min_score``, and branches to every other unused neighbour scored above
       ``add_score``. The longest road is a track, and its points are used up. A point without a road is used up alone
       and gets no label; a road of fewer than ``min_road`` points gets none either.

    The roads are never listed: the length of the longest one from each point follows from those of its neighbours.
    The answer is that of the full list, in time that grows with the edges, so nothing is ever truncated.

    Ties: points of equal ``order`` are ranked by ``tie_key`` and then by row, and an edge points to the higher rank.
    Of neighbours with equal scores the one of lower rank comes first. Of equally long roads the ``last`` one in the
    list wins, as published: where they part, it took the neighbour with the lower score; ``first`` takes the higher.

    Parameters
    ----------
    edge_index : (2, E) int
        Any direction; of parallel edges the best scored one counts.
    score : (E,) float
        Probability of each edge, compared with the cuts in its own precision.
    num_points : int
    order : (N,)
        Grows outwards: r^2 + z^2.
    tie_key : (N,) or (N, K) or None
        Tells points of equal order apart, for example positions.
    prefer : str
        ``last`` or ``first``.
    cc_only : bool
        Stop after the chains.

    Returns
    -------
    (N,) int64
        Labels counted from 0 by the lowest point of each track, -1 = none.

    Raises
    ------
    ConfigError
        When ``add_score`` is below ``min_score``, or ``prefer`` is unknown.
    DataError
        When an edge leaves 0..N-1, a score is no probability, or an order is not finite.

    Examples
    --------
    >>> import torch
    >>> edges = torch.tensor([[0, 1, 1, 3], [1, 2, 3, 4]])
    >>> walk(edges, torch.tensor([0.9, 0.8, 0.7, 0.9]), num_points=5, order=torch.arange(5.0)).tolist()
    [0, 0, -1, 0, 0]
    """
    if add_score < min_score:
        raise ConfigError(f"add_score: {add_score} is below min_score {min_score}; mend: add_score >= min_score")
    if prefer not in ("last", "first"):
        raise ConfigError(f"prefer: '{prefer}' is neither 'last' nor 'first'")
    graph = outward_graph(edge_index, score, num_points=num_points, order=order, tie_key=tie_key, cut=score_cut)
    root, size, simple = chains(graph.source, graph.target, num_points)
    label = np.where(simple & (size >= max(2, min_chain)), root, -1)
    if not cc_only and not simple.all():
        real = graph.score.dtype.type
        roads = longest_roads(
            graph.starts(),
            graph.target,
            graph.score,
            *graph.incoming(),
            simple.copy(),
            real(min_score),
            real(add_score),
            prefer == "last",
        )
        length = np.bincount(roads + 1, minlength=1)[roads + 1]
        label = np.where((roads >= 0) & (length >= min_road), num_points + roads, label)
    return numbered(graph.labels(label)).to(edge_index.device)
