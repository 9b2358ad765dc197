"""From layer clusters, CLUE3D and truth to trackster events, against brute force."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.clue3d_tracksters import get_preset, iterate
from hitloom.data.endcap_geometry import get_geometry
from hitloom.data.layer_clusters import CaloTruth, LayerClusters
from hitloom.data.pruning_layout import PRUNING_FEATURES, SEED_HIGH, SEED_LOW, is_trackster_event
from hitloom.data.pruning_tracksters import TRACKSTERS_PER_COLLISION, pruning_events
from hitloom.errors import DataError
from hitloom.grouping.clue3d import Clue3dSettings

TWICE = [get_preset("oldest"), get_preset("recent")]
AXES = (("pos_x", 0), ("pos_y", 1), ("pos_z", 2))


def toy_clusters(seed, num_particles=6, num_each=25):
    """Layer clusters scattered around lines from the collision, near enough to each other to be gathered."""
    rng = np.random.default_rng(seed)
    num = num_particles * num_each
    layer = rng.integers(1, 27, num)
    z = get_geometry().z[layer - 1] * np.repeat(rng.choice([-1, 1], num_particles), num_each)
    radius = np.repeat(rng.uniform(60, 72, num_particles), num_each) * np.abs(z) / 321 + rng.normal(0, 1.5, num)
    phi = np.repeat(rng.uniform(-0.1, 0.1, num_particles), num_each) + rng.normal(0, 0.02, num)
    has_time = rng.random(num) < 0.5
    return LayerClusters(
        x=radius * np.cos(phi), y=radius * np.sin(phi), z=z, energy=rng.exponential(1.0, num) + 0.02, layer=layer,
        num_hits=rng.integers(1, 6, num), time=np.where(has_time, 11.0, -99.0),
        time_error=np.where(has_time, 0.03, -1.0), radius=rng.uniform(0.3, 2.0, num),
        scintillator=np.zeros(num, dtype=bool),
    )  # fmt: skip


def toy_truth(seed, num_clusters, num_objects=8, empty=0.15):
    """Random shares; some layer clusters belong to no particle, some particles to no layer cluster."""
    rng = np.random.default_rng([seed, 1])
    share = rng.random((num_clusters, num_objects)) ** 4 * (rng.random((num_clusters, num_objects)) < 0.6)
    share[rng.random(num_clusters) < empty] = 0.0
    share[:, -1] = 0.0
    share /= np.maximum(share.sum(1, keepdims=True), 1.0)
    row, thing = np.nonzero(share)
    order = rng.permutation(len(row))
    columns = {name: rng.random(num_objects) for name in ("charge", "energy", "pt", "eta", "phi")}
    return CaloTruth(
        object_id=np.arange(num_objects) + 100, parent=np.arange(num_objects) + 100, pdg=np.full(num_objects, 22),
        is_signal=np.ones(num_objects, dtype=bool), share_index=np.stack([row, thing])[:, order],
        share_fraction=share[row, thing][order], **columns,
    )  # fmt: skip


def share_matrix(truth, num_clusters):
    matrix = np.zeros((num_clusters, truth.num_objects))
    matrix[truth.share_index[0], truth.share_index[1]] = truth.share_fraction
    return matrix


def made(seed, *, iterations=TWICE, truth=True, **options):
    clusters = toy_clusters(seed)
    results = iterate(clusters, iterations)
    known = toy_truth(seed, len(clusters)) if truth else None
    events = pruning_events(clusters, results, known, event_id=7, source="toy", **options)
    assert events
    return clusters, results, known, events


def as_graph(event):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(event.num_points))
    graph.add_edges_from(event.edge_index.t().tolist())
    return graph


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_every_trackster_is_a_tree_of_links_below_its_seed(seed):
    clusters, results, _, events = made(seed)
    for event in events:
        assert is_trackster_event(event)
        assert event.edge_index.shape[1] == event.num_points - 1
        graph = as_graph(event)
        assert nx.is_arborescence(graph)
        root = next(node for node, degree in graph.in_degree() if degree == 0)
        flags = event.columns([SEED_HIGH, SEED_LOW])
        assert flags[root].any()
        rows = event.point_id.numpy()
        assert np.allclose(event.pos.numpy()[:, 0], clusters.x[rows] * 10)
        leaders = np.maximum(results[0].leader, results[1].leader)
        for above, below in event.edge_index.t().tolist():
            assert leaders[rows[below]] == rows[above]


def test_iterations_come_one_after_the_other_and_flag_their_seeds():
    clusters, results, _, events = made(3)
    labels = [np.full(len(clusters), -1) for _ in results]
    for event in events:
        row = int(event.event_id) - 7 * TRACKSTERS_PER_COLLISION
        later = row >= results[0].num_tracksters
        labels[later][event.point_id.numpy()] = row - later * results[0].num_tracksters
        high, low = event.columns([SEED_HIGH, SEED_LOW]).bool().T.numpy()
        assert (low.sum(), high.sum()) == (1, high.sum()) if later else (low.sum(), high.sum()) == (0, 1)
        assert np.array_equal(high, results[0].is_seed[event.point_id.numpy()])
    assert results[0].num_tracksters
    assert results[1].num_tracksters
    for mine, result in zip(labels, results, strict=True):
        assert np.array_equal(mine, result.labels)


def test_one_iteration_has_high_seeds_alone():
    *_, events = made(3, iterations=[get_preset("recent")])
    flags = torch.cat([event.columns([SEED_HIGH, SEED_LOW]) for event in events])
    assert flags[:, 0].sum() == len(events)
    assert not flags[:, 1].any()


def brute_labels(members, matrix, energy, *, majority, min_share, max_sims):
    lists = []
    for row in members:
        order = sorted(range(matrix.shape[1]), key=lambda thing: (-matrix[row, thing], thing))
        lists.append([thing for thing in order if matrix[row, thing] >= max(min_share, 1e-300)][:max_sims])
    votes = Counter()
    for row, names in zip(members, lists, strict=True):
        for name in names:
            votes[name] += energy[row] * matrix[row, name] if majority == "energy" else 1
    if not votes:
        return [0] * len(members)
    winner = min(votes, key=lambda name: (-votes[name], name))
    return [int(winner not in names) for names in lists]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["count", "energy"]), st.sampled_from([0.0, 0.1, 0.4]), st.integers(1, 4))
def test_labels_are_those_of_brute_force(seed, majority, min_share, max_sims):
    clusters, _, truth, events = made(seed, majority=majority, min_share=min_share, max_sims=max_sims)
    matrix = share_matrix(truth, len(clusters))
    for event in events:
        wanted = brute_labels(
            event.point_id.tolist(), matrix, clusters.energy, majority=majority, min_share=min_share, max_sims=max_sims
        )
        assert event.point_y.tolist() == wanted


def test_shares_and_objects_are_those_of_the_collision():
    clusters, _, truth, events = made(5)
    matrix = share_matrix(truth, len(clusters))
    raw = (matrix * clusters.energy[:, None]).sum(0)
    for event in events:
        rows = event.point_id.numpy()
        thing = event.object_id.numpy() - 100
        assert np.array_equal(thing, np.flatnonzero(matrix[rows].any(0)))  # those that touch it, no other
        assert event.object_raw_energy.numpy() == pytest.approx(raw[thing], rel=1e-6)
        share = np.zeros((event.num_points, len(thing)))
        share[tuple(event.share_index.numpy())] = event.share_fraction.numpy()
        assert share == pytest.approx(matrix[rows][:, thing], abs=1e-6)
        assert (share.sum(1) <= 1 + 1e-6).all()
        best = np.where(matrix[rows].any(1), matrix[rows][:, thing].argmax(1), -1)
        assert np.array_equal(event.object_index.numpy(), best)
        assert event.object_energy.double().numpy() == pytest.approx(truth.energy[thing], rel=1e-6)


def test_the_other_endcap_gives_mirrored_tracksters_and_the_same_labels():
    clusters, _, truth, events = made(11)
    mirrored = replace(clusters, z=-clusters.z)
    again = iterate(mirrored, TWICE)
    others = pruning_events(mirrored, again, truth, event_id=7, source="toy")
    assert [event.event_id for event in others] == [event.event_id for event in events]
    sign = torch.ones(len(PRUNING_FEATURES))
    sign[[PRUNING_FEATURES.index("pos_z"), PRUNING_FEATURES.index("eta")]] = -1
    for one, other in zip(events, others, strict=True):
        assert torch.equal(one.x * sign, other.x)
        assert torch.equal(one.pos * sign[:3], other.pos)
        for name in ("edge_index", "point_y", "point_id", "layer", "object_index", "share_fraction"):
            assert torch.equal(one[name], other[name])


def test_columns_are_the_published_ones():
    clusters, _, _, events = made(2)
    for event in events:
        rows = event.point_id.numpy()
        x, y, z = (getattr(clusters, name)[rows] for name in "xyz")
        eta, phi = event.columns(["eta", "phi"]).double().numpy().T
        assert np.sinh(eta) * np.hypot(x, y) == pytest.approx(z, rel=1e-5)
        assert np.hypot(x, y) * np.sin(phi) == pytest.approx(y, abs=1e-4)
        assert event.columns(["energy", "time"]).numpy()[:, 1] == pytest.approx(clusters.time[rows])
        assert event.columns([name for name, _ in AXES]).mul(10).numpy() == pytest.approx(event.pos.numpy(), rel=1e-6)


def nothing_known(num_objects):
    """Truth without a single share."""
    truth = toy_truth(0, 5, max(num_objects, 1))
    columns = {name: getattr(truth, name)[:num_objects] for name in truth.__dataclass_fields__}
    return CaloTruth(**(columns | {"share_index": np.zeros((2, 0), np.int64), "share_fraction": np.zeros(0)}))


@pytest.mark.parametrize("num_objects", [0, 3])
def test_tracksters_of_noise_alone_are_kept_whole_or_left_out(num_objects):
    clusters = toy_clusters(1)
    results, truth = iterate(clusters, TWICE), nothing_known(num_objects)
    events = pruning_events(clusters, results, truth, event_id=0, source="toy")
    assert events
    for event in events:
        assert not event.point_y.any()
        assert (event.object_index == -1).all()
        assert event.num_objects == 0
    assert pruning_events(clusters, results, truth, event_id=0, source="toy", all_noise="drop") == []


def test_layer_clusters_of_no_particle_are_pruned():
    clusters, _, truth, events = made(9)
    alone = ~share_matrix(truth, len(clusters)).any(1)
    seen = 0
    for event in events:
        rows = alone[event.point_id.numpy()]
        if not rows.all():
            assert event.point_y.numpy()[rows].all()
            seen += int(rows.sum())
    assert seen


def test_without_truth_there_are_no_labels():
    for event in made(4, truth=False)[3]:
        assert "point_y" not in event
        assert not event.has_truth


def test_small_tracksters_may_be_left_out_and_the_ids_of_others_stay():
    *_, events = made(6)
    *_, large = made(6, min_size=20)
    wanted = {int(event.event_id): event.num_points for event in events if event.num_points >= 20}
    assert {int(event.event_id): event.num_points for event in large} == wanted
    assert 0 < len(wanted) < len(events)
    assert len({event.event_id for event in events}) == len(events)


def test_a_trackster_of_one_layer_cluster_has_no_link():
    settings_ = Clue3dSettings(min_num_layer_clusters=1, critical_density=0.0, critical_xy_distance=0.01)
    *_, events = made(8, iterations=[settings_])
    single = [event for event in events if event.num_points == 1]
    assert single
    assert all(event.edge_index.shape == (2, 0) for event in single)


def test_iterations_that_do_not_fit_are_refused():
    clusters = toy_clusters(1)
    results = iterate(clusters, TWICE)
    with pytest.raises(DataError, match=r"toy\[event 3\].* not 3"):
        pruning_events(clusters, [*results, results[0]], event_id=3, source="toy")
    with pytest.raises(DataError, match="not 0"):
        pruning_events(clusters, [], event_id=3, source="toy")
    fewer = replace(clusters, **{name: getattr(clusters, name)[:-1] for name in clusters.__dataclass_fields__})
    with pytest.raises(DataError, match="saw 150 layer clusters, but there are 149"):
        pruning_events(fewer, results, event_id=3, source="toy")
