"""CLUE against its definition, and against the reference output of the public toy detector. N points, D dimensions."""

from __future__ import annotations

import csv
import gzip
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError, DataError
from hitloom.grouping.clue import ExponentialKernel, FlatKernel, GaussKernel, clue


def by_definition(x, w, *, dc, rhoc, do, ds, share=lambda d: 0.5, periods=None, variant="original", metric="euclidean"):
    """Labels, seeds and densities from the definition: all pairs, exact sums, no cells."""
    num = len(x)
    gap = np.abs(x[:, None] - x[None])
    for axis, period in enumerate(periods or []):
        if period is not None:
            gap[..., axis] = np.abs(gap[..., axis] - period * np.round(gap[..., axis] / period))
    square = (gap**2).sum(-1)

    def within(limit):
        return (gap <= limit).all(-1) if metric == "box" else square <= limit * limit

    near, reach = within(dc), within(do)
    rho = np.array(
        [
            math.fsum(w[j] * (1.0 if i == j else share(math.sqrt(square[i, j]))) for j in np.flatnonzero(near[i]))
            for i in range(num)
        ]
    )
    nearest = np.full(num, -1)
    rank = np.empty(num, int)
    rank[np.lexsort((np.arange(num), rho))] = np.arange(num)
    for i in range(num):
        higher = np.flatnonzero(reach[i] & (rank > rank[i]) & ((variant == "original") | (rho > 0)))
        if len(higher):
            nearest[i] = higher[np.lexsort((-rank[higher], square[i, higher]))[0]]
    seed, labels = np.zeros(num, bool), np.full(num, -1)
    outlier = np.zeros(num, bool)
    for i in range(num):
        far = nearest[i] < 0
        if not far:
            far = (gap[i, nearest[i]] > ds).all() if metric == "box" else math.sqrt(square[i, nearest[i]]) > ds
        seed[i] = far and rho[i] >= rhoc
        outlier[i] = (far if variant == "reset" else nearest[i] < 0) and rho[i] < rhoc
    names = np.cumsum(seed) - 1
    for i in np.argsort(rank)[::-1]:
        if seed[i]:
            labels[i] = names[i]
        elif not outlier[i] and nearest[i] >= 0:
            labels[i] = labels[nearest[i]]
    return labels, seed, rho


def blobs(num, dim, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-20, 20, (max(1, num // 50), dim))
    x = centres[rng.integers(len(centres), size=num)] + rng.normal(size=(num, dim))
    noise = rng.random(num) < 0.1
    x[noise] = rng.uniform(-40, 40, (int(noise.sum()), dim))
    return x, rng.exponential(size=num)


def check(x, w, *, dc, rhoc, do, ds, kernel=None, share=lambda d: 0.5, cell_size=None, **options):
    found = clue(
        x,
        w,
        density_radius=dc,
        min_density=rhoc,
        outlier_distance=do,
        seeding_distance=ds,
        kernel=kernel or FlatKernel(),
        cell_size=cell_size,
        **options,
    )
    labels, seed, rho = by_definition(x, w, dc=dc, rhoc=rhoc, do=do, ds=ds, share=share, **options)
    np.testing.assert_allclose(found.density, rho, rtol=1e-12)
    assert found.is_seed.tolist() == seed.tolist()
    assert found.labels.tolist() == labels.tolist()
    return found


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("variant", ["original", "reset"])
def test_equals_the_definition_at_2000_points(dim, variant):
    x, w = blobs(2000, dim)
    found = check(x, w, dc=1.0, rhoc=4.0, do=2.0, ds=1.0, variant=variant)
    assert found.num_clusters > 30
    assert (found.labels < 0).sum() > 20


@pytest.mark.parametrize(
    ("kernel", "share"),
    [
        (FlatKernel(height=0.3), lambda d: 0.3),
        (ExponentialKernel(rate=1.5, height=0.8), lambda d: 0.8 * math.exp(-1.5 * d)),
        (GaussKernel(width=0.4, mean=0.2, height=0.9), lambda d: 0.9 * math.exp(-((d - 0.2) ** 2) / (2 * 0.4**2))),
    ],
)
def test_kernels(kernel, share):
    x, w = blobs(400, 2, seed=3)
    check(x, w, dc=1.2, rhoc=3.0, do=3.0, ds=1.2, kernel=kernel, share=share)


def test_other_distances_for_seeds_and_outliers():
    x, w = blobs(400, 2, seed=4)
    for do, ds in ((3.0, 1.0), (1.0, 3.0), (1e9, 2.0), (math.inf, 1.0)):
        check(x, w, dc=0.8, rhoc=3.0, do=do, ds=ds)


@pytest.mark.parametrize("dim", [1, 5, 7])
def test_any_number_of_dimensions(dim):
    x, w = blobs(300, dim, seed=dim)
    check(x, w, dc=1.5, rhoc=2.0, do=3.0, ds=1.5)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 3)), max_size=30),
    st.sampled_from([1.0, 1.5, 2.0]),
    st.sampled_from([1.0, 2.0, 4.0]),
    st.sampled_from(["original", "reset"]),
    st.sampled_from(["euclidean", "box"]),
    st.sampled_from([None, 0.3, 1.0, 7.0, 100.0]),
)
@settings(max_examples=60, deadline=None)
def test_ties_and_duplicates(rows, dc, do, variant, metric, cell_size):
    table = np.array(rows, dtype=float).reshape(-1, 3)
    x, w = table[:, :2], table[:, 2] / 2
    check(x, w, dc=dc, rhoc=2.0, do=do, ds=dc, variant=variant, metric=metric, cell_size=cell_size)


