"""Quantities of tracksters against numpy, one trackster at a time; rotations, mirrors and degenerate shapes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hitloom.data.layer_clusters import LayerClusters, Tracksters
from hitloom.data.trackster_quantities import PcaCleaning, trackster_quantities
from trackster_toy import trackster_tables


def clusters_at(points, energy=None, layer=None) -> LayerClusters:
    points = np.asarray(points, dtype=float)
    size = len(points)
    return LayerClusters(
        x=points[:, 0],
        y=points[:, 1],
        z=points[:, 2],
        energy=np.ones(size) if energy is None else np.asarray(energy, dtype=float),
        layer=np.arange(1, size + 1) if layer is None else np.asarray(layer),
        num_hits=np.full(size, 3),
        time=np.full(size, -99.0),
        time_error=np.full(size, -1.0),
        radius=np.ones(size),
        scintillator=np.zeros(size, dtype=bool),
    )


def one(size: int) -> Tracksters:
    return Tracksters.from_labels(np.zeros(size, dtype=np.int64))


def test_equal_numpy_one_trackster_at_a_time():
    clusters, tracksters, _ = trackster_tables(3, num_pileup=5)
    found = trackster_quantities(clusters, tracksters)
    row, owner = tracksters.member_index
    assert tracksters.num_tracksters > 20
    assert (tracksters.member_fraction < 1).any()
    for t in range(tracksters.num_tracksters):
        mine = row[owner == t]
        energy = tracksters.member_fraction[owner == t] * clusters.energy[mine]
        points = np.stack([clusters.x, clusters.y, clusters.z], 1)[mine]
        mean = np.average(points, axis=0, weights=energy)
        np.testing.assert_allclose(found.barycentre[t], mean, rtol=1e-12)
        values = np.linalg.eigvalsh(np.cov(points.T, aweights=energy))[::-1]
        np.testing.assert_allclose(found.eigenvalues[t], np.maximum(values, 0), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(found.sigma[t], np.sqrt(found.eigenvalues[t]))
        rebuilt = found.axes[t].T @ np.diag(found.eigenvalues[t]) @ found.axes[t]
        np.testing.assert_allclose(rebuilt, np.cov(points.T, aweights=energy), atol=1e-9)
        assert found.axes[t, 0, 2] * mean[2] > 0
        em = clusters.layer[mine] <= 26
        assert found.raw_energy[t] == pytest.approx(energy.sum())
        assert found.raw_em_energy[t] == pytest.approx(energy[em].sum())
        sine = np.linalg.norm(np.cross(found.axes[t, 0], [0, 0, 1]))
        assert found.raw_pt[t] == pytest.approx(energy.sum() * sine)
        assert found.raw_em_pt[t] == pytest.approx(energy[em].sum() * sine)
        assert (found.num_clusters[t], found.num_hits[t]) == (len(mine), clusters.num_hits[mine].sum())
        assert (found.z_min[t], found.z_max[t]) == (clusters.z[mine].min(), clusters.z[mine].max())
        assert found.length[t] == pytest.approx(np.ptp(clusters.layer[mine]) / 47)
        assert found.cluster_density[t] == pytest.approx(len(mine) / 282)
        assert found.trackster_density[t] == pytest.approx(tracksters.num_tracksters / 282)
        assert found.eta[t] == pytest.approx(-np.log(np.tan(0.5 * np.arccos(mean[2] / np.linalg.norm(mean)))))
        assert found.phi[t] == pytest.approx(np.arctan2(mean[1], mean[0]))
        timed = mine[clusters.time_error[mine] > 0]
        if len(timed):
            weight = clusters.time_error[timed] ** -2
            assert found.time[t] == pytest.approx(np.average(clusters.time[timed], weights=weight))
            assert found.time_error[t] == pytest.approx(weight.sum() ** -0.5)
        else:
            assert (found.time[t], found.time_error[t]) == (-99, -1)


def test_without_any_time_the_time_is_absent():
    found = trackster_quantities(clusters_at([[10, 20, 330], [11, 20, 335]]), one(2))
    assert (found.time[0], found.time_error[0]) == (-99.0, -1.0)


def rotation(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


@pytest.mark.parametrize("seed", range(4))
def test_spread_of_a_rotated_ellipsoid_is_along_its_own_axes(seed):
    """Calorimeter defect 3: r - b is projected on the axes, not multiplied with the wrong matrix."""
    corners = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * [9.0, 4.0, 1.0]
    turn = rotation(seed)
    centre = np.array([50.0, 30.0, 350.0])
    clusters = clusters_at(corners @ turn.T + centre)
    found = trackster_quantities(clusters, one(8))
    wanted = np.array([9.0, 4.0, 1.0]) * np.sqrt(8 / 7)  # equal weights: 1 - sum w^2 = 7 / 8
    np.testing.assert_allclose(found.sigma[0], wanted, rtol=1e-9)
    np.testing.assert_allclose(np.abs(found.axes[0] @ turn), np.eye(3), atol=1e-9)
    copied = trackster_quantities(clusters, one(8), cms_compatible=True)
    assert not np.allclose(copied.sigma[0], wanted, rtol=1e-2)
    assert (copied.sigma[0] ** 2).sum() == pytest.approx((wanted**2).sum())  # V is a rotation
    points = np.stack([clusters.x, clusters.y, clusters.z], 1) - centre
    matrix = found.axes[0][::-1].T  # axes as columns, eigenvalues rising
    plain = np.sqrt(((points @ matrix.T) ** 2).sum(0) / 7)[::-1]
    np.testing.assert_allclose(copied.sigma[0], plain, rtol=1e-9)


def turned(clusters: LayerClusters, angle: float) -> LayerClusters:
    c, s = np.cos(angle), np.sin(angle)
    return dataclasses.replace(clusters, x=c * clusters.x - s * clusters.y, y=s * clusters.x + c * clusters.y)


def test_rotation_about_the_beam_turns_vectors_and_keeps_numbers():
    clusters, tracksters, _ = trackster_tables(5)
    before = trackster_quantities(clusters, tracksters)
    angle = 2.1
    after = trackster_quantities(turned(clusters, angle), tracksters)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    np.testing.assert_allclose(after.barycentre, before.barycentre @ matrix.T, atol=1e-9)
    np.testing.assert_allclose(after.axes[:, 0], before.axes[:, 0] @ matrix.T, atol=1e-7)
    np.testing.assert_allclose(np.exp(1j * after.phi), np.exp(1j * (before.phi + angle)))
    for name in ("eigenvalues", "raw_energy", "raw_pt", "eta", "z_min", "z_max", "length", "time"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-8)


def test_mirrored_endcap_has_mirrored_extent():
    """Calorimeter defect 4: z_max of the backward endcap is the largest signed z, not 0."""
    clusters, tracksters, _ = trackster_tables(6)
    before = trackster_quantities(clusters, tracksters)
    after = trackster_quantities(dataclasses.replace(clusters, z=-clusters.z), tracksters)
    np.testing.assert_array_equal(after.z_min, -before.z_max)
    np.testing.assert_array_equal(after.z_max, -before.z_min)
    assert (after.z_max[after.eta < 0] < 0).all()
    np.testing.assert_allclose(after.eta, -before.eta)
    np.testing.assert_allclose(after.axes[:, 0], before.axes[:, 0] * [1, 1, -1], atol=1e-9)
    np.testing.assert_allclose(after.sigma, before.sigma, atol=1e-9)


@pytest.mark.parametrize(
    "points",
    [
        [[30.0, 40.0, -330.0]],
        [[30.0, 40.0, 330.0]] * 3,
        [[10.0 + k, 20.0, 330.0 + 3 * k] for k in range(5)],
        [[10.0 * (k % 3), 20.0, 330.0 + 3 * k] for k in range(6)],
        [[0.0, 0.0, 330.0], [0.0, 0.0, 340.0]],
        [[1.0, 2.0, 330.0], [5.0, 3.0, 330.0]],
    ],
    ids=["single", "one place", "collinear", "planar", "on the beam", "one layer"],
)
@pytest.mark.parametrize("energy", [1.0, 0.0])
@pytest.mark.parametrize("cms_compatible", [False, True])
def test_degenerate_shapes_are_finite(points, energy, cms_compatible):
    """Calorimeter defect 8: one vertex, collinear, planar, without energy."""
    clusters = clusters_at(points, energy=[energy] * len(points))
    found = trackster_quantities(clusters, one(len(points)), cms_compatible=cms_compatible)
    for field in dataclasses.fields(found):
        assert np.isfinite(getattr(found, field.name)).all(), field.name
    np.testing.assert_allclose(found.axes[0] @ found.axes[0].T, np.eye(3), atol=1e-9)
    assert (found.eigenvalues >= 0).all()
    if len({tuple(point) for point in points}) == 1:
        assert (found.eigenvalues == 0).all()
        np.testing.assert_allclose(found.axes[0, 0], points[0] / np.linalg.norm(points[0]))


def test_trackster_that_holds_nothing_is_finite():
    clusters = clusters_at([[30.0, 40.0, 330.0]])
    empty = Tracksters(num_tracksters=2, member_index=np.array([[0], [1]]), member_fraction=np.ones(1))
    found = trackster_quantities(clusters, empty, cleaning=PcaCleaning())
    for field in dataclasses.fields(found):
        assert np.isfinite(getattr(found, field.name)).all(), field.name
    assert found.num_clusters.tolist() == [0, 1]


def test_cleaning_keeps_the_strongest_of_each_layer_near_the_strongest():
    points = [[0, 0, 320 + z] for z in (0, 0, 10, 20, 20, 100)]
    points = np.array(points, dtype=float) + np.random.default_rng(0).normal(0, 1, (6, 3))
    energy, layer = [1.0, 9.0, 3.0, 4.0, 2.0, 8.0], [1, 1, 3, 6, 6, 20]
    clusters = clusters_at(points, energy, layer)
    found = trackster_quantities(clusters, one(6), cleaning=PcaCleaning(layers_before=10, layers_after=10))
    kept = [1, 2, 3]  # the strongest lies in layer 1; layer 20 is too far
    np.testing.assert_allclose(found.barycentre[0], np.average(points[kept], axis=0, weights=np.array(energy)[kept]))
    values = np.linalg.eigvalsh(np.cov(points[kept].T, aweights=np.array(energy)[kept]))[::-1]
    np.testing.assert_allclose(found.eigenvalues[0], values, atol=1e-9)
    assert found.raw_energy[0] == pytest.approx(27.0)
    assert found.z_max[0] == clusters.z[5]
