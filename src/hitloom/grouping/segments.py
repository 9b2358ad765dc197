"""Segments, pieces of tracks: how good they are, their ends, and triplets of points.

N points, S segments, K objects, E edges, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from hitloom.errors import DataError
from hitloom.grouping._labels import checked_edges
from hitloom.grouping._outward import ranked


@dataclass(frozen=True, kw_only=True)
class SegmentScore:
    """Quality of segments; each rate None where it is not defined.

    Attributes
    ----------
    purity : float or None
        Sum of J |s| / sum of |s| over pairs of a segment s and a signal object p that share points, where
        J = |s and p| / |s or p|.
    efficiency : float or None
        Sum of J |p| / sum of |p| over the same pairs.
    f1 : float or None
        Harmonic mean of the two.
    num_pairs : int
    """

    purity: float | None
    efficiency: float | None
    f1: float | None
    num_pairs: int


def segment_score(labels: Tensor, object_index: Tensor, *, signal: Tensor, min_size: int = 3) -> SegmentScore:
    """Judge segments of at least ``min_size`` points that hold points of signal objects (Exa.TrkX, 2022).

    Perfect segments give 1; a segment of other objects or of noise alone is not looked at, so read the rates together
    with the efficiency and fake rate of tracks.

    Parameters
    ----------
    labels : (N,) int64
        Segment of each point, -1 = none.
    object_index : (N,) int64
        Row of the object of each point, -1 = noise, which is never signal.
    signal : (K,) bool
        Objects that count.

    Raises
    ------
    DataError
        When the shapes differ or an object is not in the table.

    Examples
    --------
    >>> score = segment_score(torch.tensor([0, 0, 0, -1]), torch.tensor([0, 0, 0, 0]), signal=torch.tensor([True]))
    >>> score.purity, score.efficiency
    (0.75, 0.75)
    """
    if labels.shape != object_index.shape or labels.ndim != 1:
        raise DataError(f"labels {tuple(labels.shape)} and objects {tuple(object_index.shape)}: one of each was wanted")
    name, owner = labels.cpu().numpy(), object_index.cpu().numpy()
    wanted = signal.cpu().numpy().astype(bool)
    if owner.size and owner.max() >= wanted.size:
        raise DataError(f"signal: {wanted.size} objects came, but points name row {int(owner.max())}")
    size = np.bincount(name[name >= 0], minlength=1)
    num_points = np.bincount(owner[owner >= 0], minlength=max(1, wanted.size))
    counted = (name >= 0) & (owner >= 0)
    counted[counted] = wanted[owner[counted]] & (size[name[counted]] >= min_size)
    pairs, shared = np.unique(np.stack([name[counted], owner[counted]]), axis=1, return_counts=True)
    s, p = size[pairs[0]], num_points[pairs[1]]
    jaccard = shared / (s + p - shared)
    if not shared.size:
        return SegmentScore(purity=None, efficiency=None, f1=None, num_pairs=0)
    purity, efficiency = float((jaccard * s).sum() / s.sum()), float((jaccard * p).sum() / p.sum())
    f1 = 2 * purity * efficiency / (purity + efficiency)
    return SegmentScore(purity=purity, efficiency=efficiency, f1=f1, num_pairs=int(shared.size))


def triplets(edge_index: Tensor, num_points: int, *, through: bool = True) -> Tensor:
    """Return pairs of edges that share a point: the edges of the line graph, as a product of incidence matrices.

    Parameters
    ----------
    edge_index : (2, E) int
        Outward edges; each edge is a point of the line graph.
    num_points : int
    through : bool
        Pairs where the first edge ends at the point that the second one starts from: triplets a -> b -> c. False: all
        pairs that share a point, the lower edge first, each once.

    Returns
    -------
    (2, P) int64
        Rows of edges, sorted. P grows with the product of the numbers of edges into and out of a point.

    Raises
    ------
    DataError
        When the edges are not integers of shape (2, E) within 0..N-1.

    Examples
    --------
    >>> triplets(torch.tensor([[0, 1, 1], [1, 2, 3]]), 4).tolist()
    [[0, 0], [1, 2]]
    """
    edges = checked_edges(edge_index, num_points)
    num_edges = edges.shape[1]
    row, one = np.arange(num_edges), np.ones(num_edges, np.int8)

    def incidence(points: NDArray[np.int64]) -> csr_matrix:
        return csr_matrix((one, (row, points)), shape=(num_edges, num_points), dtype=bool)

    if through:
        joined = (incidence(edges[1]) @ incidence(edges[0]).T).tocoo()
        keep = joined.row != joined.col
    else:
        either = incidence(edges[0]) + incidence(edges[1])
        joined = (either @ either.T).tocoo()
        keep = joined.row < joined.col
    pairs = np.stack([joined.row[keep], joined.col[keep]]).astype(np.int64)
    return torch.from_numpy(pairs[:, np.lexsort(pairs[::-1])]).to(edge_index.device)


@dataclass(frozen=True, kw_only=True)
class SegmentEnds:
    """Points at both ends of each segment, outwards.

    Attributes
    ----------
    first, second, before_last, last : (S,) int64
        Rows of points; of a segment of one point all four are the same.
    size : (S,) int64
    """

    first: Tensor
    second: Tensor
    before_last: Tensor
    last: Tensor
    size: Tensor


def segment_ends(labels: Tensor, *, order: Tensor, tie_key: Tensor | None = None) -> SegmentEnds:
    """Return the two innermost and the two outermost points of every segment 0..S-1.

    Raises
    ------
    DataError
        When labels leave a gap between 0 and the highest, or the order is not one finite number for each point.
    """
    point = ranked(len(labels), order, tie_key)
    name = labels.cpu().numpy()[point]
    point, name = point[name >= 0], name[name >= 0]
    grouped = np.argsort(name, kind="stable")
    size = np.bincount(name)
    if (size == 0).any():
        raise DataError(f"labels: no point carries {int(np.argmin(size))}; mend: number segments from 0 without gaps")
    start = np.cumsum(size) - size
    members = point[grouped]

    def at(place: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(members[start + place])

    return SegmentEnds(
        first=at(np.zeros_like(size)),
        second=at(np.minimum(1, size - 1)),
        before_last=at(np.maximum(0, size - 2)),
        last=at(size - 1),
        size=torch.from_numpy(size),
    )
