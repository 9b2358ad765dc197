"""Unrolled helices: the formula on exact helices, the scan on clean and on difficult events."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.baselines import baseline_names, get_baseline
from hitloom.baselines.helix_dbscan import HelixDBSCANConfig, helix_dbscan, run_helix_dbscan, unroll
from hitloom.config import Config
from hitloom.errors import ConfigError
from hitloom.event import Event

RADII = np.array([32.0, 72.0, 116.0, 172.0, 260.0, 360.0, 500.0, 660.0, 820.0, 1020.0])  # mm
FIELD = 2.0  # T


def helix(*, pt: float, charge: int, phi: float, eta: float, vertex_z: float = 0.0) -> np.ndarray:
    """Crossings of RADII by a particle from (0, 0, vertex_z): steps along the circle, independent of the unrolling."""
    radius = pt / (0.299792458e-3 * FIELD)
    centre = radius * np.array([math.sin(phi), -math.cos(phi)]) * charge
    turned = np.linspace(0.0, math.pi, 40_001)
    angle = math.atan2(-centre[1], -centre[0]) - charge * turned
    x, y = centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)
    z = vertex_z + radius * turned * math.sinh(eta)
    at = np.searchsorted(np.hypot(x, y), RADII[2 * radius > RADII + 1.0])
    return np.stack([x[at], y[at], z[at]], axis=1)


@settings(max_examples=60, deadline=None)
@given(
    pt=st.floats(0.4, 20.0),
    charge=st.sampled_from([-1, 1]),
    phi=st.floats(-3.1, 3.1),
    eta=st.floats(-2.5, 2.5),
    vertex_z=st.floats(-20.0, 20.0),
)
def test_hits_of_a_helix_unroll_to_one_point(pt, charge, phi, eta, vertex_z):
    pos = helix(pt=pt, charge=charge, phi=phi, eta=eta, vertex_z=vertex_z)
    curvature = charge * 0.299792458e-3 * FIELD / pt
    features = unroll(pos, curvature=curvature, vertex_z=vertex_z)
    assert len(features) == 10
    assert features == pytest.approx(np.tile([math.cos(phi), math.sin(phi), eta], (10, 1)), abs=2e-3)


def test_straight_line_is_the_limit_of_no_curvature():
    pos = np.random.default_rng(0).normal(0, 300, (50, 3))
    assert unroll(pos, curvature=0.0, vertex_z=1.0) == pytest.approx(
        unroll(pos, curvature=1e-12, vertex_z=1.0), abs=1e-9
    )


@pytest.mark.parametrize("seed", range(3))
def test_clean_tracks_get_exact_labels(seed):
    rng = np.random.default_rng(seed)
    tracks = [
        helix(pt=pt, charge=int(rng.choice([-1, 1])), phi=phi, eta=eta)
        for pt, phi, eta in zip(
            rng.uniform(0.6, 10.0, 12), np.linspace(-3.0, 3.0, 12), rng.uniform(-2, 2, 12), strict=True
        )
    ]
    owner = np.repeat(np.arange(12), [len(track) for track in tracks])
    order = rng.permutation(len(owner))
    pos, owner = np.concatenate(tracks)[order], owner[order]
    labels = helix_dbscan(pos, HelixDBSCANConfig())
    assert labels.min() == 0
    assert len(np.unique(labels)) == 12
    assert len(np.unique(np.stack([labels, owner]), axis=1).T) == 12


def test_low_momentum_and_displaced_tracks_are_lost():
    """What the method cannot do: a particle below the lowest hypothesis, and one that misses the beam line."""
    slow = helix(pt=0.35, charge=1, phi=0.3, eta=0.5)
    config = HelixDBSCANConfig(min_pt_gev=1.0, num_curvatures=61)
    assert (helix_dbscan(slow, config) == 0).sum() < len(slow)
    line = np.stack([np.linspace(40, 900, 10), np.full(10, 60.0), np.linspace(10, 200, 10)], axis=1)
    labels = helix_dbscan(line, config)
    assert (labels == 0).sum() < len(line)


@pytest.mark.parametrize("num", [0, 1, 2, 3])
def test_too_few_hits_stay_unassigned(num):
    event = Event(pos=torch.rand(num, 3) * 100, event_id=4)
    (result,) = run_helix_dbscan([event])
    assert result.labels.tolist() == [-1] * num
    assert result.event_id == 4


def test_sparse_noise_stays_unassigned():
    rng = np.random.default_rng(3)
    radius, phi = rng.choice(RADII, 30), rng.uniform(-math.pi, math.pi, 30)
    pos = np.stack([radius * np.cos(phi), radius * np.sin(phi), rng.uniform(-1000, 1000, 30)], axis=1)
    assert helix_dbscan(pos, HelixDBSCANConfig(num_curvatures=41)).tolist() == [-1] * 30


def test_labels_are_dense_and_clusters_within_bounds():
    rng = np.random.default_rng(8)
    tracks = [
        helix(pt=float(rng.uniform(0.6, 5)), charge=1, phi=float(phi), eta=float(rng.uniform(-2, 2)))
        for phi in rng.uniform(-3.1, 3.1, 60)
    ]
    pos = np.concatenate([*tracks, rng.normal(0, 400, (200, 3))])
    config = HelixDBSCANConfig(num_curvatures=41, max_hits=15)
    (result,) = run_helix_dbscan([Event(pos=torch.from_numpy(pos.astype(np.float32)))], config)
    labels = result.labels.numpy()
    sizes = np.bincount(labels[labels >= 0])
    assert len(sizes) > 30
    assert sizes.min() >= config.min_hits
    assert sizes.max() <= config.max_hits
    assert "scan" in result.timing


def test_baselines_by_name():
    assert baseline_names("tracker") == ["ckf", "helix-dbscan"]
    for name in baseline_names():
        baseline = get_baseline(name)
        assert issubclass(baseline.config_class, Config)
        assert list(baseline.run([], baseline.config_class())) == []
    with pytest.raises(ConfigError, match="Did you mean 'ckf'"):
        get_baseline("ckff")
