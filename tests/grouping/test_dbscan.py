"""DBSCAN against scikit-learn, brute force and itself. N points, D dimensions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from hitloom.errors import ConfigError, DataError
from hitloom.grouping import DBSCANScan, dbscan


def by_definition(x, eps, min_samples, batch=None):
    """Labels straight from the definition: components of core points, border points to the nearest core point."""
    num = len(x)
    distance = ((x.double()[:, None] - x.double()[None]) ** 2).sum(-1).sqrt()
    if batch is not None:
        distance[batch[:, None] != batch[None]] = torch.inf
    near = distance <= eps
    core = near.sum(1) >= min_samples
    owner = list(range(num))
    changed = True
    while changed:  # spread the lowest index through linked core points
        changed = False
        for i in range(num):
            if core[i]:
                low = min(owner[j] for j in range(num) if core[j] and near[i, j])
                changed |= low != owner[i]
                owner[i] = low
    for i in range(num):
        if not core[i]:
            options = [(float(distance[i, j]), j) for j in range(num) if core[j] and near[i, j]]
            owner[i] = owner[min(options)[1]] if options else -1
    names: dict[int, int] = {}
    return [names.setdefault(o, len(names)) if o >= 0 else -1 for o in owner]


def blobs(num, dim, seed=0, spread=0.03):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.nn.functional.normalize(torch.randn(max(1, num // 10), dim, generator=generator), dim=1)
    noise = torch.randn(num, dim, generator=generator) * spread
    return centres[torch.randint(0, len(centres), (num,), generator=generator)] + noise


@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 2, st.integers(0, 1)), max_size=40),
    st.sampled_from([1.0, 1.5, 2.0]),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_grid_equals_the_definition_stored_or_not(rows, eps, min_samples, random):
    table = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
    x, batch = table[:, :2].float(), table[:, 2]
    wanted = by_definition(x, eps, min_samples, batch)
    assert dbscan(x, eps=eps, min_samples=min_samples, batch=batch).tolist() == wanted
    bare = DBSCANScan(x, eps_max=eps, batch=batch, max_pairs=0)  # holds no pairs: the other path
    assert bare.labels(eps, min_samples).tolist() == wanted
    part = DBSCANScan(x, eps_max=3.0, batch=batch, max_pairs=max(1, len(x) ** 2 // 4))
    assert part.labels(eps, min_samples).tolist() == wanted


@given(st.integers(0, 10_000), st.sampled_from([0.03, 0.05, 0.09]), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_permutation_permutes_labels(seed, eps, min_samples):
    x = blobs(150, 3, seed)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(seed))
    labels = dbscan(x, eps=eps, min_samples=min_samples)
    moved = dbscan(x[order], eps=eps, min_samples=min_samples)
    back = torch.empty_like(moved)
    back[order] = moved
    names: dict[int, int] = {-1: -1}
    assert [names.setdefault(int(b), len(names) - 1) for b in back] == labels.tolist()


@pytest.mark.parametrize("dim", [2, 3, 8, 24])
def test_core_and_noise_equal_sklearn_over_a_scan(dim):
    x = blobs(1500, dim)
    scan = DBSCANScan(x, eps_max=0.5)
    bare = DBSCANScan(x, eps_max=0.5, max_pairs=0)
    assert scan.eps_stored == 0.5
    assert bare.eps_stored == -1
    for eps in np.arange(0.05, 0.55, 0.05):
        eps = min(float(eps), 0.5)
        for min_samples in (1, 3, 6):
            labels = scan.labels(eps, min_samples)
            peer = DBSCAN(eps=eps, min_samples=min_samples).fit(x.double().numpy())
            core = peer.core_sample_indices_
            assert ((labels.numpy() < 0) == (peer.labels_ < 0)).all()
            if len(core):
                assert adjusted_rand_score(peer.labels_[core], labels.numpy()[core]) == 1.0
            assert torch.equal(labels, dbscan(x, eps=eps, min_samples=min_samples))
            assert torch.equal(labels, bare.labels(eps, min_samples))
            used = labels[labels >= 0]
            first = [int((labels == label).nonzero()[0, 0]) for label in range(int(labels.max()) + 1)]
            assert first == sorted(first)
            assert len(used.unique()) == len(first)


def test_too_large_a_graph_is_kept_in_part_with_the_same_labels():
    x = blobs(2500, 8, spread=0.1)
    whole = DBSCANScan(x, eps_max=1.0)
    part = DBSCANScan(x, eps_max=1.0, max_pairs=60_000)
    assert 0 < part.eps_stored < 1.0
    for eps in (0.1, 0.2, 0.3, 0.5, 1.0):
        for min_samples in (1, 4):
            assert torch.equal(whole.labels(eps, min_samples), part.labels(eps, min_samples))


def test_batch_equals_each_alone():
    x = blobs(600, 4)
    batch = torch.arange(600) % 3
    together = dbscan(x, eps=0.06, batch=batch)
    for element in range(3):
        own = (batch == element).nonzero()[:, 0]
        alone = dbscan(x[own], eps=0.06)
        assert torch.equal(alone < 0, together[own] < 0)
        assert adjusted_rand_score(alone.numpy(), together[own].numpy()) == 1.0
    shared = [set(together[batch == element].tolist()) - {-1} for element in range(3)]
    assert not (shared[0] & shared[1])
    assert not (shared[0] & shared[2])
    assert not (shared[1] & shared[2])


def test_border_point_goes_to_its_nearest_core_point():
    left, right = [[-1.0 - 0.1 * i] for i in range(5)], [[1.0 + 0.1 * i] for i in range(5)]
    for border, expected in ((-0.05, 0), (0.05, 1), (0.0, 0)):  # a tie goes to the lower index
        x = torch.tensor([*left, *right, [border]])
        for max_pairs in (10**6, 0):
            labels = DBSCANScan(x, eps_max=1.06, max_pairs=max_pairs).labels(1.06, 5)
            assert labels.tolist() == [0] * 5 + [1] * 5 + [expected]


def test_nothing_and_everything():
    assert dbscan(torch.zeros(0, 3), eps=1.0).tolist() == []
    assert dbscan(torch.zeros(1, 3), eps=1.0).tolist() == [-1]
    assert dbscan(torch.zeros(1, 3), eps=1.0, min_samples=1).tolist() == [0]
    assert dbscan(torch.zeros(2, 3), eps=0.0, min_samples=2).tolist() == [0, 0]
    far = torch.arange(100.0)[:, None] * 10
    assert dbscan(far, eps=1.0, min_samples=2).tolist() == [-1] * 100
    assert dbscan(far, eps=11.0, min_samples=2).tolist() == [0] * 100


def test_collapsed_embeddings_stay_small_and_quick():
    """All pairs of 20000 points would be 4e8; in a fresh process, so that the peak is this call's."""
    program = """
import resource, time, torch
from hitloom.grouping import dbscan
warm = dbscan(torch.randn(300, 24), eps=9.0), dbscan(torch.zeros(6000, 24), eps=1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
for x in (torch.zeros(20_000, 24), 1e-3 * torch.randn(20_000, 24)):
    labels = dbscan(x, eps=0.1)
    assert int(labels.min()) == int(labels.max()) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.process_time() - start)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    grown, seconds = map(float, done.stdout.split())
    assert grown / 1024**2 < 1.0  # ru_maxrss counts kibibytes
    assert seconds < 20


def test_errors():
    x = torch.randn(20, 2)
    scan = DBSCANScan(x, eps_max=0.5)
    with pytest.raises(ConfigError, match="raise eps_max"):
        scan.labels(0.6)
    with pytest.raises(ConfigError, match="min_samples"):
        scan.labels(0.5, 0)
    with pytest.raises(DataError, match="eps_max"):
        DBSCANScan(x, eps_max=-1.0)
    with pytest.raises(DataError, match="row 0 is not finite"):
        dbscan(x * torch.nan, eps=0.1)