@given(
    st.lists(st.tuples(st.integers(-5, 9), st.integers(0, 5), st.integers(1, 3)), min_size=1, max_size=25),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([None, 0.5, 3.0]),
)
@settings(max_examples=40, deadline=None)
def test_periodic_coordinates(rows, dc, cell_size):
    table = np.array(rows, dtype=float)
    check(
        table[:, :2], table[:, 2], dc=dc, rhoc=1.5, do=2 * dc, ds=dc, periods=[8.0, None], cell_size=cell_size
    )  # fmt: skip


def test_a_turn_in_phi_changes_nothing():
    rng = np.random.default_rng(1)
    eta, phi, w = rng.uniform(1.5, 3, 500), rng.uniform(-np.pi, np.pi, 500), rng.exponential(size=500)
    options = {"density_radius": 0.05, "min_density": 1.0, "outlier_distance": 0.1, "seeding_distance": 0.05}
    first = clue(np.stack([eta, phi], 1), w, periods=[None, 2 * np.pi], **options)
    turned = np.angle(np.exp(1j * (phi + np.pi)))
    second = clue(np.stack([eta, turned], 1), w, periods=[None, 2 * np.pi], **options)
    assert first.labels.tolist() == second.labels.tolist()
    unwrapped = clue(np.stack([eta, turned], 1), w, **options)
    assert unwrapped.labels.tolist() != second.labels.tolist()


@pytest.mark.parametrize("dim", [2, 3])
def test_the_answer_depends_on_no_tiling(dim):
    x, w = blobs(3000, dim, seed=2)
    options = {"density_radius": 1.0, "min_density": 4.0, "outlier_distance": 2.0, "seeding_distance": 1.0}
    wanted = clue(x, w, **options)
    for cell_size in (0.01, 0.3, 0.99, 5.0, 1000.0):
        found = clue(x, w, cell_size=cell_size, **options)
        assert found.labels.tolist() == wanted.labels.tolist()
        assert found.density.tolist() == wanted.density.tolist()
        assert found.nearest_higher.tolist() == wanted.nearest_higher.tolist()


