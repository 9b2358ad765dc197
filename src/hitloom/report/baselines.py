"""Methods without training that stand beside any results though nobody named them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hitloom.baselines import baseline_names, get_baseline
from hitloom.errors import HitloomError
from hitloom.event import Event
from hitloom.report.sources import Opened
from hitloom.result import Result


def run_baselines(
    names: Iterable[str], events: Iterable[Event], given: Iterable[str], event_ids: frozenset[int]
) -> tuple[dict[str, Opened], list[str]]:
    """Run the baselines ``names`` that are not among ``given``, each with its defaults, on the events of these ids.

    A name may have underscores for hyphens. Returned are results by name, and a word on each that could not be run.
    """
    found: dict[str, Opened] = {}
    notes = []
    taken = {name.replace("-", "_") for name in given}
    for name in [name for name in names if name.replace("-", "_") not in taken]:
        known = name.replace("_", "-")
        if known not in baseline_names():
            continue
        baseline = get_baseline(known)
        settings = baseline.config_class()
        try:
            results: list[Result] = list(baseline.run(chosen_events(events, event_ids), settings))
        except HitloomError as error:
            notes.append(f"baseline {name} could not be run: {error}")
            continue
        meta = {"baseline": name, "settings": settings.model_dump(mode="json")}
        found[name] = Opened(name=f"baseline {name}", items=results, meta=meta)
    return found, notes


def chosen_events(events: Any, event_ids: frozenset[int]) -> Iterator[Event]:
    """Yield the events of these ids; a store reads only them."""
    if hasattr(events, "event_ids"):
        yield from (events[row] for row, number in enumerate(events.event_ids.tolist()) if int(number) in event_ids)
        return
    for position, event in enumerate(events):
        if (int(event.event_id) if "event_id" in event else position) in event_ids:
            yield event
