"""One call for every method: permutations, complete graphs, empty graphs, configuration. N points, E edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from hitloom.config import build
from hitloom.errors import ConfigError, DataError
from hitloom.grouping import SegmentationConfig, components, group_edges
from hitloom.grouping.segmentation import METHODS

CONFIGS = {method: SegmentationConfig(method=method) for method in METHODS}
CONFIGS["short paths"] = build(SegmentationConfig, {"method": "simple-paths", "paths": {"min_points": 3}})
CONFIGS["best branch"] = build(SegmentationConfig, {"method": "walk", "walk": {"prefer": "first"}})
CONFIGS["dropped"] = build(SegmentationConfig, {"method": "junction-removal", "junctions": {"random_drop": 0.3}})


def first_seen(labels: torch.Tensor) -> list[int]:
    """Labels numbered by their lowest row."""
    names: dict[int, int] = {}
    return [names.setdefault(label, len(names)) if label >= 0 else -1 for label in labels.tolist()]


@pytest.mark.parametrize("name", CONFIGS)
@given(st.integers(0, 2**31), st.booleans())
@settings(max_examples=40, deadline=None)
def test_permuting_points_and_edges_permutes_labels(name, seed, tied):
    generator = torch.Generator().manual_seed(seed)
    num, num_edges = 25, 60
    pos = torch.rand(num, 3, generator=generator)
    order = pos.square().sum(1)
    if tied:
        order = (order * 4).round()  # many points at one radius: the positions decide
    edges = torch.randint(0, num, (2, num_edges), generator=generator)
    score = (torch.rand(num_edges, generator=generator) * 8).round() / 8  # many equal scores
    labels = group_edges(edges, score, num_points=num, order=order, tie_key=pos, config=CONFIGS[name])
    points, rows = torch.randperm(num, generator=generator), torch.randperm(num_edges, generator=generator)
    flipped = torch.rand(num_edges, generator=generator) < 0.5
    moved = torch.argsort(points)[torch.where(flipped, edges.flip(0), edges)[:, rows]]
    permuted = group_edges(
        moved, score[rows], num_points=num, order=order[points], tie_key=pos[points], config=CONFIGS[name]
    )
    assert permuted.tolist() == first_seen(labels[points])
    assert labels.tolist() == first_seen(labels)
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("num", [0, 1, 3])
def test_a_graph_without_edges_has_no_tracks(name, num):
    none = torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0)
    labels = group_edges(*none, num_points=num, order=torch.arange(float(num)), config=CONFIGS[name])
    assert labels.tolist() == [-1] * num


@pytest.mark.parametrize("method", [name for name in METHODS if name != "simple-paths"])
def test_true_chains_alone_give_the_true_tracks(method):
    length, num_tracks = 9, 7
    row = torch.randperm(length * num_tracks, generator=torch.Generator().manual_seed(0)).view(num_tracks, length)
    edges = torch.stack([row[:, :-1].flatten(), row[:, 1:].flatten()])
    order = torch.empty(row.numel(), dtype=torch.int64)
    order[row] = torch.arange(length).expand(num_tracks, length)
    truth = torch.empty(row.numel(), dtype=torch.int64)
    truth[row] = torch.arange(num_tracks)[:, None].expand_as(row)
    score = torch.ones(edges.shape[1])
    labels = group_edges(edges, score, num_points=row.numel(), order=order, config=CONFIGS[method])
    assert labels.tolist() == first_seen(truth)


@given(st.integers(0, 2**31), st.floats(0.1, 0.9))
@settings(max_examples=60, deadline=None)
def test_components_equal_scipy(seed, cut):
    generator = np.random.default_rng(seed)
    num, num_edges = 40, 45
    edges, score = generator.integers(0, num, (2, num_edges)), generator.random(num_edges)
    kept = edges[:, score > cut]
    _, part = connected_components(coo_matrix((np.ones(kept.shape[1]), kept), shape=(num, num)), directed=False)
    lonely = np.bincount(part)[part] < 2
    wanted = first_seen(torch.from_numpy(np.where(lonely, -1, part)))
    found = components(torch.from_numpy(edges), torch.from_numpy(score), num_points=num, score_cut=cut)
    assert found.tolist() == wanted


def test_a_score_at_the_cut_is_compared_in_its_own_precision():
    edges = torch.tensor([[0], [1]])
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        at = torch.tensor([0.1], dtype=dtype)
        cut = float(at) if dtype in (torch.float16, torch.bfloat16) else 0.1
        assert components(edges, at, num_points=2, score_cut=cut).tolist() == [-1, -1]
    assert components(edges, torch.tensor([0.11]), num_points=2, score_cut=0.1, min_size=3).tolist() == [-1, -1]


@pytest.mark.parametrize("name", CONFIGS)
def test_wrong_edges_and_scores_are_named(name):
    def group(edges, score):
        return group_edges(torch.tensor(edges), score, num_points=3, order=torch.arange(3.0), config=CONFIGS[name])

    with pytest.raises(DataError, match="score: edge 1 came with nan"):
        group([[0, 1], [1, 2]], torch.tensor([0.5, float("nan")]))
    with pytest.raises(DataError, match=r"edge 0 joins rows 0 and -1"):
        group([[0], [-1]], torch.tensor([0.5]))
    with pytest.raises(DataError, match="wanted one float for each of 1 edges"):
        group([[0], [1]], torch.tensor([0.5, 0.5]))
    with pytest.raises(DataError, match="wanted one float"):
        group([[0], [1]], torch.tensor([1]))


def test_published_defaults_and_strict_keys():
    assert SegmentationConfig().cut == 0.5
    walk = SegmentationConfig(method="walk")
    assert (walk.cut, walk.walk.min_score, walk.walk.add_score, walk.walk.min_chain) == (0.01, 0.1, 0.6, 3)
    paths = SegmentationConfig(method="simple-paths").paths
    assert (paths.min_points, paths.max_steps) == (8, 25)
    with pytest.raises(ConfigError, match="Did you mean 'score_cut'"):
        build(SegmentationConfig, {"scor_cut": 0.5})
    with pytest.raises(ConfigError, match="'method'"):
        build(SegmentationConfig, {"method": "walkthrough"})
    with pytest.raises(ConfigError, match="add_score"):
        build(SegmentationConfig, {"walk": {"min_score": 0.7}})
    with pytest.raises(ConfigError, match="score_cut_low"):
        build(SegmentationConfig, {"method": "simple-paths", "score_cut": 0.05})


@pytest.mark.parametrize("name", CONFIGS)
def test_no_edge_up_to_the_loosest_cut_enters_a_track(name):
    config = CONFIGS[name]
    chain = torch.stack([torch.arange(9), torch.arange(1, 10)])
    labels = [
        group_edges(chain, torch.full((9,), score), num_points=10, order=torch.arange(10.0), config=config)
        for score in (config.loosest_cut, config.loosest_cut + 0.01)
    ]
    assert (labels[0] < 0).all()
    assert (labels[1] >= 0).any()
    assert str(config.cut) in config.describe()
