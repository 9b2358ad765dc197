"""The family of evaluation for pruned tracksters."""

from __future__ import annotations

from collections.abc import Iterable

from hitloom.data.pruning_layout import is_trackster_event
from hitloom.event import Event
from hitloom.report.baselines import run_baselines
from hitloom.report.family import PackagedFamily, keep_in_memory
from hitloom.report.pruning.config import PruningEvaluationConfig
from hitloom.report.sources import Opened
from hitloom.result import Result


class PruningFamily(PackagedFamily):
    """An event is a trackster, points are its layer clusters; the decision is which of them to prune."""

    name = "pruning"
    package = "hitloom.report.pruning"
    config_class = PruningEvaluationConfig

    def fits(self, event: Event) -> bool:
        return is_trackster_event(event)

    def settings(
        self, config: PruningEvaluationConfig, opened: Opened, events: Iterable[Event]
    ) -> PruningEvaluationConfig:
        keep_in_memory(events)
        return config

    def for_other(self, config: PruningEvaluationConfig) -> PruningEvaluationConfig:
        return config.model_copy(update={"threshold": None, "display": False})

    def added(
        self, config: PruningEvaluationConfig, events: Iterable[Event], given: Iterable[str], event_ids: frozenset[int]
    ) -> tuple[dict[str, Opened], list[str]]:
        return run_baselines(config.baselines, events, given, event_ids)

    def display_page(self, event: Event, result: Result, *, max_points: int | None) -> str:
        from hitloom.report.pruning.display import pruning_page
        from hitloom.report.pruning.view import view_of_event

        return pruning_page([view_of_event(event, result)])
