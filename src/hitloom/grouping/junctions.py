"""Junction removal: chains first, then components of what is left after edges between branchings have gone.

Rule as intended by acorn's CCandJunctionRemoval. N points, E edges.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hitloom.errors import ConfigError
from hitloom.grouping._labels import numbered
from hitloom.grouping._outward import outward_graph
from hitloom.grouping._walk import chains


def junction_removal(
    edge_index: Tensor,
    score: Tensor,
    *,
    num_points: int,
    order: Tensor,
    tie_key: Tensor | None = None,
    score_cut: float = 0.5,
    junction_cut: float = 0.1,
    min_chain_length: int = 3,
    min_size: int = 2,
    random_drop: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Label points by chains and by components without junctions.

    1. Edges point outwards by ``order``. A share ``random_drop`` of them is lost at random (a study of robustness).
    2. Components of edges scored above ``score_cut`` that branch nowhere and have ``min_chain_length`` points are
       tracks.
    3. Among the other points, an edge scored above ``junction_cut`` stays when it is the only one out of its source or
       the only one into its target. Components of these edges with ``min_size`` points are tracks.

    The published code asks for the number of edges *out of* the target; the rule is meant, and here is, for those into
    it. Points of equal ``order`` are ranked by ``tie_key``, then by row; no other tie can matter.

    Parameters
    ----------
    edge_index, score, num_points, order, tie_key
        As for :func:`hitloom.grouping.walk.walk`.
    generator
        Draws the lost edges, in the order of their points, so that permuted input loses the same ones.

    Returns
    -------
    (N,) int64
        Labels counted from 0 by the lowest point of each track, -1 = none.

    Raises
    ------
    ConfigError
        When edges are to be dropped without a generator.
    DataError
        When an edge leaves 0..N-1, a score is no probability, or an order is not finite.

    Examples
    --------
    >>> edges = torch.tensor([[0, 1, 1, 2, 3], [1, 2, 3, 4, 4]])
    >>> junction_removal(edges, torch.full((5,), 0.9), num_points=5, order=torch.arange(5.0)).tolist()
    [0, 0, 0, 0, 0]
    """
    graph = outward_graph(edge_index, score, num_points=num_points, order=order, tie_key=tie_key)
    if random_drop > 0:
        if generator is None:
            raise ConfigError("random_drop: a generator was wanted, so that the same edges are dropped again")
        graph = graph.select(torch.rand(graph.source.size, generator=generator).numpy() >= random_drop)
    strong = graph.above(score_cut)
    root, size, simple = chains(strong.source, strong.target, num_points)
    accepted = simple & (size >= max(2, min_chain_length))
    rest = graph.above(junction_cut)
    rest = rest.select(~accepted[rest.source] & ~accepted[rest.target])
    num_in, num_out = rest.degrees()
    rest = rest.select((num_out[rest.source] == 1) | (num_in[rest.target] == 1))
    part, part_size, _ = chains(rest.source, rest.target, num_points)
    label = np.where(part_size >= max(2, min_size), num_points + part, -1)
    return numbered(graph.labels(np.where(accepted, root, label))).to(edge_index.device)
