"""Showers against textbook expectation and public tables: depth, width, response, muons; the random numbers."""

from __future__ import annotations

import numpy as np
import pytest
from calorimeter_toy import gun, particles_of, settings

from hitloom.data.endcap_geometry import get_geometry
from hitloom.simulate import _shower_kernels as kernels
from hitloom.simulate.calorimeter_particles import entering_particles
from hitloom.simulate.calorimeter_showers import layer_tables, make_spots, mip_weights

GEOMETRY = get_geometry()
RADIATION = np.cumsum(GEOMETRY.radiation_lengths)
INTERACTION = np.cumsum(GEOMETRY.interaction_lengths)


def spots_of(config, seed=(1, 0)):
    found = entering_particles(particles_of(config), config=config, seed=seed)
    return found, make_spots(found, config=config, seed=seed)


def moments(spots, depth):
    energy = np.bincount(spots.layer - 1, weights=spots.energy, minlength=len(depth))
    mean = (energy * depth).sum() / energy.sum()
    return mean, np.sqrt((energy * depth**2).sum() / energy.sum() - mean**2)


def off_axis(found, spots):
    at = found.at[spots.particle]
    step = GEOMETRY.z[spots.layer - 1] - GEOMETRY.front_z
    return np.hypot(spots.x - at[:, 0] - at[:, 3] * step, spots.y - at[:, 1] - at[:, 4] * step)


def test_depth_is_linear_between_the_planes():
    tables = layer_tables("hgcal-v17")
    for z in np.linspace(321.2, 513.5, 57):
        depth = kernels.depth_at(tables.radiation, tables.planes, z)
        assert depth == pytest.approx(np.interp(z, tables.planes, tables.radiation))
        assert kernels.place_at(tables.radiation, tables.planes, depth) == pytest.approx(z)
        nearest = int(np.abs(GEOMETRY.z - z).argmin())
        assert kernels._nearest_layer(tables.planes, z) == nearest


@pytest.mark.parametrize(("species", "mean", "rms"), [("electron", 8.35, 4.0), ("photon", 9.58, 4.0)])
def test_electromagnetic_depth_at_35_gev(species, mean, rms):
    """Mean depth in radiation lengths of the older geometry's table (28 layers of 0.65, 0.88 and 1.26)."""
    found, spots = spots_of(settings(**gun(species, 35.0, 60)))
    got_mean, got_rms = moments(spots, RADIATION)
    assert got_mean == pytest.approx(mean, abs=0.5)
    assert got_rms == pytest.approx(rms, abs=0.6)
    assert spots.energy.sum() / found.energy.sum() == pytest.approx(1.0, abs=0.02)


def test_shower_maximum_grows_with_the_logarithm_of_energy():
    depths = [moments(spots_of(settings(**gun("electron", energy, 25)))[1], RADIATION)[0] for energy in (10.0, 200.0)]
    assert depths[1] - depths[0] == pytest.approx(np.log(20.0), abs=0.6)


def test_nine_tenths_lie_within_the_moliere_radius():
    found, spots = spots_of(settings(**gun("photon", 100.0, 50)))
    inside = off_axis(found, spots) < 2.8
    assert (spots.energy * inside).sum() / spots.energy.sum() == pytest.approx(0.90, abs=0.02)


def test_electromagnetic_sampling_term():
    """Three thicknesses of silicon by radius: sigma / E = term / sqrt(E)."""
    for radius, term in ((55.0, 0.243), (85.0, 0.214), (115.0, 0.199)):
        found, spots = spots_of(settings(**gun("photon", 20.0, 400, radius=radius, eta=[1.5, 3.0])))
        energy = np.bincount(spots.particle, weights=spots.energy, minlength=len(found))
        assert energy.std() / energy.mean() * np.sqrt(20.0) == pytest.approx(term, rel=0.12), radius


def test_charged_pions_of_100_gev_against_the_table():
    """Depth of 5, 10, 50, 90 and 95 % of the energy in interaction lengths: the table's layers in its own absorber."""
    _, spots = spots_of(settings(**gun("pion", 100.0, 150)))
    energy = np.cumsum(np.bincount(spots.layer - 1, weights=spots.energy, minlength=47))
    got = [INTERACTION[np.searchsorted(energy, share * energy[-1])] for share in (0.05, 0.1, 0.5, 0.9, 0.95)]
    assert got == pytest.approx([0.75, 0.98, 2.75, 5.2, 6.1], rel=0.3)


