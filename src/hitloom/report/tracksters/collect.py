"""One pass over events and results of a linking: everything that is counted, gathered into one mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from hitloom._version import __version__
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.metrics.edge_energy import EDGE_ENERGY_DEFINITIONS
from hitloom.metrics.energy_overlap import OVERLAP_DEFINITIONS
from hitloom.metrics.trackster_counts import RATE_DEFINITIONS, ObjectSelection
from hitloom.report.family import Inside
from hitloom.report.join import join
from hitloom.report.pairs import pairs_of
from hitloom.report.sources import Opened
from hitloom.report.timing import timing_of
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.report.tracksters.counts import GROUPS, Labels, LinkingCounts
from hitloom.report.tracksters.dumps import TracksterTables
from hitloom.report.tracksters.edges import ScoredEdges
from hitloom.report.tracksters.maps import OverlapMaps
from hitloom.report.tracksters.sample import Sample
from hitloom.report.tracksters.truths import TRUTHS, Fingerprint, every_label, truths_of
from hitloom.report.tracksters.view import TracksterView, trackster_view
from hitloom.report.tracksters.working_point import working_point_of

DEFINITION_VERSION = "tracksters-1"


@dataclass(kw_only=True)
class Shown:
    """What goes into files other than the metrics: one event for the display, tables of rows."""

    view: TracksterView | None = None
    tables: TracksterTables | None = None


@dataclass(kw_only=True)
class _Main:
    """What only the main method is asked for."""

    before: LinkingCounts
    maps: OverlapMaps
    maps_before: OverlapMaps
    sample: Sample
    fingerprint: Fingerprint = field(default_factory=Fingerprint)


def collect(
    opened: Opened,
    events: Iterable[Event],
    config: TracksterEvaluationConfig,
    *,
    main: bool = True,
    inside: Inside | None = None,
    on_event: Callable[[int], None] = lambda number: None,
) -> tuple[dict[str, Any], Shown]:
    """Count all events of one linking; return the metrics, ready for JSON, and what is shown beside them.

    Parameters
    ----------
    main : bool
        Whether to count also what stands in the report once: the state before linking, scored edges, maps, the sample.

    Raises
    ------
    DataError
        When there is no result, an event is missing or has no truth, or does not belong to its result.
    ConfigError
        When the event to display is not among the results.
    """
    point = working_point_of(opened.meta, config.thresholds)
    after, edges = LinkingCounts(config), ScoredEdges(point, config)
    extra = _Main(
        before=LinkingCounts(config),
        maps=OverlapMaps(config.map_size),
        maps_before=OverlapMaps(config.map_size),
        sample=Sample(config),
    )
    shown = Shown(tables=TracksterTables() if main and config.tables else None)
    rows: dict[str, list[Any]] = {name: [] for name in ("event_id", "num_points", "num_candidates", "timing")}
    truths: list[str] = []
    for event, result in pairs_of(events, opened.items):
        joined = join(event, result)
        seen, labels = truths_of(event, config.truths), every_label(joined.labels)
        truths = truths or list(seen)
        if list(seen) != truths:
            raise DataError(
                f"{event.describe()}: its truths are {', '.join(seen)}, those of others {', '.join(truths)}; "
                "mend: evaluate events of one kind"
            )
        after.add(seen, labels)
        edges.add(event, result, joined)
        for name, value in (
            ("event_id", str(result.event_id)),
            ("num_points", event.num_points),
            ("num_candidates", int(labels.max(initial=-1)) + 1),
            ("timing", dict(result.timing)),
        ):
            rows[name].append(value)
        if main:
            _add_main(extra, seen, labels, result.event_id)
            if config.display and shown.view is None and config.display_event in (None, result.event_id):
                shown.view = trackster_view(event, result)
            if shown.tables is not None:
                shown.tables.add(result.event_id, event, labels)
        on_event(len(rows["event_id"]))
    if not rows["event_id"]:
        raise DataError(f"{opened.name}: no result to evaluate; mend: run the inference on this split first")
    if main and config.display and shown.view is None:
        raise ConfigError(f"{opened.name}: display_event {config.display_event} is not among the results")
    metrics: dict[str, Any] = {
        "definition_version": DEFINITION_VERSION,
        "hitloom_version": __version__,
        "num_events": len(rows["event_id"]),
        "truth": truths[0],
        "choices": _choices(config, truths),
        "diagnostics": [],
        **after.result(),
        "decided_edges": edges.decisions(),
    }
    metrics["per_event"] = rows | after.per_event() | {"decisions": edges.per_event()}
    metrics["timing"] = timing_of(metrics, opened.hardware)
    if main:
        metrics |= {"edges": edges.result(), **_main_result(extra, config, events, inside or Inside())}
    metrics["diagnostics"] = _diagnostics(metrics, main)
    return metrics, shown


def _add_main(extra: _Main, seen: Mapping[str, Event], labels: Labels, event_id: int) -> None:
    event = next(iter(seen.values()))
    alone = np.arange(event.num_points)
    extra.before.add(seen, alone)
    extra.maps.add(event, labels)
    extra.maps_before.add(event, alone)
    extra.sample.add(seen)
    extra.fingerprint.add(event_id, event)


def _main_result(
    extra: _Main, config: TracksterEvaluationConfig, events: Iterable[Event], inside: Inside
) -> dict[str, Any]:
    attributions = None
    if inside.attributions is not None:
        chosen = list(islice(iter(events), config.num_attribution_events))
        values = inside.attributions(chosen)
        attributions = {
            "num_events": len(chosen),
            "values": {target: dict(features) for target, features in values.items()},
            "definition": "integrated gradients, mean of |attribution| over the tracksters of the events",
        }
    return {
        "data_fingerprint": extra.fingerprint.result(),
        "before": extra.before.result(),
        "maps": {"after": extra.maps.result(), "before": extra.maps_before.result()},
        **extra.sample.result(),
        "attributions": attributions,
        "history": [dict(row) for row in inside.history],
    }


def _choices(config: TracksterEvaluationConfig, truths: list[str]) -> dict[str, Any]:
    cuts = ObjectSelection(min_pt=config.min_pt, max_pt=config.max_pt, max_abs_eta=config.max_abs_eta)
    return {
        "truths": {name: TRUTHS[name] for name in truths},
        "objects": cuts.describe() + ", energy in layer clusters",
        "score_variant": config.score_variant,
        "rates": RATE_DEFINITIONS,
        "overlap": OVERLAP_DEFINITIONS,
        "groups": GROUPS,
        "edges": {
            "rates": EDGE_ENERGY_DEFINITIONS,
            "weight": "larger raw energy of the two ends of an edge, GeV, as it is",
            "true": "target above 0: both ends have one match",
            "joined": "both ends of the edge have one label",
        },
    }


def _diagnostics(metrics: Mapping[str, Any], main: bool) -> list[str]:
    """Return what a reader must know before the numbers."""
    texts = []
    edges = metrics["joined_edges"]["classes"]["all"]["plain"]
    if not metrics["rates"]:
        texts.append("official rates need layer clusters, which these events do not hold: only energies and edges")
    if sum(metrics["per_event"]["num_points"]) == 0:
        texts.append("no event holds a trackster")
    elif not edges["true_positive"] + edges["false_positive"] and main:
        texts.append("no edge is joined: the linking left every trackster alone")
    elif not edges["false_negative"] + edges["true_negative"] and main:
        texts.append("every candidate edge is joined: this is the same as merge_all")
    if not edges["true_positive"] + edges["false_negative"]:
        texts.append("no candidate edge is true: precision and recall mean nothing")
    if main and metrics["edges"] is None:
        texts.append("the results hold no scores of edges: no threshold curves, no ROC; mend: infer with --save-edges")
    elif main and metrics["edges"]["num_events_without_scores"]:
        texts.append(f"{metrics['edges']['num_events_without_scores']} events have no scores of edges")
    return texts