def test_radii_are_in_the_units_given():
    """Stretching a coordinate changes the answer; scaling all of them with the radii does not."""
    x, w = blobs(500, 2, seed=6)
    options = {"min_density": 3.0}
    one = clue(x, w, density_radius=1.0, outlier_distance=2.0, seeding_distance=1.0, **options)
    same = clue(x * 1024, w, density_radius=1024.0, outlier_distance=2048.0, seeding_distance=1024.0, **options)
    assert one.labels.tolist() == same.labels.tolist()
    stretched = clue(x * [1, 30], w, density_radius=1.0, outlier_distance=2.0, seeding_distance=1.0, **options)
    assert stretched.num_clusters != one.num_clusters


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_permutation_permutes(seed):
    x, w = blobs(200, 2, seed)
    order = np.random.default_rng(seed).permutation(200)
    options = {"density_radius": 1.0, "min_density": 3.0, "outlier_distance": 2.0, "seeding_distance": 1.0}
    one, moved = clue(x, w, **options), clue(x[order], w[order], **options)
    assert moved.density.tolist() == one.density[order].tolist()
    assert moved.is_seed.tolist() == one.is_seed[order].tolist()
    pairs = set(zip(one.labels[order].tolist(), moved.labels.tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert ((one.labels[order] < 0) == (moved.labels < 0)).all()


def test_of_equal_densities_the_larger_row_is_higher():
    found = clue(
        [[0.0], [1.0], [2.0]], [1, 1, 1], density_radius=3, min_density=1, outlier_distance=3, seeding_distance=3
    )
    assert found.is_seed.tolist() == [False, False, True]
    assert found.nearest_higher.tolist() == [1, 2, -1]


def test_densities_of_equal_sums_are_equal():
    """Ten times 0.1 in another order is the same density, though floating point sums would differ."""
    w = np.tile([0.1, 0.3, 1e-9, 7e5], 5)
    found = clue(np.zeros((20, 1)), w, density_radius=1, min_density=0, outlier_distance=1, seeding_distance=1)
    for value in (0.1, 0.3, 1e-9, 7e5):
        assert len(set(found.density[w == value])) == 1


def test_links_are_trees_and_outliers_are_no_cluster():
    x, w = blobs(800, 2, seed=8)
    x = np.concatenate([x, [[500.0, 500.0], [-500.0, 0.0]]])
    w = np.concatenate([w, [0.1, 0.1]])
    found = clue(x, w, density_radius=1.0, min_density=4.0, outlier_distance=2.0, seeding_distance=1.0)
    assert found.labels[-2:].tolist() == [-1, -1]
    assert found.num_clusters == len(set(found.labels[found.labels >= 0].tolist())) == found.is_seed.sum()
    sizes = np.bincount(found.labels[found.labels >= 0])
    leader, follower = found.links
    assert len(follower) == (sizes - 1).sum()
    assert len(set(follower.tolist())) == len(follower)
    assert (found.labels[leader] == found.labels[follower]).all()
    assert (found.density[leader] >= found.density[follower]).all()


def test_small_and_empty_sets():
    options = {"density_radius": 1.0, "min_density": 1.0, "outlier_distance": 2.0, "seeding_distance": 1.0}
    assert clue(np.zeros((0, 2)), [], **options).num_clusters == 0
    assert clue([[1.0, 2.0]], [3.0], **options).labels.tolist() == [0]
    assert clue([[1.0, 2.0]], [0.5], **options).labels.tolist() == [-1]
    assert clue(np.zeros((4, 2)), np.zeros(4), **options).labels.tolist() == [-1] * 4
    huge = clue([[0.0], [1e300], [-1e300]], [2.0, 2.0, 2.0], **options)
    assert huge.labels.tolist() == [0, 1, 2]


def test_thresholds_of_each_point():
    found = clue(
        [[0.0], [10.0]], [2.0, 2.0], density_radius=1, min_density=[1.0, 3.0], outlier_distance=1, seeding_distance=1
    )
    assert found.labels.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("points", "weights", "error", "message"),
    [
        ([[0.0, math.nan]], [1.0], DataError, "point 0 came with coordinates"),
        ([[0.0], [1.0]], [1.0, -2.0], DataError, "point 1 came with weight -2.0"),
        ([[0.0], [1.0]], [1.0], DataError, r"points \(2, 1\) and weights \(1,\)"),
    ],
)
def test_bad_points(points, weights, error, message):
    with pytest.raises(error, match=message):
        clue(points, weights, density_radius=1, min_density=1, outlier_distance=1, seeding_distance=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density_radius": 0}, "density_radius came as 0"),
        ({"outlier_distance": math.nan}, "outlier_distance"),
        ({"variant": "orignal"}, "Did you mean 'original'"),
        ({"metric": "boxes"}, "Did you mean 'box'"),
        ({"periods": [1.0, 2.0]}, "one for each of 1"),
        ({"kernel": GaussKernel(width=0.0)}, "width above 0"),
    ],
)
def test_bad_settings(change, message):
    options = {"density_radius": 1, "min_density": 1, "outlier_distance": 1, "seeding_distance": 1} | change
    with pytest.raises(ConfigError, match=message):
        clue([[0.0]], [1.0], **options)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "dc", "rhoc", "do", "seeds"), [("1000", 4.0, 2.5, 4.0, True), ("5000", 2.5, 2.0, 7.5, False)]
)
def test_reference_output_of_the_toy_detector(test_data, name, dc, rhoc, do, seeds):
    """CLUEstering 2's own output, point by point: its distances are boxes, its radii in the units of the file.

    The numbering of clusters is free. The larger file holds no flags of seeds: its column is 0 throughout.
    """
    with gzip.open(test_data / "clue-toy" / f"toy_det_{name}_truth.csv.gz", "rt") as file:
        rows = [[float(cell) for cell in row.values()] for row in csv.DictReader(file)]
    table = np.array(rows)
    truth = table[:, 3].astype(int)
    found = clue(
        table[:, :2],
        table[:, 2],
        density_radius=dc,
        min_density=rhoc,
        outlier_distance=do,
        seeding_distance=dc,
        metric="box",
    )
    assert ((found.labels < 0) == (truth < 0)).all()
    pairs = set(zip(found.labels.tolist(), truth.tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert found.num_clusters == truth.max() + 1  # -1 is no cluster
    if seeds:
        assert found.is_seed.tolist() == (table[:, 4] > 0).tolist()
    else:
        assert not table[:, 4].any()
    scaled = (table[:, :2] - table[:, :2].mean(0)) / table[:, :2].std(0)  # what version 1.4 does in silence
    other = clue(scaled, table[:, 2], density_radius=dc, min_density=rhoc, outlier_distance=do, seeding_distance=dc)
    assert other.num_clusters != found.num_clusters
