"""Simulated events straight into an event store, and into the detector's own files where wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hitloom.data.store import EventStore, EventWriter
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.simulate.calorimeter_config import CalorimeterConfig
from hitloom.simulate.tracker_config import TrackerConfig


def simulate_to_store(
    path: str | Path,
    config: TrackerConfig | CalorimeterConfig,
    *,
    num_events: int,
    seed: int,
    first_event_id: int = 0,
    num_processes: int = 1,
    overwrite: bool = False,
    trackml: str | Path | None = None,
    root: str | Path | None = None,
    on_event: Callable[[int], None] = lambda done: None,
) -> EventStore:
    """Simulate events of the detector that ``config`` belongs to into the store at ``path`` and return it.

    Parameters
    ----------
    trackml : path or None
        Tracker only: also write the events as TrackML CSV files into this new folder (or ``*.zip``); with
        ``config.detectors`` the detector file goes beside them.
    root : path or None
        Calorimeter only: also write the events into this new ROOT file, in the schema of TICL's dumper.
    on_event : callable
        Called with the number of events done.

    Raises
    ------
    DataError
        When a path is taken. Nothing half-written is left.
    ConfigError
        When files are wanted that the detector does not have.
    """
    for name, wanted, detector in (("trackml", trackml, TrackerConfig), ("root", root, CalorimeterConfig)):
        if wanted is not None and not isinstance(config, detector):
            raise ConfigError(f"files of kind '{name}' hold events of another detector; mend: leave '{name}' out")

    def counted() -> Iterator[Event]:
        events = _simulate(config)(
            config, num_events=num_events, seed=seed, first_event_id=first_event_id, num_processes=num_processes
        )
        for done, event in enumerate(events, start=1):
            yield event
            on_event(done)

    with EventWriter(path, provenance=_provenance(config, seed=seed), overwrite=overwrite) as writer:
        for event in counted():
            writer.write(event)
    store = EventStore(path)
    if trackml is not None and isinstance(config, TrackerConfig):
        from hitloom.data.trackml_write import write_trackml

        write_trackml(iter(store), trackml, detectors=config.detectors, overwrite=overwrite)
    if root is not None:
        from hitloom.data.ticl_write import write_ticl

        write_ticl(iter(store), root, overwrite=overwrite)
    return store


def _simulate(config: TrackerConfig | CalorimeterConfig) -> Callable[..., Iterator[Event]]:
    if isinstance(config, TrackerConfig):
        from hitloom.simulate.tracker import simulate_tracker

        return simulate_tracker
    from hitloom.simulate.calorimeter import simulate_calorimeter

    return simulate_calorimeter


def _provenance(config: TrackerConfig | CalorimeterConfig, *, seed: int) -> dict[str, object]:
    from hitloom.simulate import calorimeter_config, tracker

    if isinstance(config, TrackerConfig):
        return tracker.provenance_of(config, seed=seed)
    return calorimeter_config.provenance_of(config, seed=seed)
