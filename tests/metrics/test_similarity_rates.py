"""Similarity of pairs against the truth: scikit-learn as the oracle, one rule for thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from hitloom.errors import DataError
from hitloom.metrics.similarity_rates import similarity_counts, similarity_rates


def test_rates_equal_scikit_learn_in_each_event_and_pooled():
    rng = np.random.default_rng(0)
    event = np.sort(rng.integers(0, 3, 400))
    target = np.where(rng.random(400) < 0.3, 1.0, rng.random(400) * 0.4)
    found = np.clip(target + rng.normal(0, 0.4, 400), 0, 1).astype(np.float32)
    counts = similarity_counts(found, target, event=event, num_events=3, threshold=0.6)
    pooled = {name: values.sum(keepdims=True) for name, values in counts.items()}
    for rates, place, rows in (
        *((similarity_rates(counts), number, event == number) for number in range(3)),
        (similarity_rates(pooled), 0, event >= 0),
    ):
        true, predicted = target[rows] > 0.6, found[rows] > 0.6
        wanted = {
            "mae": oracle.mean_absolute_error(target[rows], found[rows]),
            "mse": oracle.mean_squared_error(target[rows], found[rows]),
            "acc": oracle.accuracy_score(true, predicted),
            "bal_acc": oracle.balanced_accuracy_score(true, predicted),
            "prec": oracle.precision_score(true, predicted),
            "rec": oracle.recall_score(true, predicted),
            "f1": oracle.f1_score(true, predicted),
        }
        for name, value in wanted.items():
            assert rates[name][place] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("threshold", [0.5, 0.6])
def test_a_pair_at_the_threshold_is_separate_as_in_grouping(threshold):
    counts = similarity_counts(
        np.float32([threshold, threshold]), [1.0, threshold], event=[0, 0], num_events=1, threshold=threshold
    )
    assert [int(counts[name][0]) for name in ("true_positive", "false_negative", "true_negative")] == [0, 1, 1]


def test_no_pair_gives_no_rate():
    counts = similarity_counts([], [], event=[], num_events=2, threshold=0.5)
    assert all(np.isnan(values).all() for values in similarity_rates(counts).values())


def test_logits_in_place_of_probabilities_are_refused():
    with pytest.raises(DataError, match="predicted values within 0 to 1"):
        similarity_counts([3.0], [1.0], event=[0], num_events=1, threshold=0.5)
