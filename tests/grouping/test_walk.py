"""Walkthrough: each clause of the rule by hand, and the whole rule against the list of all roads. N points, E edges."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError, DataError
from hitloom.grouping import walk


def labels_of(edges, scores, num, **settings_):
    order = settings_.pop("order", torch.arange(float(num)))
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    return walk(index, torch.tensor(scores, dtype=torch.float64), num_points=num, order=order, **settings_).tolist()


def numbered(tracks, num):
    """Labels by the lowest point of each track."""
    labels = [-1] * num
    for label, track in enumerate(sorted(tracks, key=min)):
        for point in track:
            labels[point] = label
    return labels


def by_listing_roads(edges, scores, num, *, min_score, add_score, prefer, score_cut, cc_only=False):
    """The rule as it is written: networkx, and a list of all roads. Rows are sorted outwards."""
    graph = nx.DiGraph()
    for (a, b), score in zip(edges, scores, strict=True):
        a, b = min(a, b), max(a, b)
        if a != b and score > score_cut:
            graph.add_edge(a, b, score=max(score, graph.edges[a, b]["score"] if graph.has_edge(a, b) else 0.0))
    tracks = []
    for component in list(nx.weakly_connected_components(graph)):
        if all(graph.in_degree(i) <= 1 and graph.out_degree(i) <= 1 for i in component):
            if len(component) > 2:
                tracks.append(component)
            graph.remove_nodes_from(component)
    used = set()

    def next_points(i):
        open_ = sorted(
            (j for j in graph.successors(i) if j not in used), key=lambda j: (-graph.edges[i, j]["score"], j)
        )
        if not open_ or graph.edges[i, open_[0]]["score"] <= min_score:
            return []
        return open_[:1] + [j for j in open_[1:] if graph.edges[i, j]["score"] > add_score]

    for first in [] if cc_only else nx.lexicographical_topological_sort(graph):
        if first in used:
            continue
        roads, grew = [[first]], True
        while grew:
            longer = []
            for road in roads:
                longer += [[*road, j] for j in next_points(road[-1])] or [road]
            grew = longer != roads
            roads = longer
        roads = roads[::-1] if prefer == "last" else roads
        road = max(roads, key=len)
        used |= set(road)
        if len(road) > 1:
            tracks.append(road)
    return numbered(tracks, num)


@st.composite
def graphs(draw, max_points=12, max_edges=30):
    num = draw(st.integers(2, max_points))
    point = st.integers(0, num - 1)
    edges = draw(st.lists(st.tuples(point, point), max_size=max_edges))
    grid = st.sampled_from([0.0, 0.005, 0.1, 0.11, 0.3, 0.6, 0.61, 0.7, 0.8, 0.9, 1.0])
    scores = draw(st.lists(grid, min_size=len(edges), max_size=len(edges)))
    return num, edges, scores


@given(graphs(), st.sampled_from(["last", "first"]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_equals_the_list_of_all_roads(graph, prefer, cc_only):
    num, edges, scores = graph
    rule = {"min_score": 0.1, "add_score": 0.6, "prefer": prefer, "score_cut": 0.01, "cc_only": cc_only}
    assert labels_of(edges, scores, num, **rule) == by_listing_roads(edges, scores, num, **rule)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_list_of_all_roads_on_a_larger_graph(seed):
    generator = torch.Generator().manual_seed(seed)
    num, num_edges = 200, 600
    source = torch.randint(0, num, (num_edges,), generator=generator)
    target = (source + 1 + torch.randint(0, 12, (num_edges,), generator=generator)).clamp(max=num - 1)
    edges = list(zip(source.tolist(), target.tolist(), strict=True))
    scores = torch.rand(num_edges, generator=generator, dtype=torch.float64).round(decimals=2).tolist()
    rule = {"min_score": 0.1, "add_score": 0.6, "prefer": "last", "score_cut": 0.01}
    found = labels_of(edges, scores, num, **rule)
    assert found == by_listing_roads(edges, scores, num, **rule)
    assert max(found) > 5


def test_a_chain_is_a_track_whatever_its_scores_above_the_cut():
    assert labels_of([(0, 1), (1, 2), (2, 3)], [0.02, 0.05, 0.02], 4) == [0, 0, 0, 0]


def test_an_edge_at_the_cut_goes():
    assert labels_of([(0, 1), (1, 2), (2, 3)], [0.9, 0.01, 0.9], 4, min_chain=2) == [0, 0, 1, 1]


def test_a_chain_of_two_points_vanishes():
    assert labels_of([(0, 1)], [0.9], 3) == [-1, -1, -1]
    assert labels_of([(0, 1)], [0.9], 3, min_chain=2) == [0, 0, -1]


def test_edges_of_any_direction_and_parallel_ones_are_one_chain():
    assert labels_of([(1, 0), (0, 1), (2, 1), (2, 2)], [0.2, 0.9, 0.3, 1.0], 3) == [0, 0, 0]


def test_a_road_steps_to_the_best_neighbour():
    # 1 branches to 2 (0.5) and 3 (0.4), neither above add_score
    assert labels_of([(0, 1), (1, 2), (1, 3), (3, 4)], [0.9, 0.5, 0.4, 0.9], 5) == [0, 0, 0, 1, 1]


def test_a_road_branches_to_others_above_add_score_and_the_longest_wins():
    edges, best_is_short = [(0, 1), (1, 2), (1, 3), (3, 4)], [0.9, 0.95, 0.7, 0.9]
    assert labels_of(edges, best_is_short, 5) == [0, 0, -1, 0, 0]
    assert labels_of(edges, best_is_short, 5, add_score=0.7) == [0, 0, 0, 1, 1]


def test_of_equally_long_roads_the_last_in_the_list_wins():
    edges, scores = [(0, 1), (1, 2), (1, 3)], [0.9, 0.95, 0.7]
    assert labels_of(edges, scores, 4) == [0, 0, -1, 0]
    assert labels_of(edges, scores, 4, prefer="first") == [0, 0, 0, -1]


def test_a_road_stops_where_nothing_is_above_min_score():
    edges, scores = [(0, 1), (1, 2), (0, 2)], [0.9, 0.1, 0.05]
    assert labels_of(edges, scores, 3) == [0, 0, -1]
    assert labels_of(edges, scores, 3, min_score=0.09) == [0, 0, 0]


def test_a_used_point_is_not_stepped_on_again():
    # 0 and 1 both lead to 2; 0 comes first and takes it with all that follows
    assert labels_of([(0, 2), (1, 2), (2, 3), (3, 4)], [0.5, 0.9, 0.9, 0.9], 5) == [0, -1, 0, 0, 0]


def test_the_next_best_is_taken_when_the_best_is_used():
    edges, scores = [(0, 2), (1, 2), (1, 3)], [0.9, 0.9, 0.2]
    assert labels_of(edges, scores, 4) == [0, 1, 0, 1]


def test_only_chains_on_request():
    edges, scores = [(0, 1), (1, 2), (3, 4), (4, 5), (4, 6)], [0.9] * 5
    assert labels_of(edges, scores, 7, cc_only=True) == [0, 0, 0, -1, -1, -1, -1]


def test_points_at_the_same_radius_make_no_cycle():
    edges, scores = [(0, 1), (1, 2), (2, 0)], [0.9] * 3
    assert labels_of(edges, scores, 3, order=torch.ones(3)) == [0, 0, 0]


def test_a_tie_key_decides_where_the_order_does_not():
    edges, scores = [(0, 1), (1, 2), (1, 3)], [0.9, 0.7, 0.7]
    order, key = torch.tensor([0.0, 1.0, 2.0, 2.0]), torch.tensor([0.0, 0.0, 5.0, 4.0])
    assert labels_of(edges, scores, 4, order=order, prefer="first") == [0, 0, 0, -1]
    assert labels_of(edges, scores, 4, order=order, prefer="first", tie_key=key) == [0, 0, -1, 0]


def test_many_roads_cost_nothing():
    # 40 diamonds in a row hold 2^40 roads of equal length
    edges = [e for i in range(0, 120, 3) for e in [(i, i + 1), (i, i + 2), (i + 1, i + 3), (i + 2, i + 3)]]
    labels = labels_of(edges, [0.9] * len(edges), 121)
    assert labels.count(0) == 81
    assert labels.count(-1) == 40


def test_nothing_in_nothing_out():
    assert labels_of([], [], 0) == []
    assert labels_of([], [], 3) == [-1, -1, -1]


def test_wrong_settings_and_inputs_are_named():
    with pytest.raises(ConfigError, match="add_score"):
        labels_of([(0, 1)], [0.5], 2, min_score=0.5, add_score=0.4)
    with pytest.raises(ConfigError, match="neither 'last' nor 'first'"):
        labels_of([(0, 1)], [0.5], 2, prefer="best")
    with pytest.raises(DataError, match="edge 1 came with nan"):
        labels_of([(0, 1), (1, 2)], [0.5, float("nan")], 3)
    with pytest.raises(DataError, match=r"edge 1 joins rows 1 and 3, wanted 0\.\.2"):
        labels_of([(0, 1), (1, 3)], [0.5, 0.5], 3)
    with pytest.raises(DataError, match="sigmoid"):
        labels_of([(0, 1)], [3.5], 2)
    with pytest.raises(DataError, match="point 1 came with"):
        labels_of([(0, 1)], [0.5], 2, order=torch.tensor([0.0, float("nan")]))
    with pytest.raises(DataError, match="order: came as"):
        labels_of([(0, 1)], [0.5], 2, order=torch.zeros(3))
