"""Showers and tracks in argon: energy is kept, profiles and lengths are those of textbooks, ancestry is complete."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from hitloom.simulate import lartpc_physics as physics
from hitloom.simulate.lartpc_cascade import Primary, propagate
from hitloom.simulate.lartpc_config import CascadeConfig

X0 = physics.RADIATION_LENGTH
OPEN = np.array([[-1e4] * 3, [1e4] * 3])
QUIET = CascadeConfig(interactions=False, decays=False)
DEFAULT = CascadeConfig()


def shoot(pdg: int, energy: float, seed: int, config: CascadeConfig = DEFAULT, box: np.ndarray = OPEN):
    primary = Primary(pdg=pdg, start=np.zeros(3), direction=np.array([0.0, 0.0, 1.0]), energy=energy)
    return propagate([primary], config, box=box, rng=np.random.default_rng(seed))


def slab(thickness: float) -> np.ndarray:
    return np.array([[-100.0, -100.0, -100.0], [100.0, 100.0, thickness]])


@pytest.mark.parametrize("energy", [0.05, 0.4, 3.0, 60.0, 1500.0])
@pytest.mark.parametrize(("pdg", "rest"), [(11, 0.0), (22, 0.0), (-11, 2 * physics.ELECTRON_MASS)])
def test_deposits_add_up_to_the_energy(pdg: int, rest: float, energy: float):
    """An electron leaves its kinetic energy, a photon its energy, a positron two electron masses more."""
    for seed in range(3):
        _, deposits = shoot(pdg, energy, seed)
        assert deposits.energy.sum() == pytest.approx(energy + rest, rel=1e-9)
        assert deposits.energy.min() >= 0.0


def test_energy_is_kept_whatever_the_settings():
    fine = CascadeConfig(step=0.02)  # more deposits than room is made for at first
    rough = CascadeConfig(step=2.0, cut=5.0, photon_cut=2.0, delta_cut=8.0, bremsstrahlung_cut=6.0)
    plain = CascadeConfig(straggling=False, scattering=False, delta_rays=False)
    for config in (fine, rough, plain):
        _, deposits = shoot(22, 900.0, 1, config)
        assert deposits.energy.sum() == pytest.approx(900.0, rel=1e-9)
    assert len(shoot(22, 900.0, 1, fine)[1].energy) > 20000


@pytest.mark.parametrize(("pdg", "offset"), [(11, -0.5), (22, 0.5)])
@pytest.mark.parametrize(("energy", "num"), [(300.0, 200), (1000.0, 100), (3000.0, 80)])
def test_mean_profile_peaks_where_the_textbook_says(pdg: int, offset: float, energy: float, num: int):
    depths, weights = [], []
    for seed in range(num):
        _, deposits = shoot(pdg, energy, seed)
        depths.append((deposits.start[:, 2] + deposits.end[:, 2]) / 2 / X0)
        weights.append(deposits.energy)
    depth, weight = np.concatenate(depths), np.concatenate(weights)
    inside = (depth > 0) & (depth < 30)
    mean = np.average(depth[inside], weights=weight[inside])
    rate = mean / np.average((depth[inside] - mean) ** 2, weights=weight[inside])
    peak = mean - 1 / rate  # of the gamma curve with these moments
    assert peak == pytest.approx(math.log(energy / physics.CRITICAL_ENERGY) + offset, abs=1.0)
    assert 0.4 < rate < 0.75


def test_nine_tenths_of_a_shower_lie_within_a_moliere_radius_of_the_cut_it_was_defined_with():
    """The radius of 9 cm counts particles above 1.5 MeV; slower photons carry energy farther out."""
    textbook = CascadeConfig(cut=1.5, photon_cut=1.5, delta_cut=1.5, bremsstrahlung_cut=1.5)
    for config, low, high in ((textbook, 8.0, 11.0), (CascadeConfig(), 10.0, 15.0)):
        made = [shoot(11, 1000.0, seed, config)[1] for seed in range(40)]
        middle = np.concatenate([(one.start + one.end) / 2 for one in made])
        weight = np.concatenate([one.energy for one in made])
        radius = np.hypot(middle[:, 0], middle[:, 1])
        order = np.argsort(radius)
        share = np.cumsum(weight[order]) / weight.sum()
        assert low < radius[order][np.searchsorted(share, 0.9)] < high


def test_electrons_lose_a_tenth_of_their_energy_to_photons_in_a_tenth_of_a_radiation_length():
    rough = CascadeConfig(cut=10.0, photon_cut=10.0, delta_cut=10.0, bremsstrahlung_cut=10.0)
    radiated = []
    for seed in range(800):
        particles, _ = shoot(11, 2000.0, seed, rough)
        first = (particles.parent == 0) & (particles.pdg == 22) & (particles.start[:, 2] < 0.1 * X0)
        radiated.append(particles.energy[first].sum() / 2000.0)
    assert np.mean(radiated) == pytest.approx(1 - math.exp(-0.1), rel=0.2)


@pytest.mark.parametrize(("energy", "length"), [(20.0, 29.0), (100.0, 23.4), (1000.0, 19.3)])
def test_photons_convert_after_their_free_path(energy: float, length: float):
    config = CascadeConfig(cut=10.0, photon_cut=10.0, delta_cut=10.0, bremsstrahlung_cut=10.0)
    found = []
    for seed in range(600):
        _, deposits = shoot(22, energy, seed, config)
        found.append(np.linalg.norm(deposits.start, axis=1).min())
    assert np.mean(found) == pytest.approx(length, rel=0.12)


def test_a_fast_muon_leaves_two_mev_per_cm():
    box = slab(50.0)
    left = [shoot(13, 400.0, seed, QUIET, box)[1].energy.sum() / 50.0 for seed in range(100)]
    assert np.mean(left) == pytest.approx(2.11, rel=0.03)


@pytest.mark.parametrize(("pdg", "energy", "length"), [(13, 200.0, 76.0), (2212, 100.0, 7.8), (211, 200.0, 70.6)])
def test_slow_tracks_stop_after_their_range_and_lose_more_at_its_end(pdg: int, energy: float, length: float):
    straight = QUIET.model_copy(update={"scattering": False})
    made = [shoot(pdg, energy, seed, straight) for seed in range(40)]
    ends = np.array([particles.end[0, 2] for particles, _ in made])
    assert ends.mean() == pytest.approx(length, rel=0.02)
    assert ends.std() < 0.05 * length
    particles, deposits = made[0]
    own = deposits.particle == 0
    left, depth = deposits.energy[own], deposits.start[own, 2]
    last = depth > particles.end[0, 2] - 1.5
    assert left[last].sum() / 1.5 > 1.5 * left[~last].sum() / (particles.end[0, 2] - 1.5)


def test_scattering_bends_a_muon_as_the_formula_says():
    angles = []
    for seed in range(300):
        _, deposits = shoot(13, 1000.0, seed, QUIET, slab(14.0))
        step = np.flatnonzero(deposits.particle == 0)[-1]
        move = deposits.end[step] - deposits.start[step]
        angles.append(move[:2] / np.linalg.norm(move))
    momentum = math.sqrt(1000.0 * (1000.0 + 2 * physics.MUON_MASS))
    beta = momentum / (1000.0 + physics.MUON_MASS)
    assert np.std(angles) == pytest.approx(13.6 / (beta * momentum), rel=0.12)


def test_stopped_muons_decay_and_stopped_negative_ones_often_do_not():
    decayed, energies = {13: 0, -13: 0}, []
    for pdg in decayed:
        for seed in range(150):
            particles, _ = shoot(pdg, 20.0, seed)
            electron = np.flatnonzero((particles.parent == 0) & (particles.pdg == (11 if pdg > 0 else -11)))
            electron = electron[np.abs(particles.start[electron] - particles.end[0]).max(axis=1) < 1e-9]
            decayed[pdg] += len(electron)
            energies += list(particles.energy[electron])
    assert decayed[-13] == 150
    assert 20 < decayed[13] < 70
    assert max(energies) < physics.MUON_MASS / 2
    assert np.mean(energies) == pytest.approx(36.5, rel=0.08)  # 7/20 of the muon's mass, less that of the electron


def test_neutral_pions_become_two_photons_of_their_mass():
    for seed in range(20):
        particles, _ = shoot(111, 300.0, seed)
        photons = np.flatnonzero(particles.parent == 0)
        assert particles.pdg[photons].tolist() == [22, 22]
        total, momentum = particles.energy[photons].sum(), particles.momentum[photons].sum(axis=0)
        assert total == pytest.approx(300.0 + physics.NEUTRAL_PION_MASS)
        assert math.sqrt(total**2 - momentum @ momentum) == pytest.approx(physics.NEUTRAL_PION_MASS)
        np.testing.assert_allclose(momentum, particles.momentum[0], atol=1e-6)


def test_hadrons_interact_after_their_length_and_make_no_energy():
    still = CascadeConfig(decays=False, scattering=False)
    lengths = []
    for seed in range(200):
        particles, deposits = shoot(211, 2000.0, seed, still)
        lengths.append(particles.end[0, 2])
        assert deposits.energy.sum() < 2000.0 + 8 * physics.PION_MASS  # what pions are made of comes with them
        own = particles.parent == 0
        hadrons = own & np.isin(np.abs(particles.pdg), (111, 211, 2212))
        assert particles.energy[hadrons].sum() < 2000.0 + physics.PION_MASS
    assert np.mean(lengths) == pytest.approx(physics.INTERACTION_LENGTH, rel=0.2)


def test_parents_come_first_and_what_is_listed_left_something():
    for pdg, energy in ((22, 800.0), (211, 900.0), (13, 700.0)):
        particles, deposits = shoot(pdg, energy, 5)
        num = len(particles.pdg)
        assert num > 10
        assert particles.parent[0] == -1
        assert np.all(particles.parent[1:] >= 0)
        assert np.all(particles.parent < np.arange(num))
        useful = np.zeros(num, dtype=bool)
        useful[deposits.particle] = True
        for row in range(num - 1, 0, -1):
            useful[particles.parent[row]] |= useful[row]
        assert useful.all()


def test_secondaries_start_on_the_way_of_their_parent():
    particles, deposits = shoot(11, 500.0, 2)
    for row in range(1, len(particles.pdg)):
        parent = particles.parent[row]
        if particles.pdg[parent] == 22:
            continue
        own = deposits.particle == parent
        way = np.concatenate([deposits.start[own], deposits.end[own]])
        assert np.linalg.norm(way - particles.start[row], axis=1).min() < 1e-9


def test_nothing_is_left_outside_of_the_box():
    box = np.array([[-5.0, -4.0, -3.0], [5.0, 6.0, 20.0]])
    for pdg, energy in ((11, 1000.0), (22, 1000.0), (13, 500.0), (2212, 400.0)):
        particles, deposits = shoot(pdg, energy, 4, box=box)
        places = np.concatenate([deposits.start, deposits.end, particles.start, particles.end])
        assert np.all(places >= box[0] - 1e-9)
        assert np.all(places <= box[1] + 1e-9)
        assert deposits.energy.sum() < energy


def test_the_same_seed_gives_the_same_event_and_another_one_another():
    first, again, other = shoot(211, 700.0, 8), shoot(211, 700.0, 8), shoot(211, 700.0, 9)
    for one, two in zip(first, again, strict=True):
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))
    assert first[1].energy.sum() != other[1].energy.sum()


def test_what_is_not_of_the_beam_stays_so_in_all_generations():
    start = np.zeros(3)
    beam = Primary(pdg=11, start=start, direction=np.array([0.0, 0.0, 1.0]), energy=200.0)
    cosmic = Primary(pdg=13, start=start, direction=np.array([0.0, -1.0, 0.0]), energy=600.0, from_beam=False)
    particles, _ = propagate([beam, cosmic], CascadeConfig(), box=OPEN, rng=np.random.default_rng(0))
    for row in range(len(particles.pdg)):
        top = row
        while particles.parent[top] >= 0:
            top = particles.parent[top]
        assert particles.from_beam[row] == (top == 0)
    assert particles.from_beam.sum() > 5
    assert (~particles.from_beam).sum() > 5
