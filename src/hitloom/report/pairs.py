"""Events and results side by side, joined by event id, whatever the order of the two."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.result import Result


def pairs_of(events: Iterable[Event], results: Iterable[Result]) -> Iterator[tuple[Event, Result]]:
    """Yield (event, result) for every result, in the order of the results.

    Events of a store are read by their id. Events that can only be gone through are kept until they are asked for, so
    two streams in the same order need the memory of one event.

    Raises
    ------
    DataError
        When an event or a result comes twice, or an event is not among the events.
    """
    done: set[int] = set()
    take = _from_store(events) if hasattr(events, "event_ids") else _from_stream(events)
    for result in results:
        if result.event_id in done:
            raise DataError(f"results: event {result.event_id} came twice; mend: give each event its own id")
        event = take(result.event_id)
        if event is None:
            raise DataError(
                f"results: event {result.event_id} is not among the events ({len(done)} of the results were); "
                "mend: give the event store that the results were made from"
            )
        done.add(result.event_id)
        yield event, result


def _from_store(store: Any) -> Callable[[int], Event | None]:
    rows: dict[int, int] = {}
    for row, event_id in enumerate(store.event_ids.tolist()):
        _check_new(event_id, rows)
        rows[event_id] = row
    return lambda event_id: store[rows[event_id]] if event_id in rows else None


def _from_stream(events: Iterable[Event]) -> Callable[[int], Event | None]:
    stream = enumerate(events)
    waiting: dict[int, Event] = {}
    seen: set[int] = set()

    def take(event_id: int) -> Event | None:
        while event_id not in waiting:
            position, event = next(stream, (0, None))
            if event is None:
                return None
            number = int(event.event_id) if "event_id" in event else position
            _check_new(number, seen)
            seen.add(number)
            waiting[number] = event
        return waiting.pop(event_id)

    return take


def _check_new(event_id: int, seen: Container[int]) -> None:
    if event_id in seen:
        raise DataError(f"events: event {event_id} came twice; mend: give each event its own id")
