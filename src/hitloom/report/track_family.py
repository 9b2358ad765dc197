"""The evaluation of tracks: efficiencies and fakes by published conventions, scan of the clustering, loss budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hitloom.data.transforms import is_truth_selected
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.metrics.compare import compare
from hitloom.metrics.scan import WorkingPoint
from hitloom.report.collect import HEADLINE, Source, collect
from hitloom.report.config import EvaluationConfig
from hitloom.report.family import Family, Inside
from hitloom.report.headline import headline_of
from hitloom.report.sources import Opened
from hitloom.result import Result


class TrackFamily(Family):
    """Points are hits, objects are charged particles, candidates are tracks."""

    name = "tracks"
    config_class = EvaluationConfig

    def fits(self, event: Event) -> bool:
        return True

    def settings(self, config: EvaluationConfig, opened: Opened, events: Iterable[Event]) -> EvaluationConfig:
        return _with_record(_with_cut_events(config, events), opened)

    def for_other(self, config: EvaluationConfig) -> EvaluationConfig:
        """Another method keeps its own labels: no other working point, no graph of an embedding it may not have."""
        return config.model_copy(update={"eps": None, "min_samples": None, "display": False, "radius_neighbours": ()})

    def collect(
        self,
        opened: Opened,
        events: Iterable[Event],
        config: EvaluationConfig,
        *,
        main: bool,
        inside: Inside,
        on_event: Callable[[int], None],
    ) -> tuple[dict[str, Any], Any]:
        return collect(
            _source(opened, config),
            events,
            config,
            graphs=inside.graphs if main else None,
            scan=main and config.scan and opened.has_embedding,
            display=main and config.display,
            on_event=on_event,
        )

    def headline(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        return headline_of(metrics, preset=HEADLINE[0], target=HEADLINE[1])

    def compare(self, first: Mapping[str, Any], second: Mapping[str, Any], config: EvaluationConfig) -> dict[str, Any]:
        return compare(first, second, num_resamples=config.num_resamples, seed=config.seed)

    def write(self, metrics: Mapping[str, Any], view: Any, output: Path, config: EvaluationConfig) -> list[Path]:
        from hitloom.report.write import write_outputs

        return write_outputs(metrics, view, output, config)

    def summary_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        from hitloom.report.summary_text import summary_lines

        return summary_lines(metrics)

    def side_by_side_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        from hitloom.report.side_by_side import side_by_side_lines

        return side_by_side_lines(metrics)

    def display_page(self, event: Event, result: Result, *, max_points: int | None) -> str:
        from hitloom.report.classify import view_of
        from hitloom.report.event_page import MAX_HITS, display_page

        return display_page(view_of(event, result), max_hits=max_points or MAX_HITS)

    def write_phoenix(self, event: Event, result: Result, path: Path) -> None:
        from hitloom.report.classify import view_of
        from hitloom.report.phoenix import write_phoenix

        write_phoenix([view_of(event, result)], path)


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
