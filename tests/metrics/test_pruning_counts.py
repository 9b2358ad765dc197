"""Counts of pruned tracksters, all thresholds at once, and the additive area under the ROC, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pruning_columns import counted, toy_columns
from sklearn import metrics as oracle

from hitloom.errors import DataError
from hitloom.metrics.pruning_counts import (
    COUNT_DEFINITIONS,
    PRUNING_RATES,
    group_masks,
    num_points,
    num_to_prune,
    pruning_counts,
    rate_parts,
)
from hitloom.metrics.pruning_scan import auc_of_histograms, logit_histogram, threshold_counts


def value(rate, counts):
    top, bottom = rate_parts(PRUNING_RATES[rate], counts)
    return top.sum() / bottom.sum()


def test_rates_of_summed_counts_equal_scikit_learn():
    columns = toy_columns(1)
    counts, decision = counted(columns), columns["probability"] > 0.5
    truth, energy = columns["to_prune"], columns["energy"]
    assert value("precision", counts) == pytest.approx(oracle.precision_score(truth, decision))
    assert value("recall", counts) == pytest.approx(oracle.recall_score(truth, decision))
    assert value("f1", counts) == pytest.approx(oracle.f1_score(truth, decision))
    assert value("accuracy", counts) == pytest.approx(oracle.accuracy_score(truth, decision))
    assert value("energy_retained", counts) == pytest.approx(
        oracle.recall_score(~truth, ~decision, sample_weight=energy)
    )
    assert value("energy_pruned", counts) == pytest.approx(oracle.recall_score(truth, decision, sample_weight=energy))
    assert value("label_purity_after", counts) == pytest.approx(
        oracle.precision_score(~truth, ~decision, sample_weight=energy)
    )


def test_exact_match_and_groups_equal_a_loop_over_tracksters():
    columns = toy_columns(2)
    counts, masks = counted(columns), group_masks(counted(columns))
    for row in range(columns["num_tracksters"]):
        mine = columns["trackster"] == row
        truth, decision = columns["to_prune"][mine], columns["probability"][mine] > 0.5
        assert counts["num_exact"][row] == (truth == decision).all()
        assert num_points(counts)[row] == mine.sum()
        assert num_to_prune(counts)[row] == truth.sum()
        assert masks["with_positive"][row] == truth.any()
        assert masks["over_10_percent"][row] == (truth.mean() > 0.1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 11))
def test_counts_of_shards_add_up_to_the_counts_of_all(seed, num_left):
    columns = toy_columns(seed)
    whole = counted(columns)
    left = columns["trackster"] < num_left
    parts = []
    for mask, first, number in ((left, 0, num_left), (~left, num_left, columns["num_tracksters"] - num_left)):
        part = {name: values[mask] for name, values in columns.items() if name != "num_tracksters"}
        parts.append(counted(part | {"trackster": part["trackster"] - first, "num_tracksters": number}))
    assert set(whole) == set(COUNT_DEFINITIONS)
    for name, values in whole.items():
        assert np.concatenate([part[name] for part in parts]) == pytest.approx(values)
        if values.dtype == np.int64:
            assert sum(part[name].sum() for part in parts) == values.sum()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_every_threshold_of_a_scan_counts_as_that_threshold_alone(seed):
    columns = toy_columns(seed)
    cuts = np.round(np.arange(0, 1.01, 0.05), 2)  # probabilities lie on these numbers too
    found = threshold_counts(cuts=cuts, **columns)
    for place, cut in enumerate(cuts):
        alone = counted(columns, cut)
        for name, values in found.items():
            assert values[place] == pytest.approx(alone[name].sum(), abs=1e-9), name


def test_area_of_added_histograms_comes_close_to_the_exact_area():
    rng = np.random.default_rng(3)
    truth = rng.random(4000) < 0.2
    logit = rng.normal(-1 + 2 * truth, 1.5)
    rows = np.arange(4000) % 3
    positive, negative = (
        sum(logit_histogram(logit[mask & (rows == part)]) for part in range(3)) for mask in (truth, ~truth)
    )
    found = auc_of_histograms(dict(enumerate(positive)), dict(enumerate(negative)))
    assert found == pytest.approx(oracle.roc_auc_score(truth, logit), abs=2e-3)


def test_area_of_one_class_is_undefined():
    assert auc_of_histograms({1: 3.0}, {}) is None
    assert auc_of_histograms({}, {}) is None


def test_ties_count_half_and_infinite_logits_stand_at_the_ends():
    assert auc_of_histograms(dict(enumerate(logit_histogram([0.0]))), dict(enumerate(logit_histogram([0.0])))) == 0.5
    ends = logit_histogram([np.inf, -np.inf])
    assert ends[0] == ends[-1] == 1


def test_columns_of_different_length_are_refused():
    with pytest.raises(DataError, match=r"\(2,\) labels"):
        pruning_counts(trackster=[0], num_tracksters=1, to_prune=[True, False], pruned=[True], energy=[1.0])
