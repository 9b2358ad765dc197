"""Families of evaluation: what is counted, tabled and drawn, by the kind of objects that a reconstruction finds.

The steps are the same for all of them (:mod:`hitloom.report.evaluate`): open, count every method on the same events,
compare, write. A family says how each step goes for its events. The events themselves choose the family.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hitloom.config import Config
from hitloom.errors import ConfigError, nearest
from hitloom.event import Event
from hitloom.report.edges import GraphsOf
from hitloom.report.sources import Opened, open_events, open_results
from hitloom.result import Result

# Asked in this order whether the first event is theirs; the last one takes any.
_FAMILIES = {
    "showers": "hitloom.report.showers.family:ShowerFamily",
    "pruning": "hitloom.report.pruning.family:PruningFamily",
    "tracksters": "hitloom.report.tracksters.family:TracksterFamily",
    "tracks": "hitloom.report.track_family:TrackFamily",
}

MAX_BYTES = 2_000_000_000
"""Stores up to this size may be held in memory while their results are counted."""

AttributionsOf = Callable[[Iterable[Event]], Mapping[str, Mapping[str, float]]]
HistoryOf = Callable[[Event], Sequence[Tensor]]
SamplesOf = Callable[[Sequence[Event], int], NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What is known of the network that made the results, beside the results.

    Attributes
    ----------
    graphs : callable or None
        Returns the graphs that the network builds on an event, for the loss budget.
    attributions : callable or None
        Returns, for what is attributed, how much each input feature moves it in some events.
    history : sequence of mapping
        One row an epoch of the training, as in ``metrics.csv`` of a run.
    samples : callable or None
        Draws so many decisions (S, N) for all points of some events from a network that has a distribution of them.
    histories : mapping
        Name of a model -> the partitions of the points of an event after each of its iterations.
    """

    graphs: GraphsOf | None = None
    attributions: AttributionsOf | None = None
    history: Sequence[Mapping[str, Any]] = ()
    samples: SamplesOf | None = None
    histories: Mapping[str, HistoryOf] = field(default_factory=dict)


