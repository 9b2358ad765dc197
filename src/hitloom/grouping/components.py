"""Connected components of a graph: edges in, labels out.

N points, E edges.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as scipy_components
from torch import Tensor

from hitloom.errors import DataError
from hitloom.grouping._unions import join_edges, number


def _edges(edge_index: Tensor, num_points: int) -> np.ndarray:
    """Return ``edge_index`` (2, E) as a checked int64 array."""
    if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_index.is_floating_point():
        raise DataError(
            f"edge_index: came as {edge_index.dtype} {tuple(edge_index.shape)}, wanted integer (2, E); mend: transpose"
        )
    edges = edge_index.detach().cpu().to(torch.int64).numpy()
    if edges.size and (edges.min() < 0 or edges.max() >= num_points):
        raise DataError(
            f"edge_index: came with rows {edges.min()}..{edges.max()}, wanted 0..{num_points - 1}; "
            "mend: give the number of points the edges were made for"
        )
    return edges


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
    edges = _edges(edge_index, num_points)
    if num_points == 0:
        return torch.zeros(0, dtype=torch.int64, device=edge_index.device)
    ones = np.ones(edges.shape[1], np.int8)
    graph = coo_matrix((ones, (edges[0], edges[1])), shape=(num_points, num_points))
    _, found = scipy_components(graph, directed=False)
    return _numbered(torch.from_numpy(found.astype(np.int64)), min_size).to(edge_index.device)


def union_find(edge_index: Tensor, num_points: int, *, min_size: int = 1) -> Tensor:
    """Label connected components by union-find; the same answer as :func:`connected_components`, no matrix built.

    Parameters, result and errors are those of :func:`connected_components`.

    Examples
    --------
    >>> union_find(torch.tensor([[0, 3], [2, 3]]), 4, min_size=2).tolist()
    [0, -1, 0, -1]
    """
    edges = _edges(edge_index, num_points)
    parent = np.arange(num_points)
    join_edges(parent, np.ascontiguousarray(edges[0]), np.ascontiguousarray(edges[1]))
    found = torch.from_numpy(number(parent, np.ones(num_points, np.bool_)))
    return _numbered(found, min_size).to(edge_index.device)


def _numbered(labels: Tensor, min_size: int) -> Tensor:
    """Drop small groups and number the others by their lowest point."""
    size = torch.bincount(labels)[labels] if len(labels) else labels
    keep = size >= min_size
    rows = torch.arange(len(labels))
    first = torch.full((len(labels),), len(labels)).scatter_reduce(0, labels, rows, "amin")
    lead = first[labels]  # lowest point of each point's group
    rank = ((lead == rows) & keep).cumsum(0) - 1
    return torch.where(keep, rank[lead], -1)
