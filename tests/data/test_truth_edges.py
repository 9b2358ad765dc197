"""Truth edges against the definition written as loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.truth_edges import layerwise_edges, module_key, modulewise_edges, vertex_distance
from hitloom.errors import DataError


def edges_by_loops(owner, key, distance) -> set[tuple[int, int]]:
    found = set()
    for particle in sorted(set(owner) - {-1}):
        rows = [row for row in range(len(owner)) if owner[row] == particle]
        rows.sort(key=lambda row: (distance[row], key[row]))
        modules: list[int] = []
        for row in rows:
            if key[row] not in modules:
                modules.append(key[row])
        for inner, outer in itertools.pairwise(modules):
            for a in rows:
                for b in rows:
                    if key[a] == inner and key[b] == outer:
                        found.add((a, b))
    return found


points = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 4), st.integers(0, 6)), max_size=25)


@given(points)
@settings(max_examples=150, deadline=None)
def test_modulewise_edges_equal_the_loops(rows):
    owner, key, distance = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    edges = modulewise_edges(owner, key, [float(value) for value in distance])
    assert edges.dtype == np.int64
    pairs = [tuple(pair) for pair in edges.T.tolist()]
    assert len(pairs) == len(set(pairs)), "an edge came twice"
    assert set(pairs) == edges_by_loops(owner, key, distance)


@given(points, st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_rows_does_not_matter(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)

    def pairs(some):
        owner, key, distance = zip(*some, strict=True) if some else ((), (), ())
        return modulewise_edges(owner, key, np.array(distance, dtype=float)).T.tolist()

    shuffled = {(order[a], order[b]) for a, b in pairs([rows[place] for place in order])}
    assert shuffled == {(a, b) for a, b in pairs(rows)}


def test_a_particle_with_two_hits_on_one_module_links_both_to_the_next_module_only():
    edges = modulewise_edges([4, 4, 4, 4, -1], [1, 1, 2, 3, 2], [1.0, 1.2, 2.0, 3.0, 2.5])
    assert sorted(map(tuple, edges.T.tolist())) == [(0, 2), (1, 2), (2, 3)]


def test_a_module_that_is_met_again_stays_where_it_came_first():
    edges = modulewise_edges([0, 0, 0], [1, 2, 1], [1.0, 2.0, 3.0])
    assert sorted(map(tuple, edges.T.tolist())) == [(0, 1), (2, 1)]


def test_layerwise_links_every_hit_of_a_layer():
    layer, module = [1, 1, 2], [10, 11, 20]
    distance = [1.0, 1.1, 2.0]
    assert modulewise_edges([0, 0, 0], module, distance).T.tolist() == [[0, 1], [1, 2]]
    assert layerwise_edges([0, 0, 0], layer, distance).T.tolist() == [[0, 2], [1, 2]]


def test_module_key_separates_and_refuses_what_does_not_fit():
    ids = [(7, 2, 1), (7, 2, 2), (7, 4, 1), (8, 2, 1)]
    keys = module_key(*zip(*ids, strict=True))
    assert len(set(keys.tolist())) == 4
    with pytest.raises(DataError, match="layer: -1"):
        module_key([1], [-1], [1])


def test_vertex_distance_is_3d_and_0_for_noise():
    distance = vertex_distance([[3.0, 4.0, 12.0], [1.0, 1.0, 1.0]], [0, -1], [[0.0, 0.0, 0.0]])
    assert distance.tolist() == [13.0, 0.0]
