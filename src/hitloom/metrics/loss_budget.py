"""Where are the target particles lost: can each still be found after every stage of a reconstruction?

A stage is a set of hits that are left, a graph, or a grouping. Of a graph the budget asks an oracle that keeps exactly
the edges between hits of one particle and groups by what is still connected: the best pure answer along that graph.
A later stage can beat it only through hits of others (a short track padded with a foreign hit, two parts joined across
one); such particles are counted as ``recovered_here``.

Shape letters: N hits, E edges, T truth edges, K particles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.curves import DEFAULT_AXES, Axis, has_axis, num_entries, plain
from hitloom.metrics.definitions import DEFINITION_VERSION, DEFINITIONS
from hitloom.metrics.graph_quality import check_edges, graph_counts, graph_quality, truth_edges_kept
from hitloom.metrics.intervals import clopper_pearson
from hitloom.metrics.matching import check_labels, check_mask, contingency, match_tracks, owners
from hitloom.metrics.selection import Selection, quantity
from hitloom.metrics.summary import proportion_entry
from hitloom.metrics.truth import BoolArray, EventTruth, IntArray

BUDGET_DEFINITIONS: dict[str, str] = {
    "hits_present": "hits of target particles left / n_p summed over target particles",
    "truth_edges_present": "truth edges of targets left (graph: in it; hits: both ends left; grouping: both ends in a "
    "track) / truth edges of target particles",
    "clusterable": DEFINITIONS["clusterable"],
    "connected_majority": "target particles whose largest connected part has 2 n > n_p / target particles",
    "findable": "target particles that an oracle grouping finds here by double majority with >= min_track_hits hits "
    "(grouping: that are found) / target particles",
    "cumulative": "target particles findable at this and every earlier bounding stage / target particles",
    "largest_part": "mean over target particles of the hits in the largest connected part / n_p",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One stage of a reconstruction.

    Attributes
    ----------
    name : str
    present : (N,) bool or None
        Hits left; None = all (grouping: the labelled ones).
    edge_index : (2, E) int or None
        A graph on rows of hits.
    labels : (N,) int or None
        A grouping.
    num_neighbours : int or None
        k of a kNN graph.
    bounding : bool
        Whether later stages cannot recover what is lost here. The evolving graphs of EggNet do not bound its grouping.
    """

    name: str
    present: ArrayLike | None = None
    edge_index: ArrayLike | None = None
    labels: ArrayLike | None = None
    num_neighbours: int | None = None
    bounding: bool = True

    @property
    def kind(self) -> str:
        """Return ``hits``, ``graph`` or ``grouping``."""
        if self.edge_index is not None:
            return "graph"
        return "grouping" if self.labels is not None else "hits"


@dataclass(frozen=True, kw_only=True, eq=False)
class StageOutcome:
    """What is left of every particle after a stage; arrays (K,)."""

    num_present: IntArray
    num_truth_edges: IntArray
    num_truth_edges_present: IntArray
    largest_part: IntArray
    findable: BoolArray


def stage_outcome(
    stage: Stage, truth: EventTruth, selection: Selection, *, in_input: ArrayLike | None = None
) -> StageOutcome:
    """Examine one stage of one event, for every particle.

    Raises
    ------
    DataError
        When an array of the stage does not fit the event.
    ConfigError
        When the stage has both a graph and labels.
    """
    if stage.edge_index is not None and stage.labels is not None:
        raise ConfigError(f"stage '{stage.name}': a graph or labels were wanted, not both")
    seen = check_mask(in_input, truth.num_hits)
    owner, size = owners(truth, selection.universe, selection.particles_from, seen)
    labels = None if stage.labels is None else check_labels(stage.labels, truth.num_hits)
    present = check_mask(stage.present, truth.num_hits, f"stage '{stage.name}' present")
    if present is None:
        present = np.ones(truth.num_hits, dtype=np.bool_) if labels is None else labels >= 0
    if seen is not None:
        present = present & seen
    num_objects = truth.num_objects
    num_present = np.bincount(owner[present & (owner >= 0)], minlength=num_objects).astype(np.int64)
    truth_edges = np.zeros((2, 0), dtype=np.int64) if truth.truth_edge_index is None else truth.truth_edge_index
    both = present[truth_edges].all(axis=0)
    enough = selection.min_track_hits
    if labels is not None:
        table = contingency(
            labels,
            truth,
            universe=selection.universe,
            particles_from=selection.particles_from,
            in_input=in_input,
        )
        largest = np.zeros(num_objects, dtype=np.int64)
        np.maximum.at(largest, table.pair_particle, table.pair_shared)
        kept = both & (labels[truth_edges[0]] == labels[truth_edges[1]])
        findable = match_tracks(table, "double_majority", min_track_hits=enough).found
    elif stage.edge_index is not None:
        edges = check_edges(stage.edge_index, truth.num_hits)
        edges = edges[:, present[edges].all(axis=0)]
        largest = _largest_parts(edges, owner, present, num_objects)
        kept = truth_edges_kept(edges, truth)
        findable = (2 * largest > size) & (largest >= enough)
    else:
        largest, kept = num_present, both
        findable = (2 * largest > size) & (largest >= enough)
    edge_owner = owner[truth_edges[0]]
    real = edge_owner >= 0
    return StageOutcome(
        num_present=num_present,
        num_truth_edges=np.bincount(edge_owner[real], minlength=num_objects).astype(np.int64),
        num_truth_edges_present=np.bincount(edge_owner[real & kept], minlength=num_objects).astype(np.int64),
        largest_part=largest,
        findable=findable,
    )


