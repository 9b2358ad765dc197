"""From results and events to numbers, tables, plots and one HTML page."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hitloom._version import __version__
from hitloom.data.transforms import is_truth_selected
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.metrics.compare import compare
from hitloom.metrics.scan import WorkingPoint
from hitloom.report.collect import HEADLINE, Source, collect
from hitloom.report.config import EvaluationConfig
from hitloom.report.edges import GraphsOf
from hitloom.report.headline import headline_of
from hitloom.report.sources import Opened, open_baseline, open_events, open_results
from hitloom.result import Result

Results = str | Path | Opened | Iterable[Result]


def evaluate_results(
    results: Results,
    *,
    events: str | Path | Iterable[Event] | None = None,
    split: str | None = None,
    config: EvaluationConfig | None = None,
    output: str | Path | None = None,
    baselines: Mapping[str, Results] | None = None,
    graphs: GraphsOf | None = None,
    name: str = "this result",
    on_event: Callable[[str, int], None] = lambda name, number: None,
) -> dict[str, Any]:
    """Evaluate results against the truth of their events; write numbers, plots and the report where asked.

    Parameters
    ----------
    results : path, Opened or iterable of Result
        A folder that ``hitloom infer`` wrote, results in memory, or those with a record of how they were made.
    events : path, iterable of Event or None
        The event store; None = the one that the results name.
    split : str or None
        Evaluate only this split.
    config : EvaluationConfig or None
        None = all defaults.
    output : path or None
        Folder for ``metrics.json``, three CSV files, ``plots/`` and ``report.html``; None = write nothing.
    baselines : mapping
        Name -> results folder or results of another method on the same events; its numbers stand beside the main ones.
    graphs : callable or None
        Returns the graphs that the network built on an event, for the loss budget.
    name : str
        What tables and legends call these results beside the baselines.
    on_event : callable
        Called with the name of the results and the number of events done.

    Returns
    -------
    dict
        What ``metrics.json`` holds; every rate with its counts, 0/0 as None, ids as text. The layout is in
        ``docs/evaluation.md``.

    Raises
    ------
    DataError
        When there are no results, an event is missing or has no truth, or the output cannot be written. Nothing is
        written then, and an earlier report stays.
    """
    opened = open_results(results, split=split)
    store = open_events(events if events is not None else opened.events, where=opened.name, split=split)
    config = _with_cut_events(config or EvaluationConfig(), store.items)
    settings = _with_record(config, opened)
    metrics, view = collect(
        _source(opened, settings),
        store.items,
        settings,
        graphs=graphs,
        scan=settings.scan and opened.has_embedding,
        display=settings.display,
        on_event=lambda number: on_event("results", number),
    )
    if baselines and name in baselines:
        raise ConfigError(f"baseline '{name}': the results themselves have this name; mend: another name")
    metrics["name"] = name
    metrics["headline"] = headline_of(metrics, preset=HEADLINE[0], target=HEADLINE[1])
    metrics["baselines"], metrics["comparisons"] = {}, {}
    evaluated = frozenset(int(event_id) for event_id in metrics["per_event"]["event_id"])
    for other_name, given in (baselines or {}).items():
        other = open_baseline(given, name=other_name, split=split, event_ids=evaluated)
        own, _ = collect(
            _source(other, _for_baseline(settings)),
            store.items,
            _with_record(_for_baseline(config), other),
            scan=False,
            on_event=lambda number, name=other_name: on_event(name, number),  # type: ignore[misc]
        )
        own["name"] = other_name
        own["headline"] = headline_of(own, preset=HEADLINE[0], target=HEADLINE[1])
        own["provenance"] = {"results": other.name, "meta": other.meta}
        metrics["baselines"][other_name] = own
        metrics["comparisons"][other_name] = compare(
            own, metrics, num_resamples=settings.num_resamples, seed=settings.seed
        )
    metrics["provenance"] = _provenance(opened, store.name, split, settings)
    ordered = _ordered(metrics)
    if output is not None:
        from hitloom.report.write import write_outputs

        write_outputs(ordered, view, Path(output), settings)
    return ordered


def _source(opened: Opened, config: EvaluationConfig) -> Source:
    stored = opened.working_point
    wanted = None
    if config.eps is not None or config.min_samples is not None:
        eps = config.eps if config.eps is not None else stored and stored.eps
        number = config.min_samples if config.min_samples is not None else stored and stored.min_samples
        if eps is None or number is None:
            raise ConfigError(
                f"{opened.name}: the results do not record how they were grouped; mend: give both eps and min_samples"
            )
        wanted = WorkingPoint(eps, number)
    return Source(
        name=opened.name,
        results=opened.items,
        working_point=wanted or stored,
        regroup=None if wanted == stored else wanted,
        hardware=opened.hardware,
    )


def _with_record(config: EvaluationConfig, opened: Opened) -> EvaluationConfig:
    """Return the configuration with what the results say of the network's input."""
    update: dict[str, Any] = {}
    if opened.input_cuts:
        update["hit_selection"] = f"{config.hit_selection}; the network saw those with {opened.input_cuts}"
    if opened.truth_selected_input:
        update["truth_selected_input"] = True
    return config.model_copy(update=update)


def _with_cut_events(config: EvaluationConfig, events: Iterable[Event]) -> EvaluationConfig:
    """Return the configuration with what the events say of cuts by truth that were made before they were stored."""
    first = next(iter(events), None)
    if first is None or not is_truth_selected(first):
        return config
    cuts = ", ".join(str(text) for text in first.provenance_dict().get("hard_cuts", []))
    text = f"{config.hit_selection}; the stored events hold those with {cuts}" if cuts else config.hit_selection
    return config.model_copy(update={"truth_selected_input": True, "hit_selection": text})


def _for_baseline(config: EvaluationConfig) -> EvaluationConfig:
    """A baseline keeps its own labels: no other working point, no graph of an embedding that it may not have."""
    return config.model_copy(update={"eps": None, "min_samples": None, "display": False, "radius_neighbours": ()})


def _provenance(opened: Opened, events: str, split: str | None, config: EvaluationConfig) -> dict[str, Any]:
    import numpy
    import scipy
    import torch

    return {
        "results": opened.name,
        "events": events,
        "split": split,
        "config": config.model_dump(mode="json"),
        "seed": config.seed,
        "results_meta": opened.meta,
        "evaluated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "hitloom": __version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "scipy": scipy.__version__,
            "torch": str(torch.__version__),
        },
        "platform": f"{platform.system()} {platform.machine()}, {sys.implementation.name}",
    }


_ORDER = ("name", "headline", "num_events", "choices", "diagnostics", "presets", "trackml_score", "scan", "curves")


def _ordered(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Put what is read first at the top of the file and the long lists at the end."""
    versions = ("definition_version", "hitloom_version", "data_fingerprint")
    last = ("baselines", "comparisons", "provenance", "per_event")
    first = [name for name in (*versions, *_ORDER) if name in metrics]
    middle = [name for name in metrics if name not in (*first, *last)]
    return {name: metrics[name] for name in (*first, *middle, *(name for name in last if name in metrics))}
