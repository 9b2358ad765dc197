"""The evaluator: layout, pooling, curves, comparison, scan, rows, diagnostics; and an Event as input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.stats import beta

import hitloom
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.metrics import (
    DEFAULT_AXES,
    DEFINITION_VERSION,
    PRESETS,
    Axis,
    Evaluator,
    EventTruth,
    Preset,
    Selection,
    acorn_preset,
    compare,
    contingency,
    evaluate,
    match_event,
    match_tracks,
    pool,
    rate,
    rows_binned,
    rows_per_event,
    rows_pooled,
    rows_timing,
    track_confusion,
    track_kinematics,
    truth_from_event,
    working_point_scan,
)


def random_event(seed, *, quality=0.85, num_hits=1500, num_particles=150):
    rng = np.random.default_rng(seed)
    index = np.where(rng.random(num_hits) < 0.15, -1, rng.integers(0, num_particles, num_hits))
    truth = EventTruth(
        object_index=index,
        object_id=rng.permutation(num_particles) * 10**14 + 1,
        pt=np.exp(rng.normal(0.3, 1.2, num_particles)),
        eta=rng.uniform(-4.5, 4.5, num_particles),
        phi=rng.uniform(-np.pi, np.pi, num_particles),
        vertex_radius=rng.exponential(30, num_particles),
        vertex_z=rng.normal(0, 80, num_particles),
        weight=np.where(index >= 0, rng.random(num_hits), 0.0),
        weight_name="random",
    )
    spoiled = np.random.default_rng(seed + 1000)
    labels = np.where(spoiled.random(num_hits) < quality, index, spoiled.integers(-1, num_particles + 20, num_hits))
    labels[np.flatnonzero(index < 0)[:8]] = num_particles + 30  # a track of noise
    return labels, truth


@pytest.fixture(scope="module")
def events():
    return [(seed, *random_event(seed)) for seed in range(6)]


@pytest.fixture(scope="module")
def metrics(events):
    return evaluate(events, num_resamples=200, hit_selection="everything")


def test_every_entry_carries_counts_interval_and_definition(metrics):
    text = json.dumps(metrics, allow_nan=False)
    assert json.loads(text) == metrics
    assert metrics["definition_version"] == DEFINITION_VERSION
    assert metrics["hitloom_version"] == hitloom.__version__
    assert metrics["num_events"] == 6
    assert set(metrics["presets"]) == set(PRESETS)
    for preset, targets in metrics["presets"].items():
        choice = metrics["choices"]["presets"][preset]
        assert set(choice) == {"targets", "matches", "rates", "source"}
        for target, entries in targets.items():
            assert choice["targets"][target]["universe"] in ("original", "input")
            for key, entry in entries.items():
                assert entry["definition"], key
                assert "\n" not in entry["definition"]
                if entry["denominator"]:
                    assert entry["value"] == entry["numerator"] / entry["denominator"]
                    assert entry["interval"][0] <= entry["value"] <= entry["interval"][1], key
                else:
                    assert entry["value"] is None
    assert metrics["choices"]["hit_selection"] == "everything"
    assert metrics["diagnostics"] == []


def test_pooled_values_equal_summed_counts(events, metrics):
    selection = PRESETS["hitloom"].selections["pt>1.0"]
    each = [match_event(labels, truth, selection)["double_majority"] for _, labels, truth in events]
    entries = metrics["presets"]["hitloom"]["pt>1.0"]
    total = pool(each)
    for name in ("efficiency", "fake_per_track", "fake_per_matched_particle", "hit_purity"):
        assert entries[name + ".double_majority"]["value"] == pytest.approx(rate(name, total), rel=1e-14)
    per_event = np.array([rate("efficiency", item) for item in each])
    entry = entries["efficiency.double_majority"]
    assert entry["event_mean"] == pytest.approx(per_event.mean())
    assert entry["event_mean_standard_error"] == pytest.approx(per_event.std(ddof=1) / np.sqrt(6))
    k, n = entry["numerator"], entry["denominator"]
    assert entry["interval"] == pytest.approx([beta.ppf(0.16, k, n - k + 1), beta.ppf(0.84, k + 1, n - k)])
    assert entry["interval_kind"] == "clopper-pearson 68 %"
    fake = entries["fake_per_matched_particle.double_majority"]
    assert fake["interval_kind"] == "bootstrap over 6 events, 68 %, 200 resamples, seed 1"


def test_streaming_and_result_can_alternate(events, metrics):
    evaluator = Evaluator(num_resamples=200, hit_selection="everything")
    for number, (event_id, labels, truth) in enumerate(events, 1):
        evaluator.add(event_id, labels, truth)
        assert evaluator.result()["num_events"] == number
    assert evaluator.result() == metrics


def test_one_event_has_no_bootstrap(events):
    entries = evaluate(events[:1], presets=("eggnet",))["presets"]["eggnet"]["pt>=1.0"]
    assert set(entries) == {
        "efficiency.purity50",
        "fake_per_matched_particle.purity50",
        "duplicate_per_particle.purity50",
    }
    fake = entries["fake_per_matched_particle.purity50"]
    assert (fake["interval"], fake["event_interval"]) == (None, None)
    assert "one event" in fake["interval_kind"]
    assert entries["efficiency.purity50"]["interval"] is not None


def test_curves_sum_to_the_total(events, metrics):
    for target, selection in PRESETS["hitloom"].selections.items():
        curves = metrics["curves"]["hitloom"][target]
        assert set(curves) == {axis.name for axis in DEFAULT_AXES}
        num_tracks = metrics["presets"]["hitloom"][target]["fake_per_track.purity50"]["denominator"]
        for axis, content in curves.items():
            for key, curve in content["rates"].items():
                total = sum(curve["denominator"]) + sum(o["denominator"] for o in curve["outside"].values())
                if key.startswith("fake_per_track"):
                    assert total == num_tracks
                    assert curve["outside"]["noise"]["denominator"] > 0
                if key == "efficiency.double_majority" and axis in ("phi", "vertex_radius"):
                    assert total == metrics["presets"]["hitloom"][target]["efficiency.double_majority"]["denominator"]
        # In a pt curve pt is not cut: brute force over the particle tables.
        expected = np.zeros(9, dtype=int)
        for _, _, truth in events:
            keep = (np.abs(truth.eta) < selection.max_abs_eta) & (truth.num_points >= 3)
            expected += np.histogram(truth.pt[keep], bins=np.geomspace(1, 50, 10))[0]
        assert curves["pt"]["rates"]["efficiency.purity50"]["denominator"] == expected.tolist()
        assert len(curves["eta"]["edges"]) == 50


def test_event_mean_of_each_bin(events, metrics):
    selection = PRESETS["headline"].selections["pt>1.0"]
    edges = np.geomspace(1, 50, 10)
    values = np.full((6, 9), np.nan)
    for row, (_, labels, truth) in enumerate(events):
        keep = (np.abs(truth.eta) < selection.max_abs_eta) & (truth.num_points >= 3)
        found = match_tracks(contingency(labels, truth), "double_majority").found
        for number in range(9):
            inside = keep & (truth.pt >= edges[number]) & (truth.pt < edges[number + 1])
            if inside.any():
                values[row, number] = found[inside].mean()
    curve = metrics["curves"]["headline"]["pt>1.0"]["pt"]["rates"]["efficiency.double_majority"]
    for number in range(9):
        column = values[~np.isnan(values[:, number]), number]
        assert (curve["event_mean"][number] is None) == (column.size == 0)
        assert (curve["event_mean_standard_error"][number] is None) == (column.size < 2)
        if column.size > 1:
            assert curve["event_mean"][number] == pytest.approx(column.mean())
            expected = column.std(ddof=1) / np.sqrt(column.size)
            assert curve["event_mean_standard_error"][number] == pytest.approx(expected, abs=1e-7)


def test_axis_edges():
    axis = Axis(name="num_points", edges=(1.0, 2.0, 4.0))
    assert axis.bin_of([0.0, 1.0, 1.9, 2.0, 3.9, 4.0, np.nan]).tolist() == [0, 1, 1, 2, 2, 3, 4]
    phi = next(axis for axis in DEFAULT_AXES if axis.name == "phi")
    assert phi.bin_of([-np.pi, np.pi, np.float32(np.pi), 0.0]).tolist() == [1, 1, 1, 17]
    with pytest.raises(ConfigError, match="rising edges"):
        Axis(name="pt", edges=(1.0, 1.0))


def test_curves_without_the_quantity_are_left_out():
    truth = EventTruth.from_particle_ids([1, 1, 1])
    own = Preset(
        name="own", selections={"all": Selection()}, matches=("purity50",), rates=("efficiency",), source="test"
    )
    metrics = evaluate([(1, [0, 0, 0], truth)], presets=(own,), curves=("own",))
    assert list(metrics["curves"]["own"]["all"]) == ["num_points"]
    with pytest.raises(DataError, match="event 1: the truth has no particle quantity 'pt'"):
        evaluate([(1, [0, 0, 0], truth)], presets=("headline",))


def test_score_is_the_mean_over_events_with_weights(events, metrics):
    score = metrics["trackml_score"]
    each = [earned / total for earned, total in metrics["per_event"]["trackml_score"]]
    assert score["value"] == pytest.approx(np.mean(each))
    assert score["weights"] == ["random"]
    assert score["interval"][0] <= score["value"] <= score["interval"][1]
    plain = [(e, labels, EventTruth.from_particle_ids(truth.object_index + 1)) for e, labels, truth in events[:1]]
    own = Preset(name="own", selections={"all": Selection()}, matches=("purity50",), rates=("efficiency",), source="t")
    assert evaluate(plain, presets=(own,))["trackml_score"] is None


def test_failed_event_leaves_the_evaluator_unchanged(events):
    evaluator = Evaluator(presets=("headline",))
    evaluator.add(*events[0])
    before = evaluator.result()
    with pytest.raises(DataError, match="event 9: labels"):
        evaluator.add(9, np.zeros(3, dtype=np.int64), events[1][2])
    labels, truth = events[1][1:]
    fit = track_kinematics(np.ones((labels.size, 3)), labels)
    with pytest.raises(DataError, match="some events and not for others"):
        evaluator.add(9, labels, truth, kinematics=fit)
    assert evaluator.result() == before
    with pytest.raises(DataError, match="no event was evaluated"):
        Evaluator().result()
    with pytest.raises(ConfigError, match=r"unknown preset 'egnet'\. Did you mean 'eggnet'"):
        Evaluator(presets=("egnet",))


def test_fitted_rates_appear_with_kinematics(events):
    evaluator = Evaluator(presets=("headline",))
    for event_id, labels, truth in events[:2]:
        pos = np.random.default_rng(event_id).normal(0, 300, (labels.size, 3))
        evaluator.add(event_id, labels, truth, kinematics=track_kinematics(pos, labels))
    metrics = evaluator.result()
    entries = metrics["presets"]["headline"]["pt>1.0"]
    assert entries["fake_per_fitted_track.double_majority"]["denominator"] > 0
    curves = metrics["curves"]["headline"]["pt>1.0"]
    assert curves["pt"]["rates"]["fake_per_fitted_track.double_majority"]["of"].startswith("fitted")
    assert "fake_per_fitted_track.double_majority" not in curves["vertex_radius"]["rates"]
    assert metrics["choices"]["track_parameters"] == "fitted from the track's hits"


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (lambda n: np.full(n, -1), "all unassigned: no hit has a label in the only event"),
        (lambda n: np.arange(n), "no tracks: hits are labelled, but no track is long enough"),
        (lambda n: np.zeros(n, np.int64), "everything one cluster: one track holds at least 90 % of all hits"),
    ],
)
def test_loud_diagnostics(events, labels, sentence):
    _, old, truth = events[0]
    metrics = evaluate([(1, labels(old.size), truth)], presets=("headline",))
    assert any(text.startswith(sentence) for text in metrics["diagnostics"])
    assert any(text.startswith("efficiency 0: 'headline' 'pt>1.0'") for text in metrics["diagnostics"])


def test_more_diagnostics():
    soft = EventTruth(object_index=[0, 0, 0], object_id=[1], pt=[0.1], eta=[0.0])
    metrics = evaluate([(1, [0, 0, 0], soft)], presets=("headline",), truth_selected_input=True)
    assert metrics["diagnostics"][0].startswith("truth-selected input")
    assert metrics["diagnostics"][1].startswith("no target particles: 'headline' 'pt>1.0'")
    empty = EventTruth(object_index=np.zeros(0, np.int64), object_id=np.zeros(0, np.int64), pt=[], eta=[])
    good = EventTruth(object_index=[0, 0, 0], object_id=[1], pt=[2.0], eta=[0.0])
    loud = evaluate([(1, [0, 0, 0], good), (2, [], empty)], presets=("headline",))["diagnostics"]
    assert loud == ["no hits in 1 of 2 events (2)"]


def test_rows(events, metrics):
    pooled = rows_pooled(metrics)
    assert {row["preset"] for row in pooled} == {*PRESETS, "trackml"}
    assert all(row["definition"] and row["data_fingerprint"] for row in pooled)
    each = rows_per_event(metrics)
    assert len({tuple(row) for row in each}) == 1, "same columns in every row"
    num_blocks = sum(len(p.selections) * len(p.matches) for p in PRESETS.values())
    assert len(each) == 6 * num_blocks
    mine = [r for r in each if (r["preset"], r["target"], r["match"]) == ("hitloom", "pt>1.0", "double_majority")]
    entry = metrics["presets"]["hitloom"]["pt>1.0"]["efficiency.double_majority"]
    assert sum(row["num_found"] for row in mine) == entry["numerator"]
    assert mine[0]["efficiency"] == mine[0]["num_found"] / mine[0]["num_target"]
    bins = rows_binned(metrics)
    chosen = [
        r
        for r in bins
        if (r["preset"], r["target"], r["axis"], r["rate"]) == ("hitloom", "pt>0.5", "eta", "fake_per_track.lhc75")
    ]
    assert [row["bin"] for row in chosen[-4:]] == ["underflow", "overflow", "undefined", "noise"]
    assert sum(row["denominator"] for row in chosen) == sum(
        r["num_tracks"] for r in each if (r["preset"], r["target"], r["match"]) == ("hitloom", "pt>0.5", "lhc75")
    )


def test_timing_rows(events):
    evaluator = Evaluator(presets=("headline",), curves=())
    evaluator.add(*events[0], timing={"network": 0.5, "grouping": 0.1})
    evaluator.add(*events[1])
    assert rows_timing(evaluator.result()) == [{"event_id": "0", "num_points": 1500, "network": 0.5, "grouping": 0.1}]


def test_compare_finds_the_better_model(events, metrics):
    better = evaluate([(seed, *random_event(seed, quality=0.95)) for seed in range(5)])
    outcome = compare(json.loads(json.dumps(metrics)), better, num_resamples=300)
    assert outcome["num_events"] == 5
    assert (outcome["only_in_first"], outcome["only_in_second"]) == (["5"], [])
    entry = outcome["presets"]["hitloom"]["pt>1.0"]["efficiency.double_majority"]
    assert entry["difference"] == pytest.approx(entry["second"] - entry["first"])
    assert entry["interval"][0] > 0
    assert entry["fraction_above_zero"] == 1.0
    assert outcome["trackml_score"]["difference"] > 0
    same = compare(metrics, metrics)["presets"]["hitloom"]["pt>1.0"]["efficiency.double_majority"]
    assert (same["difference"], same["interval"]) == (0.0, [0.0, 0.0])


def test_compare_refuses_what_cannot_be_compared(events, metrics):
    with pytest.raises(DataError, match="versions 1 and 0"):
        compare(metrics, metrics | {"definition_version": "0"})
    with pytest.raises(DataError, match="share no event"):
        compare(metrics, evaluate([("x", *events[0][1:])]))
    with pytest.raises(DataError, match="event 0 has another truth"):
        compare(metrics, evaluate([(0, *events[1][1:])]))
    other = Preset(
        name="headline",
        selections={"pt>1.0": Selection(min_pt=1.0)},
        matches=("double_majority",),
        rates=("efficiency",),
        source="test",
    )
    with pytest.raises(DataError, match="not the same selection"):
        compare(metrics, evaluate(events, presets=(other,)))


def test_scan_rows_best_and_edges(events):
    def at(quality):
        return [random_event(seed, quality=quality)[0] for seed in range(3)]

    grid = {(0.1, 3): at(0.7), (0.2, 3): at(0.95), (0.3, 3): at(0.8)}
    stream = [(seed, {point: labels[seed] for point, labels in grid.items()}, events[seed][2]) for seed in range(3)]
    scan = json.loads(json.dumps(working_point_scan(stream), allow_nan=False))
    assert [(row["eps"], row["min_samples"]) for row in scan["rows"]] == [(0.1, 3), (0.2, 3), (0.3, 3)]
    assert scan["best"]["eps"] == 0.2
    assert scan["diagnostics"] == []
    alone = evaluate([(seed, grid[0.2, 3][seed], events[seed][2]) for seed in range(3)], presets=("headline",))
    entry = alone["presets"]["headline"]["pt>1.0"]["efficiency.double_majority"]
    assert scan["best"]["efficiency.double_majority"] == entry["value"]
    assert scan["best"]["efficiency.double_majority.interval"] == entry["interval"]
    cut = [(e, {point: v for point, v in labels.items() if point[0] < 0.25}, truth) for e, labels, truth in stream]
    assert "eps = 0.2 is the largest scanned" in working_point_scan(cut)["diagnostics"][0]
    with pytest.raises(DataError, match="same, non-empty set"):
        working_point_scan([stream[0], cut[1]])
    with pytest.raises(ConfigError, match="no target 'pt>2'"):
        working_point_scan(stream, target="pt>2")
    with pytest.raises(DataError, match="no event came"):
        working_point_scan([])


def test_truth_from_event():
    event = Event(
        pos=torch.zeros(4, 3),
        object_index=torch.tensor([1, 1, -1, 1]),
        object_id=torch.tensor([2**53, 2**53 + 1]),
        object_pt=torch.tensor([1.0, 2.5]),
        object_eta=torch.tensor([0.1, -0.2]),
        object_phi=torch.tensor([0.3, 0.4]),
        object_vertex=torch.tensor([[3.0, 4.0, 9.0], [0.0, 0.0, 1.0]]),
        object_num_points=torch.tensor([0, 5]),
        object_is_signal=torch.tensor([False, True]),
        point_weight=torch.tensor([0.1, 0.2, 0.0, 0.3]),
        truth_edge_index=torch.tensor([[0, 1], [1, 3]]),
    )
    truth = truth_from_event(event)
    assert truth.object_id.tolist() == [2**53, 2**53 + 1]
    assert truth.vertex_radius.tolist() == [5.0, 0.0]
    assert truth.vertex_z.tolist() == [9.0, 1.0]
    assert truth.num_points.tolist() == [0, 5]
    assert truth.is_signal.tolist() == [False, True]
    counts = match_event(torch.tensor([0, 0, -1, 0]), truth, Selection(require_signal=True))["double_majority"]
    assert (counts["num_target"], counts["num_found"]) == (1, 1)
    with pytest.raises(DataError, match="'object_index' is needed"):
        truth_from_event(Event(pos=torch.zeros(1, 3)))


def test_confusion_lists():
    #        particle: 1 good, 2 and 3 merged, 4 cloned (and split), 5 broken and half unassigned, noise track, mixed
    groups = [
        (0, 1, 5),
        (1, 2, 4),
        (1, 3, 4),
        (2, 4, 3),
        (3, 4, 3),
        (4, 0, 4),
        (5, 5, 2),
        (5, 6, 2),
        (6, 7, 4),
        (-1, 7, 1),
    ]
    labels = np.concatenate([[c] * n for c, _, n in groups])
    ids = np.concatenate([[p] * n for _, p, n in groups])
    outcome = track_confusion(labels, EventTruth.from_particle_ids(ids), Selection())
    assert outcome["good"] == [0, 6]
    assert outcome["merged"] == [{"track": 1, "particles": ["2", "3"]}]
    assert outcome["clone"] == [{"particle": "4", "tracks": [2, 3]}]
    assert outcome["split"] == [{"particle": "4", "tracks": [2, 3]}]
    assert outcome["noise"] == [4]
    assert outcome["mixed"] == [1, 5]
    assert outcome["missed"] == ["2", "3", "4"]
    json.dumps(outcome)


def test_acorn_preset_options():
    preset = acorn_preset("two_way", min_pt=0.5, min_track_length=5)
    selection = preset.selections["pt>=0.5"]
    assert (preset.matches, selection.min_track_hits, selection.particles_from) == (
        ("double_majority",),
        5,
        "truth_edges",
    )
    with pytest.raises(ConfigError, match="unknown acorn style"):
        acorn_preset("threeway")


def test_metrics_import_neither_torch_nor_plots():
    import subprocess
    import sys

    code = "import sys, hitloom.metrics; print([m for m in ('torch', 'matplotlib', 'plotly') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
