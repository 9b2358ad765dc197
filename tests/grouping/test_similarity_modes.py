"""Ways from similarities to groups: what each means, none and one cluster, one convention of the threshold."""

from __future__ import annotations

import sys
import types
from typing import get_args

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError, MissingDependencyError
from hitloom.grouping.accessory import connected_accessory, two_stage
from hitloom.grouping.similarity import Mode, group_similarity
from hitloom.systems.showers.config import GroupingConfig

MODES = get_args(Mode)
OWN = [mode for mode in MODES if mode != "leiden"]
JOINING = [mode for mode in OWN if mode != "affinity"]


def blocks(sizes, inside=0.9, between=0.1):
    """Return the similarity of groups of these sizes, hits of the clusters, and the groups."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 0.05, (len(owner), len(owner)))
    values = np.where(owner[:, None] == owner, inside, between) + (noise + noise.T) / 2
    np.fill_diagonal(values, 1.0)
    return torch.from_numpy(values.astype(np.float32)), torch.full((len(owner),), 5), torch.from_numpy(owner)


def random_view(seed, num):
    rng = np.random.default_rng(seed)
    values = rng.random((num, num))
    return torch.from_numpy(np.maximum(values, values.T).astype(np.float32)), torch.full((num,), 5)


@pytest.mark.parametrize("mode", OWN)
def test_clear_groups_are_found_in_every_mode(mode):
    similarity, hits, owner = blocks([4, 3, 5])
    labels = group_similarity(similarity, hits, mode=mode, threshold=0.6)
    assert torch.equal(labels, owner)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num", [0, 1])
def test_no_cluster_and_one_cluster_in_every_mode(mode, num):
    """One label for each cluster, not one for each hit, also when there is one cluster; an empty view is no error."""
    labels = group_similarity(torch.ones(num, num), torch.full((num,), 7), mode=mode, threshold=0.6)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [0] * num


@pytest.mark.parametrize("mode", JOINING)
@given(st.integers(0, 10**6), st.integers(2, 12))
@settings(max_examples=25, deadline=None)
def test_a_higher_threshold_joins_less(mode, seed, num):
    similarity, hits = random_view(seed, num)
    numbers = [
        int(group_similarity(similarity, hits, mode=mode, threshold=cut, second_threshold=cut).max()) + 1
        for cut in (0.0, 0.3, 0.6, 0.9, 1.0)
    ]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (1, num)


@pytest.mark.parametrize("mode", JOINING)
def test_two_clusters_join_strictly_above_the_threshold(mode):
    def number(value):
        pair = torch.tensor([[1.0, value], [value, 1.0]])
        labels = group_similarity(pair, torch.tensor([5, 5]), mode=mode, threshold=0.6, second_threshold=0.6)
        return int(labels.max()) + 1

    at = float(torch.tensor(0.6))
    assert (number(at), number(float(np.nextafter(np.float32(at), np.float32(1))))) == (2, 1)


@given(st.integers(0, 10**6), st.integers(2, 14), st.floats(0.3, 0.95))
@settings(max_examples=40, deadline=None)
def test_components_equal_networkx(seed, num, threshold):
    similarity, hits = random_view(seed, num)
    close = (similarity > threshold).numpy()
    np.fill_diagonal(close, False)
    found = {frozenset(group) for group in nx.connected_components(nx.from_numpy_array(close))}
    labels = group_similarity(similarity, hits % 3, mode="components", threshold=threshold)
    assert {frozenset(np.flatnonzero(labels == name).tolist()) for name in labels.unique()} == found


@given(st.integers(0, 10**6), st.integers(2, 12), st.floats(0.4, 0.9))
@settings(max_examples=40, deadline=None)
def test_agglomerative_joins_the_most_similar_groups_while_their_mean_is_above_the_threshold(seed, num, threshold):
    similarity, hits = random_view(seed, num)
    groups = [[i] for i in range(num)]
    while len(groups) > 1:
        means = {
            (a, b): float(np.mean([[similarity[i, j].double() for i in groups[a]] for j in groups[b]]))
            for a in range(len(groups))
            for b in range(a)
        }
        (a, b), best = max(means.items(), key=lambda item: item[1])
        if abs(best - threshold) < 1e-6:
            return  # rounding decides
        if best < threshold:
            break
        groups[b] += groups.pop(a)
    labels = group_similarity(similarity, hits, mode="agglomerative", threshold=threshold)
    assert {frozenset(np.flatnonzero(labels == name).tolist()) for name in labels.unique()} == {
        frozenset(group) for group in groups
    }


def test_accessory_modes_are_those_of_accessory_clustering():
    similarity, _ = random_view(4, 30)
    hits = torch.arange(30) % 5
    one = connected_accessory(similarity, hits, threshold=0.99, accessory_max_hits=1)
    two = two_stage(similarity, hits, threshold=0.99, second_threshold=0.2, accessory_max_hits=1)
    assert not torch.equal(one, two)
    for mode, wanted in (("accessory", one), ("iterated", one), ("two_stage", two)):
        found = group_similarity(
            similarity, hits, mode=mode, threshold=0.99, second_threshold=0.2, accessory_max_hits=1
        )
        assert torch.equal(found, wanted)


def test_the_configuration_fits():
    settings_ = GroupingConfig().model_dump(exclude={"max_iterations"})
    assert get_args(GroupingConfig.model_fields["mode"].annotation) == MODES
    assert group_similarity(torch.ones(2, 2), torch.tensor([5, 5]), **settings_).tolist() == [0, 0]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_affinity_with_equal_similarities_gives_every_cluster_a_group(value):
    similarity = torch.full((4, 4), value).fill_diagonal_(1.0)
    labels = group_similarity(similarity, torch.full((4,), 5), mode="affinity", threshold=0.6)
    assert (labels >= 0).all()
    assert labels.shape == (4,)


def test_an_unknown_mode_is_named():
    with pytest.raises(ConfigError, match="unknown mode 'acessory'. Did you mean 'accessory'"):
        group_similarity(torch.ones(2, 2), torch.tensor([5, 5]), mode="acessory", threshold=0.6)


def test_leiden_without_its_packages_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "igraph", None)
    similarity, hits, _ = blocks([2, 2])
    with pytest.raises(MissingDependencyError, match="igraph and leidenalg"):
        group_similarity(similarity, hits, mode="leiden", threshold=0.6)


def test_leiden_is_seeded_and_gets_every_positive_pair(monkeypatch):
    asked = {}

    def find_partition(graph, kind, **settings_):
        asked.update(settings_, graph=graph, kind=kind)
        return types.SimpleNamespace(membership=[1, 0, 1])

    graph_package = types.SimpleNamespace(Graph=lambda n, edges: (n, edges))
    partitions = types.SimpleNamespace(find_partition=find_partition, RBConfigurationVertexPartition="RB")
    monkeypatch.setitem(sys.modules, "igraph", graph_package)
    monkeypatch.setitem(sys.modules, "leidenalg", partitions)
    similarity = torch.tensor([[1.0, 0.25, 0.0], [0.25, 1.0, 0.5], [0.0, 0.5, 1.0]])
    labels = group_similarity(similarity, torch.tensor([1, 5, 5]), mode="leiden", threshold=0.9, seed=4)
    assert labels.tolist() == [0, 1, 0]
    assert asked == {
        "graph": (3, [[0, 1], [1, 2]]), "weights": [0.25, 0.5], "kind": "RB", "resolution_parameter": 1.0, "seed": 4,
    }  # fmt: skip


def test_leiden_finds_clear_groups_the_same_each_time():
    pytest.importorskip("leidenalg")
    similarity, hits, owner = blocks([4, 3, 5], between=0.0)
    for _ in range(3):
        assert torch.equal(group_similarity(similarity, hits, mode="leiden", threshold=0.6), owner)
