"""Connected components against networkx. N points, E edges."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import DataError
from hitloom.grouping import connected_components, union_find


@pytest.mark.parametrize("function", [connected_components, union_find])
@given(st.integers(0, 25), st.data())
@settings(max_examples=60, deadline=None)
def test_equals_networkx(function, num, data):
    point = st.integers(0, max(0, num - 1))
    edges = data.draw(st.lists(st.tuples(point, point), max_size=30 if num else 0))
    min_size = data.draw(st.integers(1, 4))
    graph = nx.Graph()
    graph.add_nodes_from(range(num))
    graph.add_edges_from(edges)
    wanted = [-1] * num
    groups = sorted((sorted(group) for group in nx.connected_components(graph)), key=lambda group: group[0])
    for label, group in enumerate(group for group in groups if len(group) >= min_size):
        for point in group:
            wanted[point] = label
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    labels = function(index, num, min_size=min_size)
    assert labels.tolist() == wanted
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("function", [connected_components, union_find])
def test_wrong_edges_are_named(function):
    with pytest.raises(DataError, match=r"wanted 0..2"):
        function(torch.tensor([[0], [3]]), 3)
    with pytest.raises(DataError, match="transpose"):
        function(torch.zeros(4, 2, dtype=torch.int64), 5)
    with pytest.raises(DataError, match="wanted integer"):
        function(torch.zeros(2, 2), 5)
