"""Missing and foreign energy against sets of tracksters; laws of merge-none, merge-all and the truth."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import DataError
from hitloom.metrics.energy_overlap import (
    OverlapSums,
    component_means,
    component_sizes,
    energy_overlap,
    graph_limit,
    match_groups,
    object_overlap,
    trackster_kind,
    true_components,
)
from trackster_toy import toy_trackster_event


def groups(labels) -> list[set[int]]:
    return [set(np.flatnonzero(np.asarray(labels) == name).tolist()) for name in np.unique(labels)]


def oracle(energy, true_labels, labels):
    """Return missing and foreign energy of each true group, by sets."""

    def total(members) -> float:
        return sum(energy[m] for m in members)

    missing, foreign = [], []
    for true in groups(true_labels):
        best = max(groups(labels), key=lambda found, t=true: total(found & t))
        missing.append(total(true) - total(best & true))
        foreign.append(total(best) - total(best & true))
    return missing, foreign


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), number=st.integers(1, 25))
def test_equal_sets(seed, number):
    rng = np.random.default_rng(seed)
    energy = rng.gamma(1.0, 10.0, number)
    true, found = rng.integers(0, 6, number), rng.integers(10, 15, number)
    result = energy_overlap(energy=energy, true_labels=true, labels=found)
    missing, foreign = oracle(energy, true, found)
    np.testing.assert_allclose(result.missing, missing, atol=1e-9)
    np.testing.assert_allclose(result.foreign, foreign, atol=1e-9)
    np.testing.assert_allclose(result.energy, [energy[list(true_set)].sum() for true_set in groups(true)])
    assert set(result.best.tolist()) <= set(found.tolist())
    order = rng.permutation(number)
    again = energy_overlap(energy=energy[order], true_labels=true[order], labels=found[order])
    np.testing.assert_allclose(again.missing, result.missing, atol=1e-9)


def test_laws_of_the_baselines():
    event = toy_trackster_event(1, num_pileup=4)
    true = match_groups(event.object_index)
    energy = event.energy.double().numpy()
    perfect = energy_overlap(energy=energy, true_labels=true, labels=true)
    assert perfect.missing.max() == perfect.foreign.max() == 0
    none = energy_overlap(energy=energy, true_labels=true, labels=np.full(event.num_points, -1))
    assert none.foreign.max() == 0
    largest = [max(energy[m] for m in members) for members in groups(true)]
    np.testing.assert_allclose(none.missing, none.energy - largest, atol=1e-9)
    everything = energy_overlap(energy=energy, true_labels=true, labels=np.zeros(event.num_points, dtype=np.int64))
    assert everything.missing.max() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(everything.foreign, energy.sum() - everything.energy)


def test_ties_go_to_the_lower_label():
    found = energy_overlap(energy=[1.0, 1.0, 5.0], true_labels=[0, 0, 1], labels=[9, 4, 9])
    assert found.best.tolist() == [4, 9]
    assert found.foreign.tolist() == [0.0, 1.0]


def test_classes_add_up_and_unmatched_are_apart():
    """Linking defect 2: unmatched tracksters are neither signal nor pile-up."""
    index, signal = np.array([0, 0, 1, -1, -1]), np.array([True, False])
    kind = trackster_kind(index, signal)
    assert kind.tolist() == [1, 1, 0, -1, -1]
    energy = [4.0, 1.0, 2.0, 8.0, 16.0]
    found = energy_overlap(energy=energy, true_labels=match_groups(index), labels=[0, 1, 1, 2, 2], kind=kind)
    sums = found.sums()
    assert {name: part["energy"] for name, part in sums.items()} == {
        "all": 31.0,
        "signal": 5.0,
        "pileup": 2.0,
        "unmatched": 24.0,
    }
    assert sums["unmatched"]["num_groups"] == 2
    assert (sums["signal"]["missing"], sums["signal"]["foreign"]) == (1.0, 0.0)
    assert (sums["pileup"]["missing"], sums["pileup"]["foreign"]) == (0.0, 1.0)
    assert sums["unmatched"]["foreign"] == 24.0
    assert trackster_kind(index, None).tolist() == [1, 1, 1, -1, -1]
    assert trackster_kind(np.array([-1, -1]), np.zeros(0, dtype=bool)).tolist() == [-1, -1]


def test_sums_over_events():
    total = OverlapSums()
    assert total.result()["all"]["missing_fraction"] is None
    for seed in range(3):
        event = toy_trackster_event(seed, num_pileup=4)
        kind = trackster_kind(event.object_index, event.object_is_signal)
        true = match_groups(event.object_index)
        total.add(energy_overlap(energy=event.energy, true_labels=true, labels=np.arange(len(true)), kind=kind))
    result = total.result()
    parts = ("signal", "pileup", "unmatched")
    for name in ("num_groups", "energy", "missing", "foreign"):
        assert result["all"][name] == pytest.approx(sum(result[kind][name] for kind in parts))
    assert result["all"]["lost_fraction"] == pytest.approx(result["all"]["missing"] / result["all"]["energy"])


def test_true_components_equal_networkx():
    event = toy_trackster_event(2, num_pileup=4)
    labels = true_components(event.edge_index, event.edge_y, event.num_points)
    graph = nx.Graph()
    graph.add_nodes_from(range(event.num_points))
    graph.add_edges_from(event.edge_index[:, event.edge_y > 0].T.tolist())
    assert sorted(map(sorted, groups(labels))) == sorted(map(sorted, nx.connected_components(graph)))


def test_what_the_graph_lost_shows_against_matches_only():
    """Two tracksters of one particle without a candidate edge are two true components, but one group of matches."""
    index, energy = np.array([0, 0, 0, 1]), [6.0, 3.0, 1.0, 2.0]
    edges, target = np.array([[0, 2], [1, 3]]), np.array([0.9, 0.0])
    labels = np.array([0, 0, 1, 2])
    components = energy_overlap(energy=energy, true_labels=true_components(edges, target, 4), labels=labels)
    assert components.missing.sum() == 0
    matches = energy_overlap(energy=energy, true_labels=match_groups(index), labels=labels)
    assert matches.missing.tolist() == [1.0, 0.0]
    limit = graph_limit(edge_index=edges, object_index=index, energy=energy)
    assert limit.missing.tolist() == [1.0, 0.0]
    assert limit.foreign.max() == 0


def test_no_choice_of_edges_beats_the_limit_of_the_graph():
    event = toy_trackster_event(3, num_pileup=4, num_layers_each=30, pieces=6)
    index, energy = event.object_index.numpy(), event.energy.double().numpy()
    edges = event.edge_index.numpy()[:, ::4]
    limit = graph_limit(edge_index=edges, object_index=index, energy=energy)
    assert limit.missing.sum() > 0
    rng = np.random.default_rng(0)
    same = (index[edges[0]] == index[edges[1]]) & (index[edges[0]] >= 0)
    for _ in range(10):
        chosen = rng.random(edges.shape[1]) < 0.8
        found = energy_overlap(
            energy=energy,
            true_labels=match_groups(index),
            labels=true_components(edges, chosen & same, len(index)),
        )
        assert (found.missing >= limit.missing - 1e-9).all()


def test_objects_with_soft_shares_equal_loops():
    event = toy_trackster_event(4, num_pileup=4, shared=0.4)
    labels = np.random.default_rng(1).integers(0, 10, event.num_points)
    found = object_overlap(
        energy=event.energy,
        share_index=event.share_index,
        share_fraction=event.share_fraction,
        labels=labels,
        num_objects=event.num_objects,
        object_is_signal=event.object_is_signal,
    )
    table = np.zeros((event.num_points, event.num_objects))
    energy = event.energy.double().numpy()
    for (t, s), part in zip(event.share_index.T.tolist(), event.share_fraction.double().numpy(), strict=True):
        table[t, s] = part * energy[t]
    assert len(found.energy) == event.num_objects
    for s in range(event.num_objects):
        shared = {name: table[labels == name, s].sum() for name in np.unique(labels)}
        best = max(shared, key=lambda name, s=shared: s[name])
        assert found.best[s] == best
        assert found.missing[s] == pytest.approx(table[:, s].sum() - shared[best], abs=1e-4)
        assert found.foreign[s] == pytest.approx(energy[labels == best].sum() - shared[best], abs=1e-4)
    assert (found.kind == event.object_is_signal.numpy()).all()


def test_hard_shares_equal_the_matches():
    index, energy = np.array([0, 1, 0, 1, 1]), np.array([4.0, 3.0, 2.0, 1.0, 5.0])
    labels = np.array([0, 0, 1, 1, 2])
    soft = object_overlap(
        energy=energy, share_index=[range(5), index], share_fraction=np.ones(5), labels=labels, num_objects=2
    )
    hard = energy_overlap(energy=energy, true_labels=index, labels=labels)
    np.testing.assert_allclose(soft.missing, hard.missing)
    np.testing.assert_allclose(soft.foreign, hard.foreign)


def test_objects_in_no_trackster_are_left_out():
    found = object_overlap(energy=[2.0], share_index=[[0], [1]], share_fraction=[1.0], labels=[0], num_objects=3)
    assert found.energy.tolist() == [2.0]


def test_sizes_of_components_without_some_edges():
    edges = np.array([[0, 1, 3], [1, 2, 4]])
    assert component_sizes(edges, 6) == {"num_components": 3, "mean_size": 2.0, "max_size": 3}
    assert component_sizes(edges, 6, keep=[True, False, False])["max_size"] == 2
    assert component_sizes(np.zeros((2, 0)), 0)["num_components"] == 0


def test_means_of_a_group_across_pi_point_to_pi():
    features = np.array([[1.0, np.pi - 0.1], [3.0, -np.pi + 0.1], [7.0, 1.0]])
    found = component_means([5, 5, 6], [1.0, 1.0, 2.0], features, angles=[1])
    assert found[0].tolist() == pytest.approx([2.0, np.pi])
    assert found[1].tolist() == pytest.approx([7.0, 1.0])
    weighted = component_means([0, 0], [3.0, 1.0], features[:2, :1])
    assert weighted.tolist() == [[1.5]]


def test_empty_event_and_wrong_lengths():
    empty = energy_overlap(energy=[], true_labels=[], labels=[])
    assert empty.sums()["all"]["num_groups"] == 0
    nothing = object_overlap(energy=[], share_index=np.zeros((2, 0)), share_fraction=[], labels=[], num_objects=2)
    assert len(nothing.energy) == 0
    with pytest.raises(DataError, match="2 energies, 3 true and 2 predicted labels"):
        energy_overlap(energy=[1.0, 2.0], true_labels=[0, 0, 1], labels=[0, 1])


def test_a_mixed_group_has_the_class_that_holds_most_of_its_energy():
    found = energy_overlap(
        energy=[5.0, 3.0, 1.0, 1.0, 0.0],
        true_labels=[0, 0, 1, 1, 2],
        labels=[0, 0, 1, 1, 2],
        kind=[0, 1, 1, -1, 0],
    )
    assert found.kind.tolist() == [0, 1, 0]  # pile-up by energy; signal on a tie; no energy: its own
