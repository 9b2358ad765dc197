"""Simulated events straight into an event store, and into the detector's own files where wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hitloom.data.files import refuse_existing
from hitloom.data.store import EventStore, EventWriter
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.simulate.calorimeter_config import CalorimeterConfig
from hitloom.simulate.close_showers_config import CloseShowersConfig
from hitloom.simulate.lartpc_config import LArTPCConfig
from hitloom.simulate.tracker_config import TrackerConfig

Config = TrackerConfig | CalorimeterConfig | CloseShowersConfig | LArTPCConfig


def simulate_to_store(
    path: str | Path,
    config: Config,
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
    num_events
        Collisions; one of close-by showers is several events, one for each trackster, and a slice in liquid argon is
        three, one for each wire view.
    trackml : path or None
        Tracker only: also write the events as TrackML CSV files into this new folder (or ``*.zip``); with
        ``config.detectors`` the detector file goes beside them.
    root : path or None
        Calorimeter: also write the events into this new ROOT file, in the schema of TICL's dumper; close-by showers: in
        the layout of pruning; liquid argon: in that of Pandora's training.
    on_event : callable
        Called with the number of collisions done.

    Raises
    ------
    DataError
        When a path is taken. Nothing half-written is left.
    ConfigError
        When files are wanted that the detector does not have.
    """
    for name, wanted, has in (
        ("trackml", trackml, isinstance(config, TrackerConfig)),
        ("root", root, not isinstance(config, TrackerConfig)),
    ):
        if wanted is not None and not has:
            raise ConfigError(f"files of kind '{name}' hold events of another detector; mend: leave '{name}' out")
    if root is not None:
        refuse_existing(Path(root), overwrite=overwrite, may_replace=Path.is_file)
    collisions = _collisions(
        config, num_events=num_events, seed=seed, first_event_id=first_event_id, num_processes=num_processes
    )
    with EventWriter(path, provenance=_provenance(config, seed=seed), overwrite=overwrite) as writer:
        for done, events in enumerate(collisions, start=1):
            for event in events:
                writer.write(event)
            on_event(done)
    store = EventStore(path)
    if trackml is not None and isinstance(config, TrackerConfig):
        from hitloom.data.trackml_write import write_trackml

        write_trackml(iter(store), trackml, detectors=config.detectors, overwrite=overwrite)
    if root is not None and isinstance(config, CloseShowersConfig):
        from hitloom.data.pruning_write import write_pruning

        write_pruning(iter(store), root, overwrite=overwrite)
    elif root is not None and isinstance(config, LArTPCConfig):
        from hitloom.data.shower_write import write_pandora

        write_pandora(iter(store), root, overwrite=overwrite)
    elif root is not None:
        from hitloom.data.ticl_write import write_ticl

        write_ticl(iter(store), root, overwrite=overwrite)
    return store


def _collisions(
    config: Config, *, num_events: int, seed: int, first_event_id: int, num_processes: int
) -> Iterator[list[Event]]:
    numbers = {
        "num_events": num_events, "seed": seed, "first_event_id": first_event_id, "num_processes": num_processes
    }  # fmt: skip
    if isinstance(config, CloseShowersConfig):
        from hitloom.simulate.close_showers import simulate_collisions

        return simulate_collisions(config, **numbers)
    if isinstance(config, LArTPCConfig):
        from hitloom.simulate.lartpc import simulate_slices

        return simulate_slices(config, **numbers)
    if isinstance(config, TrackerConfig):
        from hitloom.simulate.tracker import simulate_tracker

        return ([event] for event in simulate_tracker(config, **numbers))
    from hitloom.simulate.calorimeter import simulate_calorimeter

    return ([event] for event in simulate_calorimeter(config, **numbers))


def _provenance(config: Config, *, seed: int) -> dict[str, object]:
    from hitloom.simulate import calorimeter_config, close_showers_config, lartpc_config, tracker

    if isinstance(config, TrackerConfig):
        return tracker.provenance_of(config, seed=seed)
    if isinstance(config, CloseShowersConfig):
        return close_showers_config.provenance_of(config, seed=seed)
    if isinstance(config, LArTPCConfig):
        return lartpc_config.provenance_of(config, seed=seed)
    return calorimeter_config.provenance_of(config, seed=seed)
