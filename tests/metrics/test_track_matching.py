"""The matcher against a slow oracle, the worked example of the contract, and its laws."""

from __future__ import annotations

import math
import time

import metrics_oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError, DataError
from hitloom.metrics import (
    MATCHES,
    RATES,
    EventTruth,
    Selection,
    contingency,
    match_event,
    match_tracks,
    pool,
    rate,
    trackml_score,
)

ALL = tuple(MATCHES)


def truth_of(particles, targets=None, *, ids=None, rng=None):
    """Truth with a shuffled table whose ids are ``ids[p]`` (default p); targets get pt 2, others 0.1."""
    particles = np.asarray(particles, dtype=np.int64)
    known = np.unique(particles[particles != 0])
    table = known if rng is None else rng.permutation(known)
    row = {int(p): i for i, p in enumerate(table)}
    index = np.array([row.get(int(p), -1) for p in particles], dtype=np.int64)
    ids = {p: p for p in row} if ids is None else ids
    pt = np.array([2.0 if targets is None or int(p) in targets else 0.1 for p in table])
    return EventTruth(
        object_index=index,
        object_id=np.array([ids[int(p)] for p in table], dtype=np.int64),
        pt=pt,
        eta=np.zeros(table.size),
        phi=np.zeros(table.size),
        vertex_radius=np.zeros(table.size),
    ), row


@pytest.fixture(scope="module")
def example():
    labels, particles, targets = metrics_oracle.worked_example()
    truth, _ = truth_of(particles, targets)
    return labels, truth


WORKED = {
    "efficiency": {"purity50": (3, 4), "double_majority": (2, 4), "lhc75": (3, 4), "perfect": (1, 4)},
    "fake_per_track": {"purity50": (2, 7), "double_majority": (4, 7), "lhc75": (2, 7), "perfect": (5, 7)},
    "fake_per_matched_particle": {"purity50": (2, 4), "double_majority": (4, 3), "lhc75": (2, 4), "perfect": (5, 2)},
    "duplicate_per_particle": {"purity50": (1, 3), "double_majority": (0, 2), "lhc75": (1, 3), "perfect": (0, 1)},
    "fake_per_selected_track": {"double_majority": (3, 5)},
    "lhc_purity_selected": {"lhc75": (4, 5)},
    "assigned_fraction": {"double_majority": (34, 40)},
    "assigned_fraction.target": {"double_majority": (23, 28)},
    "assigned_fraction.other": {"double_majority": (7, 7)},
    "assigned_fraction.noise": {"double_majority": (4, 5)},
    # T_t = 2 (tracks 0 and 1) and all 4 unmatched tracks; owners: 5 targets and 1 noise.
    "fake_per_target_or_unmatched_track": {"double_majority": (4, 6)},
    "fake_per_target_or_noise_track": {"double_majority": (4, 6)},
    "duplicate_per_track": {"purity50": (1, 7)},
}


@pytest.mark.parametrize(("name", "match"), [(name, match) for name, values in WORKED.items() for match in values])
def test_worked_example(example, name, match):
    labels, truth = example
    counts = match_event(labels, truth, Selection(min_pt=1.0), matches=ALL)[match]
    top, bottom = WORKED[name][match]
    assert rate(name, counts) == top / bottom
    assert counts["num_noise_tracks"] == 1
    assert (counts["num_points"], counts["num_tracks"], counts["num_target"]) == (40, 7, 4)


def test_worked_example_score(example):
    labels, truth = example
    equal = EventTruth(
        object_index=truth.object_index, object_id=truth.object_id, weight=(truth.object_index >= 0).astype(float)
    )
    score = trackml_score(labels, equal)
    assert (score.earned, score.total) == (19.0, 35.0)
    assert score.value == pytest.approx(0.542857, abs=1e-6)


@st.composite
def partitions(draw):
    num_hits = draw(st.integers(0, 60))
    particles = draw(st.lists(st.integers(0, draw(st.integers(1, 8))), min_size=num_hits, max_size=num_hits))
    labels = draw(st.lists(st.integers(-1, draw(st.integers(0, 9))), min_size=num_hits, max_size=num_hits))
    if draw(st.booleans()):  # mostly right labels, so that every style has something to match
        labels = [p if draw(st.integers(0, 3)) else label for p, label in zip(particles, labels, strict=True)]
    return labels, particles, draw(st.integers(1, 4)), draw(st.integers(0, 2**32 - 1))


@settings(max_examples=150, deadline=None)
@given(partitions())
def test_equals_brute_force(case):
    labels, particles, min_track_hits, seed = case
    rng = np.random.default_rng(seed)
    targets = {p for p in range(1, 9) if p % 2}
    truth, row = truth_of(particles, targets, rng=rng)
    targets = {p for p in targets if particles.count(p) >= 3}
    selection = Selection(min_pt=1.0, min_track_hits=min_track_hits)
    counts = match_event(np.array(labels, dtype=np.int64), truth, selection, matches=ALL)
    for match in ALL:
        expected = metrics_oracle.count(labels, particles, targets, match, min_track_hits=min_track_hits, rows=row)
        assert counts[match] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(partitions())
