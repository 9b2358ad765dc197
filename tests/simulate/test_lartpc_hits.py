"""Deposits projected into a view and gathered to hits of wires."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.lartpc_detectors import get_detector
from hitloom.simulate.lartpc_config import ReadoutConfig
from hitloom.simulate.lartpc_deposits import ArgonDeposits
from hitloom.simulate.lartpc_hits import WireHits, wire_hits
from hitloom.simulate.lartpc_project import project, wire_coordinate

OPEN = ReadoutConfig(threshold=0.0, max_energy=1e9)
PITCH = 0.479


def steps(rows: list[tuple[float, float, float, float, float, int]]) -> ArgonDeposits:
    """Steps (x0, z0, x1, z1, MeV, particle) at y = 0."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    y = np.zeros(len(table))
    return ArgonDeposits(
        start=np.stack([table[:, 0], y, table[:, 1]], axis=1),
        end=np.stack([table[:, 2], y, table[:, 3]], axis=1),
        energy=table[:, 4],
        particle=table[:, 5].astype(np.int64),
    )


def hits_of(deposits: ArgonDeposits, config: ReadoutConfig = OPEN, *, angle: float = 0.0, seed: int = 0) -> WireHits:
    return wire_hits(
        deposits, angle=angle, pitch=PITCH, config=config, vertex=np.zeros(3), rng=np.random.default_rng(seed)
    )


def random_steps(seed: int, num: int = 60) -> ArgonDeposits:
    rng = np.random.default_rng(seed)
    start = rng.uniform(-10, 10, (num, 3))
    return ArgonDeposits(
        start=start,
        end=start + rng.normal(0, 1.0, (num, 3)),
        energy=rng.exponential(1.0, num),
        particle=rng.integers(0, 5, num),
    )


def test_wires_measure_along_their_normal():
    point = np.array([3.0, 2.0, 5.0])
    assert wire_coordinate(point, 0.0) == 5.0
    assert wire_coordinate(point, math.pi / 2) == pytest.approx(-2.0)
    angle = get_detector("dune-fd-hd").angle
    w = {view: float(wire_coordinate(point, angle[view])) for view in angle}
    assert w[4] == pytest.approx(5.0 * math.cos(math.radians(35.7)) - 2.0 * math.sin(math.radians(35.7)))
    assert w[5] == pytest.approx(5.0 * math.cos(math.radians(35.7)) + 2.0 * math.sin(math.radians(35.7)))
    assert project(np.stack([point, -point]), angle[6]).tolist() == [[3.0, 5.0], [-3.0, -5.0]]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), angle=st.floats(-1.5, 1.5))
def test_hits_hold_the_energy_of_all_deposits(seed: int, angle: float):
    deposits = random_steps(seed)
    hits = hits_of(deposits, angle=angle)
    assert hits.energy.sum() * 2.0 * PITCH == pytest.approx(deposits.energy.sum())
    for particle in range(5):
        mine = hits.weight_energy[hits.weight_particle == particle].sum()
        assert mine == pytest.approx(deposits.energy[deposits.particle == particle].sum())
    of_hit = np.bincount(hits.weight_hit, hits.weight_energy, hits.num_hits)
    np.testing.assert_allclose(of_hit, hits.energy * 2.0 * PITCH)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_energy_and_place_on_each_wire_are_those_of_finely_cut_steps(seed: int):
    deposits = random_steps(seed, num=20)
    hits = hits_of(deposits, angle=0.3)
    share = (np.arange(20_000) + 0.5) / 20_000
    points = deposits.start[:, None] + share[:, None] * (deposits.end - deposits.start)[:, None]
    wire = np.floor(wire_coordinate(points, 0.3) / PITCH).astype(np.int64)
    weight = np.broadcast_to(deposits.energy[:, None] / 20_000, wire.shape)
    low = wire.min()
    fine = np.bincount((wire - low).ravel(), weight.ravel())
    place = np.bincount((wire - low).ravel(), (weight * points[..., 0]).ravel())
    mev = hits.energy * 2.0 * PITCH
    row = hits.wire - low
    np.testing.assert_allclose(np.bincount(row, mev, len(fine)), fine, atol=2e-3)
    np.testing.assert_allclose(np.bincount(row, mev * hits.x, len(fine)), place, atol=2e-2)


