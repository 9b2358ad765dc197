"""Cells: which place belongs to which, energy kept from spots to cells, noise, thresholds, times."""

from __future__ import annotations

import numpy as np
import pytest
from calorimeter_toy import QUIET, settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.special import ndtr

from hitloom.data.endcap_geometry import get_geometry
from hitloom.errors import ConfigError
from hitloom.simulate.calorimeter_cells import cell_keys, cell_places, make_cells
from hitloom.simulate.calorimeter_config import ResponseConfig
from hitloom.simulate.calorimeter_showers import Spots, mip_weights

GEOMETRY = get_geometry()
RESPONSE = ResponseConfig()


def random_places(num, seed=0):
    rng = np.random.default_rng(seed)
    layer, side = rng.integers(1, 48, num), rng.choice([-1, 1], num)
    low, high = GEOMETRY.inner_radius[layer - 1], GEOMETRY.outer_radius[layer - 1]
    radius, phi = np.sqrt(rng.uniform(low**2, high**2)), rng.uniform(-np.pi, np.pi, num)
    return {"side": side, "layer": layer, "x": radius * np.cos(phi), "y": radius * np.sin(phi)}


def keys_of(places, response=RESPONSE):
    return cell_keys(**places, geometry=GEOMETRY, response=response)


def test_places_come_back_from_keys():
    places = random_places(20_000)
    side, layer, region, x, y = cell_places(keys_of(places), response=RESPONSE)
    assert np.array_equal(side, places["side"])
    assert np.array_equal(layer, places["layer"])
    radius = np.hypot(places["x"], places["y"])
    tiles = GEOMETRY.is_scintillator(layer, radius)
    assert np.array_equal(region == 3, tiles)
    assert np.array_equal(region[~tiles], np.digitize(radius[~tiles], RESPONSE.thickness_radii))
    distance = np.hypot(x - places["x"], y - places["y"])
    corner = np.sqrt(2 * np.array(RESPONSE.cell_areas) / (3 * np.sqrt(3)))
    assert (distance[~tiles] <= corner[region[~tiles]] + 1e-9).all()
    assert (distance[tiles] <= radius[tiles] * 0.025).all()


def test_hexagons_hold_the_places_nearest_to_their_middle():
    """Brute force over the middles of all hexagons in sight; and their area is the one asked for."""
    rng = np.random.default_rng(1)
    num = 40_000
    places = {"side": np.ones(num, int), "layer": np.full(num, 5)}
    places |= {"x": rng.uniform(80, 88, num), "y": rng.uniform(-4, 4, num)}
    keys = keys_of(places)
    names = np.unique(keys)
    _, _, _, x, y = cell_places(names, response=RESPONSE)
    distance = np.hypot(places["x"][:, None] - x, places["y"][:, None] - y)
    assert np.array_equal(names[distance.argmin(1)], keys)
    inner = (np.abs(x - 84) < 2) & (np.abs(y) < 2)
    counts = np.array([(keys == name).sum() for name in names[inner]])
    assert counts.mean() / num * 64.0 == pytest.approx(1.265, rel=0.03)


def test_tiles_are_square_and_288_in_a_ring():
    num = 200_000
    phi = np.linspace(-np.pi, np.pi, num, endpoint=False) + 1e-9
    places = {"side": np.ones(num, int), "layer": np.full(num, 45), "x": 200 * np.cos(phi), "y": 200 * np.sin(phi)}
    assert len(np.unique(keys_of(places))) == 288
    radius = np.linspace(150.0, 250.0, 50_000)
    across = {"side": np.ones(50_000, int), "layer": np.full(50_000, 45), "x": radius, "y": np.full(50_000, 0.01)}
    borders = radius[1:][np.diff(keys_of(across)) != 0]
    assert np.diff(borders) / borders[:-1] == pytest.approx(2 * np.pi / 288, rel=0.02)


def test_cells_that_do_not_fit_in_a_key_are_refused():
    with pytest.raises(ConfigError, match="cell_areas"):
        keys_of(random_places(1000), ResponseConfig(cell_areas=(0.001, 0.001, 0.001)))


def spots_at(places, energy, particle, time=None):
    return Spots(particle=particle, energy=energy, time=np.zeros(len(energy)) if time is None else time, **places)


