"""Position and cell features against numbers worked out by hand and a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.features import (
    CELL_FEATURES,
    EXTRA_CELL_FEATURES,
    POSITION_FEATURES,
    cell_shape_features,
    extra_cell_features,
    position_features,
)
from hitloom.errors import DataError

# u azimuthal, v along z, w along x: a barrel module at azimuth 0
BARREL = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def features(**changes):
    arguments = {
        "point_index": [1, 1, 1],
        "ch0": [10, 11, 11],
        "ch1": [5, 5, 7],
        "value": [0.1, 0.2, 0.3],
        "pitch_u": [0.05, 0.05],
        "pitch_v": [0.05625, 0.05625],
        "thickness": [0.15, 0.15],
        "rotation": np.stack([BARREL, BARREL]),
    }
    return cell_shape_features(**(arguments | changes))


def test_position_features_by_hand():
    row = dict(zip(POSITION_FEATURES, position_features([[-3.0, 4.0, 5.0]])[0].tolist(), strict=True))
    assert row["r"] == pytest.approx(5.0)
    assert row["phi"] == pytest.approx(math.atan2(4, -3))
    assert row["z"] == 5.0
    assert row["eta"] == pytest.approx(-math.log(math.tan(math.atan2(5, 5) / 2)))
    assert (row["cos_phi"], row["sin_phi"]) == (pytest.approx(-0.6), pytest.approx(0.8))


@given(st.lists(st.tuples(*[st.floats(-3000, 3000, width=32)] * 3), max_size=8))
@settings(max_examples=60, deadline=None)
def test_position_features_are_finite_and_even_on_the_axis(points):
    values = position_features(np.array(points, dtype=np.float32).reshape(-1, 3))
    assert values.shape == (len(points), 6)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


def test_cell_features_of_a_hit_by_hand():
    """Two pixels along u, three along v (the middle one silent): the box is 0.1 x 0.16875 x 0.3 mm."""
    row = dict(zip(CELL_FEATURES, features()[1].astype(float), strict=True))
    lx, ly, lz = 2 * 0.05, 3 * 0.05625, 0.3
    assert row["cell_count"] == 3
    assert row["cell_val"] == pytest.approx(0.6)
    assert (row["lx"], row["ly"], row["lz"]) == (pytest.approx(lx), pytest.approx(ly), pytest.approx(lz))
    theta = math.acos(lz / math.sqrt(lx**2 + ly**2 + lz**2))
    assert row["leta"] == pytest.approx(-math.log(math.tan(theta / 2)), rel=1e-6)
    assert row["lphi"] == pytest.approx(math.atan2(ly, lx))
    # global: x = w, y = u, z = v
    theta = math.acos(ly / math.sqrt(lx**2 + ly**2 + lz**2))
    assert row["geta"] == pytest.approx(-math.log(math.tan(theta / 2)), rel=1e-6)
    assert row["gphi"] == pytest.approx(math.atan2(lx, lz))


def test_eggnet_defect_26_a_hit_without_cells_has_defined_values():
    values = features()
    expected = np.zeros(9, dtype=np.float32)
    expected[CELL_FEATURES.index("lz")] = 0.3
    np.testing.assert_array_equal(values[0], expected)
    assert np.isfinite(features(point_index=[], ch0=[], ch1=[], value=[])).all()


def test_eggnet_defect_26_cells_are_joined_by_point_and_not_by_row():
    order = [2, 0, 1]
    columns = {"point_index": [1, 0, 1], "ch0": [10, 3, 12], "ch1": [5, 6, 7], "value": [0.1, 0.2, 0.3]}
    shuffled = {name: [values[place] for place in order] for name, values in columns.items()}
    np.testing.assert_array_equal(features(**columns), features(**shuffled))


def test_a_cell_of_an_unknown_point_is_refused():
    with pytest.raises(DataError, match="point_index holds 2"):
        features(point_index=[1, 1, 2])


def extra(**changes):
    arguments = {
        "point_index": [0, 0, 1, 1, 2],
        "ch0": [1, 2, 1, 2, 4],
        "ch1": [1, 2, 2, 1, 4],
        "pitch_u": [0.05] * 4,
        "pitch_v": [0.1] * 4,
        "thickness": [0.15] * 4,
        "rotation": np.stack([BARREL] * 4),
        "is_barrel": [True, False, True, False],
    }
    values = extra_cell_features(**(arguments | changes))
    return {name: values[:, place] for place, name in enumerate(EXTRA_CELL_FEATURES)}


def test_extra_features_know_the_diagonal_and_the_true_depth():
    values = extra()
    np.testing.assert_allclose(values["depth"], [0.15, 0.3, 0.15, 0.3], rtol=1e-6)
    np.testing.assert_allclose(values["ly_signed"], [0.2, -0.2, 0.1, 0.0], rtol=1e-6)
    np.testing.assert_allclose(values["cos_gphi"] ** 2 + values["sin_gphi"] ** 2, [1, 1, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(values["cos_lphi"][0], 0.1 / math.hypot(0.1, 0.2), rtol=1e-6)


def test_eggnet_defect_25_cosine_and_sine_do_not_jump_at_pi():
    near = position_features([[-10.0, 1e-4, 0.0], [-10.0, -1e-4, 0.0]])
    jump = np.abs(near[0] - near[1])
    assert jump[POSITION_FEATURES.index("phi")] > 6
    assert jump[POSITION_FEATURES.index("cos_phi")] < 1e-4
    assert jump[POSITION_FEATURES.index("sin_phi")] < 1e-4
