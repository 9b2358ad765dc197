"""Close-by showers in a calorimeter endcap, and the tracksters that CLUE3D makes of them, one event for each.

>>> from hitloom.simulate.close_showers import CloseShowersConfig, simulate_close_showers
>>> events = simulate_close_showers(CloseShowersConfig(), num_events=2, seed=1)  # lazily, of two collisions

A collision depends on the configuration, the seed and its number only. **The shapes of the showers are toy**, as those
of :mod:`hitloom.simulate.calorimeter`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np

from hitloom.data.clue3d_tracksters import get_preset, iterate
from hitloom.data.endcap_geometry import get_geometry
from hitloom.data.layer_clusters import LayerClusters
from hitloom.data.pruning_tracksters import pruning_events
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.simulate.calorimeter import simulate_deposits
from hitloom.simulate.calorimeter_config import CalorimeterConfig
from hitloom.simulate.calorimeter_gun import draw_energy, draw_sign, particle_row
from hitloom.simulate.calorimeter_particles import Source
from hitloom.simulate.close_showers_config import CloseShowersConfig, provenance_of
from hitloom.simulate.parallel import check_number, make_event_lists
from hitloom.simulate.particles import ParticleTable, concatenate

__all__ = [
    "CloseShowersConfig",
    "close_showers_particles",
    "provenance_of",
    "simulate_close_showers",
    "simulate_collision",
    "simulate_collisions",
]

SOURCE = "simulate-close-showers"
_SIDES = {"both": (1, -1), "forward": (1,), "backward": (-1,)}
_SIGNAL, _SOFT = 1, 2047  # the vertex field of an id: showers, soft background; collisions of pile-up lie between
_MAX_TRIES = 100
_LIGHT = 29.9792458  # cm / ns


def simulate_close_showers(
    config: CloseShowersConfig, *, num_events: int, seed: int, first_event_id: int = 0, num_processes: int = 1
) -> Iterator[Event]:
    """Yield the tracksters of ``num_events`` collisions in order.

    See :func:`hitloom.simulate.parallel.make_events`.
    """
    for events in simulate_collisions(
        config, num_events=num_events, seed=seed, first_event_id=first_event_id, num_processes=num_processes
    ):
        yield from events


def simulate_collisions(
    config: CloseShowersConfig, *, num_events: int, seed: int, first_event_id: int = 0, num_processes: int = 1
) -> Iterator[list[Event]]:
    """Yield the list of the tracksters of each collision."""
    check_number("seed", seed)
    make = partial(_make, config, seed)
    return make_event_lists(make, num_events=num_events, first_event_id=first_event_id, num_processes=num_processes)


def simulate_collision(config: CloseShowersConfig, *, seed: int, event_id: int) -> list[Event]:
    """Return the tracksters of one collision.

    Raises
    ------
    ConfigError
        When ``seed`` or ``event_id`` is negative, or a group does not fit on the front face.
    MissingDependencyError
        When there is pile-up and pythia8mc is not installed.
    """
    check_number("seed", seed)
    check_number("event_id", event_id)
    table = close_showers_particles(config, seed=seed, event_id=event_id)
    return tracksters_of(table, config, seed=seed, event_id=event_id)


def tracksters_of(table: ParticleTable, config: CloseShowersConfig, *, seed: int, event_id: int) -> list[Event]:
    """Send particles into the calorimeter and return the tracksters; the order of particles does not matter."""
    made = simulate_deposits(table, config.calorimeter(), seed=seed, event_id=event_id)
    iterations = [get_preset(one) if isinstance(one, str) else one for one in config.iterations]
    return pruning_events(
        _with_arrival(made.clusters),
        iterate(made.clusters, iterations),
        made.truth,
        event_id=event_id,
        source=SOURCE,
        provenance=provenance_of(config, seed=seed),
        majority=config.majority,
        all_noise=config.all_noise,
        min_share=config.min_share,
        max_sims=config.max_sims,
        min_size=config.min_size,
    )


def close_showers_particles(config: CloseShowersConfig, *, seed: int, event_id: int) -> ParticleTable:
    """Return the particles of one collision: showers, soft background, pile-up."""
    pileup = _source(config.calorimeter()).particles(seed=seed, event_id=event_id)
    return concatenate([_groups(config, np.random.default_rng([seed, event_id, 8])), pileup])


def _make(config: CloseShowersConfig, seed: int, event_id: int) -> list[Event]:
    return simulate_collision(config, seed=seed, event_id=event_id)


@lru_cache(maxsize=2)
def _source(config: CalorimeterConfig) -> Source:
    return Source(config=config)


def _groups(config: CloseShowersConfig, rng: np.random.Generator) -> ParticleTable:
    """Return the particles of all groups, from one point of collision."""
    calorimeter = config.calorimeter()
    sigma = (calorimeter.beam_sigma_xy, calorimeter.beam_sigma_xy, calorimeter.beam_sigma_z)
    point = np.append(rng.normal(size=3) * sigma, 0.0)
    rows: list[tuple[float, ...]] = []

    def shoot(vertex: int, species: tuple[str, ...], energy: float, place: np.ndarray) -> None:
        kind = str(rng.choice(species))
        rows.append(
            particle_row(
                kind, energy, sign=draw_sign(kind, rng), number=len(rows) + 1, place=place, point=point, vertex=vertex
            )
        )

    for side in _SIDES[config.endcap]:
        for _ in range(config.num_groups):
            places = _places(config, rng, side)
            first = draw_energy(config.energy, rng)
            for number, place in enumerate(places):
                energy = first * (draw_energy(config.energy_ratio, rng) if number else 1.0)
                shoot(_SIGNAL, config.species, energy, place)
            soft = config.background
            for _ in range(rng.poisson(config.overlap * soft.density * math.pi * soft.radius**2)):
                away = 10.0 * soft.radius * math.sqrt(rng.random())
                place = _beside(places[0], away, rng)
                shoot(_SOFT, soft.species, draw_energy(soft.energy, rng), place)
    return ParticleTable.from_rows(rows)


def _places(config: CloseShowersConfig, rng: np.random.Generator, side: int) -> list[np.ndarray]:
    """Return the places of one group on the front face in mm, all within the range in eta."""
    front = get_geometry(config.geometry).front_z * 10.0
    size = config.group_size if rng.random() < config.overlap * config.companion_share else 1
    low, high = (front / math.sinh(eta) for eta in config.eta[::-1])
    for _ in range(_MAX_TRIES):
        phi = rng.uniform(-math.pi, math.pi)
        radius = front / math.sinh(rng.uniform(*config.eta))
        places = [np.array([radius * math.cos(phi), radius * math.sin(phi), side * front])]
        places += [_beside(places[0], 10.0 * rng.uniform(*config.separation), rng) for _ in range(size - 1)]
        away = [math.hypot(*place[:2]) for place in places]
        if all(low <= one <= high for one in away[1:]):
            return places
    raise ConfigError(
        f"groups of {size} with separation {config.separation} cm do not fit into eta {config.eta}; "
        "mend: nearer showers or a wider range"
    )


def _beside(place: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    """Return the place at ``distance`` across in a random direction."""
    angle = rng.uniform(-math.pi, math.pi)
    return place + distance * np.array([math.cos(angle), math.sin(angle), 0.0])


def _with_arrival(clusters: LayerClusters) -> LayerClusters:
    """Return the layer clusters with times since the collision, not since light came: none of them is negative."""
    path = np.sqrt(clusters.x**2 + clusters.y**2 + clusters.z**2)
    has_time = clusters.time_error > 0
    return dataclasses.replace(clusters, time=np.where(has_time, clusters.time + path / _LIGHT, clusters.time))
