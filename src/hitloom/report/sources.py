"""Opens what an evaluation reads: a folder of results or results in memory, an event store or events in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.scan import WorkingPoint
from hitloom.result import Result


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Results that can be read more than once.

    Attributes
    ----------
    name : str
        Folder, or a word for results in memory.
    items : re-iterable of Result
    meta : mapping
        What the inference recorded.
    events : str or None
        Event store that the results name.
    own_events : re-iterable of Event or None
        The events themselves, where they are others than those of the main results (another reconstruction).
    """

    name: str
    items: Iterable[Result]
    meta: Mapping[str, Any] = field(default_factory=dict)
    events: str | None = None
    own_events: Iterable[Event] | None = None

    @property
    def truth_selected_input(self) -> bool:
        """Whether the record says that truth chose the network's input."""
        return bool(self.meta.get("truth_selected_input"))

    @property
    def input_cuts(self) -> str:
        """Cuts on the network's input in words, empty where the record names none."""
        cuts = str(self.meta.get("hard_cuts") or "").strip()
        return "" if cuts in ("", "{}") else ", ".join(line.strip() for line in cuts.splitlines())

    @property
    def has_embedding(self) -> bool:
        """Whether the first result holds an embedding."""
        first = next(iter(self.items), None)
        return first is not None and first.embedding is not None

    @property
    def working_point(self) -> WorkingPoint | None:
        """DBSCAN settings of the stored labels, None where the record does not name them."""
        found = _find(self.meta, ("eps", "min_samples"))
        if found is None or found["eps"] is None or found["min_samples"] is None:
            return None
        return WorkingPoint(float(found["eps"]), int(found["min_samples"]))

    @property
    def hardware(self) -> str | None:
        """Where the inference ran, None where it is not recorded."""
        value = self.meta.get("hardware", self.meta.get("device"))
        if isinstance(value, Mapping):
            return ", ".join(f"{name} {item}" for name, item in value.items())
        return str(value) if value else None


@dataclass(frozen=True, kw_only=True)
class Only:
    """The results of some events, re-iterable."""

    items: Iterable[Result]
    event_ids: frozenset[int]

    def __iter__(self) -> Iterator[Result]:
        return (result for result in self.items if result.event_id in self.event_ids)


@dataclass(frozen=True, kw_only=True)
class OpenedEvents:
    """Events that can be read more than once."""

    name: str
    items: Iterable[Event]


def open_results(
    results: str | Path | Opened | Iterable[Result], *, split: str | None = None, name: str = "results in memory"
) -> Opened:
    """Open a results folder, or hold results in memory; what is open already passes through.

    Raises
    ------
    DataError
        When the folder is missing or holds no results, or nothing came.
    """
    if isinstance(results, str | Path):
        from hitloom.data.results import open_results as open_folder

        stored = open_folder(results, split)
        return Opened(name=stored.name, items=stored, meta=stored.meta, events=stored.events)
    if isinstance(results, Opened):
        return results
    items = list(results)
    if not items:
        raise DataError(f"{name}: no result to evaluate; wanted at least one")
    return Opened(name=name, items=items)


def open_baseline(
    results: str | Path | Opened | Iterable[Result], *, name: str, split: str | None, event_ids: frozenset[int]
) -> Opened:
    """Open the results of another method, those of ``event_ids`` only; its folder may be divided into other splits.

    Raises
    ------
    DataError
        When it has none of these events.
    """
    if isinstance(results, str | Path) and split is not None:
        from hitloom.data.results import results_path

        split = split if results_path(results, split).exists() else None
    opened = open_results(results, split=split, name=name)
    chosen = Only(items=opened.items, event_ids=event_ids)
    if next(iter(chosen), None) is None:
        raise DataError(f"baseline {name}: no result of any of the {len(event_ids)} events; mend: the same event store")
    return replace(opened, items=chosen)


def open_events(events: str | Path | Iterable[Event] | None, *, where: str, split: str | None = None) -> OpenedEvents:
    """Open an event store, or hold events in memory.

    Raises
    ------
    DataError
        When no events are given and the results do not name their store, or the store is missing.
    """
    if events is None:
        raise DataError(f"{where}: the results do not name their event store; mend: --events STORE")
    if isinstance(events, str | Path):
        from hitloom.data.store import EventStore

        return OpenedEvents(name=str(events), items=EventStore(events))
    return OpenedEvents(name="events in memory", items=events if hasattr(events, "event_ids") else list(events))


def _find(meta: Any, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the first mapping at any depth that holds all ``names``."""
    if not isinstance(meta, Mapping):
        return None
    if all(name in meta for name in names):
        return {name: meta[name] for name in names}
    for item in meta.values():
        found = _find(item, names)
        if found is not None:
            return found
    return None


def find_event(
    results: str | Path | Opened | Iterable[Result],
    *,
    events: str | Path | Iterable[Event] | None = None,
    split: str | None = None,
    event_id: int | None = None,
) -> tuple[Event, Result]:
    """Return one event and its result; the first when no id is given.

    Raises
    ------
    DataError
        When the event is not among the results; the message names some that are.
    """
    from hitloom.report.pairs import pairs_of

    opened = open_results(results, split=split)
    store = open_events(events if events is not None else opened.events, where=opened.name)
    known: list[int] = []
    for result in opened.items:
        if event_id is None or result.event_id == event_id:
            return next(pairs_of(store.items, [result]))
        known.append(result.event_id)
    shown = ", ".join(str(number) for number in known[:5]) + (", ..." if len(known) > 5 else "")
    raise DataError(f"{opened.name}: no result of event {event_id}; there are {shown or 'none'}")


def find_events(
    results: str | Path | Opened | Iterable[Result],
    event_ids: Iterable[int],
    *,
    events: str | Path | Iterable[Event] | None = None,
    split: str | None = None,
) -> list[tuple[Event, Result]]:
    """Return those of the events ``event_ids`` that are among the results."""
    from hitloom.report.pairs import pairs_of

    wanted = frozenset(event_ids)
    if not wanted:
        return []
    opened = open_results(results, split=split)
    store = open_events(events if events is not None else opened.events, where=opened.name)
    return list(pairs_of(store.items, Only(items=opened.items, event_ids=wanted)))