class Family(ABC):
    """One family of evaluation; instances hold no state."""

    name: ClassVar[str]
    config_class: ClassVar[type[Config]]

    @abstractmethod
    def fits(self, event: Event) -> bool:
        """Return whether an event is of this family."""

    @abstractmethod
    def settings(self, config: Any, opened: Opened, events: Iterable[Event]) -> Any:
        """Return the settings with what results and events say of themselves."""

    def for_other(self, config: Any) -> Any:
        """Return the settings for a method that stands beside the main one."""
        return config

    def added(
        self, config: Any, events: Iterable[Event], given: Iterable[str], event_ids: frozenset[int]
    ) -> tuple[dict[str, Opened], list[str]]:
        """Return methods that stand beside any results though nobody named them, and why others could not be run."""
        return {}, []

    def open_other(self, source: Any, name: str) -> Opened | None:
        """Return what to stand beside the results where it is no folder of results; None = open it as one."""
        return None

    @abstractmethod
    def collect(
        self,
        opened: Opened,
        events: Iterable[Event],
        config: Any,
        *,
        main: bool,
        inside: Inside,
        on_event: Callable[[int], None],
    ) -> tuple[dict[str, Any], Any]:
        """Count all results of one method; return its metrics and, for the main one, the view of one event."""

    @abstractmethod
    def headline(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return the numbers on top, with all that they depend on."""

    @abstractmethod
    def compare(self, first: Mapping[str, Any], second: Mapping[str, Any], config: Any) -> dict[str, Any]:
        """Return ``second`` minus ``first`` with paired intervals."""

    @abstractmethod
    def write(self, metrics: Mapping[str, Any], view: Any, output: Path, config: Any) -> list[Path]:
        """Write numbers, plots and the report; return their paths."""

    @abstractmethod
    def summary_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        """Return what ``hitloom eval`` prints."""

    @abstractmethod
    def side_by_side_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        """Return what ``hitloom compare`` prints."""

    @abstractmethod
    def display_page(self, event: Event, result: Result, *, max_points: int | None) -> str:
        """Return the 3D display of an event as an HTML page; None = the family's own limit."""

    def companions(self, event_id: int) -> Sequence[int]:
        """Return ids of events that are shown together with one, where they are there."""
        return ()

    def display_pages(self, pairs: Sequence[tuple[Event, Result]], *, max_points: int | None) -> str:
        """Return the display of an event, the first, and of its companions."""
        return self.display_page(*pairs[0], max_points=max_points)

    def write_phoenix(self, event: Event, result: Result, path: Path) -> None:
        """Write the event for the Phoenix event display.

        Raises
        ------
        ConfigError
            Where the family has no such form.
        """
        raise ConfigError(f"--phoenix: not for {self.name}; mend: leave it out, the HTML page shows the event in 3D")


class PackagedFamily(Family):
    """A family whose steps are modules of one package.

    ``collect.collect``, ``compare.differences``, ``headline.headline_of``, ``write.write_outputs``,
    ``text.summary_lines`` and ``text.side_by_side_lines``; each is imported when it is needed.
    """

    package: ClassVar[str]

    def _step(self, module: str, name: str) -> Callable[..., Any]:
        step: Callable[..., Any] = getattr(importlib.import_module(f"{self.package}.{module}"), name)
        return step

    def collect(
        self,
        opened: Opened,
        events: Iterable[Event],
        config: Any,
        *,
        main: bool,
        inside: Inside,
        on_event: Callable[[int], None],
    ) -> tuple[dict[str, Any], Any]:
        counted: tuple[dict[str, Any], Any] = self._step("collect", "collect")(
            opened, events, config, main=main, inside=inside, on_event=on_event
        )
        return counted

    def headline(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        numbers: dict[str, Any] = self._step("headline", "headline_of")(metrics)
        return numbers

    def compare(self, first: Mapping[str, Any], second: Mapping[str, Any], config: Any) -> dict[str, Any]:
        differences: dict[str, Any] = self._step("compare", "differences")(first, second, config)
        return differences

    def write(self, metrics: Mapping[str, Any], view: Any, output: Path, config: Any) -> list[Path]:
        paths: list[Path] = self._step("write", "write_outputs")(metrics, view, output, config)
        return paths

    def summary_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        lines: list[str] = self._step("text", "summary_lines")(metrics)
        return lines

    def side_by_side_lines(self, metrics: Mapping[str, Any]) -> list[str]:
        lines: list[str] = self._step("text", "side_by_side_lines")(metrics)
        return lines


def keep_in_memory(events: Iterable[Event]) -> None:
    """Have a store that can be held in memory read once for all methods."""
    keep: Any = getattr(events, "keep_in_memory", None)
    if keep is not None:
        keep(max_bytes=MAX_BYTES)


def family_names() -> list[str]:
    """Return the names of the families."""
    return list(_FAMILIES)


def get_family(name: str) -> Family:
    """Return the family called ``name``.

    Raises
    ------
    ConfigError
        When there is none of this name; the message gives the nearest one.

    Examples
    --------
    >>> get_family("tracks").name
    'tracks'
    """
    if name not in _FAMILIES:
        raise ConfigError(f"unknown family of evaluation '{name}'.{nearest(name, _FAMILIES)}")
    module, _, kind = _FAMILIES[name].partition(":")
    family = getattr(importlib.import_module(module), kind)()
    assert isinstance(family, Family)
    return family


def family_of(events: Iterable[Event], wanted: str | None = None) -> Family:
    """Return the family that ``wanted`` names, else the one of the first event.

    Raises
    ------
    ConfigError
        When ``wanted`` is unknown, or the events are not of its kind.
    """
    first = next(iter(events), None)
    if wanted is not None:
        family = get_family(wanted)
        if first is not None and not family.fits(first):
            raise ConfigError(
                f"--family {wanted}: {first.describe()} is no event of this kind; mend: leave it out, the events choose"
            )
        return family
    families = [get_family(name) for name in _FAMILIES]
    return next((family for family in families if first is not None and family.fits(first)), families[-1])


def family_of_results(
    results: str | Path, *, events: str | Path | None = None, split: str | None = None, family: str | None = None
) -> Family:
    """Return the family that ``family`` names, else the one of the events that a folder of results was made from.

    Raises
    ------
    ConfigError, DataError
        When the family is unknown, or results or events cannot be opened.
    """
    if family is not None:
        return get_family(family)
    opened = open_results(results, split=split)
    store = open_events(events if events is not None else opened.events, where=opened.name, split=split)
    return family_of(store.items)
