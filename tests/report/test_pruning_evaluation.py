"""Evaluation of pruning: numbers against scikit-learn, one code path for all methods, mistakes in one clear line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pruning_results import result_of, tracksters
from sklearn import metrics as oracle

from hitloom.errors import DataError
from hitloom.report.evaluate import evaluate_results
from hitloom.report.family import Inside, family_of
from hitloom.report.pruning.choose import chosen_tracksters
from hitloom.report.pruning.columns import columns_of
from hitloom.report.pruning.config import PruningEvaluationConfig
from hitloom.report.pruning.text import side_by_side_lines, summary_lines
from hitloom.report.pruning.view import view_of_event
from hitloom.result import Result

SMALL = PruningEvaluationConfig(num_resamples=50, baselines=(), plots=False, display=False, num_displays=3)


@pytest.fixture(scope="module")
def events():
    return tracksters()


@pytest.fixture(scope="module")
def metrics(events):
    others = {"weak": [result_of(event, power=0.5, seed=1) for event in events]}
    return evaluate_results([result_of(event) for event in events], events=events, config=SMALL, baselines=others)


def truth_and_scores(events, **kwargs):
    results = [result_of(event, **kwargs) for event in events]
    return (
        np.concatenate([event.point_y.numpy() > 0.5 for event in events]),
        np.concatenate([-result.point_score.numpy() for result in results]),
    )


def test_events_of_tracksters_choose_the_family(events):
    assert family_of(events).name == "pruning"


def test_numbers_of_every_method_equal_scikit_learn(events, metrics):
    for found, kwargs in ((metrics, {}), (metrics["baselines"]["weak"], {"power": 0.5, "seed": 1})):
        truth, score = truth_and_scores(events, **kwargs)
        rates = found["rates"]["all"]
        assert rates["f1"]["value"] == pytest.approx(oracle.f1_score(truth, score > 0))
        assert rates["precision"]["value"] == pytest.approx(oracle.precision_score(truth, score > 0))
        assert found["probability"]["auc"]["value"] == pytest.approx(oracle.roc_auc_score(truth, score))
        probability = 1 / (1 + np.exp(-score.astype(np.float64)))
        assert rates["log_likelihood"]["value"] == pytest.approx(-oracle.log_loss(truth, probability), abs=1e-6)


def test_scan_at_one_half_equals_the_stored_decisions(metrics):
    place = metrics["scan"]["threshold"].index(0.5)
    for name in ("f1", "exact_match", "energy_sum"):
        assert metrics["scan"][name][place] == pytest.approx(metrics["rates"]["all"][name]["value"])


def test_another_threshold_decides_again_from_the_scores(events, metrics):
    config = SMALL.model_copy(update={"threshold": 0.8})
    found = evaluate_results([result_of(event) for event in events], events=events, config=config)
    place = metrics["scan"]["threshold"].index(0.8)
    assert found["rates"]["all"]["f1"]["value"] == pytest.approx(metrics["scan"]["f1"][place])


def test_purity_and_completeness_follow_the_particle(metrics):
    entries, counts = metrics["rates"]["all"], metrics["per_event"]["counts"]
    assert entries["purity_before"]["value"] == pytest.approx(
        0.9 * sum(counts["energy_to_keep"]) / sum(counts["energy"])
    )
    assert entries["completeness_before"]["value"] == pytest.approx(0.8)
    kept = 0.9 * sum(counts["energy_kept_right"]) / sum(counts["energy_kept"])
    assert entries["purity_after"]["value"] == pytest.approx(kept, rel=1e-5)


def test_differences_are_paired_and_of_the_same_tracksters(metrics):
    found = metrics["comparisons"]["weak"]["rates"]["all"]["f1"]
    own, other = (item["rates"]["all"]["f1"]["value"] for item in (metrics, metrics["baselines"]["weak"]))
    assert found["difference"] == pytest.approx(own - other)
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    itself = evaluate_results(
        [result_of(event) for event in tracksters()], events=tracksters(), config=SMALL,
        baselines={"same": [result_of(event) for event in tracksters()]},
    )  # fmt: skip
    assert itself["comparisons"]["same"]["rates"]["all"]["f1"]["interval"] == [0.0, 0.0]


def test_order_of_the_results_does_not_change_a_rate(events, metrics):
    shuffled = evaluate_results([result_of(event) for event in reversed(events)], events=events, config=SMALL)
    for name, entry in metrics["rates"]["all"].items():
        assert shuffled["rates"]["all"][name]["value"] == pytest.approx(entry["value"])


def test_points_are_joined_by_their_ids(events, metrics):
    results = []
    for event in events:
        result = result_of(event)
        order = torch.randperm(event.num_points, generator=torch.Generator().manual_seed(1))
        results.append(
            replace(
                result,
                point_id=result.point_id[order],
                labels=result.labels[order],
                point_score=result.point_score[order],
            )
        )
    found = evaluate_results(results, events=events, config=SMALL)
    assert found["rates"]["all"]["f1"]["value"] == metrics["rates"]["all"]["f1"]["value"]
    assert found["probability"]["auc"]["value"] == metrics["probability"]["auc"]["value"]


def test_report_says_that_decisions_are_free_running_and_what_the_headline_rests_on(metrics):
    head = metrics["headline"]
    assert head["decisions"].startswith("free-running")
    assert "no label was read" in head["decisions"]
    assert all(head[name] for name in ("cuts", "matching", "interval"))
    assert head["sample"]["num_tracksters"] == 24
    for lines in (summary_lines(metrics), side_by_side_lines(metrics)):
        assert any("free-running" in line for line in lines)
    assert not any("teacher" in line for line in summary_lines(metrics))


def test_results_without_scores_have_no_curves_and_say_so(events):
    results = [replace(result_of(event), point_score=None) for event in events]
    found = evaluate_results(results, events=events, config=SMALL)
    assert found["probability"] is None
    assert found["scan"] is None
    assert "log_likelihood" not in found["rates"]["all"]
    assert any("no scores" in text for text in found["diagnostics"])
    assert summary_lines(found)


def test_scores_of_a_rule_order_layer_clusters_but_are_no_probabilities(events):
    config = SMALL.model_copy(update={"baselines": ("keep_all", "energy_distance")})
    found = evaluate_results([result_of(event) for event in events], events=events, config=config)
    rule, keep = found["baselines"]["energy_distance"], found["baselines"]["keep_all"]
    assert rule["probability"]["auc"]["value"] is not None
    assert "calibration_error" not in rule["probability"]
    assert rule["scan"] is None
    assert "log_likelihood" not in rule["rates"]["all"]
    assert keep["rates"]["all"]["f1"]["value"] == 0.0
    assert keep["rates"]["all"]["energy_sum"]["value"] == 1.0
    assert side_by_side_lines(found)


def test_a_sample_with_nothing_to_prune_is_undefined_and_not_zero():
    events = tracksters(6, share=0.0)
    found = evaluate_results([result_of(event) for event in events], events=events, config=SMALL)
    assert found["rates"]["all"]["recall"]["value"] is None
    assert found["probability"]["auc"]["value"] is None
    assert any("nothing" in text or "no layer cluster" in text for text in found["diagnostics"])
    assert any("–" in line for line in summary_lines(found))


def test_missing_labels_are_said_with_the_event_the_field_and_the_mend(events):
    from pruning_toy import toy_trackster

    bare = [toy_trackster(4, seed=3, labelled=False)]
    with pytest.raises(DataError, match=r"toy\[event 3\]: no point_y.*mend"):
        evaluate_results([result_of(bare[0])], events=bare, config=SMALL)


def test_a_score_that_is_not_a_number_is_refused(events):
    broken = [result_of(event) for event in events]
    broken[4].point_score[0] = float("nan")
    with pytest.raises(DataError, match=r"event 4.*point_score.*mend"):
        evaluate_results(broken, events=events, config=SMALL)


def test_a_result_that_lacks_layer_clusters_is_refused(events):
    short = result_of(events[5])
    short = Result(event_id=5, point_id=short.point_id[1:], labels=short.labels[1:])
    with pytest.raises(DataError, match="says nothing of 1 of"):
        evaluate_results([short], events=events, config=SMALL)


def test_labels_do_not_reach_what_is_read_of_a_method(events):
    """Only the truth column differs when labels are turned around: decisions and scores stay."""
    results = [result_of(event) for event in events]
    turned = [event.clone() for event in events]
    for event in turned:
        event.point_y = 1 - event.point_y
    first, second = columns_of(events, results), columns_of(turned, results)
    assert np.array_equal(first.pruned, second.pruned)
    assert np.array_equal(first.logit, second.logit)
    assert np.array_equal(first.truth, ~second.truth)
    assert first.fingerprint != second.fingerprint


def test_samples_of_a_model_are_ranked_by_trackster(events):
    def samples(some, number):
        drawn = np.concatenate([event.point_y.numpy() > 0.5 for event in some])
        return np.repeat(drawn[None], number, axis=0)

    found = evaluate_results(
        [result_of(event) for event in events], events=events, config=SMALL, inside=Inside(samples=samples)
    )["samples"]
    assert found["groups"]["all"]["top_accuracy"][0]["value"] == 1.0
    assert found["groups"]["all"]["top_mass"][0] == 1.0
    assert found["groups"]["with_positive"]["num_tracksters"] < found["num_tracksters"] == 24


def test_tracksters_for_the_display_are_the_same_for_any_order(events):
    results = [result_of(event) for event in events]
    columns, turned = columns_of(events, results), columns_of(events, results[::-1])
    chosen = chosen_tracksters(columns.counts(), columns.event_id, 6)
    other = chosen_tracksters(turned.counts(), turned.event_id, 6)
    assert [(columns.event_id[row], why) for row, why in chosen] == [(turned.event_id[row], why) for row, why in other]
    assert len({row for row, _ in chosen}) == 6
    assert [why for _, why in chosen][::2] == ["typical", "largest gain", "largest loss"]


def test_a_view_without_truth_tells_kept_from_pruned(events):
    event = events[3].clone()
    result = result_of(event)
    del event.point_y
    view = view_of_event(event, result)
    assert view.to_prune is None
    assert view.kind() == ["TP" if gone else "TN" for gone in (result.labels < 0).tolist()]
