"""Edges of an evaluation: the graphs of a network and the radius curve of its embedding, counted event by event.

Shape letters: N points of the event, R points of the result, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.event import Event
from hitloom.metrics.curves import Axis
from hitloom.metrics.edge_stages import EdgeStage, EdgeStages
from hitloom.metrics.edges import TruthEdges, truth_edges_of
from hitloom.metrics.matching import owners
from hitloom.metrics.radius_scan import RadiusScan
from hitloom.metrics.selection import Selection
from hitloom.metrics.truth import EventTruth
from hitloom.report.config import EvaluationConfig
from hitloom.report.join import Joined
from hitloom.result import Graph, Result

GraphsOf = Callable[[Event], Sequence[Graph]]
NUM_RADII = 40


def graphs_of(event: Event, result: Result, joined: Joined, graphs: GraphsOf | None) -> list[Graph]:
    """Return the graphs of an event: those of the network, or the scored edges that the result itself holds."""
    if graphs is not None:
        return list(graphs(event))
    if result.edge_index is None:
        return []
    rows = torch.as_tensor(joined.rows)
    score = None if result.edge_score is None else result.edge_score.sigmoid()
    return [Graph(name="scored edges", edge_index=rows[result.edge_index], edge_score=score)]


class EdgeParts:
    """Accumulates everything about edges; ``result`` gives the entries of ``metrics.json``."""

    def __init__(self, selection: Selection, axes: Sequence[Axis], config: EvaluationConfig) -> None:
        self._selection = selection
        self._config = config
        self._stages = EdgeStages(selection=selection, axes=axes)
        self._radius: RadiusScan | None = None

    def add(self, event: Event, result: Result, joined: Joined, truth: EventTruth, graphs: Sequence[Graph]) -> None:
        """Count one event."""
        seen = None if joined.in_input.all() else joined.in_input
        if graphs:
            stages = [
                EdgeStage(
                    name=graph.name,
                    edge_index=graph.edge_index.cpu().numpy(),
                    score=None if graph.edge_score is None else graph.edge_score.float().cpu().numpy(),
                )
                for graph in graphs
            ]
            self._stages.add(result.event_id, truth, event.pos.cpu().numpy(), stages, in_input=seen)
        done = 0 if self._radius is None else self._radius.num_events
        wanted = self._config.max_radius_events is None or done < self._config.max_radius_events
        space, rows = next((graph.embedding for graph in graphs if graph.embedding is not None), None), None
        if space is None:
            space, rows = result.embedding, joined.rows
        if wanted and self._config.radius_neighbours and space is not None:
            rows = np.arange(truth.num_hits) if rows is None else rows
            inside = torch.as_tensor(joined.in_input[rows]) & space.isfinite().all(dim=1).cpu()
            self._add_radius(space.cpu()[inside].float(), rows[inside.numpy()], truth, seen)

    def _add_radius(
        self, points: Tensor, rows: NDArray[np.int64], truth: EventTruth, seen: NDArray[np.bool_] | None
    ) -> None:
        """Count the graph of the embedded ``points`` (R, D), which are ``rows`` (R,) of the event."""
        from hitloom.ops.neighbours import knn

        if truth.truth_edge_index is None or not truth.truth_edge_index.size:
            return
        _, size = owners(truth, self._selection.universe, self._selection.particles_from, seen)
        true = truth_edges_of(truth, self._selection.target(truth, size, size > 0))
        if self._radius is None:
            largest = self._config.max_radius or _reach(points, rows, true)
            radii = np.linspace(0.0, largest, NUM_RADII + 1)[1:]
            self._radius = RadiusScan(radii=radii.tolist(), num_neighbours=self._config.radius_neighbours)
        table = knn(points, self._config.radius_neighbours[-1], r_max=float(self._radius.radii[-1]))
        edges, distance = table.edge_index().numpy(), table.distance[table.mask].numpy()
        self._radius.add(rows[edges], distance, true, truth.num_hits, num_points=len(rows))

    def result(self) -> dict[str, Any]:
        """Return ``edges`` and ``radius_curve``, each None where there was nothing to count."""
        radius = None
        if self._radius is not None:
            radius = self._radius.result() | {"selection": self._selection.text()}
        return {"edges": self._stages.result(), "radius_curve": radius}


def _reach(points: Tensor, rows: NDArray[np.int64], true: TruthEdges) -> float:
    """Return a radius that holds 99 in 100 of the truth edges of targets between ``points`` (R, D), rounded up."""
    place = np.full(int(max(rows.max(initial=0), true.edge_index.max(initial=0))) + 1, -1)
    place[rows] = np.arange(rows.size)
    ends = place[true.edge_index[:, true.is_target] if true.num_target else true.edge_index]
    ends = ends[:, (ends >= 0).all(axis=0)]
    if not ends.size:
        return 1.0
    length = (points[torch.as_tensor(ends[0])] - points[torch.as_tensor(ends[1])]).norm(dim=1)
    reach = float(np.quantile(length.numpy(), 0.99)) or 1.0
    step = 10.0 ** np.floor(np.log10(reach)) / 2
    return float(np.ceil(reach / step) * step)
