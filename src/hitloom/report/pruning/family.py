"""The family of evaluation for pruned tracksters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hitloom.data.pruning_layout import is_trackster_event
from hitloom.event import Event
from hitloom.report.baselines import run_baselines
from hitloom.report.family import Family, Inside
from hitloom.report.pruning.collect import collect
from hitloom.report.pruning.compare import differences
from hitloom.report.pruning.config import PruningEvaluationConfig
from hitloom.report.sources import Opened
from hitloom.result import Result

MAX_BYTES = 2_000_000_000
"""Stores up to this size are read once for all methods."""


class PruningFamily(Family):
    """An event is a trackster, points are its layer clusters; the decision is which of them to prune."""

    name = "pruning"
    config_class = PruningEvaluationConfig

    def fits(self, event: Event) -> bool:
        return is_trackster_event(event)

    def settings(
        self, config: PruningEvaluationConfig, opened: Opened, events: Iterable[Event]
    ) -> PruningEvaluationConfig:
        keep: Any = getattr(events, "keep_in_memory", None)
        if keep is not None:
            keep(max_bytes=MAX_BYTES)
        return config

    def for_other(self, config: PruningEvaluationConfig) -> PruningEvaluationConfig:
        return config.model_copy(update={"threshold": None, "display": False})

    def added(
        self, config: PruningEvaluationConfig, events: Iterable[Event], given: Iterable[str], event_ids: frozenset[int]
    ) -> tuple[dict[str, Opened], list[str]]:
        return run_baselines(config.baselines, events, given, event_ids)

    def collect(
        self,
        opened: Opened,
        events: Iterable[Event],
        config: PruningEvaluationConfig,
        *,
        main: bool,
        inside: Inside,
        on_event: Callable[[int], None],
    ) -> tuple[dict[str, Any], Any]:
        return collect(opened, events, config, main=main, inside=inside, on_event=on_event)

    def headline(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        from hitloom.report.pruning.headline import headline_of

        return headline_of(metrics)

    def compare(
        self, first: Mapping[str, Any], second: Mapping[str, Any], config: PruningEvaluationConfig
    ) -> dict[str, Any]:
        return differences(first, second, config)

    def write(self, metrics: Mapping[str, Any], view: Any, output: Path, config: PruningEvaluationConfig) -> list[Path]:
        from hitloom.report.pruning.write import write_outputs

        return write_outputs(metrics, view, output, config)

    def summary_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        from hitloom.report.pruning.text import summary_lines

        return summary_lines(metrics)

    def side_by_side_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        from hitloom.report.pruning.text import side_by_side_lines

        return side_by_side_lines(metrics)

    def display_page(self, event: Event, result: Result, *, max_points: int | None) -> str:
        from hitloom.report.pruning.display import pruning_page
        from hitloom.report.pruning.view import view_of_event

        return pruning_page([view_of_event(event, result)])
