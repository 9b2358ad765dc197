"""One pass over events and results: everything that the metrics package counts, gathered into one mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.metrics.curves import DEFAULT_AXES, Axis
from hitloom.metrics.evaluator import Evaluator
from hitloom.metrics.loss_budget import LossBudget, Stage
from hitloom.metrics.matching import contingency
from hitloom.metrics.presets import PRESETS, Preset
from hitloom.metrics.scan import WorkingPoint, working_point_scan
from hitloom.metrics.selection import Condition, Selection
from hitloom.metrics.track_kinematics import track_kinematics
from hitloom.metrics.truth import EventTruth, truth_from_event
from hitloom.report.classify import view_of
from hitloom.report.config import EvaluationConfig
from hitloom.report.distributions import Distributions
from hitloom.report.edges import EdgeParts, GraphsOf, graphs_of
from hitloom.report.join import Joined, join
from hitloom.report.pairs import pairs_of
from hitloom.report.scan_labels import Grid, labels_on_grid, same_partition
from hitloom.report.timing import timing_of
from hitloom.report.view import EventView
from hitloom.result import Graph, Result

DOUBLE_FIRST = ("double_majority", "purity50", "lhc75", "perfect")
HEADLINE = ("headline", "pt>1.0")
"""Preset and target of the numbers on top: pt > 1 GeV, |eta| < 2.5, at least 3 hits, double majority."""

_SCAN = Preset(
    name="scan",
    selections={HEADLINE[1]: PRESETS[HEADLINE[0]].selections[HEADLINE[1]]},
    matches=DOUBLE_FIRST[:2],
    rates=("efficiency", "fake_per_track", "duplicate_per_particle", "assigned_fraction"),
    source="the headline's particles, also matched by purity",
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Results to evaluate.

    Attributes
    ----------
    name : str
    results : re-iterable of Result
    working_point : WorkingPoint or None
        Of the labels to evaluate, when they are known to come from DBSCAN.
    regroup : WorkingPoint or None
        Group the embedding again at this point instead of taking the stored labels.
    hardware : str or None
        Where the inference ran.
    """

    name: str
    results: Iterable[Result]
    working_point: WorkingPoint | None = None
    regroup: WorkingPoint | None = None
    hardware: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Parts:
    evaluator: Evaluator
    spread: Distributions
    budget: LossBudget
    edges: EdgeParts


def collect(
    source: Source,
    events: Iterable[Event],
    config: EvaluationConfig,
    *,
    graphs: GraphsOf | None = None,
    scan: bool = True,
    display: bool = False,
    on_event: Callable[[int], None] = lambda number: None,
) -> tuple[dict[str, Any], EventView | None]:
    """Count all events of ``source``; return the metrics, ready for JSON, and the view of one event.

    Raises
    ------
    DataError
        When there is no result, an event is missing, has no truth, or does not belong to its result.
    """
    grid = Grid.build(config.eps_grid, config.min_samples_grid, source.working_point) if scan else None
    selection = PRESETS[HEADLINE[0]].selections[HEADLINE[1]]
    parts = _Parts(
        evaluator=_evaluator(config),
        spread=Distributions(selection),
        budget=LossBudget(selection=selection, axes=_budget_axes(config)),
        edges=EdgeParts(selection, _budget_axes(config), config),
    )
    views: list[EventView] = []
    broken: list[int] = []
    reproduced: list[bool] = []

    def counted() -> Iterator[tuple[int, dict[WorkingPoint, Any], EventTruth]]:
        number = 0
        for event, result in pairs_of(events, source.results):
            joined, result = _labels(event, result, source.regroup)
            truth = truth_from_event(event)
            _count(parts, event, result, joined, truth, config, graphs)
            if display and not views and config.display_event in (None, result.event_id):
                views.append(view_of(event, result))
            number += 1
            on_event(number)
            if grid is None or number > (config.max_scan_events or number):
                continue
            labels = labels_on_grid(result, joined, grid)
            if grid.stored is not None:
                reproduced.append(same_partition(labels[grid.stored], joined.labels))
                broken.extend([] if reproduced[-1] else [result.event_id])
            yield result.event_id, labels, truth

    scan_result = None
    if grid is None:
        for _ in counted():
            pass
    else:
        scan_result = _scan(counted(), grid, config, broken)
    if not parts.evaluator.num_events:
        raise DataError(f"{source.name}: no result to evaluate; mend: run the inference on this split first")
    if display and not views:
        raise ConfigError(f"{source.name}: display_event {config.display_event} is not among the results")
    metrics = parts.evaluator.result()
    metrics["scan"] = scan_result
    metrics["loss_budget"] = parts.budget.result()
    metrics |= parts.edges.result()
    metrics["distributions"] = parts.spread.result()
    metrics["timing"] = timing_of(metrics, source.hardware)
    if scan_result is not None:
        metrics["diagnostics"] = [*metrics["diagnostics"], *scan_result["diagnostics"]]
    found = [text for text in metrics["loss_budget"]["diagnostics"] if not text.startswith("no target")]
    found += metrics["edges"]["diagnostics"] if metrics["edges"] is not None else []
    metrics["diagnostics"] = [*metrics["diagnostics"], *found]
    return metrics, views[0] if views else None


