"""Scored edges to linked tracksters, against the rule written out and scipy. N points, E edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from hitloom.config import build
from hitloom.errors import ConfigError, DataError
from hitloom.grouping.edge_linking import Thresholds, constituents, kept_edges, link_edges


def random_graph(num_points, num_edges, seed=0):
    rng = np.random.default_rng(seed)
    edges = torch.from_numpy(rng.integers(0, num_points, (2, num_edges)))
    score = torch.from_numpy(rng.random(num_edges, dtype=np.float32))
    return edges, score, torch.from_numpy(rng.uniform(0, 100, num_points).astype(np.float32))


def by_hand(edges, score, energy, cut_of):
    keep = [
        k
        for k, (i, j) in enumerate(edges.T.tolist())
        if float(score[k]) > np.float32(cut_of(max(float(energy[i]), float(energy[j]))))
    ]
    num = len(energy)
    graph = coo_matrix((np.ones(len(keep)), edges[:, keep].numpy()), shape=(num, num))
    return keep, connected_components(graph, directed=False)[1]


@pytest.mark.parametrize("seed", range(4))
def test_the_double_threshold_and_its_components(seed):
    edges, score, energy = random_graph(60, 90, seed)
    keep, wanted = by_hand(edges, score, energy, lambda largest: 0.5 if largest < 50 else 0.8)
    assert torch.nonzero(kept_edges(edges, score, energy, Thresholds())).flatten().tolist() == keep
    labels = link_edges(edges, score, energy, 60)
    pairs = set(zip(labels.tolist(), wanted.tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert labels.unique().tolist() == list(range(int(labels.max()) + 1))


def test_thresholds_at_their_borders():
    """Exactly at an energy the next cut holds; exactly at a cut an edge does not join."""
    edges = torch.tensor([[0], [1]])
    for largest, p, joins in (
        (49.999, 0.51, True),
        (50.0, 0.51, False),
        (50.0, 0.81, True),
        (49.0, 0.5, False),
        (90.0, float(np.float32(0.8)), False),
    ):
        kept = kept_edges(edges, torch.tensor([p]), torch.tensor([1.0, largest]), Thresholds())
        assert kept.tolist() == [joins], (largest, p)
    three = Thresholds(cuts=((5.0, 0.1), (20.0, 0.2), (math.inf, 0.3)))
    assert three.cut_of(np.array([0.0, 5.0, 19.9, 20.0, 1e9])).tolist() == [0.1, 0.2, 0.2, 0.3, 0.3]


def test_a_flat_threshold():
    edges, score, energy = random_graph(40, 60, seed=7)
    keep, _ = by_hand(edges, score, energy, lambda largest: 0.6)
    assert torch.nonzero(kept_edges(edges, score, energy, Thresholds.named("06"))).flatten().tolist() == keep
    assert Thresholds.named("05_08") == Thresholds()
    with pytest.raises(ConfigError, match="Did you mean '05_08'"):
        Thresholds.named("05-08")


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_partition_depends_on_no_order_and_no_direction(seed):
    edges, score, energy = random_graph(30, 45, seed)
    rng = np.random.default_rng(seed)
    order = torch.from_numpy(rng.permutation(45))
    flip = torch.from_numpy(rng.random(45) < 0.5)
    turned = torch.where(flip, edges.flip(0), edges)[:, order]
    assert link_edges(turned, score[order], energy, 30).tolist() == link_edges(edges, score, energy, 30).tolist()


def test_nothing_one_and_many():
    none = torch.zeros((2, 0), dtype=torch.int64)
    assert link_edges(none, torch.zeros(0), torch.zeros(0), 0).tolist() == []
    assert link_edges(none, torch.zeros(0), torch.ones(3), 3).tolist() == [0, 1, 2]
    edges, score, energy = random_graph(3000, 40_000)
    labels = link_edges(edges, score, energy, 3000)
    assert constituents(labels)[0] == torch.nonzero(labels == 0).flatten().tolist()


@given(st.lists(st.integers(-1, 4), max_size=12))
@settings(deadline=None)
def test_lists_of_constituents(values):
    groups = constituents(torch.tensor(values, dtype=torch.int64))
    named = sorted({value for value in values if value >= 0})
    wanted = [[row for row, value in enumerate(values) if value == name] for name in named]
    assert [group for group in groups if group] == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy": torch.tensor([1.0, math.nan])}, "point 1 came with nan"),
        ({"probability": torch.tensor([1.5])}, "wanted a probability"),
        ({"probability": torch.tensor([math.nan])}, "train again"),
        ({"edge_index": torch.tensor([[0], [2]])}, "wanted 0..1"),
        ({"energy": torch.tensor([1.0])}, r"wanted \(2,\)"),
    ],
)
def test_bad_input(change, message):
    given_ = {
        "edge_index": torch.tensor([[0], [1]]),
        "probability": torch.tensor([0.5]),
        "energy": torch.ones(2),
    } | change
    with pytest.raises(DataError, match=message):
        link_edges(num_points=2, **given_)


@pytest.mark.parametrize("cuts", [[], [[50, 0.5]], [[50, 0.5], [20, 0.6], [math.inf, 0.7]], [[math.inf, 1.2]]])
def test_bad_thresholds(cuts):
    with pytest.raises(ConfigError, match="cuts"):
        build(Thresholds, {"cuts": cuts})
