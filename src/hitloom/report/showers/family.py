"""The family of evaluation for shower growing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hitloom.data.shower_layout import VIEWS, is_shower_event
from hitloom.event import Event
from hitloom.report.family import PackagedFamily, keep_in_memory
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.sources import Opened
from hitloom.result import Result


class ShowerFamily(PackagedFamily):
    """An event is one wire view of a slice, points are 2D clusters, constituents are hits; groups are particles."""

    name = "showers"
    package = "hitloom.report.showers"
    config_class = ShowerEvaluationConfig

    def fits(self, event: Event) -> bool:
        return is_shower_event(event)

    def settings(
        self, config: ShowerEvaluationConfig, opened: Opened, events: Iterable[Event]
    ) -> ShowerEvaluationConfig:
        keep_in_memory(events)
        known = grouping_of(opened.meta)
        missing = [name for name in ("threshold", "accessory_max_hits") if getattr(config, name) is None]
        return config.model_copy(update={name: known[name] for name in missing if name in known})

    def for_other(self, config: ShowerEvaluationConfig) -> ShowerEvaluationConfig:
        return config.model_copy(update={"display": False, "num_pictures": 0, "num_matrices": 0})

    def added(
        self, config: ShowerEvaluationConfig, events: Iterable[Event], given: Iterable[str], event_ids: frozenset[int]
    ) -> tuple[dict[str, Opened], list[str]]:
        from hitloom.report.showers.added import added_rows

        return added_rows(config, events, given, event_ids)

    def open_other(self, source: Any, name: str) -> Opened | None:
        if not isinstance(source, str | Path) or Path(source).suffix != ".root":
            return None
        from hitloom.report.showers.other_reco import open_reconstruction

        return open_reconstruction(Path(source), name=name)

    def companions(self, event_id: int) -> Sequence[int]:
        return [event_id - event_id % 10 + code for code in VIEWS if code != event_id % 10]

    def display_page(self, event: Event, result: Result, *, max_points: int | None) -> str:
        return self.display_pages([(event, result)], max_points=max_points)

    def display_pages(self, pairs: Sequence[tuple[Event, Result]], *, max_points: int | None) -> str:
        from hitloom.report.showers.display import shower_page
        from hitloom.report.showers.view import view_of

        views = [view_of(event, result, ShowerEvaluationConfig()) for event, result in pairs]
        return shower_page(sorted(views, key=lambda view: view.view))


def grouping_of(meta: Any) -> dict[str, Any]:
    """Return ``threshold`` and ``accessory_max_hits`` of the grouping that a record of results names, at any depth."""
    wanted = ("threshold", "accessory_max_hits")
    if not isinstance(meta, Mapping):
        return {}
    if all(name in meta for name in wanted):
        return {name: meta[name] for name in wanted if meta[name] is not None}
    return next((found for item in meta.values() if (found := grouping_of(item))), {})
