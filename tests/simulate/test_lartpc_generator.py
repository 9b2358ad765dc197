"""Events in argon: what starts in them is what the configuration asks for."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from hitloom.config import build
from hitloom.data.lartpc_detectors import get_detector
from hitloom.errors import ConfigError
from hitloom.simulate.lartpc_config import LArTPCConfig, provenance_of
from hitloom.simulate.lartpc_deposits import ArgonEvent
from hitloom.simulate.lartpc_generator import argon_event, random_direction


def config_of(**generator: Any) -> LArTPCConfig:
    return build(LArTPCConfig, {"generator": generator})


def primaries(event: ArgonEvent) -> np.ndarray:
    return np.flatnonzero(event.particles.parent < 0)


def test_numbers_energies_and_kinds_are_those_of_the_configuration():
    config = config_of(num_showers=[1, 2], num_tracks=[0, 2], shower_energy=[90.0, 400.0], track_species=["proton"])
    numbers = set()
    for seed in range(30):
        event = argon_event(config, np.random.default_rng(seed))
        rows = primaries(event)
        pdg, energy = event.particles.pdg[rows], event.particles.energy[rows]
        showers = np.isin(pdg, (11, 22))
        assert 1 <= showers.sum() <= 2
        assert np.all((energy[showers] >= 90.0) & (energy[showers] <= 400.0))
        assert np.all(pdg[~showers] == 2212)
        np.testing.assert_array_equal(event.particles.start[rows], np.tile(event.vertex, (len(rows), 1)))
        numbers.add((int(showers.sum()), int((~showers).sum())))
    assert len(numbers) == 6


def test_an_event_can_be_empty():
    event = argon_event(config_of(num_showers=[0, 0], num_tracks=[0, 0]), np.random.default_rng(0))
    assert len(event.particles.pdg) == len(event.deposits.energy) == 0


def test_vertices_keep_away_from_the_walls():
    low, high = np.array(get_detector("dune-fd-hd").box).T
    config = config_of(num_showers=[0, 0], num_tracks=[0, 0], margin=50.0)
    vertices = np.stack([argon_event(config, np.random.default_rng(seed)).vertex for seed in range(200)])
    assert np.all((vertices >= low + 50.0) & (vertices <= high - 50.0))
    assert np.all(np.ptp(vertices, axis=0) > 0.8 * (high - low - 100.0))
    small = np.array([[-10.0] * 3, [10.0] * 3])
    event = argon_event(config, np.random.default_rng(0), small)
    assert np.all(np.abs(event.vertex) <= 8.0)


def test_tracks_have_the_asked_mean_length():
    config = build(
        LArTPCConfig,
        {
            "generator": {"num_showers": [0, 0], "num_tracks": [8, 8], "track_length": 30.0},
            "cascade": {"interactions": False, "scattering": False, "decays": False},
        },
    )
    lengths = []
    for seed in range(60):
        event = argon_event(config, np.random.default_rng(seed))
        rows = primaries(event)
        lengths += list(np.linalg.norm(event.particles.end[rows] - event.particles.start[rows], axis=1))
    assert np.mean(lengths) == pytest.approx(30.0, rel=0.12)
    assert min(lengths) > 0.8


def test_neutral_pions_come_besides():
    event = argon_event(config_of(num_showers=[0, 0], num_tracks=[0, 0], num_pi0=[2, 2]), np.random.default_rng(1))
    assert event.particles.pdg[primaries(event)].tolist() == [111, 111]
    assert (event.particles.pdg == 22).sum() >= 4


def test_cosmic_muons_come_from_above_through_a_wall_and_are_not_of_the_beam():
    config = config_of(num_showers=[0, 0], num_tracks=[0, 0], num_cosmics=3.0)
    low, high = np.array(get_detector("dune-fd-hd").box).T
    found = 0
    for seed in range(5):
        event = argon_event(config, np.random.default_rng(seed))
        rows = primaries(event)
        assert not event.particles.from_beam.any()
        for row in rows:
            assert abs(event.particles.pdg[row]) == 13
            assert event.particles.momentum[row, 1] < 0
            start, way = event.particles.start[row], event.particles.momentum[row]
            assert np.min(np.abs(np.concatenate([start - low, start - high]))) < 1e-6
            away = event.vertex - start
            along = away @ way / np.linalg.norm(way)
            assert math.sqrt(away @ away - along**2) < config.generator.cosmic_radius + 1e-6
        found += len(rows)
    assert found > 5


def test_directions_lean_forward_as_asked():
    rng = np.random.default_rng(0)
    for forward in (0.0, 3.0):
        cosines = np.array([random_direction(forward, rng)[2] for _ in range(4000)])
        expected = 1 / math.tanh(forward) - 1 / forward if forward else 0.0
        assert cosines.mean() == pytest.approx(expected, abs=0.03)


def test_events_depend_on_the_generator_alone():
    def make(seed: int) -> ArgonEvent:
        return argon_event(config_of(num_cosmics=1.0), np.random.default_rng(seed))

    first, _, again = make(4), make(5), make(4)
    for field in dataclasses.fields(first.deposits):
        np.testing.assert_array_equal(getattr(first.deposits, field.name), getattr(again.deposits, field.name))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"num_showers": [3, 1]}, "num_showers"),
        ({"shower_energy": [0.0, 10.0]}, "shower_energy"),
        ({"shower_species": []}, "shower_species"),
        ({"min_track_length": 90.0}, "min_track_length"),
        ({"number_showers": [1, 1]}, "num_showers"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, Any], key: str):
    with pytest.raises(ConfigError, match=key):
        config_of(**values)


def test_cuts_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="delta_cut must not be below cut"):
        build(LArTPCConfig, {"cascade": {"cut": 2.0}})
    with pytest.raises(ConfigError, match="bremsstrahlung_cut must not be below photon_cut"):
        build(LArTPCConfig, {"cascade": {"photon_cut": 1.0}})


def test_provenance_names_settings_and_seed():
    made = provenance_of(config_of(num_pi0=[1, 1]), seed=7)
    assert made["seed"] == 7
    assert made["config"]["generator"]["num_pi0"] == [1, 1]