def _count(
    parts: _Parts,
    event: Event,
    result: Result,
    joined: Joined,
    truth: EventTruth,
    config: EvaluationConfig,
    graphs: GraphsOf | None,
) -> None:
    seen = None if joined.in_input.all() else joined.in_input
    field = field_of(event, config)
    kinematics = track_kinematics(event.pos, joined.labels, field_tesla=field) if field is not None else None
    parts.evaluator.add(
        result.event_id, joined.labels, truth, in_input=seen, kinematics=kinematics, timing=result.timing
    )
    parts.spread.add(contingency(joined.labels, truth, in_input=seen), truth)
    built = graphs_of(event, result, joined, graphs)
    parts.budget.add(result.event_id, truth, _stages(result, joined, config, built), in_input=seen)
    parts.edges.add(event, result, joined, truth, built)


def _stages(result: Result, joined: Joined, config: EvaluationConfig, graphs: Sequence[Graph]) -> list[Stage]:
    """Return the stages in order; the graph of the embedding before graphs that were built on it."""
    begin, end = Stage(name="network input", present=joined.in_input), Stage(name="grouping", labels=joined.labels)
    built = [
        Stage(name=graph.name, edge_index=graph.edge_index.cpu().numpy(), bounding=graph.bounding) for graph in graphs
    ]
    embedded = _embedding_stage(result, joined, config)
    on_embedding = any(graph.bounding for graph in graphs)
    return [begin, *embedded, *built, end] if on_embedding else [begin, *built, *embedded, end]


def _embedding_stage(result: Result, joined: Joined, config: EvaluationConfig) -> list[Stage]:
    if result.embedding is None or config.knn_k is None:
        return []
    from hitloom.ops.neighbours import knn

    inside = torch.as_tensor(joined.in_input[joined.rows]) & result.embedding.isfinite().all(dim=1)
    edges = knn(result.embedding[inside].float(), config.knn_k).edge_index().numpy()
    return [
        Stage(
            name=f"embedding kNN, k = {config.knn_k}",
            edge_index=joined.rows[inside.numpy()][edges],
            num_neighbours=config.knn_k,
            bounding=False,
        )
    ]


def _labels(event: Event, result: Result, point: WorkingPoint | None) -> tuple[Joined, Result]:
    """Return the joined labels: the stored ones, or those of another working point."""
    joined = join(event, result)
    if point is None:
        return joined, result
    grid = Grid(eps=(point.eps,), min_samples=(point.min_samples,), stored=point)
    labels = labels_on_grid(result, joined, grid)[point]
    regrouped = Result(
        event_id=result.event_id,
        point_id=result.point_id,
        labels=torch.as_tensor(labels[joined.rows]),
        embedding=result.embedding,
        point_score=result.point_score,
        in_input=result.in_input,
        timing=result.timing,
    )
    return Joined(point_id=joined.point_id, labels=labels, in_input=joined.in_input, rows=joined.rows), regrouped


def _scan(counted: Iterator[Any], grid: Grid, config: EvaluationConfig, broken: list[int]) -> dict[str, Any]:
    scan = working_point_scan(counted, preset=own_preset(config) or _SCAN)
    scan["working_point"] = grid.stored._asdict() if grid.stored else None
    if broken:
        scan["diagnostics"].append(
            f"the scan does not reproduce the stored labels in {len(broken)} events (first: {broken[0]}): a filter of "
            "the network dropped points, or the labels were made at another working point"
        )
    return scan


def field_of(event: Event, config: EvaluationConfig) -> float | None:
    """Return the magnetic field in T: as configured, else as the event's provenance records it, else None."""
    if config.field_tesla is not None:
        return config.field_tesla
    settings = event.provenance_dict().get("config")
    value = settings.get("field_tesla") if isinstance(settings, dict) else None
    return float(value) if value else None


def axes_of(config: EvaluationConfig) -> tuple[Axis, ...]:
    """Return the axes of the curves, with the bins of the configuration."""
    edges = {"pt": config.pt_edges, "eta": config.eta_edges}
    axes = []
    for axis in DEFAULT_AXES:
        own = edges.get(axis.name)
        if axis.name in config.axes:
            axes.append(Axis(name=axis.name, edges=own, unit=axis.unit, log=axis.log) if own else axis)
    return tuple(axes)


def _budget_axes(config: EvaluationConfig) -> list[Axis]:
    """Return pt and eta; eta in wider bins than a single curve has, because every stage is drawn in each."""
    wide = Axis(name="eta", edges=tuple(-4 + 0.5 * step for step in range(17)))
    axes = [axis for axis in axes_of(config) if axis.name in ("pt", "eta")]
    return [wide if axis.name == "eta" and config.eta_edges is None else axis for axis in axes]


def own_preset(config: EvaluationConfig) -> Preset | None:
    """Return the convention of ``targets`` in the configuration, None where there is none."""
    if not config.targets:
        return None
    conditions = [
        Condition(quantity=name, low=low, high=high)
        for name, (low, high) in config.targets.items()
        if name != "num_points"
    ]
    min_hits = int(config.targets.get("num_points", (3, 0))[0])
    return Preset(
        name="own",
        selections={"targets": Selection(min_particle_hits=min_hits, conditions=tuple(conditions))},
        matches=DOUBLE_FIRST,
        rates=PRESETS["hitloom"].rates,
        source="targets of the configuration",
    )


def _evaluator(config: EvaluationConfig) -> Evaluator:
    names = [*config.presets, *([] if "headline" in config.presets else ["headline"])]
    own = own_preset(config)
    return Evaluator(
        presets=[*names, *([own] if own else [])],
        curves=("headline", "hitloom", "own"),
        axes=axes_of(config),
        num_resamples=config.num_resamples,
        seed=config.seed,
        hit_selection=config.hit_selection,
        truth_selected_input=config.truth_selected_input,
    )
