"""From results and events to numbers, tables, plots and one HTML page."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hitloom._version import __version__
from hitloom.config import Config
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.report.edges import GraphsOf
from hitloom.report.family import Inside, family_of
from hitloom.report.sources import Opened, open_baseline, open_events, open_results
from hitloom.result import Result

Results = str | Path | Opened | Iterable[Result]


def evaluate_results(
    results: Results,
    *,
    events: str | Path | Iterable[Event] | None = None,
    split: str | None = None,
    config: Config | None = None,
    output: str | Path | None = None,
    baselines: Mapping[str, Results] | None = None,
    graphs: GraphsOf | None = None,
    inside: Inside | None = None,
    family: str | None = None,
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
    config : Config or None
        Settings of the family: ``EvaluationConfig`` or ``TracksterEvaluationConfig``. None = all defaults.
    output : path or None
        Folder for ``metrics.json``, three CSV files, ``plots/`` and ``report.html``; None = write nothing.
    baselines : mapping
        Name -> results folder or results of another method on the same events; its numbers stand beside the main ones.
    graphs : callable or None
        Returns the graphs that the network built on an event, for the loss budget; short for ``inside``.
    inside : Inside or None
        What is known of the network beside its results.
    family : str or None
        Family of evaluation; None = that of the first event.
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
    kind = family_of(store.items, family)
    given = _checked(config, kind.config_class)
    settings = kind.settings(given, opened, store.items)
    inside = inside or Inside(graphs=graphs)
    metrics, view = kind.collect(
        opened, store.items, settings, main=True, inside=inside, on_event=lambda number: on_event("results", number)
    )
    if baselines and name in baselines:
        raise ConfigError(f"baseline '{name}': the results themselves have this name; mend: another name")
    metrics["name"], metrics["family"] = name, kind.name
    metrics["headline"] = kind.headline(metrics)
    metrics["baselines"], metrics["comparisons"] = {}, {}
    evaluated = frozenset(int(event_id) for event_id in metrics["per_event"]["event_id"])
    added, notes = kind.added(settings, store.items, (name, *(baselines or {})), evaluated)
    metrics["diagnostics"] = [*metrics["diagnostics"], *notes]
    for other_name, source in {**(baselines or {}), **added}.items():
        found = kind.open_other(source, other_name) or source
        other = open_baseline(found, name=other_name, split=split, event_ids=evaluated)
        its_events = store.items if other.own_events is None else other.own_events
        beside = kind.settings(kind.for_other(given), other, its_events)
        own, _ = kind.collect(
            other,
            its_events,
            beside,
            main=False,
            inside=Inside(),
            on_event=lambda number, name=other_name: on_event(name, number),  # type: ignore[misc]
        )
        own["name"], own["family"] = other_name, kind.name
        own["headline"] = kind.headline(own)
        own["provenance"] = {"results": other.name, "meta": other.meta}
        metrics["baselines"][other_name] = own
        metrics["comparisons"][other_name] = kind.compare(own, metrics, settings)
    metrics["provenance"] = _provenance(opened, store.name, split, settings)
    ordered = _ordered(metrics)
    if output is not None:
        kind.write(ordered, view, Path(output), settings)
    return ordered


def _checked(config: Config | None, wanted: type[Config]) -> Config:
    if config is None:
        return wanted()
    if not isinstance(config, wanted):
        raise ConfigError(
            f"settings of the evaluation: {wanted.__name__} was wanted for these events, not {type(config).__name__}"
        )
    return config


def _provenance(opened: Opened, events: str, split: str | None, config: Any) -> dict[str, Any]:
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


_ORDER = (
    "name",
    "family",
    "headline",
    "num_events",
    "choices",
    "diagnostics",
    "presets",
    "trackml_score",
    "scan",
    "curves",
)


def _ordered(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Put what is read first at the top of the file and the long lists at the end."""
    versions = ("definition_version", "hitloom_version", "data_fingerprint")
    last = ("baselines", "comparisons", "provenance", "per_event")
    first = [name for name in (*versions, *_ORDER) if name in metrics]
    middle = [name for name in metrics if name not in (*first, *last)]
    return {name: metrics[name] for name in (*first, *middle, *(name for name in last if name in metrics))}
