"""Rates of pruning with intervals, particles, probabilities and samples, against scikit-learn and loops."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pruning_columns import counted, toy_columns
from sklearn import metrics as oracle

from hitloom.errors import DataError
from hitloom.metrics.intervals import clopper_pearson
from hitloom.metrics.pruning_counts import group_masks, num_points
from hitloom.metrics.pruning_particles import main_particles, particle_counts
from hitloom.metrics.pruning_probability import average_precision, log_likelihood, probability_block, probability_of
from hitloom.metrics.pruning_rates import by_share, by_size, rate_entries, resamples_of
from hitloom.metrics.pruning_samples import MAX_RANK, sample_block, sample_ranks

EVERY = np.ones(12, dtype=bool)


def toy_resamples(number=12, **kwargs):
    return resamples_of(np.arange(number), num_resamples=kwargs.pop("num_resamples", 200), seed=1, **kwargs)


def scored_columns(seed, number=400):
    columns = toy_columns(seed, num_tracksters=number)
    rng = np.random.default_rng(seed)
    return columns | {"logit": rng.normal(-2 + 3 * columns["to_prune"], 1.5)}


def test_intervals_of_sums_are_those_of_a_bootstrap_over_whole_tracksters():
    columns = toy_columns(5)
    counts, resamples = counted(columns), toy_resamples()
    entry = rate_entries(counts, EVERY, resamples)["f1"]
    draws = []
    for weights in resamples.weights:  # the same draws, counted layer cluster by layer cluster
        weight = weights[columns["trackster"]]
        draws.append(oracle.f1_score(columns["to_prune"], columns["probability"] > 0.5, sample_weight=weight))
    assert entry["interval"] == pytest.approx(np.quantile(draws, [0.16, 0.84]))
    assert entry["interval_kind"].startswith("bootstrap over 12 tracksters, 68 %")


def test_tracksters_of_one_collision_are_resampled_together():
    columns = toy_columns(6)
    counts = counted(columns)
    resamples = resamples_of(np.arange(12) // 3, num_resamples=100, seed=2, what="collisions")
    draws = [
        oracle.accuracy_score(columns["to_prune"], columns["probability"] > 0.5, sample_weight=weight)
        for weight in resamples.weights[:, (np.arange(12) // 3)[columns["trackster"]]]
    ]
    entry = rate_entries(counts, EVERY, resamples)["accuracy"]
    assert entry["interval"] == pytest.approx(np.quantile(draws, [0.16, 0.84]))
    assert "4 collisions" in entry["interval_kind"]


def test_exact_match_has_a_binomial_interval():
    counts = counted(toy_columns(7))
    entry = rate_entries(counts, EVERY, toy_resamples())["exact_match"]
    low, high = clopper_pearson(counts["num_exact"].sum(), 12)
    assert entry["interval"] == pytest.approx([float(low), float(high)])
    assert entry["numerator"] == counts["num_exact"].sum()


def test_without_anything_to_prune_recall_is_undefined_and_not_zero():
    columns = toy_columns(8) | {"to_prune": np.zeros(len(toy_columns(8)["trackster"]), dtype=bool)}
    entries = rate_entries(counted(columns), EVERY, toy_resamples())
    for name in ("recall", "energy_pruned", "energy_sum"):
        assert entries[name]["value"] is None
        assert entries[name]["interval"] is None


def test_bins_of_size_and_of_share_hold_every_trackster_once():
    columns = scored_columns(9)
    counts, resamples = counted(columns), toy_resamples(400)
    for bins in (by_size(counts, resamples), by_share(counts, None)):
        assert sum(item["num_tracksters"] for item in bins) == 400
        assert sum(item["rates"]["exact_match"]["numerator"] for item in bins) == counts["num_exact"].sum()
    share = np.array([columns["to_prune"][columns["trackster"] == row].mean() for row in range(400)])
    third = by_share(counts, None)[3]
    rows = np.isin(columns["trackster"], np.flatnonzero((share > 0.1) & (share <= 0.15)))
    right = (columns["probability"] > 0.5) == columns["to_prune"]
    assert third["label"] == "10-15 %"
    assert third["num_tracksters"] == ((share > 0.1) & (share <= 0.15)).sum()
    if rows.any():
        assert third["rates"]["accuracy"]["value"] == pytest.approx(right[rows].mean())


def test_areas_and_likelihood_equal_scikit_learn():
    columns = scored_columns(10)
    truth, logit = columns["to_prune"], np.round(columns["logit"], 1)
    found = probability_block(logit=logit, to_prune=truth, trackster=columns["trackster"], resamples=None)
    assert found["auc"]["value"] == pytest.approx(oracle.roc_auc_score(truth, logit))
    assert found["average_precision"]["value"] == pytest.approx(oracle.average_precision_score(truth, logit))
    mean = log_likelihood(logit, truth).mean()
    assert mean == pytest.approx(-oracle.log_loss(truth, probability_of(logit)), abs=1e-9)
    precision, recall, _ = oracle.precision_recall_curve(truth, logit)
    drawn = found["precision_recall"]
    for point in zip(drawn["recall"], drawn["precision"], strict=True):
        assert np.abs(np.stack([recall, precision], 1) - point).sum(1).min() < 1e-9


def test_intervals_of_areas_come_close_to_resampled_areas():
    columns = scored_columns(11)
    resamples = toy_resamples(400, num_resamples=60)
    given_ = {name: columns[name] for name in ("logit", "to_prune", "trackster")}
    found = probability_block(resamples=resamples, **given_)
    weight = resamples.weights[:, columns["trackster"]]
    areas = [oracle.roc_auc_score(columns["to_prune"], columns["logit"], sample_weight=row) for row in weight]
    means = [oracle.average_precision_score(columns["to_prune"], columns["logit"], sample_weight=row) for row in weight]
    assert found["auc"]["interval"] == pytest.approx(np.quantile(areas, [0.16, 0.84]), abs=1e-3)
    assert found["average_precision"]["interval"] == pytest.approx(np.quantile(means, [0.16, 0.84]), abs=3e-3)


def test_one_class_alone_has_no_area():
    found = probability_block(logit=[0.1, 2.0], to_prune=[False, False], trackster=[0, 1], resamples=toy_resamples(2))
    assert found["auc"]["value"] is None
    assert found["average_precision"]["value"] is None
    assert average_precision([], []) is None


def test_infinite_logits_keep_finite_likelihood():
    values = log_likelihood([np.inf, np.inf, -np.inf], [True, False, True])
    assert values[0] == 0.0
    assert values[1] == values[2] == pytest.approx(math.log(1e-12))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_particle_of_a_trackster_and_its_energies_equal_a_loop(seed):
    rng = np.random.default_rng(seed)
    columns = toy_columns(seed, num_tracksters=6)
    size, row = len(columns["trackster"]), columns["trackster"]
    pruned = columns["probability"] > 0.5
    owner = np.repeat(np.arange(6), 3)  # three particles in each trackster
    pairs = [(point, 3 * row[point] + k, rng.random() / 3) for point in range(size) for k in range(3)
             if rng.random() < 0.5]  # fmt: skip
    point, thing, fraction = (np.array(column) for column in zip(*pairs, strict=True)) if pairs else [np.zeros(0)] * 3
    everywhere = rng.exponential(5, 18)
    shares = {"share_point": point, "share_object": thing, "share_fraction": fraction}
    particle = main_particles(
        to_keep=~columns["to_prune"], energy=columns["energy"], object_trackster=owner, num_tracksters=6, **shares
    )
    found = particle_counts(
        particle, trackster=row, pruned=pruned, energy=columns["energy"], object_energy=everywhere, **shares
    )
    for place in range(6):
        votes: Counter = Counter()
        for p, k, f in pairs:
            if row[p] == place and not columns["to_prune"][p]:
                votes[k] += 1 + 1e-9 * f * columns["energy"][p]
        best = votes.most_common(1)[0][0] if votes else -1
        assert particle[place] == best
        mine = [(p, f) for p, k, f in pairs if k == best and row[p] == place]
        assert found["energy_particle"][place] == pytest.approx(sum(f * columns["energy"][p] for p, f in mine))
        kept = sum(f * columns["energy"][p] for p, f in mine if not pruned[p])
        assert found["energy_particle_kept"][place] == pytest.approx(kept)
        assert found["energy_particle_everywhere"][place] == (everywhere[best] if best >= 0 else 0)


def test_purity_rises_when_foreign_energy_goes():
    particle = main_particles(
        to_keep=[True, False], energy=[3.0, 1.0], share_point=[0, 1], share_object=[0, 1], share_fraction=[1.0, 1.0],
        object_trackster=[0, 0], num_tracksters=1,
    )  # fmt: skip
    counts = counted({"trackster": [0, 0], "num_tracksters": 1, "to_prune": [False, True],
                      "probability": np.array([0.1, 0.9]), "energy": [3.0, 1.0]})  # fmt: skip
    counts |= particle_counts(
        particle, trackster=[0, 0], pruned=[False, True], energy=[3.0, 1.0], share_point=[0, 1], share_object=[0, 1],
        share_fraction=[1.0, 1.0], object_energy=[6.0, 1.0],
    )  # fmt: skip
    entries = rate_entries(counts, np.array([True]), None)
    assert entries["purity_before"]["value"] == 0.75
    assert entries["purity_after"]["value"] == 1.0
    assert entries["completeness_before"]["value"] == entries["completeness_after"]["value"] == 0.5
    assert entries["purity_before"]["trackster_mean"] == 0.75


def test_ranks_of_samples_equal_a_count_of_configurations():
    rng = np.random.default_rng(12)
    columns = toy_columns(12)
    probability = np.where(columns["to_prune"], 0.6, 0.15)
    samples = rng.random((300, len(probability))) < probability
    found = sample_ranks(samples=samples, to_prune=columns["to_prune"], trackster=columns["trackster"],
                         num_tracksters=12)  # fmt: skip
    for row in range(12):
        mine = columns["trackster"] == row
        votes = Counter(tuple(line) for line in samples[:, mine])
        number = votes[tuple(columns["to_prune"][mine])]
        if not number:
            assert found.rank[row] == 0
            continue
        above = sum(value > number for value in votes.values())
        tied = sum(value == number for value in votes.values())
        assert above < found.rank[row] <= above + tied
        assert found.mass[row, 0] == max(votes.values()) / 300
        assert found.mass[row, -1] == pytest.approx(sum(sorted(votes.values())[-MAX_RANK:]) / 300)


def test_accuracy_of_the_top_configurations_only_grows_with_their_number():
    rng = np.random.default_rng(13)
    columns = toy_columns(13)
    samples = rng.random((50, len(columns["to_prune"]))) < 0.3
    counts = counted(columns)
    ranks = sample_ranks(samples=samples, to_prune=columns["to_prune"], trackster=columns["trackster"],
                         num_tracksters=12)  # fmt: skip
    block = sample_block(ranks, num_points=num_points(counts), groups=group_masks(counts))
    values = [entry["value"] for entry in block["groups"]["all"]["top_accuracy"]]
    assert len(values) == MAX_RANK
    assert values == sorted(values)
    assert block["groups"]["all"]["top_mass"] == sorted(block["groups"]["all"]["top_mass"])
    assert sum(item["num_tracksters"] for item in block["by_size"]) == 12


def test_samples_of_another_length_are_refused():
    with pytest.raises(DataError, match="samples"):
        sample_ranks(samples=np.zeros((3, 2)), to_prune=[True], trackster=[0], num_tracksters=1)
