"""How far the scores of edges change when the event does: flip rates and shifts of the probability.

Shape letters: N points, E edges, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitloom.errors import DataError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

DEFINITIONS = {
    "flip_rate": "share of the perturbed samples in which an edge is decided otherwise than in the event as it is",
    "shift": "mean over the perturbed samples of |p - p_k|, p the probability of an edge; an edge not there has p = 0",
    "appeared": "edges per sample that pass the threshold and that the graph of the event as it is does not hold",
    "disagreement": "share of the edges of either model that the two models decide differently, each at its threshold",
    "distance": "mean |p - q| over the edges of either model; an edge not there has probability 0",
}


@dataclass(frozen=True, kw_only=True)
class ScoredEdges:
    """Edges and their probabilities.

    Attributes
    ----------
    edge_index : (2, E) int64
    probability : (E,) float64
    """

    edge_index: IntArray
    probability: FloatArray


@dataclass(frozen=True, kw_only=True)
class EdgeChange:
    """How the edges of one event change over its samples.

    Attributes
    ----------
    flip_rate, shift : (E,) float64
        By edge of the event as it is; see :data:`DEFINITIONS`.
    appeared : float
        Edges per sample.
    """

    flip_rate: FloatArray
    shift: FloatArray
    appeared: float


def edge_change(base: ScoredEdges, samples: Sequence[ScoredEdges], *, threshold: float, num_points: int) -> EdgeChange:
    """Compare the edges of an event with those of its perturbed samples.

    The flip rate of an edge is mean_k [1(p > t) != 1(p_k > t)]. A system that builds its graph anew gives a sample
    other edges; they are matched by their ends, and one that a sample lacks has probability 0 there.

    Parameters
    ----------
    base : ScoredEdges
    samples : sequence of ScoredEdges
        At least one.
    threshold : float
        An edge passes above it, here and in the samples.
    num_points : int
        Number of points N, the same in every sample.

    Raises
    ------
    DataError
        When there is no sample.
    """
    if not samples:
        raise DataError("stability of edges: at least one perturbed sample was wanted")
    passed = base.probability > threshold
    flips, shift = np.zeros(base.probability.shape), np.zeros(base.probability.shape)
    appeared = 0
    for sample in samples:
        found, new = aligned(base.edge_index, sample, num_points)
        flips += (found > threshold) != passed
        shift += np.abs(found - base.probability)
        appeared += int((new > threshold).sum())
    count = len(samples)
    return EdgeChange(flip_rate=flips / count, shift=shift / count, appeared=appeared / count)


def model_difference(
    first: ScoredEdges, second: ScoredEdges, *, thresholds: tuple[float, float], num_points: int
) -> dict[str, float]:
    """Return ``num_edges`` of either model, and sums over them: ``disagreement`` and ``distance``."""
    theirs, new = aligned(first.edge_index, second, num_points)
    differs = (first.probability > thresholds[0]) != (theirs > thresholds[1])
    return {
        "num_edges": float(first.probability.size + new.size),
        "disagreement": float(differs.sum() + (new > thresholds[1]).sum()),
        "distance": float(np.abs(theirs - first.probability).sum() + new.sum()),
    }


def aligned(edge_index: IntArray, other: ScoredEdges, num_points: int) -> tuple[FloatArray, FloatArray]:
    """Return the probability (E,) that ``other`` gives each edge, 0 where it lacks it; and those of its further edges.

    Direction counts. Of an edge that is there twice, the last counts.
    """
    if edge_index.shape == other.edge_index.shape and np.array_equal(edge_index, other.edge_index):
        return other.probability, np.zeros(0)
    mine = edge_index[0] * num_points + edge_index[1]
    theirs = other.edge_index[0] * num_points + other.edge_index[1]
    order = np.argsort(theirs, kind="stable")
    if not order.size:
        return np.zeros(mine.shape), np.zeros(0)
    place = np.searchsorted(theirs[order], mine, side="right") - 1
    rows = order[np.maximum(place, 0)]
    there = (place >= 0) & (theirs[rows] == mine)
    return np.where(there, other.probability[rows], 0.0), other.probability[~np.isin(theirs, mine)]