def test_hadrons_start_after_an_interaction_length_on_average():
    """Neutral hadrons leave nothing before they interact, but for neutrons that fly back: none here."""
    found, spots = spots_of(settings(**gun("neutral_hadron", 50.0, 400), shower={"neutron_visible": 0.0}))
    first = np.full(len(found), 47)
    np.minimum.at(first, spots.particle, spots.layer - 1)
    start = INTERACTION[np.minimum(first, 46)]
    assert np.median(start) == pytest.approx(np.log(2.0), abs=0.15)
    assert (start > 3).mean() == pytest.approx(np.exp(-3.0), abs=0.03)


def test_muons_leave_one_spot_on_every_layer():
    found, spots = spots_of(settings(**gun("muon", 60.0, 50, eta=[1.9, 2.2])))
    assert np.array_equal(np.unique(np.bincount(spots.particle)), [47])
    stretch = np.sqrt(1 + (found.at[spots.particle, 3:5] ** 2).sum(1))
    share = spots.energy / mip_weights(GEOMETRY)[spots.layer - 1] / stretch
    assert share.mean() == pytest.approx(1.0, abs=0.02)
    assert off_axis(found, spots).max() < 1e-9
    assert np.abs(spots.time).max() < 0.01


def test_slow_hadrons_stop_and_never_leave_more_than_they_have():
    found, spots = spots_of(settings(**gun("neutral_hadron", 0.8, 200)))
    left = np.bincount(spots.particle, weights=spots.energy, minlength=len(found))
    assert (left < 0.8 * 2.5).all()  # lumps fluctuate
    assert 0.3 < left.mean() < 0.8


def test_response_of_hadrons_rises_with_energy():
    """More energy, more neutral pions: a calorimeter that sees less of nuclear energy is not linear."""
    shares = []
    for energy in (10.0, 300.0):
        found, spots = spots_of(settings(**gun("pion", energy, 150)))
        shares.append(spots.energy.sum() / found.energy.sum())
    assert 0.7 < shares[0] < shares[1] < 0.95


def test_neutrons_come_late():
    _, spots = spots_of(settings(**gun("pion", 100.0, 40)))
    _, light = spots_of(settings(**gun("photon", 100.0, 40)))
    assert np.quantile(light.time, 0.99) < 0.05
    assert np.average(spots.time > 1.0, weights=spots.energy) > 0.02


def test_the_shower_of_a_particle_depends_on_no_other():
    config = settings(**gun("pion", 50.0, 6))
    table = particles_of(config)
    alone = entering_particles(table.select(np.array([3])), config=config, seed=(1, 0))
    together = entering_particles(table, config=config, seed=(1, 0))
    one, all_of_them = (make_spots(found, config=config, seed=(1, 0)) for found in (alone, together))
    row = int(np.flatnonzero(together.ids == alone.ids[0])[0])
    assert np.array_equal(one.energy, all_of_them.energy[all_of_them.particle == row])
    assert np.array_equal(one.x, all_of_them.x[all_of_them.particle == row])
    other = make_spots(alone, config=config, seed=(1, 1))
    assert len(one) != len(other) or not np.array_equal(one.energy, other.energy)


def test_a_full_buffer_starts_again_with_the_same_numbers():
    config = settings(**gun("photon", 20.0, 1))
    found = entering_particles(particles_of(config), config=config, seed=(1, 0))
    tables = layer_tables("hgcal-v17")
    from hitloom.simulate.calorimeter_showers import kernel_settings

    arguments = (kernels.PHOTON, 20.0, tuple(found.at[0].tolist()), tables.planes, tables.radiation,
                 tables.interaction, tables.mip, kernel_settings(config))  # fmt: skip
    small, large = np.empty((50, 5)), np.empty((5000, 5))
    assert kernels.shower(np.random.default_rng(1), *arguments, small) == kernels.FULL
    num = kernels.shower(np.random.default_rng(1), *arguments, large)
    assert num > 50
    assert np.array_equal(small, large[:50])
