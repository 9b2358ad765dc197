"""Ceilings of shower growing on toy views: the groups of the truth. N clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from hitloom.data.shower_ceilings import perfect_result, target_result
from hitloom.errors import DataError
from hitloom.simulate.lartpc import LArTPCConfig, simulate_lartpc
from shower_toy import toy_view


def test_perfect_groups_are_the_particles_with_most_hits_of_each_cluster():
    event = toy_view(60, seed=1, mixed=0.3, without_truth=0.4)
    labels = perfect_result(event).labels.numpy()
    hits, owner = event.part_share_index.numpy()
    cluster = event.part_point_index.numpy()[hits]
    groups: dict[tuple[str, int], set[int]] = {}
    for row in range(60):
        counts = np.bincount(owner[cluster == row], minlength=3)
        key = ("particle", int(counts.argmax())) if counts.sum() else ("alone", row)
        groups.setdefault(key, set()).add(row)
    assert any(kind == "alone" for kind, _ in groups)
    assert {frozenset(np.flatnonzero(labels == name).tolist()) for name in set(labels)} == {
        frozenset(group) for group in groups.values()
    }


def test_pure_clusters_give_the_particles_with_either_ceiling():
    event = toy_view(50, seed=2, mixed=0.0, without_truth=0.0)
    for result in (target_result(event), perfect_result(event)):
        assert adjusted_rand_score(event.object_index, result.labels) == 1.0
        assert result.event_id == int(event.event_id)
        assert torch.equal(result.point_id, event.point_id)


def test_the_target_keeps_clusters_apart_whose_similarity_is_not_above_the_threshold():
    event = toy_view(50, seed=2, mixed=0.0, without_truth=0.0)
    assert target_result(event, threshold=1.0).labels.tolist() == list(range(50))
    assert target_result(event, mode="components", threshold=0.0).num_candidates == 3


@pytest.mark.parametrize("num", [0, 1])
def test_no_cluster_and_one_cluster(num):
    event = toy_view(num)
    for result in (target_result(event), perfect_result(event)):
        assert result.labels.tolist() == [0] * num


def test_without_truth_it_says_so():
    event = toy_view(5)
    for name in ("share_index", "share_fraction", "object_index"):
        del event[name]
    with pytest.raises(DataError, match="truth"):
        target_result(event)
    with pytest.raises(DataError, match="object_index"):
        perfect_result(event)


def test_on_simulated_views_grouping_by_the_truth_loses_almost_nothing():
    """Clusters begin pure and in many pieces; groups by the true similarity are as good as the particles themselves."""
    events = [event for event in simulate_lartpc(LArTPCConfig(), num_events=4, seed=11) if event.num_objects > 1]
    index: dict[str, list[float]] = {"none": [], "one": [], "target": [], "perfect": []}
    purity, completeness = [], []
    for event in events:
        hits, owner = event.part_share_index.numpy()
        cluster = event.part_point_index.numpy()[hits]
        counts = np.zeros((event.num_points, event.num_objects))
        np.add.at(counts, (cluster, owner), 1)
        purity.append(counts.max(1).sum() / counts.sum())
        completeness.append(counts.max(0).sum() / counts.sum())
        labels = {
            "none": np.arange(event.num_points),
            "one": np.zeros(event.num_points),
            "target": target_result(event).labels.numpy(),
            "perfect": perfect_result(event).labels.numpy(),
        }
        for name, values in labels.items():
            index[name].append(adjusted_rand_score(owner, values[cluster]))
    assert np.mean(purity) > 0.94
    assert np.mean(completeness) < 0.5
    assert max(np.abs(index["one"])) < 1e-12
    mean = {name: np.mean(values) for name, values in index.items()}
    assert abs(mean["target"] - mean["perfect"]) < 0.02
    assert mean["none"] + 0.4 < mean["target"]
