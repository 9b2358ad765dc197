"""The module table of the ACTS generic detector, its TrackML numbers, and the field."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from hitloom.errors import DataError
from hitloom.simulate.tracker_config import TrackerConfig

acts = pytest.importorskip("acts")


@pytest.fixture(scope="module")
def chain():
    from hitloom.simulate.acts_chain import Chain

    return Chain(config=TrackerConfig(process="gun"))


COUNTS = {7: 756, 8: 2492, 9: 756, 12: 1020, 13: 5796, 14: 1020, 16: 588, 17: 5712, 18: 588}


def test_table_of_modules(chain):
    modules = chain.modules
    volumes, counts = np.unique(modules.volume, return_counts=True)
    assert dict(zip(volumes.tolist(), counts.tolist(), strict=True)) == COUNTS
    np.testing.assert_allclose(
        modules.rotation @ modules.rotation.transpose(0, 2, 1), np.tile(np.eye(3), (18728, 1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(modules.rotation), 1.0, atol=1e-6)
    pixels = modules.volume == 8
    tilt = np.arccos(
        (modules.rotation[pixels, :, 2] * modules.centre[pixels] * [1, 1, 0]).sum(1)
        / np.hypot(*modules.centre[pixels, :2].T)
    )
    np.testing.assert_allclose(np.degrees(tilt), 8.02, atol=0.01)
    np.testing.assert_array_equal(modules.half_u_high[modules.volume == 16].round(1).min(), 64.2)


def test_local_and_global_are_inverse(chain):
    rng = np.random.default_rng(1)
    rows = rng.integers(len(chain.modules), size=200)
    local = rng.normal(size=(200, 3)) * 10
    np.testing.assert_allclose(chain.modules.to_local(rows, chain.modules.to_global(rows, local)), local, atol=1e-9)


def test_outside_by(chain):
    modules = chain.modules
    rows = np.flatnonzero(modules.volume == 14)[:1].repeat(4)
    low, high, half_v = modules.half_u_low[rows[0]], modules.half_u_high[rows[0]], modules.half_v[rows[0]]
    points = np.array([[low - 0.1, -half_v, 0], [low + 0.1, -half_v, 0], [high - 0.1, half_v, 0], [0, half_v + 2, 0]])
    np.testing.assert_allclose(modules.outside_by(rows, points), [0, 0.1, 0, 2], atol=1e-9)


def test_unknown_module_is_an_error(chain):
    with pytest.raises(DataError, match="not in the geometry"):
        chain.modules.rows_of(np.array([8]), np.array([2]), np.array([9999]))


@pytest.mark.real_data
def test_trackml_ids_by_position(chain, test_data):
    pandas = pytest.importorskip("pandas")
    path = test_data / "trackml-thinned" / "detectors.csv.gz"
    mapped = chain.modules.with_trackml_ids(path)
    barrel = np.isin(mapped.volume, (8, 13, 17))
    assert (mapped.module == mapped.sensitive)[barrel].all()
    assert (mapped.module == mapped.sensitive)[~barrel].mean() < 0.05  # numbered differently, all of them
    table = pandas.read_csv(path).set_index(["volume_id", "layer_id", "module_id"])
    theirs = table.loc[list(zip(mapped.volume, mapped.layer, mapped.module, strict=True))]
    np.testing.assert_allclose(theirs[["cx", "cy", "cz"]].to_numpy(), mapped.centre, atol=0.01)
    assert theirs.index.is_unique


@pytest.mark.real_data
def test_wrong_detector_tables_are_refused(chain, test_data, tmp_path):
    lines = gzip.decompress((test_data / "trackml-thinned" / "detectors.csv.gz").read_bytes()).decode().splitlines()
    short = tmp_path / "short.csv"
    short.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match="97 modules, but the ACTS generic detector has 98"):
        chain.modules.with_trackml_ids(short)
    header = lines[0].split(",")
    column = header.index("cx")
    moved = tmp_path / "moved.csv"
    row = lines[100].split(",")
    row[column] = str(float(row[column]) + 0.5)
    moved.write_text("\n".join([*lines[:100], ",".join(row), *lines[101:]]) + "\n")
    with pytest.raises(DataError, match=r"centres differ .* by 0.5 mm"):
        chain.modules.with_trackml_ids(moved)
    with pytest.raises(DataError, match="cannot read the detector table"):
        chain.modules.with_trackml_ids(tmp_path / "missing.csv")


def biot_savart(r: float, z: float) -> np.ndarray:
    """(Br, Bz) in T by summing Biot and Savart's law over the turns and around each turn: the oracle."""
    from hitloom.simulate.field import SOLENOID_LENGTH, SOLENOID_RADIUS

    turns = (np.arange(2000) + 0.5) / 2000 * SOLENOID_LENGTH - SOLENOID_LENGTH / 2
    phi = (np.arange(400) + 0.5) / 400 * 2 * np.pi

    def field(r, z):
        turn, angle = np.meshgrid(turns, phi, indexing="ij")
        wire = SOLENOID_RADIUS * np.stack([np.cos(angle), np.sin(angle), turn / SOLENOID_RADIUS], axis=-1)
        tangent = np.stack([-np.sin(angle), np.cos(angle), np.zeros_like(angle)], axis=-1)
        distance = np.array([r, 0.0, z]) - wire
        return (np.cross(tangent, distance) / np.linalg.norm(distance, axis=-1, keepdims=True) ** 3).sum((0, 1))

    return 2.0 * field(r, z)[[0, 2]] / field(0.0, 0.0)[2]


