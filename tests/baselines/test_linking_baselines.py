"""Baselines of linking: the tests of skeletons one by one, the distance cut, and whose events they take."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hitloom.baselines import baseline_names, describe_baselines, get_baseline
from hitloom.baselines.candidate_links import (
    DistanceConfig,
    edge_distances,
    projective_square,
    run_distance,
    run_merge_all,
    run_merge_none,
    scan_distance,
)
from hitloom.baselines.skeleton_links import SkeletonConfig, compatible, run_skeleton, skeleton_links, skeletons
from hitloom.data.layer_clusters import LayerClusters, Tracksters
from hitloom.data.trackster_event import trackster_event
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping import connected_components
from hitloom.metrics.energy_overlap import object_overlap
from trackster_toy import LAYER_Z, toy_trackster_event

NAMES = ("distance", "merge-all", "merge-none", "skeleton")


def line(layers, *, eta, phi, energy, spread=0.05, seed=0, per_layer=1):
    """Return columns x, y, z, energy, layer of a trackster along a line from the collision point."""
    rng = np.random.default_rng(seed)
    layers = np.repeat(np.asarray(layers), per_layer)
    depth = LAYER_Z[layers - 1]
    r = depth / np.sinh(abs(eta))
    x, y = r * np.cos(phi) + rng.normal(0, spread, len(r)), r * np.sin(phi) + rng.normal(0, spread, len(r))
    return np.stack([x, y, depth * np.sign(eta), np.full(len(r), energy / len(r)), layers])


def event_of(*tracksters):
    """Return the event of tracksters given by their columns."""
    x, y, z, energy, layer = np.concatenate(tracksters, 1)
    number = len(x)
    clusters = LayerClusters(
        x=x, y=y, z=z, energy=energy, layer=layer.astype(int), num_hits=np.full(number, 3),
        time=np.full(number, -99.0), time_error=np.full(number, -1.0), radius=np.ones(number),
        scintillator=np.zeros(number, bool),
    )  # fmt: skip
    owner = np.repeat(np.arange(len(tracksters)), [part.shape[1] for part in tracksters])
    return trackster_event(clusters, Tracksters.from_labels(owner), event_id=1, source="made")


def links_of(event, **change):
    return [tuple(link) for link in skeleton_links(event, SkeletonConfig(**change)).T.tolist()]


LONG = line(range(1, 21), eta=2.0, phi=0.3, energy=100)


def test_merge_all_and_none():
    event = toy_trackster_event(1, num_pileup=4)
    (every,), (none,) = run_merge_all([event]), run_merge_none([event])
    assert every.labels.tolist() == connected_components(event.edge_index, event.num_points).tolist()
    assert every.edge_score.sigmoid().tolist() == [1.0] * event.edge_index.shape[1]
    assert none.labels.tolist() == list(range(event.num_points))
    assert (none.edge_score.sigmoid() < 1e-6).all()


def test_projective_distance_by_hand():
    one, other = np.array([30.0, 40.0, 320.0]), np.array([-66.0, 88.0, -640.0])
    # the other at half the depth: (-33, 44), r 55
    phi = abs(math.atan2(40, 30) - math.atan2(44, -33))
    assert projective_square(one, other) == pytest.approx((50 - 55) ** 2 + (55 * phi) ** 2)
    across = np.array([-50.0, 1e-6, 320.0]), np.array([-50.0, -1e-6, 320.0])
    assert projective_square(*across) == pytest.approx(4e-12)  # dphi is wrapped


def test_distance_cut_joins_what_is_closer():
    event = toy_trackster_event(2, num_pileup=4)
    distance = edge_distances(event)
    cut = float(np.median(distance))
    (result,) = run_distance([event], DistanceConfig(max_distance=cut))
    keep = torch.from_numpy(distance < cut)
    assert result.labels.tolist() == connected_components(event.edge_index[:, keep], event.num_points).tolist()
    assert (result.edge_score > 0).tolist() == keep.tolist()
    assert 0 < keep.sum() < len(keep)


def test_scan_finds_the_best_cut():
    events = [toy_trackster_event(seed, num_pileup=6) for seed in range(4)]
    cuts = (0.01, 0.5, 1.0, 2.0, 8.0, 50.0)

    def lost(cut):
        total = 0.0
        for event, result in zip(events, run_distance(events, DistanceConfig(max_distance=cut)), strict=True):
            found = object_overlap(
                energy=event.energy,
                share_index=event.share_index,
                share_fraction=event.share_fraction,
                labels=result.labels,
                num_objects=event.num_objects,
            )
            total += found.missing.sum() + found.foreign.sum()
        return total

    best = scan_distance(events, cuts=cuts).max_distance
    assert lost(best) == min(lost(cut) for cut in cuts)
    assert lost(best) < lost(0.01)
    f1 = scan_distance(events, cuts=cuts, objective="f1").max_distance
    assert f1 in cuts
    with pytest.raises(DataError, match="edge_y"):
        scan_distance([event_of(LONG)])
    bare = toy_trackster_event(0, num_particles=0)
    with pytest.raises(DataError, match="no event has a candidate edge"):
        scan_distance([bare])


def test_skeleton_points():
    event = event_of(
        LONG, line([1, 2, 3], eta=-2.5, phi=1, energy=9), line(range(1, 11), eta=-2.2, phi=-3.14, energy=9)
    )
    points = skeletons(event, SkeletonConfig())
    # 20 equal energies: 10 % is passed at the second, 90 % at the eighteenth
    assert points[0, 0, 2] == pytest.approx(LAYER_Z[1], abs=1e-3)
    assert points[0, 2, 2] == pytest.approx(LAYER_Z[17], abs=1e-3)
    slope = np.hypot(*points[0, 0, :2]) / points[0, 0, 2]
    assert slope == pytest.approx(1 / np.sinh(2.0), rel=1e-2)
    assert (points[1, 0] == points[1, 2]).all()  # fewer than four layers: round
    assert points[2, 0, 2] == pytest.approx(-LAYER_Z[0], abs=1e-3)  # inner is the smaller |z| in both endcaps
    assert points[2, 2, 2] == pytest.approx(-LAYER_Z[8], abs=1e-3)


def test_aligned_good_tracksters_are_linked():
    behind = line(range(24, 40), eta=2.0, phi=0.3, energy=60, seed=1)
    assert links_of(event_of(LONG, behind)) == [(0, 1)]
    assert links_of(event_of(LONG, behind), min_alignment=1.0) == []


def test_good_tracksters_far_apart_by_their_nearest_points():
    """Barycentres too far apart, but ends that meet: both good, so the pair nearest in z decides."""
    mine = np.array([[70.0, 0.0, 370.0], [76.0, 0.0, 400.0], [82.0, 0.0, 430.0]])
    theirs = np.array([[[86.0, 0.0, 440.0], [112.0, 0.0, 465.0], [138.0, 0.0, 490.0]]])
    good = np.array([True])
    assert projective_square(mine[1], theirs[0, 1]) > 60
    assert projective_square(mine[2], theirs[0, 0]) < 9
    assert compatible(mine, theirs, good, 100.0, SkeletonConfig()).tolist() == [True]
    for change in (
        {"max_distance_z": (35.0, 9.0)},
        {"projective_low": (4.0, 1.0), "projective_high": (4.0, 1.0)},
    ):
        assert compatible(mine, theirs, good, 100.0, SkeletonConfig(**change)).tolist() == [False]


def test_weak_tracksters_are_linked_when_near():
    near = line([30, 31], eta=2.0, phi=0.302, energy=2)
    assert links_of(event_of(LONG, near)) == [(0, 1)]
    beside = line([19, 20], eta=2.0, phi=0.335, energy=2)
    closest = {"closest_low": (25.0, 50.0), "closest_high": (25.0, 30.0)}
    nothing = {"cylinder": (0.0, 0.0)}
    assert links_of(event_of(LONG, beside), **closest, **nothing) == [(0, 1)]
    assert links_of(event_of(LONG, beside), closest_low=(4.0, 4.0), closest_high=(4.0, 4.0), **nothing) == []


def test_cylinder_is_the_last_chance():
    mine = np.array([[80.0, 0.0, 322.0], [85.0, 0.0, 340.0], [90.0, 0.0, 360.0]])
    other = np.repeat([[[85.0, 2.9, 345.0]]], 3, 1)
    off = SkeletonConfig(
        projective_low=(0.0, 0.0), projective_high=(0.0, 0.0), closest_low=(0.0, 0.0), closest_high=(0.0, 0.0)
    )
    assert compatible(mine, other, np.array([False]), 100.0, off).tolist() == [True]
    assert compatible(mine, other + np.array([0, 0.2, 0]), np.array([False]), 100.0, off).tolist() == [False]
    assert compatible(mine, other + np.array([0, 0, 20.0]), np.array([False]), 100.0, off).tolist() == [False]
    assert compatible(mine, other, np.array([True]), 100.0, off).tolist() == [False]
    mirror = np.array([1, 1, -1])
    assert compatible(mine * mirror, other * mirror, np.array([False]), 100.0, off).tolist() == [True]


@pytest.mark.parametrize(
    ("energy", "limit"), [(5.0, 10.0), (20.0, 10.0), (85.0, 7.5), (150.0, 5.0), (900.0, 5.0)]
)  # between 20 and 150 GeV from 10 to 5 cm2
def test_limits_change_with_energy(energy, limit):
    mine = np.array([[80.0, 0.0, 330.0]] * 3)
    config = SkeletonConfig(projective_low=(0.0, 0.0), projective_high=(0.0, 0.0), cylinder=(0.0, 0.0))
    for gap, joined in ((math.sqrt(limit) - 1e-3, True), (math.sqrt(limit) + 1e-3, False)):
        other = np.array([[[80.0 + gap, 0.0, 330.0]] * 3])
        assert compatible(mine, other, np.array([False]), energy, config).tolist() == [joined]


def test_limits_depend_on_the_section():
    for shift, joined in ((0, False), (40.0, True)):  # 4 cm2 before the border, 60 behind it
        mine = np.array([[80.0, 0.0, 330.0]] * 3) + np.array([0, 0, shift])
        other = np.array([[[83.0, 0.0, 330.0]] * 3]) + np.array([0, 0, shift])
        config = SkeletonConfig(closest_low=(0.0, 0.0), closest_high=(0.0, 0.0), cylinder=(0.0, 0.0))
        assert compatible(mine, other, np.array([False]), 100.0, config).tolist() == [joined]


@pytest.mark.parametrize(
    "weak",
    [
        line(range(1, 15), eta=2.0, phi=0.3, energy=100),  # 14 layer clusters
        line(range(1, 21), eta=2.0, phi=0.3, energy=19),  # too little energy
        line(range(1, 21), eta=2.0, phi=0.3, energy=100, spread=8.0),  # too wide
        line([1, 2, 3], eta=2.0, phi=0.3, energy=100, per_layer=7),  # round
    ],
)
def test_only_good_tracksters_start(weak):
    other = line([22, 23], eta=2.0, phi=0.3, energy=2)
    assert links_of(event_of(weak, other)) == []
    assert links_of(event_of(LONG, other)) == [(0, 1)]


def test_nobody_receives_two_links():
    """The strongest comes first; the one in the middle is not taken a second time."""
    second = line(range(1, 21), eta=2.0, phi=0.31, energy=60, seed=2)
    weak = line([24, 25], eta=2.0, phi=0.305, energy=2)
    links = links_of(event_of(second, weak, LONG), min_alignment=-1.0)
    assert (2, 1) in links
    assert (0, 1) not in links
    assert len({receiver for _, receiver in links}) == len(links)


def test_endcaps_and_phi_are_alike():
    """The window takes |dphi| wrapped: a pair across phi = pi is linked, from either side, in both endcaps."""
    for phi in (0.3, math.pi):
        for turn in (0.01, -0.01):
            for side in (1, -1):
                strong = line(range(1, 21), eta=2.0 * side, phi=phi, energy=100)
                weak = line([24, 25], eta=2.0 * side, phi=phi + turn, energy=2)
                far = line([24, 25], eta=-2.0 * side, phi=phi, energy=2)
                assert links_of(event_of(strong, weak, far)) == [(0, 1)], (phi, turn, side)


def test_the_window_is_symmetric():
    strong = line(range(1, 21), eta=2.0, phi=0.0, energy=100)
    wide = {"projective_low": (1e4, 1e4), "projective_high": (1e4, 1e4)}
    for phi, joined in ((0.034, True), (-0.034, True), (0.038, False), (-0.038, False)):
        weak = line([24, 25], eta=2.0, phi=phi, energy=2, spread=0.0)
        assert bool(links_of(event_of(strong, weak), **wide)) == joined, phi


def test_skeleton_result():
    event = event_of(LONG, line([24, 25], eta=2.0, phi=0.3, energy=2), line([1, 2], eta=-2.0, phi=0.3, energy=2))
    (result,) = run_skeleton([event])
    assert result.labels.tolist() == [0, 0, 1]
    inner, outer = event.edge_index
    assert (result.edge_score > 0).tolist() == (result.labels[inner] == result.labels[outer]).tolist()
    bare = event.clone()
    del bare["member_index"]
    with pytest.raises(DataError, match="'member_index' is needed for skeletons"):
        list(run_skeleton([bare]))


def test_every_baseline_names_its_detector():
    assert baseline_names("calorimeter") == list(NAMES)
    assert set(baseline_names("tracker")) == {"ckf", "helix-dbscan"}
    detectors = ("calorimeter", "tracker", "trackster", "lartpc")
    assert set(baseline_names()) == {name for detector in detectors for name in baseline_names(detector)}
    assert "skeleton (calorimeter)" in describe_baselines()
    hits = Event(pos=torch.zeros(2, 3), event_id=7, source="hits")
    tracksters = toy_trackster_event(0)
    for name in baseline_names():
        baseline = get_baseline(name)
        wrong, mend = (hits, "ckf") if baseline.detector == "calorimeter" else (tracksters, "skeleton")
        with pytest.raises(DataError, match=f"baseline '{name}' is for a {baseline.detector}") as caught:
            list(baseline.run([wrong], baseline.config_class()))
        assert mend in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_events_with_nothing_and_one(name):
    baseline = get_baseline(name)
    empty, one = toy_trackster_event(0, num_particles=0), event_of(LONG)
    results = list(baseline.run([empty, one], baseline.config_class()))
    assert [result.labels.tolist() for result in results] == [[], [0]]
    assert "linking" in results[0].timing


def test_groups_do_not_depend_on_the_order_of_tracksters():
    event = toy_trackster_event(3, num_pileup=5, num_layers_each=24, pieces=2)
    order = torch.from_numpy(np.random.default_rng(3).permutation(event.num_points))
    moved = event.clone()
    for name in ("pos", "x", "energy", "time"):
        moved[name] = event[name][order]
    back = torch.argsort(order)
    moved.member_index = torch.stack([event.member_index[0], back[event.member_index[1]]])
    moved.edge_index = back[event.edge_index]
    for name in NAMES:
        run = get_baseline(name).run
        (one,), (other,) = run([event]), run([moved])
        pairs = set(zip(one.labels[order].tolist(), other.labels.tolist(), strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}), name
