"""The family of evaluation for linked tracksters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hitloom.event import Event
from hitloom.report.baselines import run_baselines
from hitloom.report.family import Family, Inside
from hitloom.report.sources import Opened
from hitloom.report.tracksters.collect import collect
from hitloom.report.tracksters.compare import differences
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.result import Result

FEATURES = ("barycenter_eta", "raw_energy")
"""Features by which events of tracksters are told."""


class TracksterFamily(Family):
    """Points are tracksters, objects are particles in the calorimeter, candidates are linked tracksters."""

    name = "tracksters"
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

    def collect(
        self,
        opened: Opened,
        events: Iterable[Event],
        config: TracksterEvaluationConfig,
        *,
        main: bool,
        inside: Inside,
        on_event: Callable[[int], None],
    ) -> tuple[dict[str, Any], Any]:
        return collect(opened, events, config, main=main, inside=inside, on_event=on_event)

    def headline(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        from hitloom.report.tracksters.headline import headline_of

        return headline_of(metrics)

    def compare(
        self, first: Mapping[str, Any], second: Mapping[str, Any], config: TracksterEvaluationConfig
    ) -> dict[str, Any]:
        return differences(first, second, config)

    def write(
        self, metrics: Mapping[str, Any], view: Any, output: Path, config: TracksterEvaluationConfig
    ) -> list[Path]:
        from hitloom.report.tracksters.write import write_outputs

        return write_outputs(metrics, view, output, config)

    def summary_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        from hitloom.report.tracksters.text import summary_lines

        return summary_lines(metrics)

    def side_by_side_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        from hitloom.report.tracksters.text import side_by_side_lines

        return side_by_side_lines(metrics)

    def display_page(self, event: Event, result: Result, *, max_points: int | None) -> str:
        from hitloom.report.tracksters.display import MAX_POINTS, trackster_page
        from hitloom.report.tracksters.view import trackster_view

        return trackster_page(trackster_view(event, result), max_points=max_points or MAX_POINTS)
