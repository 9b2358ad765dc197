"""Shower growing by rules, on clusters made by hand: one test for each rule. C clusters, coordinates (x, z) in cm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.baselines import baseline_names, describe_baselines, detector_of, get_baseline
from hitloom.baselines import cluster_geometry as geometry_module
from hitloom.baselines.cluster_association import (
    NONE,
    SINGLE,
    STANDARD,
    STRONG,
    associations,
    begins_at,
    points_to_vertex,
)
from hitloom.baselines.cluster_geometry import cluster_geometry
from hitloom.baselines.cluster_growth import ShowerGrowingConfig, give_to_best, reached
from hitloom.baselines.shower_growing import GRIDS, MOP_UP_GRID
from hitloom.errors import DataError
from shower_toy import toy_view, view_event

NAMES = ["no-merging", "shower-growing", "shower-growing-mop-up", "shower-growing-tuned"]
INNER, OUTER, EITHER = (True, False), (False, True), (True, True)


def line(start, end, step=0.5):
    """Return points from ``start`` to ``end``, both included."""
    start, end = np.array(start, float), np.array(end, float)
    number = max(2, round(float(np.hypot(*(end - start))) / step) + 1)
    return start + np.linspace(0, 1, number)[:, None] * (end - start)


def view(*clusters):
    """Return the view of these clusters (M, 2), with wires 0.5 cm apart; each is a particle of its own."""
    place = np.concatenate([np.asarray(cluster, float).reshape(-1, 2) for cluster in clusters])
    owner = np.repeat(np.arange(len(clusters)), [len(cluster) for cluster in clusters])
    ones = np.ones(len(place))
    columns = {"x": place[:, 0], "z": place[:, 1], "x_width": ones, "pitch": ones / 2, "energy": ones}
    return view_event(columns, owner, owner, pdg=[11] * len(clusters), gaps=False)


def geometry(*clusters, min_hits=1):
    return cluster_geometry(view(*clusters), min_hits=min_hits, direction_length=10.0)


def groups(event, name="shower-growing", **settings_):
    (result,) = get_baseline(name).run([event], ShowerGrowingConfig(**settings_))
    return result.labels.tolist()


def kind(cluster, candidate, begins=(INNER, INNER), nearby=2.5, remote=10.0):
    found = associations(geometry(cluster, candidate), np.array(begins), nearby=nearby, remote=remote)
    assert found.diagonal().tolist() == [NONE, NONE]
    return int(found[0, 1])


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_distances_are_those_of_the_closest_hits(seed):
    event = toy_view(12, seed=seed)
    found = cluster_geometry(event, min_hits=3, direction_length=10.0)
    hits = [event.part_pos[event.part_point_index == row][:, [0, 2]].double().numpy() / 10 for row in range(12)]
    assert found.row.tolist() == [row for row in range(12) if len(hits[row]) >= 3]
    for i, one in enumerate(found.row):
        inner, outer = hits[one][:, 1].min(), hits[one][:, 1].max()
        assert found.num_hits[i] == len(hits[one])
        assert 0 <= found.ends[i, 0, 1] - inner <= 0.24  # half a wire
        assert 0 <= outer - found.ends[i, 1, 1] <= 0.24
        for j, other in enumerate(found.row):
            gaps = np.hypot(*(hits[one][:, None] - hits[other][None]).transpose(2, 0, 1))
            assert found.distance[i, j] == pytest.approx(gaps.min(), abs=1e-6)
            for end in (0, 1):
                gap = np.hypot(*(found.ends[i, end] - hits[other]).T).min()
                assert found.end_distance[i, end, j] == pytest.approx(gap, abs=1e-6)


def test_distances_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    event = toy_view(30, seed=3)
    wanted = cluster_geometry(event, min_hits=2, direction_length=10.0).distance
    monkeypatch.setattr(geometry_module, "_BLOCK", 300)
    assert np.array_equal(cluster_geometry(event, min_hits=2, direction_length=10.0).distance, wanted)


def test_ends_are_means_of_the_hits_on_the_outermost_wires_and_directions_point_out():
    found = geometry([(0, 10), (2, 10), (1, 11), (1, 12), (1, 13), (1, 14)])
    assert found.ends[0].tolist() == [[1, 10], [1, 14]]
    assert found.outward[0] == pytest.approx(np.array([[0, -1], [0, 1]]), abs=1e-12)
    assert found.length[0] == pytest.approx(np.hypot(2, 4))
    # at the inner end the cluster runs along x: the direction there is that of the near hits alone
    bent = cluster_geometry(
        view(np.concatenate([line((0, 5), (4, 5.4)), line((4, 5.5), (4, 30))])), min_hits=1, direction_length=3.0
    )
    assert bent.outward[0, 0] == pytest.approx([-0.995, -0.0995], abs=0.01)
    assert bent.outward[0, 1] == pytest.approx([0, 1], abs=0.01)


@pytest.mark.parametrize(
    ("start", "end", "shift", "wanted"),
    [
        ((0, 10), (0, 20), 0.333, INNER),
        ((0, -20), (0, -10), 0.333, OUTER),
        ((0, -5), (0, 5), 0.333, EITHER),  # the vertex within
        ((50, -5), (50, 5), 0.333, EITHER),  # beside
        ((23, 10), (23, 20), 0.333, INNER),  # the apex is at z = 13.33, the cone there 23.1 wide
        ((23.5, 10), (23.5, 20), 0.333, EITHER),
        ((0, -2), (0, 10), 0.333, INNER),  # a little inside
        ((0, -2), (0, 10), 0.0, EITHER),
    ],
)
def test_a_cluster_begins_where_the_vertex_lies_before_it(start, end, shift, wanted):
    assert tuple(begins_at(geometry(line(start, end)), tan_angle=1.732, apex_shift=shift)[0]) == wanted


def test_a_cluster_on_one_wire_may_begin_at_either_end():
    assert tuple(begins_at(geometry(line((5, 8), (9, 8))), tan_angle=1.732, apex_shift=0.333)[0]) == EITHER


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        ((0, 0.5), (0, 10), True),  # touches
        ((0, -2), (0, 10), True),  # a little beyond
        ((0, -3), (0, 10), False),
        ((0, 19), (0, 30), True),  # points back
        ((0, -30), (0, -19), True),  # with its outer end
        ((0, 21), (0, 30), False),  # too far
        ((1.5, 1), (1.5, 10), True),
        ((1.6, 1), (1.6, 10), False),  # 1.5 + 1 tan 3 degrees = 1.55
        ((2.2, 15), (2.2, 30), True),
        ((2.4, 15), (2.4, 30), False),  # 1.5 + 15 tan 3 degrees = 2.29
        ((-10, 5), (10, 5.4), False),  # passes by
    ],
)
def test_seeds_touch_the_vertex_or_point_back_at_it(start, end, wanted):
    found = points_to_vertex(geometry(line(start, end)), transverse=1.5, low=-2.5, high=20.0, allowance=3.0)
    assert bool(found[0]) is wanted


SHOWER = line((0, 10), (0, 40))


def test_an_enclosed_cluster_is_associated_strongly():
    inside = line((2, 20), (2, 30))
    assert kind(SHOWER, inside, (INNER, OUTER)) == STRONG
    assert kind(SHOWER, line((2, 20), (3, 30)), (INNER, OUTER)) == SINGLE  # one end is out of reach
    # not where the candidate lies at the begin of the cluster; at its end it may, unless that may be the begin too
    assert kind(SHOWER, line((2, 10), (2, 20)), (INNER, OUTER)) == SINGLE
    assert kind(SHOWER, line((2, 30), (2, 40)), (INNER, OUTER)) == STRONG
    assert kind(SHOWER, line((2, 30), (2, 40)), (EITHER, OUTER)) == SINGLE


def test_overlapping_clusters_that_run_the_same_way_are_associated_strongly():
    behind = line((2, 39), (2, 60))
    for begins in (INNER, OUTER, EITHER):
        assert kind(SHOWER, behind, (begins, begins)) == STRONG
    assert kind(SHOWER, behind, (EITHER, INNER)) == SINGLE
    assert kind(behind, SHOWER) == STRONG  # the outer end of the candidate and the inner end of the cluster
    assert kind(SHOWER, line((2, 43), (2, 60)), (EITHER, EITHER)) == NONE


def test_a_branch_is_associated_where_it_begins():
    branch = line((2, 20), (20, 30))
    assert kind(SHOWER, branch) == STANDARD
    assert kind(SHOWER, branch, (INNER, EITHER)) == STANDARD
    assert kind(SHOWER, branch, (INNER, OUTER)) == SINGLE  # it ends there
    assert kind(SHOWER, line((2, 18), (20, 28))) == SINGLE  # too near to where the cluster begins
    assert kind(SHOWER, line((2, 35), (20, 45))) == STANDARD
    assert kind(SHOWER, line((2, 35), (20, 45)), (EITHER, INNER)) == SINGLE  # it may begin at either end
    assert kind(SHOWER, line((3, 20), (20, 30))) == NONE


def test_any_end_near_the_other_cluster_is_an_association_of_one_step():
    assert kind(SHOWER, line((-20, 32), (20, 52))) == SINGLE  # the end of the shower at the middle of the candidate
    assert kind(SHOWER, line((-20, 35), (20, 55))) == NONE


def test_clusters_whose_closest_hits_are_far_apart_are_never_associated():
    apart = line((8, 20), (8, 30))
    assert kind(SHOWER, apart, nearby=9.0, remote=10.0) != NONE
    assert kind(SHOWER, apart, nearby=9.0, remote=7.0) == NONE


def table(size, links):
    found = np.zeros((size, size), np.int8)
    for (i, j), value in links.items():
        found[i, j] = value
    return found


def test_growth_goes_from_cluster_to_cluster_and_single_links_hold_next_to_the_seed_only():
    flat = np.ones((4, 4))
    free = np.array([False, True, True, True])
    chain = {(0, 1): SINGLE, (1, 2): STANDARD, (2, 3): STRONG}
    found = reached(0, free, table(4, chain), flat)
    assert found.kind.tolist() == [NONE, SINGLE, STANDARD, STRONG]
    assert found.order.tolist() == [0, 1, 2, 3]
    assert rows(reached(0, free, table(4, chain | {(1, 2): SINGLE}), flat)) == [1]
    assert rows(reached(0, np.array([False, True, False, True]), table(4, chain), flat)) == [1]  # 2 is taken


def rows(found):
    return np.flatnonzero(found.kind).tolist()


def test_of_several_links_of_one_step_the_best_counts_then_the_shortest():
    gaps = np.arange(16.0).reshape(4, 4)
    free = np.array([False, True, True, True])
    links = {(0, 1): STRONG, (0, 2): STRONG, (1, 3): STANDARD, (2, 3): STANDARD}
    for more, wanted in (({}, (STANDARD, 2, gaps[1, 3])), ({(2, 3): STRONG}, (STRONG, 2, gaps[2, 3]))):
        found = reached(0, free, table(4, links | more), gaps)
        assert (found.kind[3], found.order[3], found.gap[3]) == wanted


@pytest.mark.parametrize(
    ("links", "gap", "winner"),
    [
        ({(0, 2): STANDARD, (1, 2): STRONG}, {}, 1),  # the better association
        ({(0, 2): STANDARD, (1, 3): STRONG, (3, 2): STRONG}, {}, 1),  # also where it takes more steps
        ({(1, 3): STRONG, (3, 2): STRONG, (0, 2): STRONG}, {}, 0),  # else the fewer steps
        ({(0, 2): STRONG, (1, 2): STRONG}, {(0, 2): 3.0, (1, 2): 2.0}, 1),  # else the shorter one
    ],
)
def test_a_cluster_that_several_seeds_reach_goes_to_the_best(links, gap, winner):
    distance = np.ones((4, 4))
    for pair, value in gap.items():
        distance[pair] = value
    owner = np.array([0, 1, -1, -1])
    give_to_best(owner, np.array([0, 1]), table(4, links), distance)
    assert owner[2] == winner


def test_seeds_at_the_vertex_are_not_joined_with_each_other():
    assert groups(view(line((0, 1), (0, 20)), line((0.5, 1), (2, 20)))) == [0, 1]


def test_what_the_vertex_does_not_reach_grows_from_its_longest_cluster():
    far = line((40, 60), (60, 90))
    along = far[20:40] + np.array([0.7, 0.0])
    event = view(along, line((0, 1), (0, 20)), far)
    assert groups(event) == [0, 1, 0]
    assert groups(event, nearby_distance=0.3) == [0, 1, 2]


def test_clusters_of_few_hits_stay_alone_unless_they_are_mopped_up():
    track = line((0, 1), (0, 20))
    near, far, two_away = [(2, 5), (4, 5)], [(3, 9)], [(0, 21.5), (0, 22)]
    event = view(near, track, far, two_away)
    assert groups(event) == [0, 1, 2, 3]
    assert groups(event, "shower-growing-mop-up") == [0, 0, 1, 0]
    assert groups(event, "shower-growing-mop-up", mop_up_distance=1.9) == [0, 1, 2, 1]
    assert groups(event, "shower-growing-mop-up", min_hits=1) == groups(event, min_hits=1)


def test_a_small_cluster_joins_the_nearest_of_two():
    tracks = line((0, 1), (0, 20)), line((4, 30), (4, 50))
    assert groups(view(*tracks, [(2, 30.5)], [(1.5, 20)]), "shower-growing-mop-up") == [0, 1, 1, 0]


def test_by_the_tuned_settings_clusters_of_one_hit_grow_too():
    (result,) = get_baseline("shower-growing-tuned").run([view(line((0, 1), (0, 20)), [(12, 15)], [(19, 18)])])
    assert result.labels.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_no_cluster_one_cluster_and_only_small_ones(name):
    baseline = get_baseline(name)
    for event in (toy_view(0), toy_view(1), view([(1, 1)], [(1, 2)])):
        (result,) = baseline.run([event])
        assert result.labels.tolist() == list(range(event.num_points))
        assert result.labels.dtype == torch.int64


@pytest.mark.parametrize("name", NAMES[1:])
@given(st.integers(0, 10**6), st.integers(2, 40))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_clusters_does_not_matter(name, seed, num):
    event = toy_view(num, seed=seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(num))  # new cluster k was order[k]
    turned = event.clone()
    turned.part_point_index = order.argsort()[event.part_point_index]
    labels = np.array(groups(event, name))
    again = np.array(groups(turned, name))[order.argsort().numpy()]
    assert ((labels[:, None] == labels) == (again[:, None] == again)).all()


def test_truth_is_not_looked_at():
    event = toy_view(40, seed=5)
    bare = event.clone()
    for field in ("share_index", "share_fraction", "object_index", "part_share_index", "part_share_fraction"):
        del bare[field]
    for name in NAMES[1:]:
        assert groups(bare, name) == groups(event, name)


def test_they_are_baselines_of_the_lartpc():
    event = toy_view(5)
    assert baseline_names("lartpc") == NAMES
    assert "no-merging, shower-growing, shower-growing-mop-up, shower-growing-tuned (lartpc)" in describe_baselines()
    assert detector_of(event) == "lartpc"
    with pytest.raises(DataError, match="is for a trackster, and this event is one of a lartpc"):
        list(get_baseline("keep-all").run([event]))
    (result,) = get_baseline("no-merging").run([event])
    assert result.labels.tolist() == [0, 1, 2, 3, 4]
    assert result.event_id == int(event.event_id)
    assert torch.equal(result.point_id, event.point_id)


@pytest.mark.parametrize("name", NAMES[1:3])
def test_tuned_settings_serve_at_least_as_well_as_the_defaults(name):
    from sklearn.metrics import adjusted_rand_score

    baseline = get_baseline(name)
    events = [toy_view(25, seed=seed) for seed in range(4)]

    def mean_index(config):
        scores = []
        for event, result in zip(events, baseline.run(events, config), strict=True):
            hits, owner = event.part_share_index
            scores.append(adjusted_rand_score(owner, result.labels[event.part_point_index[hits]]))
        return np.mean(scores)

    tuned = baseline.tune(events)
    changed = {key for key, value in tuned if value != getattr(ShowerGrowingConfig(), key)}
    assert changed <= set(GRIDS) | (set(MOP_UP_GRID) if name == NAMES[2] else set())
    assert mean_index(tuned) > mean_index(ShowerGrowingConfig()) + 0.01


def test_tuning_without_truth_is_refused():
    bare = toy_view(5)
    del bare["share_index"]
    with pytest.raises(DataError, match="'share_index' is needed to tune"):
        get_baseline("shower-growing").tune([bare])
    with pytest.raises(DataError, match="none of 1 views has enough hits"):
        get_baseline("shower-growing").tune([toy_view(0)])
