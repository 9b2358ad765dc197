"""The evaluation from events and results to numbers: against a slow count, on empty input, at other working points."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from report_toy import toy_events, toy_result

from hitloom.config import build
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.grouping import dbscan
from hitloom.metrics import clopper_pearson
from hitloom.report.config import EvaluationConfig
from hitloom.report.evaluate import evaluate_results
from hitloom.report.page import to_json
from hitloom.report.pairs import pairs_of
from hitloom.report.scan_labels import Grid, same_partition
from hitloom.report.sources import Opened
from hitloom.result import Result

QUICK = EvaluationConfig(scan=False, display=False, knn_k=None, axes=("pt",), presets=("headline",), num_resamples=20)
STORED = {"eps": 0.15, "min_samples": 3}


@pytest.fixture(scope="module")
def events():
    return toy_events(3, num_particles=50)


@pytest.fixture(scope="module")
def results(events):
    return [toy_result(event) for event in events]


def slow_count(event: Event, result: Result) -> tuple[int, int, int, int]:
    """Oracle by loops and sets: targets, targets found, valid tracks, valid tracks that match, by double majority."""
    owner, labels = event.object_index.tolist(), result.labels.tolist()
    hits_of = {row: {hit for hit, own in enumerate(owner) if own == row} for row in range(event.num_objects)}
    tracks = [{hit for hit, label in enumerate(labels) if label == name} for name in set(labels) - {-1}]
    valid = [track for track in tracks if len(track) >= 3]
    targets = {
        row
        for row, hits in hits_of.items()
        if len(hits) >= 3 and event.object_pt[row] > 1 and abs(event.object_eta[row]) < 2.5
    }
    found, num_matched = set(), 0
    for track in valid:
        pairs = [row for row, hits in hits_of.items() if 2 * len(track & hits) > max(len(track), len(hits))]
        num_matched += bool(pairs)
        found |= set(pairs) & targets
    return len(targets), len(found), len(valid), num_matched


def test_headline_equals_a_slow_count(events, results):
    metrics = evaluate_results(results, events=events, config=QUICK)
    sums = np.sum([slow_count(event, result) for event, result in zip(events, results, strict=True)], axis=0)
    targets, found, valid, matched = (int(value) for value in sums)
    rates = metrics["headline"]["rates"]
    efficiency, fakes = rates["efficiency.double_majority"], rates["fake_per_track.double_majority"]
    assert (efficiency["numerator"], efficiency["denominator"]) == (found, targets)
    assert (fakes["numerator"], fakes["denominator"]) == (valid - matched, valid)
    low, high = clopper_pearson(found, targets)
    assert efficiency["interval"] == pytest.approx([float(low), float(high)])
    assert metrics["headline"]["sample"]["num_hits"] == sum(event.num_points for event in events)
    assert "pt > 1 GeV, |eta| < 2.5, >= 3 hits" in metrics["headline"]["cuts"]
    assert metrics["headline"]["matching"]["name"] == "double_majority"


def test_order_of_events_and_of_points_does_not_matter(events, results):
    expected = evaluate_results(results, events=events, config=QUICK)["headline"]["rates"]
    shuffled = []
    for result in results:
        order = torch.randperm(len(result.labels), generator=torch.Generator().manual_seed(3))
        shuffled.append(replace(result, point_id=result.point_id[order], labels=result.labels[order], embedding=None))
    found = evaluate_results(shuffled[::-1], events=(event for event in events), config=QUICK)["headline"]["rates"]
    for key, entry in expected.items():
        assert (found[key]["numerator"], found[key]["denominator"]) == (entry["numerator"], entry["denominator"])


def test_scan_holds_the_working_point_and_agrees_with_the_stored_labels(events, results):
    config = QUICK.model_copy(update={"scan": True, "eps_grid": (0.1, 0.2), "min_samples_grid": (3,)})
    metrics = evaluate_results(
        Opened(name="toy", items=results, meta={"grouping": STORED}), events=events, config=config
    )
    scan = metrics["scan"]
    assert [row["eps"] for row in scan["rows"]] == [0.1, 0.15, 0.2]
    assert scan["working_point"] == STORED
    at = next(row for row in scan["rows"] if row["eps"] == 0.15)
    for key, entry in metrics["headline"]["rates"].items():
        assert at[f"{key}.numerator"] == entry["numerator"]
    assert not any("does not reproduce" in text for text in metrics["diagnostics"])
    wrong = Opened(name="toy", items=results, meta={"grouping": STORED | {"eps": 0.4}})
    assert any(
        "does not reproduce" in text for text in evaluate_results(wrong, events=events, config=config)["diagnostics"]
    )


def test_a_best_value_at_an_edge_is_said(events, results):
    config = QUICK.model_copy(update={"scan": True, "eps_grid": (0.01, 0.02, 0.15), "min_samples_grid": (3,)})
    metrics = evaluate_results(results, events=events, config=config)
    assert any("best value at an edge: eps = 0.15" in text for text in metrics["diagnostics"])


def test_a_grid_value_equal_up_to_rounding_is_one_point():
    grid = Grid.build((0.1, 0.1 + 0.05), (3,), Opened(name="", items=[], meta=STORED).working_point)
    assert len(grid.eps) == 2
    assert grid.stored.eps in grid.eps


def test_another_working_point_groups_again(events, results):
    config = QUICK.model_copy(update={"eps": 0.3, "min_samples": 2})
    found = evaluate_results(results, events=events, config=config)["headline"]["rates"]
    again = [replace(result, labels=dbscan(result.embedding, eps=0.3, min_samples=2)) for result in results]
    expected = evaluate_results(again, events=events, config=QUICK)["headline"]["rates"]
    assert {key: entry["numerator"] for key, entry in found.items()} == {
        key: entry["numerator"] for key, entry in expected.items()
    }
    with pytest.raises(ConfigError, match="give both eps and min_samples"):
        evaluate_results(results, events=events, config=QUICK.model_copy(update={"eps": 0.3}))


def test_a_collapsed_embedding_is_scanned_and_said(events, results):
    collapsed = [replace(result, embedding=torch.zeros(len(result.labels), 3)) for result in results]
    config = QUICK.model_copy(update={"scan": True, "eps": 0.1, "min_samples": 3, "min_samples_grid": (3,)})
    metrics = evaluate_results(collapsed, events=events, config=config)
    assert len(metrics["scan"]["rows"]) == 10
    assert any("everything one cluster" in text for text in metrics["diagnostics"])


def test_own_targets_are_the_ranges_given(events, results):
    targets = {"hit_particle_pt": [2.0, np.inf], "hit_particle_nhits": [5, np.inf], "abs_eta": [0, 1.5]}
    config = build(EvaluationConfig, QUICK.model_dump() | {"targets": targets})
    metrics = evaluate_results(results, events=events, config=config)
    expected = sum(
        int(
            (
                (event.object_pt >= 2)
                & (event.object_eta.abs() <= 1.5)
                & (torch.bincount(event.object_index[event.object_index >= 0], minlength=event.num_objects) >= 5)
            ).sum()
        )
        for event in events
    )
    entry = metrics["presets"]["own"]["targets"]["efficiency.double_majority"]
    assert entry["denominator"] == expected > 0


def test_points_outside_the_input_bound_what_can_be_found(events):
    event = events[0]
    keep = torch.rand(event.num_points, generator=torch.Generator().manual_seed(1)) < 0.3
    result = replace(toy_result(event), in_input=keep)
    result = replace(result, labels=torch.where(keep, result.labels, -1))
    opened = Opened(
        name="toy", items=[result], meta={"truth_selected_input": True, "hard_cuts": "object_pt:\n- 1.0\n- .inf\n"}
    )
    metrics = evaluate_results(opened, events=[event], config=QUICK)
    first, last = metrics["loss_budget"]["stages"][0], metrics["loss_budget"]["stages"][-1]
    assert first["findable"]["value"] < 0.6
    assert last["findable"]["numerator"] <= first["findable"]["numerator"]
    assert metrics["headline"]["sample"]["truth_selected_input"] is True
    assert "object_pt:, - 1.0, - .inf" in metrics["headline"]["sample"]["hit_selection"]


def test_graphs_of_the_network_become_stages(events, results):
    from hitloom.result import Graph

    def graphs(event: Event) -> list[Graph]:
        rows = torch.arange(event.num_points)
        same = (event.object_index[:, None] == event.object_index) & (event.object_index >= 0)
        everything = torch.stack(torch.nonzero(same & (rows[:, None] != rows), as_tuple=True))
        return [Graph(name="perfect", edge_index=everything), Graph(name="empty", edge_index=everything[:, :0])]

    metrics = evaluate_results(results, events=events, config=QUICK, graphs=graphs)
    stages = {stage["name"]: stage for stage in metrics["loss_budget"]["stages"]}
    assert stages["perfect"]["findable"]["value"] == 1.0
    assert stages["empty"]["findable"]["value"] == 0.0
    assert stages["grouping"]["cumulative"]["numerator"] == stages["grouping"]["findable"]["numerator"]


def test_baselines_have_the_same_structure_and_a_paired_comparison(events, results):
    worse = [toy_result(event, quality=0.5) for event in events]
    metrics = evaluate_results(results, events=events, config=QUICK, baselines={"worse": iter(worse), "same": results})
    for name in ("worse", "same"):
        other = metrics["baselines"][name]
        assert set(metrics) - set(other) == {"baselines", "comparisons"}
        assert other["presets"]["headline"].keys() == metrics["presets"]["headline"].keys()
    key = "efficiency.double_majority"
    same = metrics["comparisons"]["same"]["presets"]["headline"]["pt>1.0"][key]
    worse_entry = metrics["comparisons"]["worse"]["presets"]["headline"]["pt>1.0"][key]
    assert (same["difference"], same["interval"]) == (0.0, [0.0, 0.0])
    assert worse_entry["difference"] > 0


def test_a_baseline_counts_only_the_events_of_the_results(events, results):
    metrics = evaluate_results(results[:1], events=events, config=QUICK, baselines={"all": results})
    assert metrics["baselines"]["all"]["num_events"] == 1
    with pytest.raises(DataError, match="baseline other: no result of any of the 1 events"):
        evaluate_results(results[:1], events=events, config=QUICK, baselines={"other": results[1:]})


def noise_only() -> tuple[Event, Result]:
    event = Event(
        pos=torch.rand(6, 3),
        object_index=torch.full((6,), -1),
        object_id=torch.empty(0, dtype=torch.int64),
        object_pt=torch.empty(0),
        object_eta=torch.empty(0),
        event_id=1,
    )
    return event, Result(event_id=1, point_id=torch.arange(6), labels=torch.tensor([0, 0, 0, 1, 1, -1]))


def test_undefined_rates_are_null_and_said_aloud():
    event, result = noise_only()
    metrics = evaluate_results([result], events=[event], config=QUICK)
    entry = metrics["headline"]["rates"]["efficiency.double_majority"]
    assert (entry["value"], entry["interval"], entry["denominator"]) == (None, None, 0)
    fakes = metrics["headline"]["rates"]["fake_per_track.double_majority"]
    assert (fakes["numerator"], fakes["denominator"]) == (1, 1)
    assert any("no target particles" in text for text in metrics["diagnostics"])
    content = json.loads(to_json(metrics), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["headline"]["rates"]["efficiency.double_majority"]["value"] is None


def test_an_event_without_points_is_counted():
    empty = torch.empty(0, dtype=torch.int64)
    event = Event(
        pos=torch.empty(0, 3),
        object_index=empty,
        object_id=torch.tensor([5]),
        object_pt=torch.ones(1),
        object_eta=torch.zeros(1),
        event_id=2,
    )
    result = Result(event_id=2, point_id=empty, labels=empty, embedding=torch.empty(0, 4))
    config = QUICK.model_copy(update={"scan": True, "knn_k": 3})
    metrics = evaluate_results([result], events=[event], config=config)
    assert any("no hits" in text for text in metrics["diagnostics"])


def test_wrong_input_is_one_line(events, results):
    no_truth = Event(pos=events[0].pos, point_id=events[0].point_id, event_id=events[0].event_id)
    cases = [
        (lambda: evaluate_results([], events=events), "no result to evaluate"),
        (lambda: evaluate_results(results), "do not name their event store"),
        (lambda: evaluate_results(results, events=events[:1], config=QUICK), "is not among the events"),
        (lambda: evaluate_results([results[0]] * 2, events=events, config=QUICK), "came twice"),
        (lambda: evaluate_results(results, events=[events[0]] * 2, config=QUICK), "came twice"),
        (lambda: evaluate_results(results[:1], events=[no_truth], config=QUICK), "'object_index' is needed"),
    ]
    for call, message in cases:
        with pytest.raises(DataError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_events_in_another_order_are_found_by_id(events, results):
    found = [(int(event.event_id), result.event_id) for event, result in pairs_of(events[::-1], results)]
    assert found == [(result.event_id, result.event_id) for result in results]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pt_edge": [1, 2]}, "Did you mean 'pt_edges'"),
        ({"targets": {"pT": [1, 2]}}, "unknown quantity 'pT'"),
        ({"targets": {"pt": [2, 1]}}, "low <= high"),
        ({"targets": {"num_points": [3, 9]}}, "whole number from 1"),
        ({"eps_grid": [0.1, -1]}, "above 0"),
        ({"pt_edges": [1, 1]}, "rising edges"),
        ({"y_range": [1, 0]}, "low < high"),
        ({"eps": 0}, "greater than 0"),
    ],
)
def test_configuration_mistakes_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        build(EvaluationConfig, values)


def test_same_partition_knows_renamed_from_different():
    first = np.array([0, 0, 1, 1, -1])
    assert same_partition(first, np.array([7, 7, 2, 2, -1]))
    assert not same_partition(first, np.array([7, 7, 7, 7, -1]))
    assert not same_partition(first, np.array([7, 7, 2, 3, -1]))
    assert not same_partition(first, np.array([7, 7, 2, 2, 2]))


def test_events_that_were_cut_by_truth_before_they_were_stored_say_so(events, results):
    from hitloom.data.transforms import hard_cut

    cut = [hard_cut(event, {"object_pt": [0.0, ".inf"]}) for event in events]
    fitting = [toy_result(event) for event in cut]
    sample = evaluate_results(fitting, events=cut, config=QUICK)["headline"]["sample"]
    assert sample["truth_selected_input"] is True
    assert "object_pt" in sample["hit_selection"]
    assert evaluate_results(results, events=events, config=QUICK)["headline"]["sample"]["truth_selected_input"] is False
