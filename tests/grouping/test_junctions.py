"""Junction removal against the rule written with networkx. N points, E edges."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError
from hitloom.grouping import junction_removal


def labels_of(edges, scores, num, **rule):
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    score = torch.tensor(scores, dtype=torch.float64)
    return junction_removal(index, score, num_points=num, order=torch.arange(float(num)), **rule).tolist()


def by_networkx(edges, scores, num, *, score_cut, junction_cut, min_chain_length):
    best = {}
    for (a, b), score in zip(edges, scores, strict=True):
        if a != b:
            key = (min(a, b), max(a, b))
            best[key] = max(best.get(key, 0.0), score)
    strong = nx.DiGraph([edge for edge, score in best.items() if score > score_cut])
    tracks = [
        part
        for part in nx.weakly_connected_components(strong)
        if len(part) >= min_chain_length and all(strong.in_degree(i) < 2 and strong.out_degree(i) < 2 for i in part)
    ]
    taken = set().union(*tracks)
    rest = nx.DiGraph([e for e, score in best.items() if score > junction_cut and not taken & set(e)])
    kept = nx.Graph([(a, b) for a, b in rest.edges if rest.out_degree(a) == 1 or rest.in_degree(b) == 1])
    tracks += list(nx.connected_components(kept))
    labels = [-1] * num
    for label, track in enumerate(sorted(tracks, key=min)):
        for point in track:
            labels[point] = label
    return labels


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_equals_the_rule_in_networkx(data):
    num = data.draw(st.integers(2, 14))
    point = st.integers(0, num - 1)
    edges = data.draw(st.lists(st.tuples(point, point), max_size=30))
    grid = st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.51, 0.9])
    scores = data.draw(st.lists(grid, min_size=len(edges), max_size=len(edges)))
    rule = {"score_cut": 0.5, "junction_cut": 0.1, "min_chain_length": data.draw(st.integers(2, 4))}
    assert labels_of(edges, scores, num, **rule) == by_networkx(edges, scores, num, **rule)


def test_the_target_counts_its_edges_in_not_out():
    # 1 -> 3: source 1 has two edges out, target 3 two in; 3 has one edge out, which the published code would accept
    edges = [(0, 1), (1, 3), (1, 4), (2, 3), (2, 5), (3, 6)]
    labels = labels_of(edges, [0.9] * 6, 7)
    assert labels[1] != labels[3]
    assert labels == [0, 0, 1, 2, 0, 1, 2]


def test_a_chain_is_taken_before_weaker_edges_join_it():
    edges, scores = [(0, 1), (1, 2), (2, 3), (3, 4)], [0.9, 0.9, 0.3, 0.9]
    assert labels_of(edges, scores, 5) == [0, 0, 0, 1, 1]
    assert labels_of(edges, scores, 5, min_chain_length=4) == [0] * 5


def test_random_drop_is_drawn_by_a_generator_in_the_order_of_the_points():
    num = 200
    edges = torch.stack([torch.arange(num - 1), torch.arange(1, num)])
    score, order = torch.full((num - 1,), 0.9), torch.arange(float(num))

    def drop(edges, order, seed):
        generator = torch.Generator().manual_seed(seed)
        return junction_removal(
            edges, score, num_points=num, order=order, random_drop=0.2, min_chain_length=2, generator=generator
        )

    first = drop(edges, order, 1)
    assert 20 < int(first.max()) + 1 < 60
    assert torch.equal(first, drop(edges, order, 1))
    assert not torch.equal(first, drop(edges, order, 2))
    permutation = torch.randperm(num, generator=torch.Generator().manual_seed(3))
    new_row = torch.argsort(permutation)
    permuted = drop(new_row[edges].flip(1), order[permutation], 1)
    together = first[permutation][:, None] == first[permutation][None]
    assert torch.equal(
        together & (first[permutation] >= 0)[:, None], (permuted[:, None] == permuted[None]) & (permuted >= 0)[:, None]
    )
    with pytest.raises(ConfigError, match="generator"):
        labels_of([(0, 1)], [0.9], 2, random_drop=0.5)
