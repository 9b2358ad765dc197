"""Connected components of a graph: edges in, labels out.

N points, E edges.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as scipy_components
from torch import Tensor

from hitloom.grouping._labels import checked_edges, checked_scores, numbered
from hitloom.grouping._unions import join_edges, number


def connected_components(edge_index: Tensor, num_points: int, *, min_size: int = 1) -> Tensor:
    """Label the connected components of an undirected graph.

    Parameters
    ----------
    edge_index
        (2, E) integer edges; direction, duplicates and loops do not matter.
    num_points
        Number of points N.
    min_size
        Components with fewer points get -1.

    Returns
    -------
    Tensor
        (N,) int64 labels, contiguous, numbered by the lowest point of each component.

    Raises
    ------
    DataError
        When the edges are not integers of shape (2, E) within 0..N-1.

    Examples
    --------
    >>> connected_components(torch.tensor([[0, 3], [2, 3]]), 4).tolist()
    [0, 1, 0, 2]
    """
    edges = checked_edges(edge_index, num_points)
    if num_points == 0:
        return torch.zeros(0, dtype=torch.int64, device=edge_index.device)
    ones = np.ones(edges.shape[1], np.int8)
    graph = coo_matrix((ones, (edges[0], edges[1])), shape=(num_points, num_points))
    _, found = scipy_components(graph, directed=False)
    return numbered(torch.from_numpy(found.astype(np.int64)), min_size).to(edge_index.device)


def union_find(edge_index: Tensor, num_points: int, *, min_size: int = 1) -> Tensor:
    """Label connected components by union-find; the same answer as :func:`connected_components`, no matrix built.

    Parameters, result and errors are those of :func:`connected_components`.

    Examples
    --------
    >>> union_find(torch.tensor([[0, 3], [2, 3]]), 4, min_size=2).tolist()
    [0, -1, 0, -1]
    """
    edges = checked_edges(edge_index, num_points)
    return _joined(edges[0], edges[1], num_points, min_size).to(edge_index.device)


def components(
    edge_index: Tensor, score: Tensor, *, num_points: int, score_cut: float = 0.5, min_size: int = 2
) -> Tensor:
    """Label the connected components of the edges scored above a cut (Exa.TrkX, arXiv:2103.06995).

    Direction and order of the edges do not matter, nor does which of several equal scores comes first.

    Parameters
    ----------
    edge_index : (2, E) int
    score : (E,) float
        Probability of each edge.
    num_points : int
        Number of points N.
    score_cut : float
        An edge joins its points when its score is above the cut, compared in the precision of the scores.
    min_size : int
        Components with fewer points get -1; 2 leaves isolated points without a label.

    Returns
    -------
    (N,) int64
        Labels counted from 0 by the lowest point of each component, -1 = none.

    Raises
    ------
    DataError
        When an edge leaves 0..N-1 or a score is no probability; the message names the edge.

    Examples
    --------
    >>> components(torch.tensor([[0, 1], [1, 2]]), torch.tensor([0.9, 0.2]), num_points=4).tolist()
    [0, 0, -1, -1]
    """
    edges = checked_edges(edge_index, num_points)
    values = checked_scores(score, edges.shape[1])
    keep = values > values.dtype.type(score_cut)
    return _joined(edges[0][keep], edges[1][keep], num_points, min_size).to(edge_index.device)


def _joined(source: np.ndarray, target: np.ndarray, num_points: int, min_size: int) -> Tensor:
    parent = np.arange(num_points)
    join_edges(parent, np.ascontiguousarray(source), np.ascontiguousarray(target))
    found = torch.from_numpy(number(parent, np.ones(num_points, np.bool_)))
    return numbered(found, min_size)
