"""Edges weighted by energy against scikit-learn; bins, classes, thresholds, reliability and ROC."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.edge_energy import PAIR_CLASSES, EdgeEnergy, confusion, edge_rates, energy_bin, joined
from hitloom.metrics.edge_probability import FALLBACK_THRESHOLD, reliability, threshold_scan, weighted_roc


def random_edges(seed: int, number: int = 400):
    rng = np.random.default_rng(seed)
    target = np.where(rng.random(number) < 0.6, rng.uniform(0.1, 1, number), 0.0)
    probability = np.clip(rng.normal(0.35, 0.2, number) + 0.3 * (target > 0), 0, 1)
    return {
        "probability": probability,
        "target": target,
        "weight": rng.gamma(0.7, 40, number),
        "pair_class": rng.integers(0, 4, number),
    }


@pytest.mark.parametrize("weighted", [True, False])
def test_rates_equal_scikit_learn(weighted):
    edges = random_edges(0)
    true, merged = edges["target"] > 0, edges["probability"] > 0.45
    weight = edges["weight"] if weighted else None
    found = edge_rates(confusion(merged, true, weight))
    options = {"sample_weight": weight}
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(true, merged, **options))
    assert found["balanced_accuracy"] == pytest.approx(oracle.balanced_accuracy_score(true, merged, **options))
    assert found["precision"] == pytest.approx(oracle.precision_score(true, merged, **options))
    assert found["recall"] == pytest.approx(oracle.recall_score(true, merged, **options))
    assert found["specificity"] == pytest.approx(oracle.recall_score(~true, ~merged, **options))
    assert found["negative_predictive_value"] == pytest.approx(oracle.precision_score(~true, ~merged, **options))
    assert found["f1"] == pytest.approx(oracle.f1_score(true, merged, **options))
    ratios = oracle.class_likelihood_ratios(true, merged, **options)
    assert (found["lr_plus"], found["lr_minus"]) == pytest.approx(ratios)
    assert found["merged_fraction"] == pytest.approx(np.average(merged, weights=weight))
    assert found["true_fraction"] == pytest.approx(np.average(true, weights=weight))


def test_accuracy_counts_what_was_rightly_left_apart():
    """Linking defect 13: accuracy is (TP + TN) / all, not TP / all."""
    assert edge_rates(confusion([False, True], [False, True]))["accuracy"] == 1.0


def test_undefined_rates_are_not_numbers():
    nothing = edge_rates(confusion([], []))
    assert all(np.isnan(value) for value in nothing.values())
    assert edge_rates(confusion([True], [True]))["lr_plus"] != edge_rates(confusion([True], [True]))["lr_plus"]
    only_good = edge_rates(confusion([True, False], [True, False]))
    assert only_good["lr_plus"] == np.inf


def test_bins_of_energy_hold_their_ends():
    """Linking defect 13: nothing falls out, the largest value least of all."""
    assert energy_bin([0.0, 4.9, 5.0, 10.0, 49.0, 50.0, 299.0, 300.0, 1e6]).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 6]
    total = EdgeEnergy()
    edges = random_edges(1)
    total.add(**edges)
    bins = total.result()["energy_bins"]
    assert sum(part["num_edges"] for part in bins) == 400
    assert (bins[0]["low"], bins[-1]["high"]) == (edges["weight"].min(), max(300, edges["weight"].max()))
    assert [part["high"] for part in bins[:-1]] == [part["low"] for part in bins[1:]] == [5, 10, 20, 50, 100, 300]


def test_classes_and_bins_add_up_over_events():
    total, everything = EdgeEnergy(threshold=0.4), []
    for seed in range(3):
        everything.append(random_edges(seed, 100 + seed))
        assert total.add(**everything[-1])
    result = total.result()
    assert json.loads(json.dumps(result))["num_edges"] == 303
    joint = {name: np.concatenate([edges[name] for edges in everything]) for name in everything[0]}
    for k, name in enumerate(PAIR_CLASSES):
        rows = joint["pair_class"] == k
        wanted = confusion(joint["probability"][rows] > 0.4, joint["target"][rows] > 0, joint["weight"][rows])
        found = result["classes"][name]
        assert {count: found["weighted"][count] for count in wanted} == pytest.approx(wanted)
        assert found["num_edges"] == rows.sum()
    whole = result["classes"]["all"]
    for side in ("weighted", "plain"):
        for count in ("true_positive", "false_positive", "false_negative", "true_negative"):
            assert whole[side][count] == pytest.approx(sum(result["classes"][n][side][count] for n in PAIR_CLASSES))
            assert whole[side][count] == pytest.approx(sum(part[side][count] for part in result["energy_bins"]))
    low, high = result["f1_interval"]
    assert low <= whole["weighted"]["f1"] <= high


def test_tables_are_made_at_the_threshold_asked_for():
    """Linking defect 13: the chosen threshold, not the default."""
    total = EdgeEnergy(threshold=0.9)
    total.add(**random_edges(2))
    assert total.result()["classes"] != total.result(0.3)["classes"]
    assert total.result(0.3)["threshold"] == 0.3
    lower, upper = (total.result(cut)["classes"]["all"]["plain"]["merged_fraction"] for cut in (0.3, 0.9))
    assert lower > upper


def test_no_room_and_no_edges():
    total = EdgeEnergy(max_edges=10)
    assert not total.add(**random_edges(0))
    assert total.result()["classes"]["all"]["num_edges"] == total.num_events == 0
    assert total.add(probability=[], target=[], weight=[])
    assert total.result()["classes"]["all"]["weighted"]["f1"] is None


def test_bad_edges_are_named():
    total = EdgeEnergy()
    with pytest.raises(DataError, match=r"probability of edge 1 is 1.5; wanted 0 to 1"):
        total.add(probability=[0.5, 1.5], target=[0, 1], weight=[1, 1])
    with pytest.raises(DataError, match="one length were wanted"):
        total.add(probability=[0.5], target=[0, 1], weight=[1, 1])
    with pytest.raises(DataError, match="edge 0 is nan"):
        total.add(probability=[np.nan], target=[0], weight=[1])


def test_decisions_of_labels():
    edges = np.array([[0, 1, 2], [1, 2, 3]])
    assert joined(edges, [4, 4, -1, -1]).tolist() == [True, False, False]


def test_scan_finds_the_known_optimum():
    """Linking defect 3: the arguments are in order and the best threshold is found, wherever it is."""
    for best in (0.05, 0.25, 0.5, 0.8, 0.95):
        true = np.linspace(best + 0.01, min(best + 0.04, 0.999), 20)
        false = np.concatenate([np.linspace(0, best - 0.001, 20), np.linspace(best - 0.04, best - 0.001, 20)])
        edges = {"probability": np.append(true, false), "target": np.append(np.full(20, 0.7), np.zeros(40))}
        for rule in ("global", "first_local"):
            found = threshold_scan(**edges, rule=rule)
            if rule == "first_local" and best == 0.95:
                assert found.threshold == FALLBACK_THRESHOLD  # the F1 never falls
            else:
                assert (found.threshold, found.f1) == (best, 1.0)


def test_scan_is_the_best_of_all_by_weight():
    edges = random_edges(3)
    arguments = {name: edges[name] for name in ("probability", "target", "weight")}
    found = threshold_scan(**arguments)
    cuts = [round(0.05 * k, 2) for k in range(1, 20)]
    scores = [
        oracle.f1_score(edges["target"] > 0, edges["probability"] > cut, sample_weight=edges["weight"]) for cut in cuts
    ]
    assert found.curves["threshold"] == pytest.approx(cuts)
    assert found.curves["f1"] == pytest.approx(scores)
    assert found.threshold == pytest.approx(cuts[int(np.argmax(scores))])
    assert found.f1 == pytest.approx(max(scores))


def test_first_local_maximum_may_be_lower_than_the_best():
    """Rises to 0.1, falls at 0.15, then rises to the best at 0.7."""
    edges = {
        "probability": [0.07, 0.12, 0.5, 0.6, 0.7, 0.9, 0.95],
        "target": [0, 1, 0, 0, 0, 1, 1],
        "weight": [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0],
    }
    assert threshold_scan(**edges).threshold == 0.7
    local = threshold_scan(**edges, rule="first_local")
    assert local.threshold == 0.1
    assert local.f1 < threshold_scan(**edges).f1


def test_scan_without_any_true_edge_and_bad_choices():
    assert threshold_scan(probability=[0.3], target=[0.0], rule="first_local").threshold == FALLBACK_THRESHOLD
    assert threshold_scan(probability=[], target=[]).f1 == 0.0
    with pytest.raises(ConfigError, match="rule 'best' is unknown"):
        threshold_scan(probability=[0.3], target=[0.0], rule="best")
    with pytest.raises(ConfigError, match="step 2"):
        threshold_scan(probability=[0.3], target=[0.0], step=2)


def test_reliability_of_honest_and_of_flattering_probabilities():
    rng = np.random.default_rng(0)
    probability = rng.random(20_000)
    target = (rng.random(20_000) < probability).astype(float)
    honest = reliability(probability=probability, target=target, num_bins=10)
    assert honest["calibration_error"] < 0.02
    assert honest["mean_probability"] == pytest.approx(np.linspace(0.05, 0.95, 10), abs=0.01)
    assert honest["true_fraction"] == pytest.approx(np.linspace(0.05, 0.95, 10), abs=0.05)
    assert sum(honest["num_edges"]) == 20_000
    assert reliability(probability=probability**3, target=target)["calibration_error"] > 0.1
    weight = rng.gamma(1.0, 1.0, 20_000)
    first = probability < 0.1
    weighted = reliability(probability=probability, target=target, weight=weight, num_bins=10)
    assert weighted["mean_target"][0] == pytest.approx(np.average(target[first], weights=weight[first]))
    assert reliability(probability=[1.0], target=[1.0], num_bins=4)["num_edges"] == [0, 0, 0, 1]
    assert reliability(probability=[], target=[])["calibration_error"] is None


@pytest.mark.parametrize("rounded", [False, True])
def test_roc_equals_scikit_learn(rounded):
    edges = random_edges(5)
    score = np.round(edges["probability"], 1) if rounded else edges["probability"]
    found = weighted_roc(probability=score, target=edges["target"], weight=edges["weight"])
    true = edges["target"] > 0
    assert found["auc"] == pytest.approx(oracle.roc_auc_score(true, score, sample_weight=edges["weight"]))
    names = ("threshold", "false_positive_rate", "true_positive_rate")
    for cut, x, y in list(zip(*(found[name] for name in names), strict=True))[1:]:
        kept = score >= cut
        assert y == pytest.approx(np.average(kept[true], weights=edges["weight"][true]))
        assert x == pytest.approx(np.average(kept[~true], weights=edges["weight"][~true]))
    assert weighted_roc(probability=[0.5], target=[1.0])["auc"] is None
    assert weighted_roc(probability=[], target=[])["auc"] is None