def acts_values(field, points):
    context = acts.MagneticFieldContext()
    cache = field.makeCache(context)
    return np.array(
        [[field.getField(acts.Vector3(*p), cache)[i] / acts.UnitConstants.T for i in range(3)] for p in points]
    )


@pytest.mark.parametrize(
    "place", [(10.0, 0.0), (600.0, 0.0), (1000.0, 1000.0), (300.0, -2000.0), (950.0, 2600.0), (400, 3000)]
)
def test_solenoid_against_biot_savart(chain, place):
    from hitloom.simulate.field import solenoid_field

    wanted = biot_savart(*place)
    radial, axial = solenoid_field(np.array([place[0]]), np.array([place[1]]), field_tesla=2.0)
    np.testing.assert_allclose([radial[0], axial[0]], wanted, atol=2e-4)
    x, y = place[0] * np.cos(2.0), place[0] * np.sin(2.0)
    got = acts_values(chain._field, [(x, y, place[1])])[0]
    np.testing.assert_allclose([got[0] * np.cos(2.0) + got[1] * np.sin(2.0), got[2]], wanted, atol=1e-3)
    assert abs(got[1] * np.cos(2.0) - got[0] * np.sin(2.0)) < 1e-9


def test_solenoid_has_no_sources():
    from hitloom.simulate.field import solenoid_field

    rng = np.random.default_rng(5)
    r, z, step = rng.uniform(20, 1000, 200), rng.uniform(-3200, 3200, 200), 1e-2
    outer, inner = (solenoid_field(r + sign * step, z, field_tesla=2.0)[0] * (r + sign * step) for sign in (1, -1))
    above, below = (solenoid_field(r, z + sign * step, field_tesla=2.0)[1] for sign in (1, -1))
    divergence = (outer - inner) / (2 * step * r) + (above - below) / (2 * step)
    np.testing.assert_allclose(divergence, 0.0, atol=1e-8)  # T/mm; the field changes by 1e-3 T/mm


@pytest.mark.real_data
def test_solenoid_turns_tracks_like_a_real_event(test_data):
    """Median effective Bz between consecutive hits in bins of |z|: a real event against the field along its tracks."""
    from hitloom.simulate.field import solenoid_field

    pandas = pytest.importorskip("pandas")
    folder = test_data / "trackml-thinned"
    truth = pandas.read_csv(folder / "event000000001-truth.csv.gz")
    particles = pandas.read_csv(folder / "event000000001-particles.csv.gz")
    table = truth.merge(particles, on="particle_id")
    table = table[np.hypot(table.px, table.py) > 0.5]
    table["d"] = (table.tx - table.vx) ** 2 + (table.ty - table.vy) ** 2 + (table.tz - table.vz) ** 2
    table = table.sort_values(["particle_id", "d"])
    first, second = table.iloc[:-1], table.iloc[1:]
    pair = first.particle_id.to_numpy() == second.particle_id.to_numpy()
    x0, x1 = (t[["tx", "ty", "tz"]].to_numpy()[pair] for t in (first, second))
    p0, p1 = (t[["tpx", "tpy", "tpz"]].to_numpy()[pair] for t in (first, second))
    charge = first.q.to_numpy()[pair]
    turn = np.arctan2(p1[:, 1], p1[:, 0]) - np.arctan2(p0[:, 1], p0[:, 0])
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    length = np.hypot(*(x1 - x0)[:, :2].T)
    mean = (p0 + p1) / 2
    pt = np.hypot(*mean[:, :2].T)
    real = -charge * turn * pt / (0.299792458e-3 * length)
    expected = np.zeros(len(real))
    for share in (1 / 6, 0.5, 5 / 6):
        at = x0 + share * (x1 - x0)
        r = np.hypot(*at[:, :2].T)
        br, bz = solenoid_field(r, at[:, 2], field_tesla=2.0)
        outward = (mean[:, :2] * at[:, :2]).sum(1) / (pt * r)
        expected += (bz - br * outward * mean[:, 2] / pt) / 3
    z = np.abs(x0 + x1)[:, 2] / 2
    tolerance = {
        (0, 300): 0.03,
        (300, 600): 0.03,
        (600, 1000): 0.04,
        (1000, 1500): 0.06,
        (1500, 2000): 0.15,
        (2000, 2500): 0.3,
        (2500, 3000): 0.3,
    }
    for (low, high), allowed in tolerance.items():
        mine = (z >= low) & (z < high) & (length > 20)
        assert mine.sum() > 40
        assert np.median(expected[mine]) == pytest.approx(np.median(real[mine]), abs=allowed), (low, high)