def _largest_parts(edges: IntArray, owner: IntArray, present: BoolArray, num_objects: int) -> IntArray:
    """Return (K,): hits in the largest part of each particle that edges between its own hits connect."""
    from scipy.sparse import coo_matrix  # loaded on demand
    from scipy.sparse.csgraph import connected_components

    same = (owner[edges[0]] == owner[edges[1]]) & (owner[edges[0]] >= 0)
    edges = edges[:, same]
    graph = coo_matrix((np.ones(edges.shape[1], dtype=np.int8), (edges[0], edges[1])), shape=(owner.size, owner.size))
    num_parts, part = connected_components(graph, directed=False) if owner.size else (0, np.zeros(0, dtype=np.int32))
    counted = present & (owner >= 0)
    part_size = np.bincount(part[counted], minlength=num_parts)
    part_owner = np.full(num_parts, -1, dtype=np.int64)
    part_owner[part[counted]] = owner[counted]
    largest = np.zeros(num_objects, dtype=np.int64)
    np.maximum.at(largest, part_owner[part_owner >= 0], part_size[part_owner >= 0])
    return largest


class LossBudget:
    """Accumulates the loss budget over events.

    Parameters
    ----------
    selection : Selection
        Target particles, n_p universe and minimum track length.
    axes : sequence of Axis
        Axes of the curves of ``findable``; default pt and eta. The axis's own quantity is not cut.

    Examples
    --------
    >>> budget = LossBudget(selection=Selection())
    >>> truth = EventTruth.from_particle_ids([3, 3, 3, 3])
    >>> budget.add(1, truth, [Stage(name="input"), Stage(name="graph", edge_index=[[0, 2], [1, 3]])])
    >>> [stage["findable"]["value"] for stage in budget.result()["stages"]]
    [1.0, 0.0]
    """

    def __init__(self, *, selection: Selection, axes: Sequence[Axis] = DEFAULT_AXES[:2]) -> None:
        self.selection = selection
        self._axes = tuple(axes)
        self._stages: list[tuple[str, str, bool]] = []
        self._sums: list[dict[str, int]] = []
        self._graphs: list[dict[str, int]] = []
        self._parts: list[float] = []
        self._histograms: dict[str, IntArray] = {}
        self._events: set[str] = set()
        self._edges_known = True

    def add(
        self,
        event_id: int | str,
        truth: EventTruth,
        stages: Sequence[Stage],
        *,
        in_input: ArrayLike | None = None,
    ) -> None:
        """Examine one event; stages in order, the same in every event.

        Raises
        ------
        DataError
            For a repeated event, other stages than before, or arrays that do not fit.
        """
        name = str(event_id)
        described = [(stage.name, stage.kind, stage.bounding) for stage in stages]
        if name in self._events:
            raise DataError(f"loss budget: event {name} came twice")
        if not stages or len({item[0] for item in described}) != len(described):
            raise DataError(f"loss budget: event {name}: at least one stage and different names were wanted")
        if self._events and described != self._stages:
            raise DataError(f"loss budget: event {name} has other stages than the events before")
        outcomes = [stage_outcome(stage, truth, self.selection, in_input=in_input) for stage in stages]
        seen = check_mask(in_input, truth.num_hits)
        _, size = owners(truth, self.selection.universe, self.selection.particles_from, seen)
        real = np.ones(truth.num_objects, dtype=np.bool_) if self.selection.particles_from == "hits" else size > 0
        target = self.selection.target(truth, size, real)
        graphs = [
            graph_counts(
                stage.edge_index,
                truth,
                target=target,
                present=stage.present,
                num_neighbours=stage.num_neighbours,
            )
            if stage.edge_index is not None
            else {}
            for stage in stages
        ]
        if not self._events:
            self._axes = tuple(axis for axis in self._axes if has_axis(truth, axis))
            self._stages = described
            self._sums, self._graphs = [{} for _ in stages], [{} for _ in stages]
            self._parts = [0.0 for _ in stages]
            for axis in self._axes:
                self._histograms[axis.name] = np.zeros((len(stages) + 1, num_entries(axis)), dtype=np.int64)
        for axis in self._axes:
            relaxed = self.selection.target(truth, size, real, ignore=axis.name)
            where = axis.bin_of(quantity(truth, axis.name, size))
            rows = [relaxed, *(relaxed & outcome.findable for outcome in outcomes)]
            for row, mask in enumerate(rows):
                self._histograms[axis.name][row] += np.bincount(where[mask], minlength=num_entries(axis))
        self._accumulate(outcomes, graphs, target, size)
        self._edges_known &= truth.truth_edge_index is not None
        self._events.add(name)

    def _accumulate(
        self,
        outcomes: Sequence[StageOutcome],
        graphs: Sequence[Mapping[str, int]],
        target: BoolArray,
        size: IntArray,
    ) -> None:
        alive = target.copy()
        for number, (outcome, graph) in enumerate(zip(outcomes, graphs, strict=True)):
            after = alive & outcome.findable
            item = {
                "num_target": int(target.sum()),
                "num_points": int(size[target].sum()),
                "num_present": int(outcome.num_present[target].sum()),
                "num_truth_edges": int(outcome.num_truth_edges[target].sum()),
                "num_truth_edges_present": int(outcome.num_truth_edges_present[target].sum()),
                "num_clusterable": int((target & (outcome.num_present >= self.selection.min_track_hits)).sum()),
                "num_connected": int((target & (2 * outcome.largest_part > size)).sum()),
                "num_findable": int((target & outcome.findable).sum()),
                "num_cumulative": int(after.sum()),
                "num_lost_here": int(alive.sum() - after.sum()),
                "num_recovered_here": int((target & outcome.findable & ~alive).sum()),
            }
            for sums, new in ((self._sums[number], item), (self._graphs[number], graph)):
                for name, value in new.items():
                    sums[name] = sums.get(name, 0) + value
            self._parts[number] += float((outcome.largest_part[target] / np.maximum(size[target], 1)).sum())
            if self._stages[number][2]:
                alive = after

    def result(self) -> dict[str, Any]:
        """Return the budget, ready for JSON: ``stages`` (the waterfall, in order), ``curves``, ``diagnostics``.

        Raises
        ------
        DataError
            When no event was added.
        """
        if not self._events:
            raise DataError("loss budget: no event was added")
        stages: list[dict[str, Any]] = []
        diagnostics: list[str] = []
        if self._sums[0]["num_target"] == 0:
            diagnostics.append("no target particles: the loss budget has nothing to follow; check the selection")
        for (name, kind, bounding), sums, graph, part in zip(
            self._stages, self._sums, self._graphs, self._parts, strict=True
        ):
            entries = {
                key: proportion_entry(sums[top], sums[bottom], BUDGET_DEFINITIONS[key])
                for key, top, bottom in (
                    ("hits_present", "num_present", "num_points"),
                    ("truth_edges_present", "num_truth_edges_present", "num_truth_edges"),
                    ("clusterable", "num_clusterable", "num_target"),
                    ("connected_majority", "num_connected", "num_target"),
                    ("findable", "num_findable", "num_target"),
                    ("cumulative", "num_cumulative", "num_target"),
                )
            }
            entries["largest_part"] = {
                "value": part / sums["num_target"] if sums["num_target"] else None,
                "definition": BUDGET_DEFINITIONS["largest_part"],
            }
            stages.append(
                {
                    "name": name,
                    "kind": kind,
                    "bounding": bounding,
                    **entries,
                    "lost_here": sums["num_lost_here"],
                    "recovered_here": sums["num_recovered_here"],
                    "graph": graph_quality(graph) if graph else None,
                }
            )
            if graph and graph["num_edges"] == 0:
                diagnostics.append(f"no edges: the graph of stage '{name}' is empty in every event")
            if sums["num_target"] and sums["num_findable"] == 0:
                diagnostics.append(f"nothing findable: stage '{name}' leaves no target particle that could be found")
        if not self._edges_known:
            diagnostics.append("no truth edges: some events have none, so truth_edges_present counts the others only")
        return {
            "definition_version": DEFINITION_VERSION,
            "num_events": len(self._events),
            "selection": self.selection.describe(),
            "num_target": self._sums[0]["num_target"],
            "stages": stages,
            "curves": {axis.name: self._curve(axis) for axis in self._axes},
            "diagnostics": diagnostics,
        }

    def _curve(self, axis: Axis) -> dict[str, Any]:
        total, *found = self._histograms[axis.name]
        inner = slice(1, axis.num_bins + 1)
        outside = {"underflow": 0, "overflow": axis.num_bins + 1, "undefined": axis.num_bins + 2}
        curves = {}
        for (name, _, _), numerator in zip(self._stages, found, strict=True):
            low, high = clopper_pearson(numerator, total)
            with np.errstate(invalid="ignore"):
                value = numerator / np.where(total > 0, total, np.nan)
            curves[name] = {
                "numerator": plain(numerator[inner]),
                "denominator": plain(total[inner]),
                "value": plain(value[inner]),
                "low": plain(low[inner]),
                "high": plain(high[inner]),
                "outside": {
                    key: {"numerator": int(numerator[entry]), "denominator": int(total[entry])}
                    for key, entry in outside.items()
                },
            }
        return {
            "edges": list(axis.edges),
            "unit": axis.unit,
            "log": axis.log,
            "definition": BUDGET_DEFINITIONS["findable"],
            "interval_kind": "clopper-pearson 68 %",
            "stages": curves,
        }
