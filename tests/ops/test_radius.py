"""radius_graph against brute force and scipy. N points, D dimensions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from hitloom.errors import ConfigError, DataError
from hitloom.ops import radius_graph
from hitloom.ops._keys import square_limit

METHODS = ("leaf", "blocked")


def pairs_of(graph):
    source, target = graph.edge_index().tolist()
    return set(zip(target, source, strict=True))


def brute(x, r, batch=None):
    square = ((x.double()[:, None] - x.double()[None]) ** 2).sum(-1)
    near = square.sqrt() <= r
    near.fill_diagonal_(False)
    if batch is not None:
        near &= batch[:, None] == batch[None]
    return {(int(i), int(j)) for i, j in near.nonzero()}


@pytest.mark.parametrize("method", METHODS)
@given(
    st.lists(st.tuples(*[st.integers(-2, 2)] * 3, st.integers(0, 1)), max_size=80),
    st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, 50.0]),
)
@settings(max_examples=40, deadline=None)
def test_grid_equals_brute_force_inclusive(method, rows, r):
    table = torch.tensor(rows, dtype=torch.int64).reshape(-1, 4)
    x, batch = table[:, :3].float(), table[:, 3]
    graph = radius_graph(x, r, batch=batch, method=method)
    assert pairs_of(graph) == brute(x, r, batch)
    assert len(pairs_of(graph)) == graph.num_edges
    row, key = graph.centre().numpy(), np.round(graph.distance.numpy() ** 2)
    order = np.lexsort((graph.index.numpy(), key, row))
    assert order.tolist() == list(range(len(order)))  # by centre, then distance, then index


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dim", [1, 3, 7, 24])
def test_equals_scipy(method, dim):
    x = torch.randn(900, dim, generator=torch.Generator().manual_seed(0))
    r = 0.4 * dim**0.5
    graph = radius_graph(x, r, method=method)
    expected = cKDTree(x.numpy().astype(np.float64)).query_pairs(r, output_type="ndarray")
    assert pairs_of(graph) == {(i, j) for a, b in expected.tolist() for i, j in ((a, b), (b, a))}
    exact = (x[graph.centre()].double() - x[graph.index].double()).norm(dim=1)
    torch.testing.assert_close(graph.distance, exact.float(), rtol=1e-5, atol=1e-6)
    assert torch.equal(graph.degree, torch.bincount(graph.centre(), minlength=900))


@pytest.mark.parametrize("method", METHODS)
def test_options(method):
    x = torch.randn(700, 3, generator=torch.Generator().manual_seed(1))
    graph = radius_graph(x, 0.5, method=method)
    once = radius_graph(x, 0.5, once=True, method=method)
    assert 2 * once.num_edges == graph.num_edges
    assert bool((once.index > once.centre()).all())
    assert pairs_of(once) | {(j, i) for i, j in pairs_of(once)} == pairs_of(graph)
    few = radius_graph(x, 0.5, max_neighbours=4, method=method)
    assert int(few.degree.max()) == 4
    assert torch.equal(few.degree, graph.degree.clamp(max=4))
    for i in (0, 5, 699):
        start, stop = few.indptr[i], few.indptr[i + 1]
        assert torch.equal(few.index[start:stop], graph.index[graph.indptr[i] :][: stop - start])


@pytest.mark.parametrize("method", METHODS)
def test_too_many_pairs_are_refused(method):
    with pytest.raises(DataError, match="more than 1000 pairs"):
        radius_graph(torch.zeros(100, 2), 1.0, max_pairs=1000, method=method)
    assert radius_graph(torch.zeros(30, 2), 0.0, max_pairs=1000, method=method).num_edges == 30 * 29


@pytest.mark.parametrize("num", [0, 1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_few_points(num, method):
    graph = radius_graph(torch.zeros(num, 3), 1.0, method=method)
    assert graph.num_edges == num * (num - 1)
    assert len(graph.indptr) == num + 1


@given(st.floats(0, 2.0**50, width=32))
@settings(max_examples=300, deadline=None)
def test_square_limit_is_the_square_of_the_comparison(r):
    limit = square_limit(r)
    above = np.nextafter(limit, np.float32(np.inf))
    assert np.sqrt(limit) <= np.float32(r)
    assert np.sqrt(above) > np.float32(r)


def test_errors():
    x = torch.randn(5, 2)
    with pytest.raises(ConfigError, match="unknown method"):
        radius_graph(x, 1.0, method="tree")
    with pytest.raises(ConfigError, match="drop one"):
        radius_graph(x, 1.0, once=True, max_neighbours=3)
    with pytest.raises(ConfigError, match="max_neighbours"):
        radius_graph(x, 1.0, max_neighbours=-1)
    with pytest.raises(DataError, match="r: came as"):
        radius_graph(x, float("inf"))
    x[3, 0] = torch.inf
    with pytest.raises(DataError, match="row 3"):
        radius_graph(x, 1.0)
