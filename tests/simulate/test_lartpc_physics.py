"""Formulas of the passage through argon against published tables, quadrature and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from hitloom.simulate import _argon_common as common
from hitloom.simulate import _argon_showers as showers
from hitloom.simulate import lartpc_physics as physics
from hitloom.simulate.lartpc_config import CascadeConfig
from hitloom.simulate.lartpc_tables import argon_tables, energy_for_length, grid

# X-ray mass attenuation coefficients of argon, cm2/g, coherent scattering included (J. H. Hubbell and S. M. Seltzer)
ATTENUATION = {0.5: 0.07958, 1.0: 0.05762, 2.0: 0.04074, 3.0: 0.03384, 5.0: 0.02802, 10.0: 0.02451, 20.0: 0.02453}


def one(energy: float) -> np.ndarray:
    return np.array([energy])


@pytest.mark.parametrize(("energy", "expected"), ATTENUATION.items())
def test_photons_are_attenuated_as_tables_say(energy: float, expected: float):
    e = one(energy)
    rate = physics.pair_rate(e) + physics.compton_rate(e) + physics.photoelectric_rate(e)
    assert rate[0] / physics.DENSITY == pytest.approx(expected, rel=0.015)


def test_fast_photons_convert_after_nine_sevenths_of_a_radiation_length():
    rates = physics.pair_rate(np.array([100.0, 1000.0, 1e6]))
    assert rates[2] * 9 / 7 * physics.RADIATION_LENGTH == pytest.approx(1.0, abs=0.03)
    assert np.all(np.diff(rates) > 0)
    assert physics.pair_rate(one(1.0))[0] == 0.0


def test_compton_rate_is_the_integral_of_klein_and_nishina():
    for energy in (0.1, 1.0, 30.0):

        def differential(cosine: float, energy: float = energy) -> float:
            share = 1 / (1 + energy / physics.ELECTRON_MASS * (1 - cosine))
            return share**2 * (share + 1 / share - 1 + cosine**2)

        integral = integrate.quad(differential, -1, 1)[0] * math.pi * physics._RADIUS2 * physics._ELECTRONS
        assert physics.compton_rate(one(energy))[0] == pytest.approx(integral, rel=1e-6)


def test_least_loss_of_muons():
    energy = np.geomspace(50, 5000, 400)
    loss = physics.heavy_loss(energy, physics.MUON_MASS)
    assert loss.min() / physics.DENSITY == pytest.approx(1.508, rel=0.003)  # Review of Particle Physics
    assert energy[np.argmin(loss)] == pytest.approx(266, rel=0.05)
    assert loss.min() == pytest.approx(2.1, abs=0.02)


@pytest.mark.parametrize(
    ("mass", "row", "energy", "length"),
    [(physics.MUON_MASS, 1, 200.0, 76.0), (physics.PROTON_MASS, 3, 100.0, 7.8), (physics.PION_MASS, 2, 200.0, 70.6)],
)
def test_ranges_are_the_integral_of_the_inverse_loss(mass: float, row: int, energy: float, length: float):
    found = integrate.quad(lambda e: 1 / physics.heavy_loss(one(e), mass)[0], 0.01, energy, limit=200)[0]
    assert found == pytest.approx(length, rel=0.01)
    assert energy_for_length(found, row, CascadeConfig()) == pytest.approx(energy, rel=2e-3)


@pytest.mark.parametrize("energy", [5.0, 40.0, 1000.0])
def test_knock_on_electrons_take_what_the_loss_below_the_cut_leaves_out(energy: float):
    def differential(knocked: float) -> float:
        gamma, share = 1 + energy / physics.ELECTRON_MASS, knocked / energy
        mixed = (2 * gamma - 1) / gamma**2
        beta2 = 1 - 1 / gamma**2
        shape = ((gamma - 1) / gamma) ** 2 + (1 / share - mixed) / share + (1 / (1 - share) - mixed) / (1 - share)
        return physics.XI / beta2 / energy**2 * shape

    number = integrate.quad(differential, 1.0, energy / 2, limit=200)[0]
    carried = integrate.quad(lambda t: t * differential(t), 1.0, energy / 2, limit=200)[0]
    assert physics.moller_rate(one(energy), 1.0)[0] == pytest.approx(number, rel=1e-6)
    left_out = physics.electron_loss(one(energy)) - physics.electron_loss(one(energy), 1.0)
    assert left_out[0] == pytest.approx(carried, rel=1e-6)


def test_electrons_radiate_their_energy_over_one_radiation_length():
    energy = np.array([1e4])
    assert physics.soft_radiation(energy)[0] == pytest.approx(1e4 / 14.0, rel=0.01)
    many = np.geomspace(5, 200, 300)
    balance = many / physics.RADIATION_LENGTH - physics.electron_loss(many)
    assert np.interp(0.0, balance, many) == pytest.approx(physics.CRITICAL_ENERGY, rel=0.05)  # as defined by Rossi
    share = physics.soft_radiation(np.array([10.0, 50.0])) * physics.RADIATION_LENGTH / [10.0, 50.0]
    assert 0.65 < share[0] < 0.75 < share[1] < 0.9  # slow electrons radiate less


def test_tables_are_the_formulas_between_their_energies():
    tables, config = argon_tables(CascadeConfig()), CascadeConfig()
    for energy in (0.37, 4.4, 77.0, 1234.0):
        at = common.position(energy)
        assert common.lookup(tables.photon[1], at) == pytest.approx(physics.compton_rate(one(energy))[0], rel=1e-3)
        expected = physics.electron_loss(one(energy), config.delta_cut) + physics.soft_radiation(one(energy), 0.6)
        assert common.lookup(tables.loss[0], at) == pytest.approx(expected[0], rel=1e-3)
        reach = common.lookup(tables.reach[0], at)
        assert common.energy_at(tables.reach[0], reach) == pytest.approx(energy, rel=1e-3)
    assert np.all(np.diff(tables.reach, axis=1) > 0)
    assert grid()[0] < config.photon_cut


def drawn(draw, energy: float, *args: float) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.array([draw(rng, energy, *args) for _ in range(1500)])


def agree(values: np.ndarray, density, low: float, high: float) -> None:
    """Hold draws against a density by Kolmogorov and Smirnov; the seed is fixed, so this is no matter of luck."""
    points = np.linspace(low, high, 4001)
    total = integrate.cumulative_trapezoid(density(points), points, initial=0.0)
    assert stats.kstest(values, lambda x: np.interp(x, points, total / total[-1])).pvalue > 0.01
    assert low <= values.min()
    assert values.max() <= high


@pytest.mark.parametrize("energy", [3.0, 500.0])
def test_drawn_photons_follow_the_spectrum(energy: float):
    values = np.log(drawn(showers.radiated_energy, energy, 0.6))
    agree(values, lambda x: physics.bremsstrahlung(np.full_like(x, energy), np.exp(x)), math.log(0.6), math.log(energy))


def test_drawn_shares_of_scattered_photons_follow_klein_and_nishina():
    energy = 2.0
    lowest = 1 / (1 + 2 * energy / physics.ELECTRON_MASS)

    def density(share):
        cosine = 1 - physics.ELECTRON_MASS / energy * (1 / share - 1)
        return share + 1 / share - 1 + cosine**2

    agree(drawn(showers.scattered_share, energy), density, lowest, 1.0)


def test_drawn_shares_of_pairs_follow_their_spectrum():
    energy = 300.0
    low = physics.ELECTRON_MASS / energy

    def density(share):
        product = share * (1 - share)
        first, second = physics.screening_functions(physics.SCREENING * physics.ELECTRON_MASS / (energy * product))
        return (1 - 2 * product) * first + 2 / 3 * product * second

    agree(drawn(showers.pair_share, energy), density, low, 1 - low)


def test_drawn_knock_on_electrons_follow_the_rates():
    energy = 50.0
    values = drawn(showers.knocked_energy, energy, 1.0)
    for cut in (2.0, 5.0, 15.0):
        expected = physics.moller_rate(one(energy), cut)[0] / physics.moller_rate(one(energy), 1.0)[0]
        assert np.mean(values > cut) == pytest.approx(expected, abs=3 * math.sqrt(expected / len(values)))


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1),
    st.floats(-1, 1),
    st.floats(-math.pi, math.pi),
)
def test_turned_directions_have_the_asked_angle(vector, cosine, angle):
    direction = np.array(vector) / np.linalg.norm(vector)
    new = np.array(common.turned(tuple(map(float, direction)), float(cosine), float(angle)))
    assert np.linalg.norm(new) == pytest.approx(1.0, abs=1e-9)
    assert new @ direction == pytest.approx(cosine, abs=1e-7)
