"""Simulated events straight into an event store, and into TrackML files where wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hitloom.data.store import EventStore, EventWriter
from hitloom.data.trackml_write import write_trackml
from hitloom.event import Event
from hitloom.simulate.tracker import TrackerConfig, provenance_of, simulate_tracker


def simulate_to_store(
    path: str | Path,
    config: TrackerConfig,
    *,
    num_events: int,
    seed: int,
    first_event_id: int = 0,
    num_processes: int = 1,
    overwrite: bool = False,
    trackml: str | Path | None = None,
    on_event: Callable[[int], None] = lambda done: None,
) -> EventStore:
    """Simulate tracker events into the store at ``path`` and return it.

    Parameters
    ----------
    trackml : path or None
        Also write the events as TrackML CSV files into this new folder (or ``*.zip``); with ``config.detectors`` the
        detector file goes beside them.
    on_event : callable
        Called with the number of events done.

    Raises
    ------
    DataError
        When a path is taken. Nothing half-written is left.
    """

    def counted() -> Iterator[Event]:
        events = simulate_tracker(
            config, num_events=num_events, seed=seed, first_event_id=first_event_id, num_processes=num_processes
        )
        for done, event in enumerate(events, start=1):
            yield event
            on_event(done)

    with EventWriter(path, provenance=provenance_of(config, seed=seed), overwrite=overwrite) as writer:
        for event in counted():
            writer.write(event)
    store = EventStore(path)
    if trackml is not None:
        write_trackml(iter(store), trackml, detectors=config.detectors, overwrite=overwrite)
    return store
