"""Paths from sources to sinks against networkx. N points, E edges."""

from __future__ import annotations

import itertools
import logging

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError
from hitloom.grouping import all_simple_paths, shortest_paths


def run(function, edges, scores, num, **rule):
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    score = torch.tensor(scores, dtype=torch.float64)
    return function(index, score, num_points=num, order=torch.arange(float(num)), **rule).tolist()


def best_scores(edges, scores):
    best = {}
    for (a, b), score in zip(edges, scores, strict=True):
        if a != b:
            key = (min(a, b), max(a, b))
            best[key] = max(best.get(key, 0.0), score)
    return best


def numbered(label, min_size=2):
    groups = {}
    for point, name in enumerate(label):
        if name is not None:
            groups.setdefault(name, []).append(point)
    kept = sorted((group for group in groups.values() if len(group) >= min_size), key=min)
    labels = [-1] * len(label)
    for number, group in enumerate(kept):
        for point in group:
            labels[point] = number
    return labels


def ends_of(graph):
    sources = sorted(i for i in graph if graph.in_degree(i) == 0)
    return sources, sorted(i for i in graph if graph.out_degree(i) == 0)


def simple_by_networkx(edges, scores, num, *, low, high, min_points, max_steps):
    best = best_scores(edges, scores)
    label = [None] * num
    for part in nx.connected_components(nx.Graph([e for e, score in best.items() if score > high])):
        for point in part:
            label[point] = ("component", min(part))
    rest = nx.DiGraph([e for e, score in best.items() if low < score <= high])
    sources, sinks = ends_of(rest)
    for source in sources:
        paths = itertools.chain.from_iterable(
            nx.all_simple_paths(rest, source, sink, cutoff=max_steps) for sink in sinks if sink != source
        )
        for path in sorted(paths):
            if len(path) >= min_points:
                for point in path:
                    label[point] = tuple(path)
    return numbered(label)


def shortest_by_networkx(edges, scores, num, *, cut):
    graph = nx.DiGraph([e for e, score in best_scores(edges, scores).items() if score > cut])
    label = [None] * num
    sources, sinks = ends_of(graph)
    for source, sink in itertools.product(sources, sinks):
        if nx.has_path(graph, source, sink):
            path = min(nx.all_shortest_paths(graph, source, sink))
            for point in path:
                label[point] = label[point] or tuple(path)
    return numbered(label)


@st.composite
def graphs(draw):
    num = draw(st.integers(2, 12))
    point = st.integers(0, num - 1)
    edges = draw(st.lists(st.tuples(point, point), max_size=30))
    grid = st.sampled_from([0.05, 0.1, 0.2, 0.4, 0.5, 0.6, 0.9])
    return num, edges, draw(st.lists(grid, min_size=len(edges), max_size=len(edges)))


@given(graphs(), st.integers(2, 5), st.integers(1, 6))
@settings(max_examples=250, deadline=None)
def test_all_simple_paths_equal_networkx(graph, min_points, max_steps):
    num, edges, scores = graph
    rule = {"min_points": min_points, "max_steps": max_steps}
    found = run(all_simple_paths, edges, scores, num, score_cut_low=0.1, score_cut_high=0.5, **rule)
    assert found == simple_by_networkx(edges, scores, num, low=0.1, high=0.5, **rule)


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_shortest_paths_equal_networkx(graph):
    num, edges, scores = graph
    assert run(shortest_paths, edges, scores, num, score_cut=0.1) == shortest_by_networkx(edges, scores, num, cut=0.1)


def test_a_touched_point_keeps_the_label_of_its_component():
    edges, scores = [(0, 1), (1, 2), (2, 3)], [0.9, 0.9, 0.3]
    assert run(all_simple_paths, edges, scores, 4) == [0, 0, 0, -1]


def test_a_path_has_more_than_seven_points_and_at_most_twenty_five_steps():
    for num, expected in [(7, -1), (8, 0), (26, 0), (27, -1)]:
        chain = [(i, i + 1) for i in range(num - 1)]
        assert set(run(all_simple_paths, chain, [0.3] * (num - 1), num)) == {expected}


def diamonds(number):
    return [e for i in range(0, 3 * number, 3) for e in [(i, i + 1), (i, i + 2), (i + 1, i + 3), (i + 2, i + 3)]]


def test_the_paths_of_a_source_are_bounded_and_those_left_out_are_counted(caplog):
    edges = diamonds(12)  # 4096 paths of 25 points, of which the last one wins
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        labels = run(all_simple_paths, edges, [0.3] * len(edges), 37)
    assert "1 sources have more than 1000 paths" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        complete = run(all_simple_paths, edges, [0.3] * len(edges), 37, max_paths=5000)
    assert caplog.text == ""
    # the last path takes the upper point of each diamond; the lower ones are left alone, on paths of one free point
    assert [i for i, label in enumerate(complete) if label == 0] == [i for i in range(37) if i % 3 != 1]
    assert labels[:1] == [0]


def test_dead_ends_are_never_entered():
    # from 0 a long ladder of 2^20 paths, all too long to be accepted, costs nothing
    edges = diamonds(20)
    assert set(run(all_simple_paths, edges, [0.3] * len(edges), 61)) == {-1}


def test_wrong_settings_are_named():
    with pytest.raises(ConfigError, match="score_cut_low"):
        run(all_simple_paths, [(0, 1)], [0.5], 2, score_cut_low=0.6)
    with pytest.raises(ConfigError, match="max_steps"):
        run(all_simple_paths, [(0, 1)], [0.5], 2, max_steps=62)
