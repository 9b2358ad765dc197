"""The table of LArTPC detectors, its extension, and constants of a file held against it."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest

from hitloom.data.lartpc_detectors import check_constants, detector_names, get_detector
from hitloom.errors import ConfigError, DataError

MINE = {
    "name": "mine",
    "pitch": {4: 0.3, 5: 0.3, 6: 0.25},
    "wire_angle": {4: 45.0, 5: -45.0, 6: 0.0},
    "box": [[0, 100], [0, 200], [0, 400]],
}


def test_the_table_holds_the_six_detectors():
    assert set(detector_names()) == {"dune-fd-hd", "protodune-sp", "dune-fd-vd", "microboone", "sbnd", "icarus"}


def test_every_view_has_its_own_pitch():
    assert get_detector("dune-fd-hd").pitch == {4: 0.4667, 5: 0.4667, 6: 0.479}
    assert get_detector("dune-fd-vd").pitch == {4: 0.765, 5: 0.765, 6: 0.51}


@pytest.mark.parametrize("name", ["dune-fd-hd", "dune-fd-vd"])
def test_production_scales_are_those_of_the_box(name):
    detector = get_detector(name)
    assert detector.scales == pytest.approx(detector.box_scales(), rel=1e-5)


def test_scales_are_not_those_of_the_slipped_box():
    slipped = {"polar_r": 0.0005044943, "cartesian_x": 0.0013788463, "cartesian_z": 0.0007171871}
    scales = get_detector("dune-fd-hd").scales
    assert scales == {"polar_r": 0.0005044863, "cartesian_x": 0.001378694, "cartesian_z": 0.0007171852}
    assert scales["cartesian_x"] != pytest.approx(slipped["cartesian_x"], rel=5e-5)


def test_scales_left_out_come_from_the_box():
    scales = get_detector(MINE).scales
    assert scales == pytest.approx({"polar_r": 1 / math.sqrt(210000), "cartesian_x": 0.01, "cartesian_z": 0.0025})


def test_angles_quoted_from_the_beam_are_turned_to_the_vertical():
    angles = {view: math.degrees(angle) for view, angle in get_detector("dune-fd-vd").angle.items()}
    assert angles == pytest.approx({4: 60.0, 5: -60.0, 6: 0.0})
    assert get_detector("dune-fd-hd").angle[4] == pytest.approx(math.radians(35.7))


def test_a_yaml_file_adds_a_detector(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("pitch: {4: 0.3, 5: 0.3, 6: 0.25}\nwire_angle: {4: 45, 5: -45, 6: 0}\n"
                    "box: [[0, 100], [0, 200], [0, 400]]\n")  # fmt: skip
    assert get_detector(path) == get_detector(MINE)


def test_an_unknown_name_answers_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'microboone'"):
        get_detector("microbone")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pitch": {4: 0.3, 5: 0.3}}, "views 4, 5 and 6"),
        ({"pitch": {4: 0.3, 5: 0.3, 6: 0.0}}, "pitch must be above 0"),
        ({"box": [[1, 0], [0, 1], [0, 1]]}, "low < high"),
        ({"gaps": [[1, 0]]}, "gaps"),
        ({"scales": {"polar_r": 1.0}}, "scales needs"),
        ({"confirmed": ["ptich"]}, "'pitch'"),
        ({"pich": {}}, "unknown key"),
    ],
)
def test_impossible_detectors_are_refused_in_one_line(change, says):
    with pytest.raises(ConfigError, match=says) as caught:
        get_detector(MINE | change)
    assert "\n" not in str(caught.value)


def test_equal_constants_pass_in_silence(caplog: pytest.LogCaptureFixture):
    detector = get_detector("dune-fd-hd")
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        check_constants(detector, scales=detector.scales, pitches=detector.pitch, where="a.root")
    assert not caplog.records


def test_slightly_other_constants_warn(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        check_constants(get_detector("dune-fd-hd"), pitches={6: 0.482}, where="a.root")
    assert "a.root: pitch of view W is 0.482" in caplog.text


@pytest.mark.parametrize(
    "constants", [{"pitches": {6: 0.5267}}, {"scales": {"cartesian_x": 1 / 650}}, {"pitches": {4: math.nan}}]
)
def test_contradicting_constants_are_refused(constants):
    with pytest.raises(DataError, match=r"a\.root: .*mend"):
        check_constants(get_detector("dune-fd-hd"), where="a.root", **constants)
