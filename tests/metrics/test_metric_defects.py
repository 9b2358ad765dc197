"""One test for each defect of existing evaluations (numbered as in the contract) that must not come back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from hitloom.errors import ConfigError, DataError
from hitloom.metrics import (
    DEFINITIONS,
    RATES,
    Condition,
    EventTruth,
    Selection,
    contingency,
    evaluate,
    match_event,
    rate,
    track_confusion,
    trackml_score,
    working_point_scan,
)
from hitloom.metrics.definitions import rate_keys


def truth_with(index, *, pt=None, eta=None, ids=None, **columns):
    index = np.asarray(index)
    num = int(index.max()) + 1 if index.size else 0
    ids = np.arange(1, num + 1) if ids is None else ids
    pt = np.full(num, 2.0) if pt is None else pt
    eta = np.zeros(num) if eta is None else eta
    return EventTruth(object_index=index, object_id=ids, pt=pt, eta=eta, **columns)


def test_defect_01_noise_majority_never_matches():
    counts = match_event([0] * 5, truth_with([-1, -1, -1, 0, 0]), Selection())
    item = counts["double_majority"]
    assert (item["num_tracks"], item["num_matched_tracks"], item["num_noise_tracks"]) == (1, 0, 1)
    assert rate("fake_per_track", item) == 1


def test_defect_02_every_rate_names_its_denominator():
    for name, item in RATES.items():
        if name.startswith(("fake", "duplicate")):
            assert "per_" in name or name in ("fake_one_to_one", "duplicate_identical"), name
        assert "/" in item.definition or item.definition.startswith("mean of"), name
    for key in rate_keys(list(RATES), ["purity50", "lhc75", "one_to_one_lhc75"], fitted=True):
        assert "\n" not in DEFINITIONS[key.key]
    item = match_event([0] * 3 + [1] * 4 + [2] * 4, truth_with([0] * 3 + [-1] * 8), Selection(), matches=("purity50",))
    assert rate("fake_per_matched_particle", item["purity50"]) == 2, "may exceed 1, and has no binomial interval"
    assert not RATES["fake_per_matched_particle"].proportion


def test_defect_03_equal_ids_in_two_events_are_two_particles():
    truth = truth_with([0, 0, 0], ids=[77])
    metrics = evaluate([("a", [0, 0, 0], truth), ("b", [-1, -1, -1], truth)], presets=("hitloom",))
    entry = metrics["presets"]["hitloom"]["pt>1.0"]["efficiency.double_majority"]
    assert (entry["numerator"], entry["denominator"]) == (1, 2)
    curve = metrics["curves"]["hitloom"]["pt>1.0"]["eta"]["rates"]["efficiency.double_majority"]
    assert sum(curve["denominator"]) == 2
    with pytest.raises(DataError, match="event a came twice"):
        evaluate([("a", [0, 0, 0], truth), ("a", [0, 0, 0], truth)])


def test_defect_04_a_track_purity_is_not_called_efficiency():
    index = [0] * 4 + [1] * 4
    item = match_event([0] * 4 + [-1] * 4, truth_with(index), Selection(), matches=("lhc75",))["lhc75"]
    assert rate("efficiency", item) == 1 / 2
    assert rate("lhc_purity_selected", item) == 1
    assert RATES["efficiency"].denominator == {"num_target": 1}


def test_defect_05_eta_cut_is_absolute_also_in_the_pt_curve():
    truth = truth_with([0] * 3 + [1] * 3, eta=[-3.0, 3.0])
    labels = [0] * 3 + [1] * 3
    counts = match_event(labels, truth, Selection(max_abs_eta=2.5))["double_majority"]
    assert counts["num_target"] == 0
    metrics = evaluate([(1, labels, truth)], presets=("headline",))
    curves = metrics["curves"]["headline"]["pt>1.0"]
    assert sum(curves["pt"]["rates"]["efficiency.double_majority"]["denominator"]) == 0
    assert sum(curves["eta"]["rates"]["efficiency.double_majority"]["denominator"]) == 2, "the axis itself is not cut"


def test_defect_06_plain_fakes_include_soft_and_noise_tracks():
    # One good hard track; a track of soft hits and noise; a track of noise.
    index = [0] * 4 + [1, 1, -1, -1, -1] + [-1] * 3
    labels = [0] * 4 + [1] * 5 + [2] * 3
    truth = truth_with(index, pt=[2.0, 0.1])
    item = match_event(labels, truth, Selection(min_pt=1.0))["double_majority"]
    assert rate("fake_per_track", item) == 2 / 3
    assert rate("fake_per_selected_track", item) == 0


def test_defect_07_ids_stay_integers():
    near = 2**53
    big = 900_000_000_000_000_000
    assert np.float64(near) == np.float64(near + 1)
    assert np.float32(big) == np.float32(big + 1)
    ids = [near, near + 1, big, big + 1]
    truth = EventTruth.from_particle_ids(np.repeat(ids, 3))
    assert truth.object_id.tolist() == ids
    labels = np.repeat([0, 1, -1, -1], 3)
    counts = match_event(labels, truth, Selection())["double_majority"]
    assert (counts["num_target"], counts["num_found"]) == (4, 2)
    missed = json.loads(json.dumps(track_confusion(labels, truth, Selection())))["missed"]
    assert missed == [str(big), str(big + 1)], "ids travel through JSON as strings"
    with pytest.raises(DataError, match="integers were wanted, not float64"):
        EventTruth(object_index=[0], object_id=np.array([7.0]))
    with pytest.raises(DataError, match="integers were wanted, not float32"):
        EventTruth.from_particle_ids(np.array([1, 2], dtype=np.float32))
    with pytest.raises(DataError, match="does not fit into int64"):
        EventTruth.from_particle_ids(np.array([2**64 - 1], dtype=np.uint64))


@pytest.mark.parametrize("half", [1, 5, 10_000])
def test_defect_08_exactly_half_is_no_majority(half):
    index = [0] * half + [-1] * half
    exact = match_event([0] * (2 * half), truth_with(index), Selection(min_track_hits=1), matches=("purity50",))
    assert exact["purity50"]["num_matched_tracks"] == 0
    above = match_event(
        [0] * (2 * half - 1) + [-1], truth_with(index), Selection(min_track_hits=1), matches=("purity50",)
    )
    assert above["purity50"]["num_matched_tracks"] == 1
    quarter = truth_with([0] * 3 * half + [-1] * half)
    both = match_event([0] * 4 * half, quarter, Selection(), matches=("lhc75", "lhc75_inclusive"))
    assert (both["lhc75"]["num_matched_tracks"], both["lhc75_inclusive"]["num_matched_tracks"]) == (0, 1)


def test_defect_08_a_working_point_off_any_grid_is_evaluated():
    truth = truth_with([0] * 3)
    scan = working_point_scan([(1, {(0.1 + 0.05, 3): [0] * 3, (0.2, 3): [0, 0, -1]}, truth)])
    assert [row["efficiency.double_majority"] for row in scan["rows"]] == [1.0, 0.0]


def test_defect_09_unassigned_hits_are_no_track():
    truth = truth_with([0] * 6, weight=np.ones(6))
    labels = [-1] * 6
    assert contingency(labels, truth).track_id.size == 0
    assert match_event(labels, truth, Selection())["double_majority"]["num_found"] == 0
    assert trackml_score(labels, truth).value == 0
    confusion = track_confusion(labels, truth, Selection())
    assert confusion["good"] == confusion["noise"] == confusion["mixed"] == []


def test_defect_10_empty_bins_are_null_and_numbers_are_in_the_json():
    metrics = json.loads(
        json.dumps(evaluate([(1, [0] * 3, truth_with([0] * 3))], presets=("headline",)), allow_nan=False)
    )
    curve = metrics["curves"]["headline"]["pt>1.0"]["pt"]["rates"]["efficiency.double_majority"]
    for value, low, high, denominator in zip(
        curve["value"], curve["low"], curve["high"], curve["denominator"], strict=True
    ):
        assert (denominator == 0) == (value is None) == (low is None) == (high is None)
    assert curve["denominator"].count(0) == 8
    assert metrics["presets"]["headline"]["pt>1.0"]["assigned_fraction.noise"]["value"] is None


def test_defect_11_hits_of_one_particle_must_agree():
    ids = [5, 5, 9, 0, 9]
    truth = EventTruth.from_particle_ids(ids, hit_columns={"pt": [1.0, 1.0 + 1e-7, 3.0, math.nan, 3.0]})
    assert truth.pt.tolist() == [1.0, 3.0], "the table's value, never an average"
    with pytest.raises(DataError, match="hits of particle 9 disagree"):
        EventTruth.from_particle_ids(ids, hit_columns={"pt": [1.0, 1.0, 3.0, 0.0, 3.1]})


def test_defect_12_the_denominator_does_not_shrink_with_the_input():
    truth = EventTruth(object_index=[0, 0, 0], object_id=[1, 2], num_points=[9, 7], pt=[2.0, 2.0], eta=[0.0, 0.0])
    original = match_event([0, 0, 0], truth, Selection(min_pt=1.0))["double_majority"]
    assert (original["num_target"], original["num_found"]) == (2, 0)
    given = match_event([0, 0, 0], truth, Selection(min_pt=1.0, universe="input"))["double_majority"]
    assert (given["num_target"], given["num_found"]) == (1, 1)
    with pytest.raises(ConfigError, match=r"unknown universe 'orginal'\. Did you mean 'original'"):
        Selection(universe="orginal")


def test_defect_13_unmatched_tracks_stay_in_a_thresholded_fake_rate():
    # A hard track; a fake of soft particles; a fake of noise; nothing else above threshold.
    index = [0] * 4 + [1, 1, 2, 2] + [-1] * 4
    labels = [0] * 4 + [1] * 4 + [2] * 4
    truth = truth_with(index, pt=[5.0, 0.2, 0.3])
    item = match_event(labels, truth, Selection(min_pt=1.0))["double_majority"]
    assert rate("fake_per_target_or_unmatched_track", item) == 2 / 3
    assert rate("fake_per_target_or_noise_track", item) == 1 / 2
    assert rate("fake_per_selected_track", item) == 0, "what the defect would report"


def test_conditions_and_ranges():
    truth = truth_with(np.repeat([0, 1, 2], 3), pt=[1.0, 2.0, math.nan], vertex_radius=[1.0, 30.0, 1.0])
    size, real = np.full(3, 3), np.ones(3, dtype=bool)

    def chosen(**options):
        return Selection(**options).target(truth, size, real).tolist()

    assert chosen(min_pt=1.0) == [False, True, False], "strict, and not-a-number never passes"
    assert chosen(min_pt=1.0, pt_inclusive=True) == [True, True, False]
    assert chosen(conditions=(Condition(quantity="vertex_radius", high=1.0),)) == [True, False, True]
    assert chosen(conditions=(Condition(quantity="vertex_radius", high=1.0, inclusive=False),)) == [False] * 3
    assert chosen(min_particle_hits=4) == [False] * 3
    with pytest.raises(DataError, match="no particle quantity 'vertex_radus'"):
        chosen(conditions=(Condition(quantity="vertex_radus"),))
    with pytest.raises(DataError, match="'is_signal'"):
        chosen(require_signal=True)
    flagged = truth_with(
        np.repeat([0, 1, 2], 3), is_signal=np.array([1, 0, 1], bool), reconstructable=np.array([1, 1, 0], bool)
    )
    both = Selection(require_signal=True, require_reconstructable=True)
    assert both.target(flagged, size, real).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"object_index": [0, 2], "object_id": [5, 6]}, "object_index: 2 is no row of the 2 particles"),
        ({"object_index": [-2], "object_id": [5]}, "object_index: -2"),
        ({"object_index": [0], "object_id": [0]}, "the id 0 means noise"),
        ({"object_index": [0], "object_id": [5, 5]}, "ids repeat"),
        ({"object_index": [0], "object_id": [5], "pt": [1.0, 2.0]}, r"pt: shape \(1,\) was wanted, not \(2,\)"),
        ({"object_index": [0, 0], "object_id": [5], "num_points": [1]}, "particle 5 is said to have 1 hits"),
        ({"object_index": [0], "object_id": [5], "truth_edge_index": [[0], [1]]}, "truth_edge_index: rows of 1 hits"),
        ({"object_index": [[0]], "object_id": [5]}, "one dimension"),
    ],
)
def test_impossible_truth(arguments, message):
    with pytest.raises(DataError, match=message) as error:
        EventTruth(**arguments)
    assert "\n" not in str(error.value)
