"""The evaluation of tracksters: what it counts, compares and records, on toy events and on the laws that must hold."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hitloom.data.trackster_merge import merge_tracksters
from hitloom.errors import ConfigError, DataError
from hitloom.grouping.components import components
from hitloom.metrics.associations import event_associations
from hitloom.report.config import EvaluationConfig
from hitloom.report.evaluate import evaluate_results
from hitloom.report.family import Inside, family_of, get_family
from hitloom.report.page import to_json
from hitloom.report.sources import Opened
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.report.tracksters.maps import OverlapMaps
from hitloom.report.tracksters.truths import every_label
from hitloom.report.tracksters.working_point import DEFAULT_CUTS, WorkingPoint, working_point_of
from hitloom.result import Result
from trackster_toy import toy_trackster_event

QUICK = TracksterEvaluationConfig(display=False, tables=False, baselines=(), num_resamples=50)


def scored(event, cut=0.5, noise=1.5, seed=0):
    """Return the result of a mediocre network: logits around the truth, joined above a cut."""
    generator = torch.Generator().manual_seed(int(event.event_id) + 1000 * seed)
    logit = 3.0 * (event.edge_y > 0).float() - 1.5 + noise * torch.randn(event.edge_y.shape, generator=generator)
    keep = logit.sigmoid() > cut
    labels = components(
        event.edge_index[:, keep], logit[keep].sigmoid(), num_points=event.num_points, score_cut=0.0, min_size=1
    )
    return Result(
        event_id=int(event.event_id),
        point_id=torch.arange(event.num_points),
        labels=labels,
        edge_index=event.edge_index,
        edge_score=logit,
        timing={"network": 0.01, "total": 0.02},
    )


def labelled(event, labels):
    return Result(event_id=int(event.event_id), point_id=torch.arange(event.num_points), labels=labels)


@pytest.fixture(scope="module")
def events():
    return [toy_trackster_event(seed, num_particles=6, num_pileup=4) for seed in range(4)]


@pytest.fixture(scope="module")
def results(events):
    return [scored(event) for event in events]


@pytest.fixture(scope="module")
def metrics(events, results):
    return evaluate_results(results, events=events, config=QUICK.model_copy(update={"baselines": ("merge_none",)}))


def test_the_events_choose_the_family(events):
    assert family_of(events).name == "tracksters"
    assert family_of(events, "tracks").name == "tracks"
    with pytest.raises(ConfigError, match="unknown family of evaluation 'trackster'. Did you mean 'tracksters'"):
        get_family("trackster")


def test_settings_of_another_family_are_refused(events, results):
    with pytest.raises(
        ConfigError, match="TracksterEvaluationConfig was wanted for these events, not EvaluationConfig"
    ):
        evaluate_results(results, events=events, config=EvaluationConfig())


def test_it_is_strict_json_with_the_parts_of_the_contract(metrics):
    again = json.loads(to_json(metrics))
    assert again["family"] == "tracksters"
    assert set(again["rates"]) == {"SC", "CP"}
    assert set(again["baselines"]) == {"merge_none"}
    assert all(isinstance(number, str) for number in again["per_event"]["event_id"])
    for truth in again["rates"].values():
        for kind in truth.values():
            for entry in kind.values():
                assert entry["definition"]
                assert entry["denominator"] == 0 or entry["value"] == entry["numerator"] / entry["denominator"]


def test_before_linking_is_merge_none(metrics):
    other = metrics["baselines"]["merge_none"]
    for key in ("rates", "overlap", "curves", "joined_edges"):
        assert metrics["before"][key] == other[key]


def test_rates_equal_those_of_merged_events_counted_by_hand(events, results, metrics):
    efficient = objects = fakes = candidates = 0
    for event, result in zip(events, results, strict=True):
        found = event_associations(merge_tracksters(event, result.labels))
        good = (event.object_pt >= 0.5) & (event.object_pt <= 300) & (event.object_eta.abs() < 3.1)
        good = good.numpy() & (found.object_energy > 0)
        track, thing = found.pair_index
        held = np.zeros(len(good), dtype=bool)
        held[thing[found.shared_energy / found.object_energy[thing] >= 0.5]] = True
        efficient, objects = efficient + int((held & good).sum()), objects + int(good.sum())
        close = np.bincount(track[found.reco_to_sim < 0.6], minlength=found.num_tracksters)
        fakes, candidates = fakes + int((close == 0).sum()), candidates + found.num_tracksters
    rates = metrics["rates"]["SC"]["all"]
    assert (rates["efficiency"]["numerator"], rates["efficiency"]["denominator"]) == (efficient, objects)
    assert (rates["fake"]["numerator"], rates["fake"]["denominator"]) == (fakes, candidates)


def test_a_perfect_linking_loses_only_what_the_graph_lost(events):
    perfect = []
    for event in events:
        alone = torch.arange(event.num_points) + event.num_objects
        perfect.append(labelled(event, torch.where(event.object_index >= 0, event.object_index, alone)))
    found = evaluate_results(perfect, events=events, config=QUICK)
    for kind in ("signal", "pileup"):
        assert found["overlap"]["SC"]["matches"][kind]["lost_fraction"] == pytest.approx(0, abs=1e-12)
    assert found["joined_edges"]["classes"]["all"]["weighted"]["f1"] == 1.0
    assert found["edges"] is None
    assert any("hold no scores of edges" in text for text in found["diagnostics"])


def test_merge_none_adds_nothing_and_merge_all_misses_nothing_that_the_graph_holds(events):
    alone = [labelled(event, torch.arange(event.num_points)) for event in events]
    found = evaluate_results(alone, events=events, config=QUICK.model_copy(update={"baselines": ("merge_all",)}))
    assert found["overlap"]["SC"]["matches"]["all"]["foreign"] == 0
    assert found["overlap"]["SC"]["components"]["all"]["foreign"] == 0
    everything = found["baselines"]["merge_all"]
    assert everything["overlap"]["SC"]["components"]["all"]["missing"] == pytest.approx(0, abs=1e-9)
    lost = found["candidate_graph"]["recall"]["SC"]["all"]["lost_energy"]
    assert everything["overlap"]["SC"]["matches"]["all"]["missing"] <= lost + 1e-9
    assert everything["decided_edges"]["classes"]["all"]["weighted"]["recall"] == 1.0


def test_order_of_events_and_names_of_labels_do_not_matter(events, results, metrics):
    renamed = [replace(result, labels=result.labels * 7 + 3) for result in results[::-1]]
    again = evaluate_results(renamed, events=events, config=QUICK)
    for key in ("rates", "overlap", "data_fingerprint", "candidate_graph"):
        first, second = json.loads(to_json(again[key])), json.loads(to_json(metrics[key]))
        if key == "rates":  # resampling weighs events by their place
            first, second = _plain(first), _plain(second)
        assert _close(first, second), key


def _plain(rates):
    return {t: {k: {r: e["numerator"] for r, e in v.items()} for k, v in kinds.items()} for t, kinds in rates.items()}


def _close(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_close(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(_close, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-9)
    return first == second


def test_a_result_compared_with_itself_differs_by_nothing(events, results):
    found = evaluate_results(results, events=events, config=QUICK, baselines={"same": results})
    compared = found["comparisons"]["same"]
    assert compared["num_events"] == len(events)
    for entry in (*compared["rates"]["SC"]["signal"].values(), *compared["edges"].values()):
        assert entry["difference"] in (0.0, None)
        assert entry["interval"] in ([0.0, 0.0], None)


def test_differences_are_those_of_the_tables(metrics):
    compared, other = metrics["comparisons"]["merge_none"], metrics["baselines"]["merge_none"]
    for rate, entry in compared["rates"]["CP"]["signal"].items():
        own, its = (item["rates"]["CP"]["signal"][rate]["value"] for item in (metrics, other))
        assert entry["difference"] == pytest.approx(own - its)
        assert entry["interval"][0] <= entry["difference"] <= entry["interval"][1] or entry["interval"][0] == 0.0
    lost = compared["overlap"]["SC"]["objects"]["signal"]
    assert lost["second"] == pytest.approx(metrics["overlap"]["SC"]["objects"]["signal"]["lost_fraction"])


def test_per_event_counts_add_up(metrics):
    events = metrics["per_event"]
    for truth, kinds in events["counts"].items():
        for kind, columns in kinds.items():
            entry = metrics["rates"][truth][kind]["merge"]
            assert sum(columns["num_merged"]) == entry["numerator"]
            assert sum(columns["num_tracksters"]) == entry["denominator"]
    weighted = metrics["decided_edges"]["classes"]["all"]["weighted"]
    assert sum(events["decisions"]["true_positive"]) == pytest.approx(weighted["true_positive"])


def test_tables_are_made_at_the_recorded_working_point(events):
    """Defect 13: summaries at the chosen threshold, accuracy over all edges, nothing of the last bin is lost."""
    results = [scored(event, cut=0.3) for event in events]
    opened = Opened(name="results", items=results, meta={"grouping": {"threshold": 0.3, "energy_cuts": None}})
    found = evaluate_results(opened, events=events, config=QUICK)
    assert found["edges"]["working_point"]["cuts"] == [[math.inf, 0.3]]
    merged = true = correct = total = 0.0
    for event, result in zip(events, results, strict=True):
        weight = event.energy.double()[event.edge_index].amax(0)
        passed, good = result.edge_score.sigmoid() > 0.3, event.edge_y > 0
        merged, true = merged + float(weight[passed].sum()), true + float(weight[good].sum())
        correct += float(weight[passed == good].sum())
        total += float(weight.sum())
    table = found["decided_edges"]["classes"]["all"]["weighted"]
    assert table["merged_fraction"] == pytest.approx(merged / total)
    assert table["true_fraction"] == pytest.approx(true / total)
    assert table["accuracy"] == pytest.approx(correct / total)
    bins = found["decided_edges"]["energy_bins"]
    assert sum(item["num_edges"] for item in bins) == found["decided_edges"]["num_edges"]
    assert sum(item["weighted"]["true_positive"] for item in bins) == pytest.approx(table["true_positive"])
    at_default = evaluate_results(results, events=events, config=QUICK)["decided_edges"]["classes"]["all"]["weighted"]
    assert at_default["merged_fraction"] != pytest.approx(table["merged_fraction"])


def test_decisions_of_the_working_point_join_what_the_labels_say(events):
    """Components of the decided edges are the stored labels: evaluation and linking use one rule."""
    cuts = ((40.0, 0.4), (math.inf, 0.7))
    point = WorkingPoint(cuts, "")
    for event in events:
        result = scored(event)
        weight = event.energy.double().numpy()[event.edge_index.numpy()].max(axis=0)
        passed = torch.as_tensor(point.passed(result.edge_score.sigmoid().numpy(), weight))
        below = torch.as_tensor(weight < 40.0)
        expected = result.edge_score.sigmoid() > torch.where(below, 0.4, 0.7)
        assert torch.equal(passed, expected)


@pytest.mark.parametrize(
    ("meta", "wanted", "cuts"),
    [
        ({}, None, DEFAULT_CUTS),
        ({"grouping": {}}, None, DEFAULT_CUTS),
        ({"grouping": {"threshold": 0.2}}, None, ((math.inf, 0.2),)),
        (
            {"grouping": {"threshold": 0.2, "energy_cuts": [[10, 0.1], [math.inf, 0.9]]}},
            None,
            ((10, 0.1), (math.inf, 0.9)),
        ),
        ({"grouping": {"threshold": 0.2}}, ((math.inf, 0.4),), ((math.inf, 0.4),)),
    ],
)
def test_where_the_working_point_comes_from(meta, wanted, cuts):
    assert working_point_of(meta, wanted).cuts == cuts


@pytest.mark.parametrize("cuts", [[], [[50, 0.5]], [[50, 0.5], [40, 0.6], [math.inf, 0.7]], [[math.inf, 1.5]]])
def test_impossible_thresholds_are_refused(cuts):
    with pytest.raises(ValueError, match="wanted"):
        TracksterEvaluationConfig(thresholds=cuts)


def mirrored(event):
    """Return the event seen in a mirror at z = 0."""
    other = event.clone()
    for name in ("pos", "part_pos"):
        other[name] = event[name] * torch.tensor([1.0, 1.0, -1.0])
    other.x = event.x.clone()
    for number, name in enumerate(event.column_names()):
        if name in ("barycenter_z", "barycenter_eta", "eVector0_z", "z_min", "z_max"):
            other.x[:, number] = -event.x[:, number]
    other.object_eta = -event.object_eta
    return other


def test_both_endcaps_are_in_the_maps(events):
    """Defect 15: an event and its mirror image give twice the entries, each in its own endcap."""
    event = events[0]
    labels = every_label(scored(event).labels.numpy())
    alone, both = OverlapMaps(12), OverlapMaps(12)
    alone.add(event, labels)
    both.add(event, labels)
    both.add(mirrored(event), labels)
    first, second = alone.result()["sides"], both.result()["sides"]
    for kind in ("signal", "pileup"):
        for name in ("missing", "foreign", "energy", "num_groups"):
            forward, backward = (np.array(first[side][kind][name]) for side in ("forward", "backward"))
            assert np.allclose(np.array(second["forward"][kind][name]), forward + backward)
            assert np.allclose(np.array(second["backward"][kind][name]), forward + backward)
    total = sum(np.array(first[side]["signal"]["num_groups"]).sum() for side in first)
    assert total == len(
        {index for index in event.object_index.tolist() if index >= 0 and event.object_is_signal[index]}
    )


def test_maps_hold_the_sums_of_the_tables(metrics):
    for state, source in (("after", metrics), ("before", metrics["before"])):
        sides = metrics["maps"][state]["sides"]
        assert metrics["maps"][state]["num_outside"] == 0
        for kind in ("signal", "pileup"):
            for name in ("missing", "foreign", "energy"):
                total = sum(np.array(sides[side][kind][name]).sum() for side in sides)
                assert total == pytest.approx(source["overlap"]["SC"]["matches"][kind][name], abs=1e-6)


def test_features_are_told_without_times_that_do_not_exist(metrics, events):
    found = metrics["features"]
    place = found["names"].index("time")
    missing = sum(int((event.x[:, place] <= -98).sum()) for event in events)
    assert found["histograms"][place]["missing"] == missing
    assert found["histograms"][place]["edges"][0] > 0
    correlation = np.array(found["correlation"], dtype=float)
    energy, em = (found["names"].index(name) for name in ("raw_energy", "raw_em_energy"))
    column = np.concatenate([event.x[:, [energy, em]].double().numpy() for event in events])
    assert correlation[energy, em] == pytest.approx(np.corrcoef(column.T)[0, 1], abs=1e-6)
    assert np.allclose(correlation, correlation.T, equal_nan=True)


def test_an_unmatched_trackster_is_a_class_of_its_own(metrics, events):
    """Defect 2 in the report: neither signal nor pile-up."""
    unmatched = sum(int((event.object_index < 0).sum()) for event in events)
    assert metrics["dataset"]["columns"]["unmatched_tracksters"]["total"] == unmatched
    columns = metrics["dataset"]["columns"]
    parts = sum(columns[f"{name}_tracksters"]["total"] for name in ("signal", "pileup", "unmatched"))
    assert parts == columns["tracksters"]["total"]


def test_one_trackster_none_and_no_edges_are_counted():
    small = [
        toy_trackster_event(0, num_particles=0),
        toy_trackster_event(1, num_particles=1, pieces=1, shared=0.0),
        toy_trackster_event(2, num_particles=2),
    ]
    results = [scored(event) for event in small]
    found = evaluate_results(results, events=small, config=QUICK.model_copy(update={"baselines": ("merge_all",)}))
    assert found["per_event"]["num_points"][:2] == [0, 1]
    json.loads(to_json(found))
    nothing = evaluate_results(results[:1], events=small[:1], config=QUICK)
    assert "no event holds a trackster" in nothing["diagnostics"]
    assert nothing["headline"]["rates"]["efficiency"]["value"] is None


def test_events_without_layer_clusters_have_no_official_rates(events, results):
    bare = []
    for event in events:
        copy = event.clone()
        for name in [name for name in copy.to_dict() if name.startswith(("part_", "member_", "share_"))]:
            del copy[name]
        bare.append(copy)
    with_skeleton = QUICK.model_copy(update={"baselines": ("skeleton",), "truths": ("SC",)})
    found = evaluate_results(results, events=bare, config=with_skeleton)
    assert found["rates"] == {}
    assert any("official rates need layer clusters" in text for text in found["diagnostics"])
    assert any(text.startswith("baseline skeleton could not be run") for text in found["diagnostics"])
    assert found["headline"]["lost_energy"]["groups"] == "matches"


def test_attributions_and_history_come_from_inside(events, results):
    history = [{"epoch": 0, "loss": 1.0}]
    inside = Inside(attributions=lambda some: {"score": {"time": float(len(some))}}, history=history)
    config = QUICK.model_copy(update={"num_attribution_events": 3})
    found = evaluate_results(results, events=events, config=config, inside=inside)
    assert found["attributions"]["values"] == {"score": {"time": 3.0}}
    assert found["history"] == history


def test_mistakes_are_one_line(events, results):
    blind = events[0].clone()
    del blind["edge_y"]
    calls = [
        (lambda: evaluate_results([], events=events), "no result to evaluate"),
        (
            lambda: evaluate_results(results[:1], events=[blind], config=QUICK),
            "'edge_y' is needed to evaluate a linking",
        ),
        (lambda: evaluate_results(results, events=events[:1], config=QUICK), "is not among the events"),
    ]
    for call, text in calls:
        with pytest.raises(DataError, match=text) as caught:
            call()
        assert "\n" not in str(caught.value)
    wanted = QUICK.model_copy(update={"display": True, "display_event": 99})
    with pytest.raises(ConfigError, match="display_event 99 is not among the results"):
        evaluate_results(results, events=events, config=wanted)
