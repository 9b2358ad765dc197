"""The table of the endcap against the numbers of its specification, and tables that are not what they should be."""

from __future__ import annotations

import numpy as np
import pytest

from hitloom.data.endcap_geometry import SECTIONS, get_geometry, read_geometry
from hitloom.errors import ConfigError

GEOMETRY = get_geometry("hgcal-v17")


def test_layers_and_sections():
    assert GEOMETRY.num_layers == 47
    assert GEOMETRY.num_em_layers == 26
    assert np.bincount(GEOMETRY.section).tolist() == [26, 7, 14]
    assert GEOMETRY.z[[0, 25, 26, 32, 33, 46]].tolist() == [321.88, 361.40, 367.68, 405.51, 411.82, 512.98]
    assert (GEOMETRY.front_z, GEOMETRY.em_border_z, GEOMETRY.back_z) == (321.05, 361.97, 514.05)


def test_borders_of_silicon_and_scintillator():
    rows, counts = np.unique(GEOMETRY.scintillator_radius, return_counts=True)
    assert dict(zip(rows.tolist(), counts.tolist(), strict=True)) == {
        104.59: 4, 120.76: 4, 137.852: 2, 153.705: 4, np.inf: 33
    }  # fmt: skip
    assert GEOMETRY.is_scintillator([33, 34, 34, 47], [160.0, 153.0, 154.0, 105.0]).tolist() == [
        False, False, True, True
    ]  # fmt: skip
    assert GEOMETRY.is_inside([1, 1, 1, 47], [31.0, 32.0, 153.0, 263.0]).tolist() == [False, True, False, True]


def test_outer_radius_follows_the_cone():
    """The three straight pieces of the specification at places between its layers."""
    assert GEOMETRY.outer_radius[0] == pytest.approx(152.33 + 0.83 * (175.32 - 152.33) / (387.75 - 321.05), abs=0.01)
    assert (GEOMETRY.outer_radius[GEOMETRY.z > 456.2] == 263.45).all()


def test_absorber_depth():
    em = GEOMETRY.section == 0
    assert 26 <= GEOMETRY.radiation_lengths[em].sum() <= 28
    assert 1.3 <= GEOMETRY.interaction_lengths[em].sum() <= 1.5
    assert GEOMETRY.interaction_lengths[~em].sum() == pytest.approx(7.5, abs=0.1)
    assert GEOMETRY.interaction_lengths[27] == pytest.approx(0.30, abs=0.01)
    assert GEOMETRY.interaction_lengths[-1] == pytest.approx(0.42, abs=0.01)


def test_lookups_work_in_both_endcaps():
    for sign in (-1, 1):
        assert GEOMETRY.layer_at(sign * GEOMETRY.z).tolist() == list(range(1, 48))
        assert GEOMETRY.is_em(sign * GEOMETRY.z).sum() == 26
    assert GEOMETRY.layer_at(0.0) == 1
    assert GEOMETRY.layer_at(-600.0) == 47
    assert SECTIONS[GEOMETRY.section_at(30)] == "silicon"


TABLE = """# front_z = 10
# em_border_z = 12.5
# back_z = 15
layer,z,section,inner_radius,outer_radius,scintillator_radius,radiation_lengths,interaction_lengths,mip_loss
1,11,em,1,5,,1,0.1,0.01
2,12,em,1,5,,1,0.1,0.01
3,13,mixed,1,5,3,3,0.4,0.05
"""


def test_another_table_loads(tmp_path):
    path = tmp_path / "small.csv"
    path.write_text(TABLE)
    geometry = get_geometry(str(path))
    assert (geometry.name, geometry.num_layers, geometry.num_em_layers) == ("small", 3, 2)
    assert geometry.is_scintillator(3, 4.0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# back_z = 15\n", "", "back_z"),
        ("# back_z = 15", "# back_z = far", "number in cm"),
        (",mip_loss", "", "mip_loss"),
        ("2,12,em", "2,11,em", "'z' of layer 2"),
        ("2,12,em", "2,12,lead", "'lead' is unknown"),
        ("3,13,mixed,1", "3,13,mixed,x", "layer 3, column 'inner_radius'"),
        ("3,13,mixed,1,5", "3,13,mixed,7,5", "'outer_radius' of layer 3"),
        ("12.5", "11.5", "'em_border_z' of layer 2"),
        (TABLE[TABLE.index("1,11") :], "", "no rows"),
    ],
)
def test_tables_that_are_wrong_are_refused_in_one_line(tmp_path, old, new, words):
    path = tmp_path / "bad.csv"
    assert old in TABLE
    path.write_text(TABLE.replace(old, new))
    with pytest.raises(ConfigError, match=words) as caught:
        read_geometry(path)
    assert "\n" not in str(caught.value)
    assert "bad.csv" in str(caught.value)


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="hgcal-v17"):
        get_geometry("hgcal-v71")
    with pytest.raises(ConfigError, match="no such geometry file"):
        get_geometry("nowhere.csv")
