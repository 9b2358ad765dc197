"""Simulated tracker events: Pythia 8 collisions in the ACTS generic (TrackML) detector, digitised with cells and noise.

>>> from hitloom.simulate.tracker import TrackerConfig, simulate_tracker
>>> events = simulate_tracker(TrackerConfig(pileup=10.0), num_events=2, seed=1)  # a lazy iterator

An event depends on the configuration, the seed and its number only: not on the number of processes nor on the events
before it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.simulate.tracker_config import TrackerConfig

__all__ = ["TrackerConfig", "simulate_event", "simulate_tracker"]

SOURCE = "simulate-tracker"


def simulate_event(config: TrackerConfig, *, seed: int, event_id: int) -> Event:
    """Return one event, checked against the field table.

    Parameters
    ----------
    config
        What to simulate.
    seed, event_id
        Non-negative integers; the pair decides every random number.

    Raises
    ------
    ConfigError
        When ``seed`` or ``event_id`` is negative.
    MissingDependencyError
        When pythia8mc or pyacts is not installed.
    """
    _check_number("seed", seed)
    _check_number("event_id", event_id)
    from hitloom.simulate.assemble import build_event

    generator, chain, modules = _workshop(config)
    particles = generator.generate(seed=seed, event_id=event_id)
    particles, crossings = _follow(chain, particles, config=config, seed=seed, event_id=event_id)
    event = build_event(
        particles=particles,
        crossings=crossings,
        modules=modules,
        noise_fraction=config.noise_fraction,
        min_pt=config.min_pt,
        max_eta=config.max_eta,
        seed=(seed, event_id),
    )
    event.event_id = event_id
    event.source = SOURCE
    event.provenance = json.dumps(provenance_of(config, seed=seed), sort_keys=True)
    return event.validate()


def _follow(chain: Any, particles: Any, *, config: TrackerConfig, seed: int, event_id: int) -> tuple[Any, Any]:
    """Run the detector simulation, with or without nuclear interactions; first crossing per particle and module."""
    from hitloom.simulate.nuclear import with_nuclear_interactions
    from hitloom.simulate.particles import renumbered

    def simulate(table: Any, step: int) -> tuple[Any, Any]:
        acts_seed = int(np.random.SeedSequence([seed, event_id, 2, step]).generate_state(1)[0])
        return chain.run(particles=table, seed=acts_seed)

    if config.nuclear_interactions:
        rng = np.random.default_rng([seed, event_id, 6])
        particles, crossings = with_nuclear_interactions(particles=particles, simulate=simulate, rng=rng)
    else:
        particles, crossings = simulate(particles, 0)
    return renumbered(particles), crossings.first_on_modules()


def simulate_tracker(
    config: TrackerConfig, *, num_events: int, seed: int, first_event_id: int = 0, num_processes: int = 1
) -> Iterator[Event]:
    """Yield ``num_events`` events in order, ``event_id`` from ``first_event_id``.

    With ``num_processes`` > 1 events are made ahead in that many spawned processes, at most two per process; a script
    needs the usual ``if __name__ == "__main__":`` guard.

    Raises
    ------
    ConfigError
        When a count is negative or there is no process.
    """
    for name, value in (("num_events", num_events), ("seed", seed), ("first_event_id", first_event_id)):
        _check_number(name, value)
    if num_processes < 1:
        raise ConfigError(f"num_processes must be at least 1, not {num_processes}")
    event_ids = range(first_event_id, first_event_id + num_events)
    if num_processes == 1 or num_events <= 1:
        return (simulate_event(config, seed=seed, event_id=event_id) for event_id in event_ids)
    return _in_parallel(config, seed=seed, event_ids=event_ids, num_processes=num_processes)


def _in_parallel(config: TrackerConfig, *, seed: int, event_ids: range, num_processes: int) -> Iterator[Event]:
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor

    with ProcessPoolExecutor(
        max_workers=min(num_processes, len(event_ids)), mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        waiting: deque[Future[dict[str, Any]]] = deque()
        try:
            for event_id in event_ids:
                waiting.append(pool.submit(_work, config, seed, event_id))
                if len(waiting) >= 2 * num_processes:
                    yield _from_arrays(waiting.popleft().result())
            while waiting:
                yield _from_arrays(waiting.popleft().result())
        finally:
            for future in waiting:
                future.cancel()


def _work(config: TrackerConfig, seed: int, event_id: int) -> dict[str, Any]:
    """Make one event in a worker; tensors travel as arrays, so that no shared-memory file handles are left open."""
    import torch

    torch.set_num_threads(1)
    fields = simulate_event(config, seed=seed, event_id=event_id).to_dict()
    return {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in fields.items()}


def _from_arrays(fields: dict[str, Any]) -> Event:
    import torch

    event = Event()
    for name, value in fields.items():
        event[name] = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
    return event


@lru_cache(maxsize=2)
def _workshop(config: TrackerConfig) -> tuple[Any, Any, Any]:
    """Return generator, detector and module table of a configuration; building them takes seconds, so they are kept."""
    from hitloom.simulate.acts_chain import Chain
    from hitloom.simulate.pythia import Generator

    chain = Chain(config=config)
    modules = chain.modules if config.detectors is None else chain.modules.with_trackml_ids(config.detectors)
    return Generator(config=config), chain, modules


def provenance_of(config: TrackerConfig, *, seed: int) -> dict[str, Any]:
    """Return what made the events: settings, seed and versions; part of every event and of the store."""
    from importlib.metadata import PackageNotFoundError, version

    from hitloom._version import __version__

    versions: dict[str, str | None] = {"hitloom": __version__}
    for package in ("pythia8mc", "pyacts"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None  # the gun needs no Pythia

    settings = config.model_dump(mode="json")
    settings["detectors"] = config.detectors.name if config.detectors is not None else None
    return {
        "simulation": "tracker",
        "config": settings,
        "seed": seed,
        "versions": versions,
    }


def _check_number(name: str, value: int) -> None:
    if value < 0:
        raise ConfigError(f"{name} must not be negative, got {value}")