def test_width_is_twice_the_spread_of_a_step_and_the_readout():
    hits = hits_of(steps([(1.0, 0.1, 1.4, 0.1, 3.0, 0)]))
    assert hits.num_hits == 1
    assert hits.x[0] == pytest.approx(1.2)
    assert hits.w[0] == pytest.approx(PITCH / 2)
    assert hits.x_width[0] == pytest.approx(2 * math.sqrt(0.4**2 / 12 + 0.12**2))
    assert hits.energy[0] == pytest.approx(3.0 / (2.0 * PITCH))


def test_place_and_width_are_weighted_by_energy():
    hits = hits_of(steps([(0.0, 0.1, 0.0, 0.1, 1.0, 0), (0.4, 0.1, 0.4, 0.1, 3.0, 1)]))
    assert hits.x[0] == pytest.approx(0.3)
    assert hits.x_width[0] == pytest.approx(2 * math.sqrt(0.03 + 0.12**2))
    assert hits.weight_particle.tolist() == [0, 1]
    assert hits.weight_energy.tolist() == [1.0, 3.0]


def test_deposits_of_a_wire_part_where_they_are_far_from_each_other():
    near = steps([(0.0, 0.1, 0.0, 0.1, 1.0, 0), (0.44, 0.1, 0.44, 0.1, 1.0, 0), (0.9, 0.1, 0.9, 0.1, 1.0, 0)])
    assert hits_of(near).x.tolist() == pytest.approx([0.22, 0.9])


def test_long_hits_are_cut_into_equal_parts():
    hits = hits_of(steps([(0.0, 0.1, 4.0, 0.1, 8.0, 0)]))
    assert hits.num_hits == 3
    assert np.diff(hits.x) == pytest.approx([4.0 / 3] * 2, abs=0.15)
    assert hits.energy.sum() * 2 * PITCH == pytest.approx(8.0)


def test_wires_below_zero_count_on_downwards():
    assert hits_of(steps([(0.0, -0.1, 0.0, -0.1, 1.0, 0)])).wire.tolist() == [-1]
    assert hits_of(steps([(0.0, -0.3, 0.0, 0.3, 1.0, 0)])).wire.tolist() == [-1, 0]


def test_weak_hits_are_not_read_and_strong_ones_are_clipped():
    deposits = steps([(0, 0.1, 0, 0.1, 0.14 * 2 * PITCH, 0), (5, 0.1, 5, 0.1, 60 * 2 * PITCH, 1)])
    hits = hits_of(deposits, ReadoutConfig())
    assert hits.energy.tolist() == [50.0]
    assert hits.weight_particle.tolist() == [1]
    assert hits.weight_hit.tolist() == [0]


def test_smearing_dead_wires_and_noise_come_from_the_generator():
    deposits = random_steps(1, num=400)
    config = ReadoutConfig(energy_smearing=0.1, position_smearing=0.05, dead_wires=0.3, noise_hits=30)
    plain, one, again, other = (
        hits_of(deposits, ReadoutConfig()), hits_of(deposits, config), hits_of(deposits, config),
        hits_of(deposits, config, seed=1),
    )  # fmt: skip
    np.testing.assert_array_equal(one.x, again.x)
    assert not np.array_equal(one.energy[:50], other.energy[:50])
    with_truth = np.isin(np.arange(one.num_hits), one.weight_hit)
    assert 10 < (~with_truth).sum() < 60
    read = len(np.unique(one.wire[with_truth])) / len(np.unique(plain.wire))
    assert 0.5 < read < 0.9
    assert (np.diff(one.wire) >= 0).all()
    np.testing.assert_allclose(one.w, (one.wire + 0.5) * PITCH)


def test_no_deposits_give_no_hits():
    assert hits_of(steps([])).num_hits == 0
