"""The graphs of a reconstruction one after the other: what each keeps of the truth edges, how pure it is, and where.

Shape letters: N hits, E edges, T truth edges, K particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.curves import DEFAULT_AXES, Axis, has_axis
from hitloom.metrics.definitions import DEFINITION_VERSION
from hitloom.metrics.edge_curves import EdgeScores
from hitloom.metrics.edge_maps import EdgeMaps, place_axes
from hitloom.metrics.edges import edge_counts, edge_quality, label_edges, truth_edges_of
from hitloom.metrics.matching import check_mask, owners
from hitloom.metrics.selection import Selection, quantity
from hitloom.metrics.summary import proportion_entry
from hitloom.metrics.truth import BoolArray, EventTruth, FloatArray, IntArray

STAGE_DEFINITIONS: dict[str, str] = {
    "stage_efficiency": "truth edges of targets in this graph and in the one before / those in the one before (first "
    "graph: all truth edges of targets)",
    "edges_per_event": "mean number of edges, each edge and its reverse counted once",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class EdgeStage:
    """A graph of one event: rows of hits (2, E), and the probability (E,) that the next stage gave each edge."""

    name: str
    edge_index: ArrayLike
    score: ArrayLike | None = None


class EdgeStages:
    """Accumulates edge efficiency and purity of several graphs over events.

    Parameters
    ----------
    selection : Selection
        Target particles.
    axes : sequence of Axis
        Particle quantities of the curves; the axis's own quantity is not cut.

    Examples
    --------
    >>> stages = EdgeStages(selection=Selection())
    >>> truth = EventTruth(object_index=[0, 0, 0], object_id=[7], truth_edge_index=[[0, 1], [1, 2]])
    >>> stages.add(1, truth, np.eye(3), [EdgeStage(name="graph", edge_index=[[0, 0], [1, 2]])])
    >>> [stages.result()["stages"][0][name]["value"] for name in ("edge_efficiency.target", "target_purity")]
    [0.5, 0.5]
    """

    def __init__(self, *, selection: Selection, axes: Sequence[Axis] = DEFAULT_AXES[:2]) -> None:
        self.selection = selection
        self._axes = tuple(axes)
        self._names: list[tuple[str, bool]] = []
        self._counts: list[dict[str, int]] = []
        self._scores: list[EdgeScores | None] = []
        self._maps: EdgeMaps | None = None
        self._events: set[str] = set()
        self._num_without_truth = 0

    @property
    def num_events(self) -> int:
        """Number of events counted, those without truth edges left out."""
        return len(self._events) - self._num_without_truth

    def add(
        self,
        event_id: int | str,
        truth: EventTruth,
        pos: FloatArray,
        stages: Sequence[EdgeStage],
        *,
        in_input: ArrayLike | None = None,
    ) -> None:
        """Count one event; graphs in order, the same in every event. An event without truth edges is only noted.

        Parameters
        ----------
        pos : (N, 3)
            Hits in mm.
        in_input : (N,) bool or None
            Hits that the network saw; truth edges of others are lost.

        Raises
        ------
        DataError
            For a repeated event, other graphs than before, or arrays that do not fit.
        """
        names = [(stage.name, stage.score is not None) for stage in stages]
        if str(event_id) in self._events:
            raise DataError(f"edge stages: event {event_id} came twice")
        if not names or len({name for name, _ in names}) != len(names):
            raise DataError(f"edge stages: event {event_id}: at least one graph and different names were wanted")
        if self._names and names != self._names:
            raise DataError(f"edge stages: event {event_id} has other graphs than the events before")
        if np.shape(pos) != (truth.num_hits, 3):
            raise DataError(f"edge stages: pos of shape ({truth.num_hits}, 3) was wanted, not {np.shape(pos)}")
        self._events.add(str(event_id))
        if truth.truth_edge_index is None:
            self._num_without_truth += 1
            return
        place = np.asarray(pos, dtype=np.float64)
        if self._maps is None:
            self._begin(names, truth, place)
        assert self._maps is not None
        seen = check_mask(in_input, truth.num_hits)
        _, size = owners(truth, self.selection.universe, self.selection.particles_from, seen)
        wanted = truth_edges_of(truth, self._targets(truth, size))
        graphs = [label_edges(stage.edge_index, wanted, truth.num_hits, score=stage.score) for stage in stages]
        found: list[BoolArray] = [np.isin(wanted.key, edges.key) for edges in graphs]
        before = np.ones(wanted.key.size, dtype=np.bool_)
        for number, (edges, mask) in enumerate(zip(graphs, found, strict=True)):
            counts = edge_counts(edges, wanted) | {
                "num_pairs": truth.num_hits * (truth.num_hits - 1) // 2,
                "num_before": int((before & wanted.is_target).sum()),
                "num_before_kept": int((before & mask & wanted.is_target).sum()),
            }
            for name, value in counts.items():
                self._counts[number][name] = self._counts[number].get(name, 0) + value
            scores = self._scores[number]
            if scores is not None:
                scores.add(edges, wanted)
            before = mask
        particles = {
            axis.name: (quantity(truth, axis.name, size), self._targets(truth, size, ignore=axis.name))
            for axis in self._axes
        }
        self._maps.add(place, wanted, graphs, found, particles)

    def _begin(self, names: list[tuple[str, bool]], truth: EventTruth, pos: FloatArray) -> None:
        self._names = names
        self._counts = [{} for _ in names]
        self._scores = [EdgeScores() if scored else None for _, scored in names]
        self._axes = tuple(axis for axis in self._axes if has_axis(truth, axis))
        self._maps = EdgeMaps(stages=[name for name, _ in names], particle_axes=self._axes, hit_axes=place_axes(pos))

    def _targets(self, truth: EventTruth, size: IntArray, *, ignore: str = "") -> BoolArray:
        real = np.ones(truth.num_objects, dtype=np.bool_) if self.selection.particles_from == "hits" else size > 0
        return self.selection.target(truth, size, real, ignore=ignore)

    def result(self) -> dict[str, Any] | None:
        """Return the edges of every graph, ready for JSON; None where no event with truth edges came.

        ``stages``: for each graph the entries of :func:`~hitloom.metrics.edges.edge_quality`, ``stage_efficiency``,
        ``edges_per_event`` and ``scores`` (of :class:`~hitloom.metrics.edge_curves.EdgeScores`, None without scores);
        ``curves`` and ``maps`` as :class:`~hitloom.metrics.edge_maps.EdgeMaps` returns them.
        """
        if self._maps is None:
            return None
        stages, diagnostics = [], []
        for (name, _), counts, scores in zip(self._names, self._counts, self._scores, strict=True):
            kept, before = counts["num_before_kept"], counts["num_before"]
            stages.append(
                {
                    "name": name,
                    **edge_quality(counts),
                    "stage_efficiency": proportion_entry(kept, before, STAGE_DEFINITIONS["stage_efficiency"]),
                    "edges_per_event": {
                        "value": counts["num_edges"] / self.num_events,
                        "definition": STAGE_DEFINITIONS["edges_per_event"],
                    },
                    "scores": None if scores is None else scores.result(),
                }
            )
            # Random pairs are true as often as all pairs are: a graph of a learned space should be far purer.
            if counts["num_true"] * counts["num_pairs"] < 2 * counts["num_truth"] * counts["num_edges"]:
                diagnostics.append(
                    f"graph no better than random pairs: '{name}' holds {counts['num_edges']:,} edges and "
                    f"{counts['num_true']:,} of them are true; has the embedding collapsed?"
                )
        if self._num_without_truth:
            diagnostics.append(
                f"edges: {self._num_without_truth} events without truth edges are not in the edge metrics"
            )
        return {
            "definition_version": DEFINITION_VERSION,
            "num_events": self.num_events,
            "selection": self.selection.describe(),
            "stages": stages,
            "curves": self._maps.curves(),
            "maps": self._maps.maps(),
            "diagnostics": diagnostics,
        }