def test_permutation_and_relabelling_change_nothing(case):
    labels, particles, min_track_hits, seed = case
    rng = np.random.default_rng(seed)
    labels = np.array(labels, dtype=np.int64)
    truth, _ = truth_of(particles, {1, 2})
    selection = Selection(min_pt=1.0, min_track_hits=min_track_hits)
    before = match_event(labels, truth, selection, matches=ALL)
    order = rng.permutation(labels.size)
    numbers = rng.choice(2**62, size=20, replace=False)
    relabelled = np.where(labels >= 0, numbers[labels], -1)[order]
    permuted = EventTruth(object_index=truth.object_index[order], object_id=truth.object_id, pt=truth.pt, eta=truth.eta)
    after = match_event(relabelled, permuted, selection, matches=ALL)
    for match in ALL:
        assert after[match] == pytest.approx(before[match], abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(partitions())
def test_laws_between_styles(case):
    labels, particles, min_track_hits, _ = case
    truth, _ = truth_of(particles)
    counts = match_event(labels, truth, Selection(min_track_hits=min_track_hits), matches=ALL)
    double = counts["double_majority"]
    assert double["num_target_pairs"] == double["num_found"], "double majority is one to one"
    assert counts["one_way"]["num_target_pairs"] == counts["one_way"]["num_found"]
    assert counts["perfect"]["num_found"] <= double["num_found"] <= counts["purity50"]["num_found"]
    assert counts["lhc75"]["num_matched_tracks"] <= counts["purity50"]["num_matched_tracks"]
    for style in ("purity50", "double_majority", "lhc75", "perfect"):
        assert counts["one_to_one_" + style]["num_found"] <= counts[style]["num_found"]
        assert counts["one_to_one_" + style]["num_target_pairs"] == counts["one_to_one_" + style]["num_found"]


def test_perfect_labels():
    rng = np.random.default_rng(3)
    particles = rng.integers(0, 20, 400)
    truth, _ = truth_of(particles)
    weighted = EventTruth(
        object_index=truth.object_index, object_id=truth.object_id, weight=np.where(particles > 0, 0.3, 0.0)
    )
    labels = np.where(particles > 0, particles, -1)
    for counts in match_event(labels, truth, Selection(), matches=ALL).values():
        assert rate("efficiency", counts) == 1
        assert rate("fake_per_track", counts) == 0
        assert rate("duplicate_per_particle", counts) == 0
        assert rate("hit_efficiency", counts) == rate("hit_purity", counts) == 1
    assert trackml_score(labels, weighted).value == pytest.approx(1.0)


def test_everything_in_one_track():
    particles = [1] * 6 + [2] * 6 + [0] * 3
    counts = match_event([7] * 15, truth_of(particles)[0], Selection(), matches=ALL)
    for item in counts.values():
        assert (item["num_tracks"], item["num_matched_tracks"]) == (1, 0)
        assert rate("fake_per_track", item) == 1
    # The particle side of one_way alone: the one track holds more than half of both.
    assert rate("efficiency", counts["one_way"]) == 1
    assert rate("efficiency", counts["double_majority"]) == 0


@pytest.mark.parametrize("labels", [[-1] * 5, [0, 0, 1, 1, -1]])
def test_no_valid_track_gives_nan_not_zero(labels):
    counts = match_event(labels, truth_of([1, 1, 1, 1, 0])[0], Selection())["double_majority"]
    assert rate("efficiency", counts) == 0
    for name in ("fake_per_track", "duplicate_per_particle", "hit_purity", "fake_per_matched_particle"):
        assert math.isnan(rate(name, counts))


def test_noise_only_and_empty_event():
    empty = EventTruth(object_index=np.zeros(0, np.int64), object_id=np.zeros(0, np.int64), pt=[], eta=[])
    noise = EventTruth(object_index=np.full(5, -1), object_id=np.zeros(0, np.int64), pt=[], eta=[])
    for truth, labels, num_tracks in ((empty, [], 0), (noise, [0, 0, 0, 0, -1], 1)):
        for counts in match_event(labels, truth, Selection(min_pt=1.0), matches=ALL).values():
            assert math.isnan(rate("efficiency", counts))
            assert (counts["num_tracks"], counts["num_matched_tracks"]) == (num_tracks, 0)
            assert counts["num_noise_tracks"] == num_tracks


def test_ties():
    # Track 0: noise and particle share the majority -> noise. Track 1: rows 1 and 0 tie -> smaller id (row 1).
    truth = EventTruth(object_index=[-1, -1, 0, 0, 0, 0, 1, 1], object_id=[90, 5])
    table = contingency([0, 0, 0, 0, 1, 1, 1, 1], truth)
    assert table.owner.tolist() == [-1, 1]
    assert table.owner_shared.tolist() == [2, 2]
    assert table.best.tolist() == [0, 0], "largest overlap without noise, ties to the lowest row"


def test_one_to_one_has_no_second_choice():
    # Both tracks propose to particle 1; the larger overlap wins although it is impure, the pure one stays unmatched.
    particles = [1] * 5 + [0] * 7 + [1] * 4
    labels = [0] * 12 + [1] * 4
    truth, _ = truth_of(particles)
    match = match_tracks(contingency(labels, truth), "one_to_one_lhc75")
    assert match.track_particle.tolist() == [-1, -1]
    assert match_tracks(contingency(labels, truth), "lhc75").track_particle.tolist() == [-1, 0]


def test_input_universe_counts_only_what_the_network_saw():
    # Particle 1 has 6 hits, 2 of them seen: found in the input universe, lost in the original one.
    truth, _ = truth_of([1] * 6 + [2] * 3)
    seen = np.array([True] * 3 + [False] * 3 + [True] * 3)
    labels = [0, 0, 0, -1, -1, -1, 1, 1, 1]
    for universe, found in (("original", 1), ("input", 2)):
        counts = match_event(labels, truth, Selection(universe=universe), in_input=seen)["double_majority"]
        assert counts["num_found"] == found
        assert counts["num_points"] == (9 if universe == "original" else 6)
    # The same event after the cut, with the count before it kept in num_points.
    cut = EventTruth(object_index=[0] * 3 + [1] * 3, object_id=[1, 2], num_points=[6, 3])
    for universe, found in (("original", 1), ("input", 2)):
        counts = match_event([0, 0, 0, 1, 1, 1], cut, Selection(universe=universe))["double_majority"]
        assert counts["num_found"] == found
        assert counts["num_points"] == (9 if universe == "original" else 6)


def test_particles_known_from_truth_edges():
    particles = [1, 1, 1, 2, 3, 3, 3]
    labels = [0, 0, 0, 0, 1, 1, 1]
    truth, _ = truth_of(particles)
    single = match_event(labels, truth, Selection(particles_from="truth_edges", min_particle_hits=1))
    assert single["double_majority"]["num_target"] == 2
    assert single["double_majority"]["num_noise_points"] == 1
    edged = EventTruth(object_index=truth.object_index, object_id=truth.object_id, truth_edge_index=[[0, 1], [1, 2]])
    counts = match_event(labels, edged, Selection(particles_from="truth_edges"))["double_majority"]
    assert (counts["num_target"], counts["num_noise_points"], counts["num_noise_tracks"]) == (1, 4, 1)


def test_pool_sums():
    truth, _ = truth_of([1] * 4 + [2] * 4)
    one = match_event([0] * 4 + [-1] * 4, truth, Selection())["double_majority"]
    two = match_event([0] * 4 + [1] * 4, truth, Selection())["double_majority"]
    assert rate("efficiency", pool([one, two])) == 3 / 4
    with pytest.raises(DataError, match="counted in some events"):
        pool([one, {"num_found": 1}])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 0], "one label for each of 3 hits"),
        ([0.0, 1.0, 2.0], "integers were wanted, not float64"),
        ([0, -2, 1], "the label -2 came"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(DataError, match=message) as error:
        match_event(labels, truth_of([1, 1, 1])[0], Selection())
    assert "\n" not in str(error.value)


def test_bad_input_mask_and_names():
    truth, _ = truth_of([1, 1, 1])
    with pytest.raises(DataError, match="outside in_input has a label"):
        match_event([0, 0, 0], truth, Selection(), in_input=np.array([True, True, False]))
    with pytest.raises(DataError, match="boolean mask"):
        match_event([0, 0, 0], truth, Selection(), in_input=[1, 1, 0])
    with pytest.raises(ConfigError, match="Did you mean 'double_majority'"):
        match_event([0, 0, 0], truth, Selection(), matches=("double_majorty",))
    with pytest.raises(ConfigError, match="unknown rate 'fake_rate'"):
        rate("fake_rate", {})


def test_no_plain_fake_or_duplicate_rate_exists():
    assert not {"fake", "fake_rate", "duplicate", "duplicate_rate"} & set(RATES)


def test_full_event_takes_about_a_second_at_most():
    rng = np.random.default_rng(0)
    num_hits, num_tracks = 100_000, 10_000
    index = rng.integers(-1, num_tracks, num_hits)
    labels = np.where(rng.random(num_hits) < 0.8, index, rng.integers(0, num_tracks, num_hits))
    truth = EventTruth(object_index=index, object_id=np.arange(1, num_tracks + 1))
    start = time.process_time()
    match_event(labels, truth, Selection(), matches=ALL)
    assert time.process_time() - start < 1.0
