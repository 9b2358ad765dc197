"""Efficiency and purity of a radius graph against its radius and its number of neighbours, from one graph.

The graph at the largest radius and the most neighbours holds all others: a neighbour's rank does not depend on the
radius. So pairs are counted once, by distance and rank, and every smaller graph is a prefix of the counts.

Shape letters: N points, P ordered pairs, R radii, T truth edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.curves import plain
from hitloom.metrics.edge_curves import Choice, numbers_of, proportion_columns, rank_needed
from hitloom.metrics.edges import FALSE, OTHER_TRUE, TARGET_TRUE, TruthEdges, label_edges
from hitloom.metrics.graph_quality import undirected_keys
from hitloom.metrics.truth import IntArray, as_integers

SATURATED = "points with that many neighbours inside the radius / points: their further neighbours are not in the graph"


def radius_for_efficiency(true_distances: ArrayLike, num_truth: int, efficiency: float) -> Choice:
    """Return the smallest radius that finds at least a share of the truth edges, exactly.

    Parameters
    ----------
    true_distances : (T',) float
        Distances of those truth edges that the graph at the largest radius holds, T' <= num_truth, each once.
    num_truth : int
        Truth edges in all.
    efficiency : float
        Wanted share of ``num_truth`` within the radius, the radius itself included.

    Returns
    -------
    Choice
        ``reached`` is False where even all distances are too few; the radius is then the largest of them. Without
        distances it is NaN.

    Raises
    ------
    DataError, ConfigError
        When there are more distances than truth edges, one is NaN, or the efficiency is impossible.

    Examples
    --------
    >>> radius_for_efficiency([0.3, 0.1, 0.2], 4, 0.5)
    Choice(value=0.2, efficiency=0.5, reached=True)
    """
    distances = np.sort(numbers_of(true_distances, num_truth, "distances of truth edges"))
    needed = rank_needed(efficiency, num_truth)
    if not distances.size:
        return Choice(float("nan"), 0.0 if num_truth else float("nan"), False)
    radius = float(distances[min(needed, distances.size) - 1])
    found = int(np.searchsorted(distances, radius, side="right"))
    return Choice(radius, found / num_truth, needed <= distances.size)


class RadiusScan:
    """Accumulates radius curves over events.

    Parameters
    ----------
    radii : (R,) rising floats
        The last is the radius of the graphs that come.
    num_neighbours : rising ints
        The last is the most neighbours that a point has in the graphs that come.

    Raises
    ------
    ConfigError
        When either is empty or does not rise.

    Examples
    --------
    >>> scan = RadiusScan(radii=(0.5, 1.0), num_neighbours=(1, 10))
    >>> scan.num_events
    0
    """

    def __init__(self, *, radii: Sequence[float], num_neighbours: Sequence[int]) -> None:
        for name, values, least in (("radii", radii, 0.0), ("num_neighbours", num_neighbours, 1)):
            if not len(values) or values[0] < least or any(a >= b for a, b in pairwise(values)):
                raise ConfigError(f"radius scan: {name} as rising numbers from {least:g} were wanted, not {values}")
        self.radii = np.asarray(radii, dtype=np.float32)
        self.num_neighbours = tuple(int(k) for k in num_neighbours)
        shape = (len(self.num_neighbours), self.radii.size)
        self._pairs = {kind: np.zeros(shape, dtype=np.int64) for kind in (FALSE, OTHER_TRUE, TARGET_TRUE)}
        self._full = np.zeros(shape, dtype=np.int64)
        self._distances: list[NDArray[np.float32]] = []
        self._num_truth = self._num_truth_target = self._num_points = 0
        self.num_events = 0

    def add(
        self,
        edge_index: ArrayLike,
        distance: ArrayLike,
        truth_edges: TruthEdges,
        num_hits: int,
        *,
        num_points: int | None = None,
    ) -> None:
        """Add the graph of one event at the largest radius.

        Parameters
        ----------
        edge_index : (2, P) int
            Neighbour and centre of every ordered pair, grouped by centre, nearest first, as
            :meth:`hitloom.ops.radius.RadiusGraph.edge_index` gives them.
        distance : (P,) float32
        num_hits : int
            Hits of the event, to whose rows the pairs refer.
        num_points : int or None
            Points that were searched, for the share that saturates; None = all hits.

        Raises
        ------
        DataError
            When the arrays do not fit, or the pairs are not grouped and ordered as said.
        """
        edges = as_integers(edge_index, "edge_index")
        length = numbers_of(distance, np.asarray(distance).size, "distances").astype(np.float32)
        if edges.shape != (2, length.size):
            raise DataError(f"radius scan: {length.size} distances came for edge_index of shape {edges.shape}")
        rank = _ranks(edges, length)
        if length.size and (length.max() > self.radii[-1] or rank.max() > self.num_neighbours[-1]):
            raise DataError(
                f"radius scan: pairs within {self.radii[-1]:g} and at most {self.num_neighbours[-1]} neighbours were "
                f"wanted; distance {float(length.max()):g} and {int(rank.max())} neighbours came"
            )
        # An edge is in the graph as soon as one of its ends has the other among its neighbours: the lower rank counts.
        found = label_edges(edges, truth_edges, num_hits, score=-rank)
        _, first = np.unique(undirected_keys(edges, num_hits), return_index=True)
        assert found.score is not None
        depth = np.searchsorted(self.num_neighbours, -found.score, side="left")
        place = np.searchsorted(self.radii, length, side="left")
        for kind, pairs in self._pairs.items():
            here = found.kind == kind
            np.add.at(pairs, (depth[here], place[first][here]), 1)
        for row, k in enumerate(self.num_neighbours):
            self._full[row] += np.bincount(place[rank == k], minlength=self.radii.size)
        self._distances.append(length[first][found.kind == TARGET_TRUE])
        self._num_truth += truth_edges.key.size
        self._num_truth_target += truth_edges.num_target
        self._num_points += num_hits if num_points is None else num_points
        self.num_events += 1

    def radius_for_efficiency(self, efficiency: float) -> Choice:
        """Return the smallest radius for an efficiency of truth edges of targets, with the most neighbours."""
        distances = np.concatenate([np.zeros(0, dtype=np.float32), *self._distances])
        return radius_for_efficiency(distances, self._num_truth_target, efficiency)

    def result(self) -> dict[str, Any]:
        """Return the curves, ready for JSON: ``radius`` (R,) and for each number of neighbours one of ``curves``.

        A curve holds ``num_neighbours``, ``num_edges`` (R,), the proportions of
        :data:`hitloom.metrics.edges.PARTS` with ``numerator``, ``denominator``, ``value``, ``low``, ``high`` (R,), and
        ``saturated`` (R,), the share of points that have that many neighbours inside the radius.
        """
        curves = []
        inside = {kind: pairs.cumsum(axis=0).cumsum(axis=1) for kind, pairs in self._pairs.items()}
        for row, k in enumerate(self.num_neighbours):
            false, other, target = (inside[kind][row] for kind in (FALSE, OTHER_TRUE, TARGET_TRUE))
            counts = {
                "num_edges": false + other + target,
                "num_masked_edges": false + target,
                "num_true": other + target,
                "num_target_true": target,
                "num_truth": np.full(target.shape, self._num_truth),
                "num_truth_target": np.full(target.shape, self._num_truth_target),
            }
            full = self._full[row].cumsum()
            curves.append(
                {
                    "num_neighbours": k,
                    "num_edges": plain(counts["num_edges"]),
                    **proportion_columns(counts),
                    "saturated": plain(full / self._num_points if self._num_points else np.full(full.shape, np.nan)),
                }
            )
        return {
            "num_events": self.num_events,
            "radius": plain(self.radii.astype(np.float64)),
            "saturated_definition": SATURATED,
            "curves": curves,
        }


def _ranks(edges: IntArray, distance: NDArray[np.float32]) -> IntArray:
    """Return the rank (P,) of each neighbour at its centre, from 1, and check the order of the pairs."""
    centre = edges[1]
    starts = np.flatnonzero(np.append(True, centre[1:] != centre[:-1])[: centre.size])
    group = np.repeat(starts, np.diff(np.append(starts, centre.size)))
    rises = np.append(True, distance[1:] >= distance[:-1])[: centre.size]
    rises[starts] = True
    if np.unique(centre).size != starts.size or not rises.all() or (edges[0] == centre).any():
        raise DataError("radius scan: pairs grouped by centre, nearest first and without self-loops were wanted")
    return np.arange(centre.size) - group + 1
