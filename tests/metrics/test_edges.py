"""Edge labels, efficiency, the three purities, ROC and cuts, against loops over sets and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc

from hitloom.errors import ConfigError, DataError
from hitloom.metrics import (
    EdgeScores,
    EventTruth,
    cut_for_efficiency,
    edge_counts,
    edge_quality,
    label_edges,
    truth_edges_of,
)
from hitloom.metrics.edge_curves import roc_auc, roc_curve
from hitloom.metrics.edges import FALSE, OTHER_TRUE, TARGET_TRUE


def truth_of(owner, edges, num_particles=None):
    """Truth whose particles have the ids 1, 2, ..."""
    num_particles = max([*owner, -1]) + 1 if num_particles is None else num_particles
    return EventTruth(
        object_index=np.array(owner, dtype=np.int64),
        object_id=np.arange(1, num_particles + 1),
        truth_edge_index=np.array(edges, dtype=np.int64).reshape(-1, 2).T,
    )


# Particle 0 (target): hits 0 1 2; particle 1 (not): hits 3 4 5; hit 6 is noise.
OWNER = [0, 0, 0, 1, 1, 1, -1]
TRUE = [(0, 1), (1, 2), (3, 4), (4, 5)]
TARGET = np.array([True, False])
# Both true edges of ... 0-1 (target), 3-4 (other), 0-2 (same particle, not consecutive), 2-6 (noise), 1-3 (mixed).
EDGES = [(0, 1), (3, 4), (0, 2), (2, 6), (1, 3)]


def test_three_purities_by_hand():
    truth = truth_of(OWNER, TRUE)
    wanted = truth_edges_of(truth, TARGET)
    labelled = label_edges(np.array(EDGES).T, wanted, 7)
    quality = edge_quality(edge_counts(labelled, wanted))
    values = {name: (item.get("numerator"), item.get("denominator")) for name, item in quality.items()}
    assert values["edge_efficiency.target"] == (1, 2)
    assert values["edge_efficiency.all"] == (2, 4)
    assert values["target_purity"] == (1, 5)
    assert values["total_purity"] == (2, 5)
    assert values["masked_purity"] == (1, 4)  # the true edge of the other particle leaves the denominator
    assert quality["masked_f1"]["value"] == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert quality["target_purity"]["interval"][0] < 0.2 < quality["target_purity"]["interval"][1]


@st.composite
def cases(draw):
    num_hits = draw(st.integers(2, 12))
    owner = draw(st.lists(st.integers(-1, 3), min_size=num_hits, max_size=num_hits))
    pairs = st.tuples(st.integers(0, num_hits - 1), st.integers(0, num_hits - 1))
    true = [(a, b) for a, b in draw(st.lists(pairs, max_size=12)) if a != b and owner[a] == owner[b] >= 0]
    edges = draw(st.lists(pairs, max_size=20))
    scores = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=len(edges), max_size=len(edges)))
    target = draw(st.lists(st.booleans(), min_size=4, max_size=4))
    return owner, true, edges, scores, np.array(target)


@given(cases())
@settings(max_examples=50, deadline=None)
def test_labels_and_counts_equal_set_arithmetic(case):
    owner, true, edges, scores, target = case
    truth = truth_of(owner, true, num_particles=4)
    wanted = truth_edges_of(truth, target)
    labelled = label_edges(np.array(edges, dtype=np.int64).reshape(-1, 2).T, wanted, len(owner), score=scores)
    best = {}
    for (a, b), score in zip(edges, scores, strict=True):
        if a != b:
            best[frozenset((a, b))] = max(score, best.get(frozenset((a, b)), -1))
    all_true = {frozenset(e) for e in true}
    of_target = {frozenset(e) for e in true if target[owner[e[0]]]}
    kinds = {e: TARGET_TRUE if e in of_target else OTHER_TRUE if e in all_true else FALSE for e in best}
    columns = zip(labelled.edge_index.T.tolist(), labelled.kind, labelled.score, strict=True)
    assert {frozenset(e): (int(k), s) for e, k, s in columns} == {e: (kinds[e], best[e]) for e in best}
    positives = set(best)
    assert edge_counts(labelled, wanted) == {
        "num_edges": len(positives),
        "num_masked_edges": len(positives - (all_true - of_target)),
        "num_true": len(positives & all_true),
        "num_target_true": len(positives & of_target),
        "num_truth": len(all_true),
        "num_truth_target": len(of_target),
    }


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_order_and_direction_of_edges_change_nothing(case, random):
    owner, true, edges, scores, target = case
    wanted = truth_edges_of(truth_of(owner, true, num_particles=4), target)
    rows = list(zip(edges, scores, strict=True))
    first = label_edges(np.array(edges, dtype=np.int64).reshape(-1, 2).T, wanted, len(owner), score=scores)
    random.shuffle(rows)
    turned = np.array([e[::-1] for e, _ in rows], dtype=np.int64).reshape(-1, 2).T
    second = label_edges(turned, wanted, len(owner), score=[s for _, s in rows])
    for name in ("key", "edge_index", "kind", "score"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    ("edges", "score", "text"),
    [
        (np.zeros((3, 1), dtype=int), None, "shape"),
        (np.array([[0], [7]]), None, "no row of the 7 hits"),
        (np.array([[0.0], [1.0]]), None, "integers were wanted"),
        (np.array([[0], [1]]), [0.1, 0.2], "1 numbers were wanted"),
        (np.array([[0], [1]]), [float("nan")], "1 of 1 are not numbers"),
    ],
)
def test_bad_edges_are_named(edges, score, text):
    wanted = truth_edges_of(truth_of(OWNER, TRUE), TARGET)
    with pytest.raises(DataError, match=text):
        label_edges(edges, wanted, 7, score=score)


def test_truth_without_edges_is_refused():
    with pytest.raises(DataError, match="truth_edge_index"):
        truth_edges_of(EventTruth.from_particle_ids([1, 1]))


labels_and_scores = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.3, 0.30000001, 0.7, 1.0])), min_size=1, max_size=40
)


@given(labels_and_scores)
@settings(max_examples=40, deadline=None)
def test_area_and_curve_equal_scikit_learn(sample):
    positive = np.array([p for p, _ in sample])
    score = np.array([s for _, s in sample])
    if positive.all() or not positive.any():
        assert np.isnan(roc_auc(score, positive))
        assert roc_curve(score, positive)["score"] == []
        return
    assert roc_auc(score, positive) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
    x, y, _ = sklearn_roc(positive, score, drop_intermediate=False)
    ours = roc_curve(score, positive)
    assert np.allclose(ours["false_positive_rate"], x)
    assert np.allclose(ours["true_positive_rate"], y)


def test_thinned_curve_keeps_exact_points_and_its_area():
    generator = np.random.default_rng(3)
    positive = generator.random(20_000) < 0.1
    score = generator.normal(size=positive.size) + 2 * positive
    ours = roc_curve(score, positive, num_points=300)
    assert len(ours["score"]) <= 302
    x, y, _ = sklearn_roc(positive, score, drop_intermediate=False)
    exact = {(float(a), float(b)) for a, b in zip(x.round(12), y.round(12), strict=True)}
    points = np.stack([ours["false_positive_rate"], ours["true_positive_rate"]]).round(12)
    assert {(float(a), float(b)) for a, b in points.T} <= exact
    area = np.trapezoid(ours["true_positive_rate"], ours["false_positive_rate"])
    assert area == pytest.approx(roc_auc_score(positive, score), abs=1e-3)


def test_roc_is_made_from_scores_not_from_decisions():
    """Thresholded predictions would give one point between the corners and a smaller area."""
    generator = np.random.default_rng(0)
    positive = generator.random(500) < 0.5
    score = generator.normal(size=500) + positive
    assert len(roc_curve(score, positive)["score"]) > 100
    assert roc_auc(score, positive) > roc_auc(score > 0.5, positive) + 0.03


def pooled_of(edges, scores, **options):
    wanted = truth_edges_of(truth_of(OWNER, TRUE), TARGET)
    pooled = EdgeScores(**options)
    pooled.add(label_edges(np.array(edges, dtype=np.int64).reshape(-1, 2).T, wanted, 7, score=scores), wanted)
    return pooled


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]), min_size=5, max_size=5))
@settings(max_examples=40, deadline=None)
def test_cut_curve_equals_cutting_and_counting(scores):
    cuts = (0.0, 0.2, 0.6)
    curve = pooled_of(EDGES, scores, cuts=cuts).result()["cut_curve"]
    wanted = truth_edges_of(truth_of(OWNER, TRUE), TARGET)
    for number, cut in enumerate(cuts):
        kept = [e for e, s in zip(EDGES, scores, strict=True) if s > cut]
        counts = edge_counts(label_edges(np.array(kept, dtype=int).reshape(-1, 2).T, wanted, 7), wanted)
        for name, entry in edge_quality(counts).items():
            if name in curve:
                ours = (curve[name]["numerator"][number], curve[name]["denominator"][number])
                assert ours == (entry["numerator"], entry["denominator"])
                assert curve[name]["value"][number] == entry["value"]


def test_full_and_masked_areas_by_hand():
    # target 0.9; true edge of the other particle 0.95; false 0.1, 0.2, 0.3
    result = pooled_of(EDGES, [0.9, 0.95, 0.1, 0.2, 0.3]).result()
    assert result["auc"]["full"]["value"] == pytest.approx(3 / 4)
    assert result["auc"]["masked"]["value"] == 1.0
    assert result["auc"]["total"]["value"] == 1.0
    assert result["histogram"]["counts"]["other_true"][-3] == 1


def test_pooling_is_adding_edges_and_the_limit_is_said():
    pooled = pooled_of(EDGES, [0.9, 0.95, 0.1, 0.2, 0.3], max_edges=12)
    wanted = truth_edges_of(truth_of(OWNER, TRUE), TARGET)
    again = label_edges(np.array(EDGES).T, wanted, 7, score=[0.8, 0.1, 0.1, 0.85, 0.3])
    pooled.add(again, wanted)
    pooled.add(again, wanted)
    result = pooled.result()
    assert (result["num_events"], result["num_events_left_out"], result["num_edges"]) == (2, 1, 10)
    positive = np.array([1, 0, 0, 0, 0] * 2, dtype=bool)
    score = [0.9, 0.95, 0.1, 0.2, 0.3, 0.8, 0.1, 0.1, 0.85, 0.3]
    assert result["auc"]["full"]["value"] == pytest.approx(roc_auc_score(positive, score))


@pytest.mark.parametrize(
    ("edges", "scores"), [([], []), ([(0, 1)], [0.5]), ([(2, 6)], [0.5]), ([(3, 4)], [0.5])], ids=str
)
def test_one_class_or_no_edge_is_undefined_not_an_error(edges, scores):
    result = pooled_of(edges, scores).result()
    assert result["auc"]["full"]["value"] is None
    assert result["auc"]["masked"]["value"] is None
    assert result["roc"]["full"]["score"] == []
    assert result["cut_curve"]["edge_efficiency.target"]["denominator"][0] == 2


finite = st.floats(-5, 5, width=32)


@given(st.lists(finite, max_size=25), st.integers(0, 5), st.floats(0.01, 1))
@settings(max_examples=100, deadline=None)
def test_cut_is_the_largest_that_reaches_the_efficiency(scores, missing, efficiency):
    num_truth = len(scores) + missing
    cut = cut_for_efficiency(np.array(scores, dtype=np.float32), num_truth, efficiency)
    array = np.array(scores, dtype=np.float32)
    if not scores:
        assert np.isnan(cut.value)
        assert not cut.reached
        return
    assert cut.efficiency == (array > np.float32(cut.value)).sum() / num_truth
    if not cut.reached:
        assert len(scores) < efficiency * num_truth
        assert (array > cut.value).all()
        return
    assert cut.efficiency >= efficiency - 1e-9
    higher = np.nextafter(np.float32(cut.value), np.float32(np.inf))
    assert (array > higher).sum() / num_truth < efficiency


def test_cut_of_float64_scores_decides_the_same_in_float32():
    value = np.nextafter(0.3, 1)  # no float32 number
    cut = cut_for_efficiency([value, 0.1], 2, 0.5)
    assert np.float32(cut.value) == cut.value
    assert cut.value < value


@pytest.mark.parametrize("efficiency", [0.0, -0.5, 1.5, float("nan")])
def test_impossible_efficiency_is_refused(efficiency):
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        cut_for_efficiency([0.5], 1, efficiency)


def test_more_scores_than_truth_edges_are_refused():
    with pytest.raises(DataError, match="at most one for each of 1"):
        cut_for_efficiency([0.5, 0.6], 1, 0.5)
