"""Particles on their way to the calorimeter: guns, decays, interactions, flight in a field, ids and parents."""

from __future__ import annotations

import numpy as np
import pytest
from calorimeter_toy import gun, particles_of, settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError
from hitloom.simulate.calorimeter_particles import entering_particles
from hitloom.simulate.particles import ParticleTable

FRONT = 321.05


def entering(config, table=None, seed=(1, 0)):
    return entering_particles(particles_of(config) if table is None else table, config=config, seed=seed)


def test_gun_hits_the_front_face_where_it_aims():
    config = settings(gun={"num_particles": 200, "energy": [20.0, 500.0], "eta": [1.7, 2.7]}, beam_sigma_z=45.0)
    found = entering(config)
    assert len(found) == 400
    assert np.bincount((found.side + 1) // 2).tolist() == [200, 200]
    eta = np.arcsinh(FRONT / np.hypot(found.at[:, 0], found.at[:, 1]))
    assert eta.min() >= 1.7
    assert eta.max() <= 2.7
    assert (found.at[:, 2] == FRONT).all()
    assert 20 <= found.energy.min() < 30
    assert 400 < found.energy.max() <= 500
    assert np.median(found.energy) == pytest.approx(100, rel=0.25)  # flat in the logarithm
    # the flight starts on the axis: the place and the slope agree
    start = found.at[:, :2] - found.at[:, 3:5] * (FRONT - found.side[:, None] * found.table.z[:, None] / 10)
    assert np.abs(start).max() < 0.02


def test_gun_from_the_front_face_points_away_from_the_origin():
    config = settings(**gun("photon", 50.0, 30, origin="front", radius=55.0))
    found = entering(config)
    assert np.hypot(found.at[:, 0], found.at[:, 1]) == pytest.approx(55.0)
    assert found.at[:, 3:5] * FRONT == pytest.approx(found.at[:, :2])
    assert found.at[:, 5] == pytest.approx(np.hypot(55.0, FRONT) / 29.9792458)


def test_groups_lie_delta_apart():
    config = settings(**gun("photon", 50.0, 30, group_size=3, delta=7.0))
    places = entering(config).at[:, :2].reshape(10, 3, 2)
    assert np.linalg.norm(np.diff(places, axis=1), axis=2) == pytest.approx(7.0, abs=1e-3)
    assert len(entering(settings(**gun("photon", 50.0, 7, group_size=3)))) == 7
    with pytest.raises(ConfigError, match=r"gun\.delta"):
        entering(settings(**gun("photon", 50.0, 6, group_size=6, delta=100.0)))


def test_field_bends_charged_particles_on_a_helix():
    """Many small straight steps are the oracle."""
    config = settings(**gun("pion", 8.0, 12), field_tesla=3.8)
    table = particles_of(config)
    found = entering(config, table)
    assert len(found) > 8
    for row in range(len(found)):
        one = found.table.select(np.array([row]))
        position, momentum = one.position[0] / 10, one.momentum[0]
        size = np.linalg.norm(momentum)
        num = 40_000
        step = (FRONT - abs(position[2])) / abs(momentum[2]) / num  # in cm / GeV
        turn = -one.charge[0] * 0.299792458e-2 * 3.8 * step  # angle of the transverse momentum per step
        angle = np.arctan2(momentum[1], momentum[0]) + turn * (np.arange(num) + 0.5)
        pt = np.hypot(*momentum[:2])
        wanted = position[:2] + step * pt * np.array([np.cos(angle).sum(), np.sin(angle).sum()])
        assert found.at[row, :2] == pytest.approx(wanted, abs=1e-3)
        final = angle[-1] + turn / 2
        slopes = pt / abs(momentum[2]) * np.array([np.cos(final), np.sin(final)])
        assert found.at[row, 3:5] == pytest.approx(slopes, rel=1e-6)
        assert found.at[row, 5] == pytest.approx(step * num * np.hypot(size, 0.13957) / 29.9792458, rel=1e-6)


def test_neutral_pions_become_two_photons_of_one_parent():
    config = settings(**gun("neutral_pion", 30.0, 40))
    table = particles_of(config)
    found = entering(config, table)
    assert set(found.pdg.tolist()) == {22}
    parents, counts = np.unique(found.parent, return_counts=True)
    assert (counts == 2).all()
    assert set(parents.tolist()) == set(table.packed_ids().tolist())
    assert not set(parents.tolist()) & set(found.ids.tolist())
    order = np.argsort(table.packed_ids())
    total = np.stack([np.bincount(np.searchsorted(parents, found.parent), weights=found.table.momentum[:, i])
                      for i in range(3)], axis=1)  # fmt: skip
    assert total == pytest.approx(table.momentum[order], abs=1e-9)
    mass2 = np.bincount(np.searchsorted(parents, found.parent), weights=found.energy) ** 2 - (total**2).sum(1)
    assert np.sqrt(mass2) == pytest.approx(0.1349768, abs=1e-4)


def test_interactions_on_the_way_leave_products_of_one_parent():
    config = settings(**gun("pion", 100.0, 60), upstream_interactions=1.0)
    table = particles_of(config)
    found = entering(config, table)
    assert len(found) > 2 * 60
    assert set(found.parent.tolist()) <= set(table.packed_ids().tolist())
    assert (found.table.generation == 1).all()
    by_parent = np.bincount(np.searchsorted(np.unique(found.parent), found.parent), weights=found.energy)
    assert by_parent.max() <= 100.0 * 1.1
    assert np.median(by_parent) > 60.0
    none = entering(settings(**gun("pion", 100.0, 60)))
    assert (none.parent == none.ids).all()


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_of_particles_does_not_matter(random):
    config = settings(**gun("pion", 30.0, 10), upstream_interactions=0.5)
    table = particles_of(config)
    rows = list(range(len(table)))
    random.shuffle(rows)
    one, other = entering(config, table), entering(config, table.select(np.array(rows)))
    assert np.array_equal(one.ids, other.ids)
    assert np.array_equal(one.at, other.at)
    assert np.array_equal(one.parent, other.parent)


def test_what_misses_the_front_face_does_not_enter():
    names = ("vertex", "primary", "generation", "secondary", "process")
    rows = [(0.2, 0.0, 5.0), (0.5, 0.0, 5.0), (3.0, 0.0, 5.0), (0.5, 0.0, 0.0), (0.5, 0.0, -5.0)]
    table = ParticleTable.from_rows(
        [(1, i + 1, 0, 0, 0, 211, 1.0, 0.13957, 0.0, 0.0, 0.0, 0.0, *p) for i, p in enumerate(rows)]
    )
    found = entering(settings(), table)
    assert found.table.primary.tolist() == [2, 5]
    assert found.side.tolist() == [1, -1]
    assert all(getattr(found.table, name).dtype == np.int64 for name in names)
    late = ParticleTable.from_rows([(1, 1, 0, 0, 0, 211, 1.0, 0.13957, 0.0, 0.0, 4000.0, 0.0, 0.5, 0.0, 5.0)])
    assert len(entering(settings(), late)) == 0


def test_baryons_deposit_their_kinetic_energy_and_antibaryons_more():
    rows = [
        (1, i + 1, 0, 0, 0, pdg, 1.0, 0.938272, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 5.0)
        for i, pdg in enumerate((2212, -2212))
    ]
    found = entering(settings(), ParticleTable.from_rows(rows))
    total = np.sqrt(26.0 + 0.938272**2)
    assert found.energy == pytest.approx([total - 0.938272, total + 0.938272])
