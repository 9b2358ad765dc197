"""Events and results side by side, joined by event id, whatever the order of the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.result import Result


def pairs_of(events: Iterable[Event], results: Iterable[Result]) -> Iterator[tuple[Event, Result]]:
    """Yield (event, result) for every result, in the order of the results.

    Events are read once; those that come before they are asked for are kept until then, so two streams in the same
    order need the memory of one event.

    Raises
    ------
    DataError
        When an event or a result comes twice, or an event is not among the events.
    """
    stream = enumerate(events)
    waiting: dict[int, Event] = {}
    done: set[int] = set()
    for result in results:
        if result.event_id in done:
            raise DataError(f"results: event {result.event_id} came twice; mend: give each event its own id")
        while result.event_id not in waiting:
            position, event = next(stream, (0, None))
            if event is None:
                raise DataError(
                    f"results: event {result.event_id} is not among the events ({len(done)} of the results were); "
                    "mend: give the event store that the results were made from"
                )
            number = int(event.event_id) if "event_id" in event else position
            if number in waiting or number in done:
                raise DataError(f"events: event {number} came twice; mend: give each event its own id")
            waiting[number] = event
        done.add(result.event_id)
        yield waiting.pop(result.event_id), result
