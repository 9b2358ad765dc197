"""Validation of pruning: additive sums, free-running by name, and the choice of the threshold."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from torch_geometric.data import Batch

from hitloom.result import Scores
from hitloom.systems.pruning.config import PruningConfig, ScanConfig
from hitloom.systems.pruning.working_point import (
    VALIDATION_DEFINITIONS,
    choose_threshold,
    decisions,
    validation_rates,
    validation_sums,
)
from pruning_toy import toy_trackster

CONFIG = PruningConfig()


def scored(number=8, seed=0, share=0.3):
    """Return toy tracksters with scores that know something of the truth."""
    generator = torch.Generator().manual_seed(seed)
    events = [toy_trackster(1 + (3 * k + seed) % 9, seed=100 * seed + k, share=share) for k in range(number)]
    return [
        (event, Scores(point_score=torch.randn(event.num_points, generator=generator) - 3 * event.point_y + 1))
        for event in events
    ]


def batched(pairs):
    return Batch.from_data_list([event for event, _ in pairs]), Scores(
        point_score=torch.cat([scores.point_score for _, scores in pairs])
    )


def added(parts):
    total = {}
    for part in parts:
        for name, number in part.items():
            total[name] = total.get(name, 0.0) + number
    return total


def test_rates_equal_scikit_learn_over_all_layer_clusters():
    event, scores = batched(scored())
    rates = validation_rates(validation_sums(CONFIG, scores, event))
    truth, decision = event.point_y.numpy() > 0.5, scores.point_score.numpy() < 0
    assert rates["val_f1"] == pytest.approx(oracle.f1_score(truth, decision))
    assert rates["val_precision"] == pytest.approx(oracle.precision_score(truth, decision))
    assert rates["val_energy_pruned"] == pytest.approx(
        oracle.recall_score(truth, decision, sample_weight=event.energy.numpy()), abs=1e-5
    )
    assert rates["val_auc"] == pytest.approx(oracle.roc_auc_score(truth, -scores.point_score.numpy()), abs=0.01)
    assert set(rates) == set(VALIDATION_DEFINITIONS)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(8)), st.integers(0, 8))
def test_sums_are_the_same_number_for_any_order_and_any_split_over_processes(seed, order, cut):
    """Epoch metrics of one process and of two are identical, not only close: the sums are of integers."""
    pairs = scored(seed=seed)
    alone = added(validation_sums(CONFIG, scores, event) for event, scores in pairs)
    shards = [order[:cut], order[cut:]]
    by_rank = [added(validation_sums(CONFIG, pairs[k][1], pairs[k][0]) for k in shard) for shard in shards]
    assert added(by_rank) == alone
    event, scores = batched(pairs)
    assert validation_sums(CONFIG, scores, event) == alone
    assert validation_rates(added(by_rank)) == validation_rates(alone)


def test_nothing_to_prune_is_logged_as_zero_and_not_as_an_error():
    pairs = scored(share=0.0)
    rates = validation_rates(added(validation_sums(CONFIG, scores, event) for event, scores in pairs))
    assert rates["val_recall"] == rates["val_auc"] == rates["val_energy_pruned"] == 0.0
    assert rates["val_energy_retained"] > 0


def test_teacher_forced_numbers_have_names_of_their_own():
    event, scores = batched(scored())
    free = validation_sums(CONFIG, scores, event)
    told = validation_sums(CONFIG, Scores(point_score=10 - 20 * event.point_y), event, teacher_forced=True)
    rates = validation_rates(free | told)
    assert rates["val_teacher_forced_f1"] == 1.0
    assert rates["val_f1"] == validation_rates(free)["val_f1"] < 1.0


def test_labels_do_not_enter_decisions():
    event, scores = batched(scored())
    before = decisions(CONFIG, scores, event.energy)
    event.point_y = 1 - event.point_y
    assert torch.equal(decisions(CONFIG, scores, event.energy), before)


def test_a_network_that_decides_on_whole_configurations_is_heard():
    event, scores = batched(scored())
    scores.own["pruned"] = event.point_y > 0.5
    rates = validation_rates(validation_sums(CONFIG, scores, event))
    assert rates["val_exact_match"] == rates["val_f1"] == 1.0


@pytest.mark.parametrize("objective", ["f1", "energy"])
def test_the_chosen_threshold_is_the_best_of_the_scan(objective):
    pairs = scored(number=30)
    config = CONFIG.model_copy(update={"scan": ScanConfig(objective=objective, step=0.1)})
    chosen = choose_threshold(config, pairs)
    values = {}
    for cut in np.round(np.arange(0.1, 0.95, 0.1), 10):
        at = config.model_copy(update={"threshold": float(cut)})
        rates = validation_rates(added(validation_sums(at, scores, event) for event, scores in pairs))
        values[float(cut)] = rates["val_f1" if objective == "f1" else "val_energy_sum"]
    assert values[chosen] == pytest.approx(max(values.values()), abs=1e-6)
    event, scores = batched(pairs)
    assert choose_threshold(config, [(event, scores)]) == chosen


def test_without_anything_to_prune_the_threshold_stays():
    config = CONFIG.model_copy(update={"threshold": 0.37})
    assert choose_threshold(config, scored(share=0.0)) == 0.37
    assert choose_threshold(config, []) == 0.37


def test_scores_of_equal_value_choose_the_threshold_next_to_one_half():
    pairs = [(event, Scores(point_score=10 - 20 * event.point_y)) for event, _ in itertools.islice(scored(), 4)]
    assert choose_threshold(CONFIG, pairs) == 0.5


def test_a_little_f1_may_be_given_for_energy():
    pairs = scored(number=30)

    def rates_at(scan: ScanConfig) -> dict[str, float]:
        chosen = choose_threshold(CONFIG.model_copy(update={"scan": scan}), pairs)
        at = CONFIG.model_copy(update={"threshold": chosen})
        return validation_rates(added(validation_sums(at, scores, event) for event, scores in pairs))

    strict, loose, free = (rates_at(ScanConfig(step=0.05, max_f1_loss=loss)) for loss in (0.0, 0.05, 1.0))
    energy = rates_at(ScanConfig(step=0.05, objective="energy"))
    assert strict["val_f1"] - 0.05 <= loose["val_f1"] <= strict["val_f1"]
    assert strict["val_energy_sum"] <= loose["val_energy_sum"] <= free["val_energy_sum"]
    assert free["val_energy_sum"] == pytest.approx(energy["val_energy_sum"], abs=1e-12)


def test_energetic_layer_clusters_are_pruned_at_a_lower_probability():
    """threshold / (1 + E / energy_scale): 0.5 at no energy, 0.25 at the scale, 0.1 at four times the scale."""
    config = PruningConfig(threshold=0.5, energy_scale=2.0)
    probability = torch.tensor([0.49, 0.51, 0.24, 0.26, 0.09, 0.11], dtype=torch.float64)
    energy = torch.tensor([0.0, 0.0, 2.0, 2.0, 8.0, 8.0])
    pruned = decisions(config, Scores(point_score=-torch.logit(probability)), energy)
    assert pruned.tolist() == [False, True] * 3


def test_the_threshold_is_chosen_for_decisions_that_look_at_the_energy():
    pairs = scored(40, seed=5)
    config = PruningConfig(energy_scale=1.0, scan=ScanConfig(step=0.05))
    event, scores = batched(pairs)
    values = {}
    for cut in np.arange(0.05, 0.99, 0.05).round(10):
        at = config.model_copy(update={"threshold": float(cut)})
        values[float(cut)] = validation_rates(validation_sums(at, scores, event))["val_f1"]
    chosen = choose_threshold(config, pairs)
    assert values[chosen] == max(values.values())
    assert len(set(values.values())) > 5