def random_spots(seed, num, num_particles=5):
    rng = np.random.default_rng(seed)
    places = random_places(max(num // 4, 1), seed)
    rows = rng.integers(0, max(num // 4, 1), num)
    places = {name: values[rows] for name, values in places.items()}
    return spots_at(places, rng.exponential(0.05, num), rng.integers(0, num_particles, num), rng.exponential(1.0, num))


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 400))
def test_energy_is_kept_from_spots_to_cells(seed, num):
    """Without noise and threshold nothing is lost, of no particle, in no section; factors are those of the section."""
    spots = random_spots(seed, num)
    config = settings(response=QUIET)
    cells = make_cells(spots, config=config, seed=(seed, 0))
    factor = np.array(config.response.calibration)
    wanted = spots.energy * factor[GEOMETRY.section_at(spots.layer)]
    for section in range(3):
        in_section = GEOMETRY.section_at(cells.layer) == section
        assert cells.energy[in_section].sum() == pytest.approx(
            wanted[GEOMETRY.section_at(spots.layer) == section].sum()
        )
    assert np.bincount(cells.owner, weights=cells.owner_energy, minlength=5) == pytest.approx(
        np.bincount(spots.particle, weights=wanted, minlength=5)
    )
    assert np.bincount(cells.owner_cell, weights=cells.owner_energy, minlength=len(cells)) == pytest.approx(
        cells.energy
    )
    assert len(np.unique(cells.key)) == len(cells)


def test_order_of_spots_does_not_matter():
    spots = random_spots(3, 2000)
    order = np.random.default_rng(0).permutation(len(spots))
    mixed = Spots(**{name: getattr(spots, name)[order] for name in Spots.__dataclass_fields__})
    one, other = (make_cells(each, config=settings(), seed=(1, 2)) for each in (spots, mixed))
    assert np.array_equal(one.key, other.key)
    assert one.energy == pytest.approx(other.energy, rel=1e-12)
    assert np.array_equal(one.owner, other.owner)


def test_noise_never_gives_particles_more_than_the_cell_holds():
    cells = make_cells(random_spots(4, 4000), config=settings(), seed=(1, 0))
    owned = np.bincount(cells.owner_cell, weights=cells.owner_energy, minlength=len(cells))
    assert (owned <= cells.energy * (1 + 1e-12)).all()
    assert (owned < cells.energy * (1 - 1e-6)).mean() > 0.3
    assert (cells.mips >= 0.5).all()


def test_number_and_energy_of_cells_of_noise_alone():
    nothing = random_spots(0, 0)
    response = {"noise": 0.2, "threshold": 0.7}
    cells = make_cells(nothing, config=settings(response=response), seed=(1, 0))
    area = np.pi * (np.minimum(GEOMETRY.outer_radius, GEOMETRY.scintillator_radius) ** 2 - GEOMETRY.inner_radius**2)
    inner = np.pi * (70.0**2 - GEOMETRY.inner_radius**2)
    wanted = 2 * ndtr(-3.5) * (inner / 0.562 + (area - inner) / 1.265).sum()
    assert len(cells) == pytest.approx(wanted, abs=5 * np.sqrt(wanted))
    tail = cells.mips / 0.2
    mean = np.exp(-(3.5**2) / 2) / np.sqrt(2 * np.pi) / ndtr(-3.5)
    assert tail.min() >= 3.5
    assert tail.mean() == pytest.approx(mean, abs=0.05)
    assert len(cells.owner) == 0
    assert np.isnan(cells.time).all()


def test_spots_outside_the_sensors_are_lost():
    layer = np.array([1, 1, 40, 40])
    spots = spots_at(
        {"side": np.ones(4, int), "layer": layer, "x": np.array([25.0, 60.0, 100.0, 262.0]), "y": np.full(4, 40.0)},
        np.ones(4), np.arange(4),
    )  # fmt: skip
    cells = make_cells(spots, config=settings(response=QUIET), seed=(1, 0))
    assert sorted(cells.owner.tolist()) == [0, 1, 2]
    outside = spots_at({"side": np.ones(1, int), "layer": np.array([1]), "x": np.array([10.0]), "y": np.zeros(1)},
                       np.ones(1), np.zeros(1, int))  # fmt: skip
    assert len(make_cells(outside, config=settings(response=QUIET), seed=(1, 0))) == 0


def test_time_has_its_resolution_and_needs_signal_in_silicon():
    num = 4000
    places = random_places(num, 7)
    mip = mip_weights(GEOMETRY)[places["layer"] - 1]
    many = spots_at(places, 20 * mip, np.zeros(num, int), np.full(num, 0.3))
    cells = make_cells(many, config=settings(response={**QUIET, "time_resolution": 0.05}), seed=(1, 0))
    assert np.array_equal(np.isfinite(cells.time), cells.region != 3)
    assert np.nanmean(cells.time) == pytest.approx(0.3, abs=0.005)
    assert np.nanstd(cells.time) == pytest.approx(0.05, rel=0.05)
    few = spots_at(places, 2 * mip, np.zeros(num, int))
    shared = make_cells(few, config=settings(response=QUIET), seed=(1, 0))
    alone = shared.mips < 5
    assert np.isnan(shared.time[alone]).all()
