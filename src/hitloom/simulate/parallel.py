"""Events one after the other or in several processes, the same ones whichever way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.errors import ConfigError
from hitloom.event import Event

if TYPE_CHECKING:
    from concurrent.futures import Future

MakeEvent = Callable[[int], Event]
MakeEvents = Callable[[int], list[Event]]


def check_number(name: str, value: int) -> None:
    """Raise :class:`ConfigError` when a count, seed or id is negative."""
    if value < 0:
        raise ConfigError(f"{name} must not be negative, got {value}")


def make_events(make: MakeEvent, *, num_events: int, first_event_id: int, num_processes: int) -> Iterator[Event]:
    """Yield ``make(event_id)`` for ``num_events`` ids from ``first_event_id``, in order, lazily.

    With ``num_processes`` > 1 events are made ahead in that many spawned processes, at most two per process; a script
    needs the usual ``if __name__ == "__main__":`` guard. ``make`` must then be a function of a module, or a
    :class:`functools.partial` of one.

    Raises
    ------
    ConfigError
        When a count is negative or there is no process.
    """
    lists = make_event_lists(
        partial(_as_list, make), num_events=num_events, first_event_id=first_event_id, num_processes=num_processes
    )
    return (events[0] for events in lists)


def make_event_lists(
    make: MakeEvents, *, num_events: int, first_event_id: int, num_processes: int
) -> Iterator[list[Event]]:
    """Yield the list ``make(event_id)`` of each id, for what makes several events at once; else as above."""
    check_number("num_events", num_events)
    check_number("first_event_id", first_event_id)
    if num_processes < 1:
        raise ConfigError(f"num_processes must be at least 1, not {num_processes}")
    event_ids = range(first_event_id, first_event_id + num_events)
    if num_processes == 1 or num_events <= 1:
        return (make(event_id) for event_id in event_ids)
    return _in_parallel(make, event_ids=event_ids, num_processes=num_processes)


def _as_list(make: MakeEvent, event_id: int) -> list[Event]:
    return [make(event_id)]


def _in_parallel(make: MakeEvents, *, event_ids: range, num_processes: int) -> Iterator[list[Event]]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(
        max_workers=min(num_processes, len(event_ids)), mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        waiting: deque[Future[list[dict[str, Any]]]] = deque()
        try:
            for event_id in event_ids:
                waiting.append(pool.submit(_work, make, event_id))
                if len(waiting) >= 2 * num_processes:
                    yield [_from_arrays(fields) for fields in waiting.popleft().result()]
            while waiting:
                yield [_from_arrays(fields) for fields in waiting.popleft().result()]
        finally:
            for future in waiting:
                future.cancel()


def _work(make: MakeEvents, event_id: int) -> list[dict[str, Any]]:
    """Make events in a worker; tensors travel as arrays, so that no shared-memory file handles are left open."""
    import torch

    torch.set_num_threads(1)
    return [
        {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in event.to_dict().items()}
        for event in make(event_id)
    ]


def _from_arrays(fields: dict[str, Any]) -> Event:
    import torch

    event = Event()
    for name, value in fields.items():
        event[name] = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
    return event


def package_versions(*packages: str) -> dict[str, str | None]:
    """Return the versions of hitloom and the named packages; None for one that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    from hitloom._version import __version__

    versions: dict[str, str | None] = {"hitloom": __version__}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions
