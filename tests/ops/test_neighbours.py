"""knn against brute force, scipy, scikit-learn and itself. N points, D dimensions, k neighbours."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

from hitloom.errors import ConfigError, DataError
from hitloom.ops import NeighbourTable, knn
from hitloom.ops import _threads as threads

EXACT = ("leaf", "kdtree", "blocked")


def brute(x, k, *, batch=None, mask=None, query=None, query_batch=None, r_max=None):
    """All distances in float64, sorted by (distance, index)."""
    asks = x if query is None else query
    square = ((asks.double()[:, None] - x.double()[None]) ** 2).sum(-1)
    if query is None:
        square.fill_diagonal_(torch.inf)
        query_batch = batch
    if batch is not None:
        square[query_batch[:, None] != batch[None]] = torch.inf
    if mask is not None:
        square[:, ~mask] = torch.inf
    if r_max is not None:
        square[square.sqrt() > r_max] = torch.inf
    square, index = square.sort(dim=1, stable=True)
    index = index.masked_fill(square.isinf(), -1)
    short = max(0, k - index.shape[1])
    pad = torch.nn.functional.pad
    return pad(index, (0, short), value=-1)[:, :k], pad(square, (0, short), value=torch.inf)[:, :k].sqrt()


def points(kind, num, dim, seed=0):
    """Points on multiples of 1/64: their squared distances are exact in float32, so order is not up to rounding."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "normal":
        return (torch.randn(num, dim, generator=generator) * 64).round() / 64
    if kind == "grid":  # many ties
        return torch.randint(0, 3, (num, dim), generator=generator).float()
    if kind == "same":
        return torch.full((num, dim), 0.75)
    centres = torch.randn(max(1, num // 10), dim, generator=generator)
    x = centres[torch.arange(num) % len(centres)] + 0.03 * torch.randn(num, dim, generator=generator)
    return (x * 64).round() / 64


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("kind", ["normal", "grid", "same", "clusters"])
@pytest.mark.parametrize(("num", "dim"), [(0, 3), (1, 3), (2, 1), (64, 2), (65, 3), (400, 3), (400, 9), (300, 24)])
def test_equals_brute_force(method, kind, num, dim):
    x = points(kind, num, dim)
    generator = torch.Generator().manual_seed(1)
    batch = torch.randint(-1, 3, (num,), generator=generator)
    mask = torch.rand(num, generator=generator) < 0.4
    for k in (0, 1, 10, 70):
        for options in ({}, {"batch": batch}, {"mask": mask}, {"batch": batch, "mask": mask}):
            index, distance = brute(x, k, **options)
            table = knn(x, k, method=method, **options)
            assert torch.equal(table.index, index)
            torch.testing.assert_close(table.distance, distance.float(), atol=1e-6, rtol=1e-5)
            assert table.index.dtype == torch.int64
            assert table.distance.dtype == torch.float32


@pytest.mark.parametrize("method", EXACT)
def test_other_queries(method):
    x, query = points("clusters", 300, 5), points("clusters", 90, 5, seed=3)
    batch, query_batch = torch.arange(300) % 3, torch.arange(90) % 4  # element 3 has queries and no points
    for options in ({}, {"batch": batch, "query_batch": query_batch}, {"mask": torch.arange(300) % 2 == 0}):
        index, _ = brute(x, 7, query=query, **options)
        assert torch.equal(knn(x, 7, query=query, method=method, **options).index, index)
    assert torch.equal(knn(x, 1, query=x, method=method).index[:, 0], torch.arange(300))  # nothing is barred


@pytest.mark.parametrize("method", EXACT)
def test_radius_cuts_after_the_choice_and_is_not_squared(method):
    x = torch.tensor([[0.0], [0.5], [2.5], [2.75]])
    table = knn(x, 2, r_max=0.5, method=method)
    assert table.index.tolist() == [[1, -1], [0, -1], [3, -1], [2, -1]]
    assert table.distance[0].tolist() == [0.5, float("inf")]
    big = points("clusters", 500, 6)
    index, _ = brute(big, 12, r_max=0.125)
    assert torch.equal(knn(big, 12, r_max=0.125, method=method).index, index)


@pytest.mark.parametrize("method", EXACT)
@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 2, st.integers(0, 2)), max_size=90),
    st.integers(0, 9),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_grid_ties_batches_and_permutation(method, rows, k, random):
    table = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
    x, batch = table[:, :2].float(), table[:, 2]
    found = knn(x, k, batch=batch, method=method)
    assert torch.equal(found.index, brute(x, k, batch=batch)[0])
    for element in range(3):  # batching equals asking separately
        own = (batch == element).nonzero()[:, 0]
        alone = knn(x[own], k, method=method)
        assert torch.equal(found.distance[own], alone.distance)
        assert torch.equal(found.index[own], torch.where(alone.mask, own[alone.index], -1) if len(own) else alone.index)
    order = torch.tensor(random.sample(range(len(x)), len(x)), dtype=torch.int64)
    moved = knn(x[order], k, batch=batch[order], method=method)
    assert torch.equal(moved.distance, found.distance[order])  # which of the tied is by index; how far is not


