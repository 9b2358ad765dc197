"""Segment scores and triplets against their definitions, stitching of broken helices. N points, E edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import DataError
from hitloom.grouping import segment_score, stitch, triplets
from hitloom.grouping.segments import segment_ends
from hitloom.grouping.stitching import helix_score


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_segment_score_equals_its_definition_on_sets(data):
    num, num_objects = data.draw(st.integers(0, 30)), 5
    labels = data.draw(st.lists(st.integers(-1, 6), min_size=num, max_size=num))
    owner = data.draw(st.lists(st.integers(-1, num_objects - 1), min_size=num, max_size=num))
    signal = data.draw(st.lists(st.booleans(), min_size=num_objects, max_size=num_objects))
    sums = np.zeros(4)
    pairs = 0
    for label in range(7):
        segment = {i for i in range(num) if labels[i] == label}
        for row in range(num_objects):
            points = {i for i in range(num) if owner[i] == row}
            if len(segment) >= 3 and signal[row] and segment & points:
                jaccard = len(segment & points) / len(segment | points)
                sums += [jaccard * len(segment), len(segment), jaccard * len(points), len(points)]
                pairs += 1
    score = segment_score(
        torch.tensor(labels, dtype=torch.int64), torch.tensor(owner, dtype=torch.int64), signal=torch.tensor(signal)
    )
    assert score.num_pairs == pairs
    if not pairs:
        assert (score.purity, score.efficiency, score.f1) == (None, None, None)
        return
    purity, efficiency = sums[0] / sums[1], sums[2] / sums[3]
    assert score.purity == pytest.approx(purity)
    assert score.efficiency == pytest.approx(efficiency)
    assert score.f1 == pytest.approx(2 * purity * efficiency / (purity + efficiency))


def test_perfect_segments_score_one_and_noise_is_never_signal():
    labels, owner = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 0, -1, -1, -1])
    score = segment_score(labels, owner, signal=torch.tensor([True]))
    assert (score.purity, score.efficiency, score.f1, score.num_pairs) == (1.0, 1.0, 1.0, 1)
    with pytest.raises(DataError, match="points name row 0"):
        segment_score(labels, owner, signal=torch.zeros(0, dtype=torch.bool))
    with pytest.raises(DataError, match="one of each"):
        segment_score(labels, owner[:3], signal=torch.tensor([True]))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_triplets_equal_all_pairs_of_edges_that_share_a_point(data):
    num = data.draw(st.integers(1, 8))
    point = st.integers(0, num - 1)
    edges = data.draw(st.lists(st.tuples(point, point), max_size=12))
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    rows = range(len(edges))
    through = [[i, j] for i in rows for j in rows if i != j and edges[i][1] == edges[j][0]]
    shared = [[i, j] for i in rows for j in rows if i < j and set(edges[i]) & set(edges[j])]
    assert triplets(index, num).T.tolist() == through
    assert triplets(index, num, through=False).T.tolist() == shared


def test_ends_of_segments_are_their_innermost_and_outermost_points():
    ends = segment_ends(torch.tensor([1, 0, 0, -1, 0]), order=torch.tensor([9.0, 3.0, 1.0, 0.0, 2.0]))
    assert ends.first.tolist() == [2, 0]
    assert ends.second.tolist() == [4, 0]
    assert ends.before_last.tolist() == [4, 0]
    assert ends.last.tolist() == [1, 0]
    assert ends.size.tolist() == [3, 1]
    with pytest.raises(DataError, match="no point carries 1"):
        segment_ends(torch.tensor([0, 2]), order=torch.arange(2.0))


def helices(num_tracks: int = 40, num_layers: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (N, 3) of helices from the origin in mm, and their track (N,)."""
    generator = torch.Generator().manual_seed(seed)
    phi = torch.rand(num_tracks, 1, generator=generator) * 2 * math.pi
    curvature = (torch.rand(num_tracks, 1, generator=generator) - 0.5) / 600
    slope = torch.randn(num_tracks, 1, generator=generator)
    arc = torch.linspace(30, 500, num_layers).expand(num_tracks, -1)
    angle = phi + curvature * arc / 2
    chord = arc * torch.sinc(curvature * arc / 2 / math.pi)
    pos = torch.stack([chord * angle.cos(), chord * angle.sin(), slope * arc], -1).reshape(-1, 3)
    return pos, torch.arange(num_tracks).repeat_interleave(num_layers)


def test_broken_helices_are_stitched():
    pos, track = helices()
    order = pos.double().square().sum(1)
    half = torch.arange(len(track)) % 10 >= 5
    broken = 2 * track + half
    found = stitch(broken, pos=pos, order=order, max_distance=400.0)
    assert torch.equal(found, track)
    permutation = torch.randperm(len(track), generator=torch.Generator().manual_seed(1))
    moved = stitch(broken[permutation], pos=pos[permutation], order=order[permutation], max_distance=400.0)
    assert torch.equal(moved[:, None] == moved[None], track[permutation][:, None] == track[permutation][None])


def test_the_score_of_a_helix_is_one_and_falls_with_a_kink():
    pos, _ = helices(num_tracks=1, num_layers=6)
    order = pos.double().square().sum(1)
    ends = segment_ends(torch.tensor([0, 0, 0, 1, 1, 1]), order=order)
    pair = torch.tensor([[0], [1]])
    assert float(helix_score(pos)(ends, pair)) > 0.999
    kinked = pos.clone()
    kinked[3:, 2] += 50.0
    assert float(helix_score(kinked)(ends, pair)) < 0.1
    single = segment_ends(torch.tensor([0, 0, 0, 0, 0, 1]), order=order)
    assert float(helix_score(pos)(single, pair)) == 0.0


def test_pairs_are_joined_one_to_one_from_the_best_down():
    # segments 0, 1 end near the starts of 2, 3; the score prefers 0-3, then 1-3, then 1-2
    labels = torch.arange(4)
    order = torch.tensor([0.0, 1.0, 2.0, 3.0])
    table = torch.tensor([[0.0, 0.0, 0.4, 0.9], [0.0, 0.0, 0.6, 0.8], [0.0] * 4, [0.0] * 4])

    def score(ends, pairs):
        return table[pairs[0], pairs[1]]

    features = torch.zeros(4, 1), torch.zeros(4, 1)
    settings_ = {"pos": torch.zeros(4, 3), "order": order, "features": features, "score": score, "max_distance": 1.0}
    assert stitch(labels, **settings_).tolist() == [0, 1, 1, 0]
    assert stitch(labels, **settings_, min_score=0.7).tolist() == [0, 1, 2, 0]
    assert stitch(labels, **(settings_ | {"score": lambda ends, pairs: torch.ones(pairs.shape[1])})).tolist() == [0] * 4
    with pytest.raises(DataError, match="probabilities"):
        stitch(labels, **(settings_ | {"score": lambda ends, pairs: torch.full((pairs.shape[1],), 2.0)}))
    with pytest.raises(DataError, match=r"end_features: came as \(3, 1\)"):
        stitch(labels, **(settings_ | {"features": (torch.zeros(3, 1), torch.zeros(4, 1))}))


def test_nothing_to_stitch():
    none = torch.full((3,), -1)
    assert stitch(none, pos=torch.zeros(3, 3), order=torch.arange(3.0)).tolist() == [-1, -1, -1]
    one = torch.tensor([0, 0, -1])
    assert stitch(one, pos=torch.rand(3, 3), order=torch.arange(3.0)).tolist() == [0, 0, -1]
