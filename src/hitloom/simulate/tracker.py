"""Simulated tracker events: Pythia 8 collisions in the ACTS generic (TrackML) detector, digitised with cells and noise.

>>> from hitloom.simulate.tracker import TrackerConfig, simulate_tracker
>>> events = simulate_tracker(TrackerConfig(pileup=10.0), num_events=2, seed=1)  # a lazy iterator

An event depends on the configuration, the seed and its number only: not on the number of processes nor on the events
before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from hitloom.event import Event
from hitloom.simulate.parallel import check_number, make_events, package_versions
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
    check_number("seed", seed)
    check_number("event_id", event_id)
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
    check_number("seed", seed)
    make = partial(_make, config, seed)
    return make_events(make, num_events=num_events, first_event_id=first_event_id, num_processes=num_processes)


def _make(config: TrackerConfig, seed: int, event_id: int) -> Event:
    return simulate_event(config, seed=seed, event_id=event_id)


@lru_cache(maxsize=2)
def _workshop(config: TrackerConfig) -> tuple[Any, Any, Any]:
    """Return generator, detector and module table of a configuration; building them takes seconds, so they are kept."""
    from hitloom.simulate.acts_chain import Chain
    from hitloom.simulate.gun import shoot
    from hitloom.simulate.pythia import Generator

    chain = Chain(config=config)
    modules = chain.modules if config.detectors is None else chain.modules.with_trackml_ids(config.detectors)
    neutrals = frozenset({22}) if config.photon_conversions else frozenset()
    generator = Generator(config=config, gun=partial(shoot, config), neutrals=neutrals)
    return generator, chain, modules


def provenance_of(config: TrackerConfig, *, seed: int) -> dict[str, Any]:
    """Return what made the events: settings, seed and versions; part of every event and of the store."""
    settings = config.model_dump(mode="json")
    settings["detectors"] = config.detectors.name if config.detectors is not None else None
    return {
        "simulation": "tracker",
        "config": settings,
        "seed": seed,
        "versions": package_versions("pythia8mc", "pyacts"),  # the gun needs no Pythia
    }