def test_large_against_scipy_and_sklearn():
    for dim in (3, 8, 24):
        x = points("clusters", 6000, dim)
        table = knn(x, 10)
        distance = cKDTree(x.numpy().astype(np.float64)).query(x.numpy(), k=11)[0]
        np.testing.assert_allclose(table.distance.numpy(), distance[:, 1:], rtol=1e-4, atol=1e-6)
        peer = NearestNeighbors(n_neighbors=10).fit(x.numpy().astype(np.float64)).kneighbors()[0]
        np.testing.assert_allclose(table.distance.numpy(), peer, rtol=1e-4, atol=1e-6)


def test_threads_do_not_change_the_answer(monkeypatch):
    x = points("clusters", 25_000, 4)
    one = knn(x, 5)
    monkeypatch.setattr(threads, "num_threads", lambda: 3)
    monkeypatch.setattr("hitloom.ops._leaf_tree.num_threads", lambda: 3)
    three = knn(x, 5)
    assert torch.equal(one.index, three.index)
    assert torch.equal(one.distance, three.distance)


def test_far_from_the_origin():
    x = (
        points("clusters", 400, 3) + 1000.0
    )  # neighbours 1e-5 of the coordinates apart: the expanded square would cancel
    for method in EXACT:
        torch.testing.assert_close(knn(x, 5, method=method).distance, brute(x, 5)[1].float(), rtol=1e-4, atol=1e-7)


def test_coincident_points_stay_cheap():
    x = torch.zeros(20_000, 8)
    table = knn(x, 3)
    assert table.index[0].tolist() == [1, 2, 3]
    assert table.index[2].tolist() == [0, 1, 3]
    assert bool((table.index[4:] == torch.tensor([0, 1, 2])).all())


def test_edge_index_points_from_neighbour_to_centre():
    table = knn(torch.tensor([[0.0], [1.0], [5.0]]), 1)
    assert table.edge_index().tolist() == [[1, 0, 1], [0, 1, 2]]
    padded = NeighbourTable(torch.tensor([[-1, -1], [0, -1]]), torch.full((2, 2), torch.inf))
    assert padded.edge_index().tolist() == [[0], [1]]
    assert padded.num_edges == 1


def test_half_precision_and_gradients_are_left_behind():
    x = torch.randn(50, 4, requires_grad=True)
    table = knn(x, 3)
    assert not table.distance.requires_grad
    assert torch.equal(knn(x.half(), 3).index, knn(x.half().float(), 3).index)
    wide = x.double()
    assert torch.equal(knn(wide, 3).index, table.index)


@pytest.mark.parametrize("kind", ["faiss-ivf", "faiss-hnsw"])
def test_approximate_by_name(kind):
    pytest.importorskip("faiss")
    x = points("clusters", 2000, 8)
    batch = torch.arange(2000) % 2
    table, exact = knn(x, 5, batch=batch, method=kind), knn(x, 5, batch=batch)
    assert not bool((table.index == torch.arange(2000)[:, None]).any())
    assert bool((batch[table.index[table.mask]] == batch[:, None].expand(-1, 5)[table.mask]).all())
    hits = (table.index[:, :, None] == exact.index[:, None, :]).any(1).float().mean()
    assert hits > 0.8
    assert bool((table.distance[:, 1:] >= table.distance[:, :-1]).all())


def test_errors_name_the_place():
    x = torch.randn(10, 3)
    bad = x.clone()
    bad[4, 1] = torch.nan
    for method in EXACT:
        with pytest.raises(DataError, match="row 4 is not finite"):
            knn(bad, 3, method=method)
    with pytest.raises(DataError, match="query: row 4"):
        knn(x, 3, query=bad)
    with pytest.raises(ConfigError, match="Did you mean 'kdtree'"):
        knn(x, 3, method="kd_tree")
    with pytest.raises(ConfigError, match="k came as -1"):
        knn(x, -1)
    for values, options, message in (
        (torch.randn(10), {}, "shape"),
        (torch.randn(10, 0), {}, "shape"),
        (torch.zeros(10, 3, dtype=torch.int64), {}, "floating"),
        (x * 1e20, {}, "rescale"),
        (x, {"batch": torch.zeros(9, dtype=torch.int64)}, "batch: came with shape"),
        (x, {"batch": torch.zeros(10)}, "wanted integer"),
        (x, {"mask": torch.zeros(10, dtype=torch.int64)}, "wanted bool"),
        (x, {"query": torch.randn(4, 2)}, "2 dimensions"),
        (x, {"query": x, "batch": torch.zeros(10, dtype=torch.int64)}, "query_batch"),
        (x, {"query_batch": torch.zeros(10, dtype=torch.int64)}, "without query"),
        (x, {"r_max": -1.0}, "r_max"),
        (x, {"r_max": float("nan")}, "r_max"),
    ):
        with pytest.raises(DataError, match=message):
            knn(values, 3, **options)


def test_blocks_come_back_in_order_and_pass_errors_on(monkeypatch):
    monkeypatch.setattr(threads, "num_threads", lambda: 4)
    spans = threads.run_blocks(lambda first, last: (first, last), 1000)
    assert spans[0][0] == 0
    assert spans[-1][1] == 1000
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    assert len(spans) > 4
    assert threads.run_blocks(lambda first, last: 1, 0) == []

    def fail(first, last):
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        threads.run_blocks(fail, 1000)
