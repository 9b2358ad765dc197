"""The family of evaluation for linked tracksters."""

from __future__ import annotations

from collections.abc import Iterable

from hitloom.event import Event
from hitloom.report.baselines import run_baselines
from hitloom.report.family import PackagedFamily
from hitloom.report.sources import Opened
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.result import Result

FEATURES = ("barycenter_eta", "raw_energy")
"""Features by which events of tracksters are told."""


class TracksterFamily(PackagedFamily):
    """Points are tracksters, objects are particles in the calorimeter, candidates are linked tracksters."""

    name = "tracksters"
    package = "hitloom.report.tracksters"
    config_class = TracksterEvaluationConfig

    def fits(self, event: Event) -> bool:
        names = event.column_names()
        return all(name in names for name in FEATURES)

    def settings(
        self, config: TracksterEvaluationConfig, opened: Opened, events: Iterable[Event]
    ) -> TracksterEvaluationConfig:
        return config

    def for_other(self, config: TracksterEvaluationConfig) -> TracksterEvaluationConfig:
        return config.model_copy(update={"display": False, "tables": False})

    def added(
        self,
        config: TracksterEvaluationConfig,
        events: Iterable[Event],
        given: Iterable[str],
        event_ids: frozenset[int],
    ) -> tuple[dict[str, Opened], list[str]]:
        return run_baselines(config.baselines, events, given, event_ids)

    def display_page(self, event: Event, result: Result, *, max_points: int | None) -> str:
        from hitloom.report.tracksters.display import MAX_POINTS, trackster_page
        from hitloom.report.tracksters.view import trackster_view

        return trackster_page(trackster_view(event, result), max_points=max_points or MAX_POINTS)
