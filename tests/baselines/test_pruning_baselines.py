"""Pruning by rules: geometry of the cuts, CLUE3D once more, and settings that are the best there are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.baselines import baseline_names, describe_baselines, detector_of, get_baseline
from hitloom.baselines.tight_clue3d import TightClue3dConfig, run_tight_clue3d, taken_away, tune_tight_clue3d
from hitloom.baselines.trackster_cuts import (
    EnergyDistanceConfig,
    axis_distance,
    cut_margin,
    run_energy_distance,
    run_keep_all,
    tune_energy_distance,
)
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping.clue3d import clue3d
from pruning_toy import as_event, toy_trackster
from tracker_toy import tracker_event

NAMES = ["energy-distance", "keep-all", "tight-clue3d"]


def toys(num: int = 30, size: int = 25) -> list[Event]:
    return [toy_trackster(size, seed) for seed in range(num)]


def f1(events: list[Event], config: EnergyDistanceConfig) -> float:
    pruned = np.concatenate([cut_margin(event, config) < 0 for event in events])
    prune = np.concatenate([event.point_y.numpy() > 0.5 for event in events])
    return 2 * (pruned & prune).sum() / (pruned.sum() + prune.sum())


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_cluster_is_kept_or_pruned_by_its_identifier(name: str):
    baseline, events = get_baseline(name), [*toys(3), toy_trackster(1), toy_trackster(2)]
    for event, result in zip(events, baseline.run(events, baseline.config_class()), strict=True):
        assert torch.equal(result.point_id, event.point_id)
        assert result.event_id == event.event_id
        assert set(result.labels.tolist()) <= {0, -1}
        if result.point_score is not None:
            assert torch.equal(result.labels == -1, result.point_score < 0)


def test_a_trackster_is_a_detector_of_its_own():
    assert baseline_names("trackster") == NAMES
    assert "energy-distance, keep-all, tight-clue3d (trackster)" in describe_baselines()
    assert detector_of(toy_trackster(3)) == "trackster"
    with pytest.raises(DataError, match="'keep-all' is for a trackster, and this event is one of a tracker"):
        next(get_baseline("keep-all").run([tracker_event(10, 0)]))
    with pytest.raises(DataError, match="one of a trackster; mend: energy-distance, keep-all"):
        next(get_baseline("merge-all").run([toy_trackster(3)]))


def test_keep_all_keeps_all():
    assert all(bool((result.labels == 0).all()) for result in run_keep_all(toys(3)))


def test_the_distance_is_that_from_the_line_through_collision_and_seed():
    rows = np.zeros((3, 9))
    rows[0, :3], rows[0, 7] = (30.0, 40.0, 400.0), 1  # seed
    rows[1, :3] = (33.0, 44.0, 440.0)  # on the line through it
    rows[2, :3] = (30.0, 40.0 + 2.0, 400.0)
    rows[:, 3] = 1.0, 5.0, 2.0
    event = as_event(rows, [], None, layer=np.array([1, 5, 1]), event_id=0)
    np.testing.assert_allclose(axis_distance(event, "seed"), [0, 0, 2], atol=1e-4)
    # the barycentre lies 2/8 of the way to the third one
    np.testing.assert_allclose(axis_distance(event, "barycentre"), [0.5, 0.55, 1.5], atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(-math.pi, math.pi), st.booleans(), st.sampled_from(["seed", "barycentre"]))
def test_a_rotation_and_the_other_endcap_change_nothing(seed: int, angle: float, mirror: bool, axis: str):
    event = toy_trackster(12, seed)
    other = event.clone()
    x, y = event.x[:, 0], event.x[:, 1]
    other.x = event.x.clone()
    other.x[:, 0] = math.cos(angle) * x - math.sin(angle) * y
    other.x[:, 1] = math.sin(angle) * x + math.cos(angle) * y
    if mirror:
        other.x[:, 2] *= -1
    np.testing.assert_allclose(axis_distance(other, axis), axis_distance(event, axis), atol=2e-3)


def test_the_cut_is_the_formula_of_its_settings():
    config = EnergyDistanceConfig(
        axis="barycentre", max_distance=2.0, energy_slope=-0.5, layer_slope=0.1, total_slope=0.3, min_energy=0.2
    )
    event = toy_trackster(40, 3)
    distance, energy = axis_distance(event, "barycentre"), event.energy.tolist()
    result = next(run_energy_distance([event], config))
    for row in range(40):
        cut = 2.0 - 0.5 * math.log(energy[row]) + 0.1 * int(event.layer[row]) + 0.3 * math.log(sum(energy))
        assert (int(result.labels[row]) == -1) == (distance[row] > cut or energy[row] < 0.2)
    assert 0 < int((result.labels == -1).sum()) < 40


def test_tuned_cuts_are_the_best_of_a_scan_and_hold_on_other_tracksters():
    events, others = toys(), [toy_trackster(25, seed) for seed in range(1000, 1030)]
    config = tune_energy_distance(events)
    best = f1(events, config)
    for distance in np.linspace(0.0, 6.0, 61):
        moved = config.model_copy(update={"max_distance": config.max_distance + distance - 3.0})
        assert f1(events, moved) <= best + 1e-12
        for axis in ("seed", "barycentre"):
            assert f1(events, EnergyDistanceConfig(axis=axis, max_distance=distance, energy_slope=0.0,
                                                   layer_slope=0.0, total_slope=0.0)) <= best + 1e-12  # fmt: skip
    assert best > f1(events, EnergyDistanceConfig())
    assert f1(others, config) > 0.7  # layer clusters to prune lie 3 cm aside, the others within 0.5 cm


def test_the_main_part_is_kept_and_what_lies_apart_is_pruned():
    """Two showers, 12 cm apart, of 9 layers each; the weaker one goes, and so does a weak cluster far from both."""
    layer = np.repeat(np.arange(10, 19), 2)
    rows = np.zeros((19, 9))
    z = 320.0 + 2 * layer
    rows[:18, 2] = z
    rows[:18, 0] = (40.0 + 12.0 * (np.arange(18) % 2)) * z / z[0]
    rows[:18, 3] = np.where(np.arange(18) % 2, 1.0, 3.0)
    rows[18, :4] = 80.0, 30.0, 340.0, 0.05
    event = as_event(rows, [], None, layer=np.append(layer, 10), event_id=0)
    labels = next(run_tight_clue3d([event])).labels
    assert labels.tolist() == [0, -1] * 9 + [-1]


def test_one_run_for_many_tracksters_gives_what_clue3d_gives_each():
    config = TightClue3dConfig(critical_distance=1.5, same_layer=True, critical_density=0.1)
    events = [toy_trackster(size, seed) for seed, size in enumerate((1, 30, 2, 60, 25))]
    together = taken_away(events, config)
    first = 0
    for event in events:
        x, y, z = event.x[:, :3].double().numpy().T
        num, energy = event.num_points, event.energy.double().numpy()
        found = clue3d(
            x=x, y=y, z=z, energy=energy, layer=event.layer.numpy(), num_hits=np.ones(num), radius=np.zeros(num),
            scintillator=np.zeros(num, bool), settings=config.settings(),
        ).labels  # fmt: skip
        main = max(set(found[found >= 0].tolist()), key=lambda part: energy[found == part].sum())
        assert np.array_equal(together[first : first + num], found != main)
        first += num
    assert 0 < together.sum() < len(together)


def test_a_trackster_too_thin_for_any_seed_stays_whole():
    event = toy_trackster(10, 1)
    event.energy = event.energy * 1e-4
    assert bool((next(run_tight_clue3d([event])).labels == 0).all())


def test_tuned_clue3d_is_no_worse_than_the_default():
    events = toys(12)
    prune = np.concatenate([event.point_y.numpy() > 0.5 for event in events])

    def quality(config: TightClue3dConfig) -> float:
        away = taken_away(events, config)
        return 2 * (away & prune).sum() / (away.sum() + prune.sum())

    tuned = tune_tight_clue3d(events)
    assert quality(tuned) > quality(TightClue3dConfig())


@pytest.mark.parametrize("name", ["energy-distance", "tight-clue3d"])
def test_tuning_needs_labels_and_something_to_prune(name: str):
    tune = get_baseline(name).tune
    assert tune is not None
    with pytest.raises(DataError, match=rf"'point_y' is needed to tune '{name}'"):
        tune([toy_trackster(5, 1, labelled=False)])
    with pytest.raises(DataError, match="none of 1 tracksters has a layer cluster to prune"):
        tune([toy_trackster(5, 1, share=0.0)])
    assert get_baseline("keep-all").tune is None
