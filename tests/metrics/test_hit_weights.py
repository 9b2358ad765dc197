"""Weights, particle ids, test submissions and the weighted score."""

from __future__ import annotations

import metrics_oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from hitloom.errors import DataError
from hitloom.metrics import (
    EventTruth,
    decode_particle_id,
    drop_hits,
    encode_particle_id,
    hit_weights,
    random_solution,
    shuffle_hits,
    trackml_score,
    truth_labels,
    weight_order,
    weight_pt,
)
from hitloom.metrics.weights import hit_place

ROWS = {
    4: "0.4110 0.2192 0.1233 0.2466",
    9: "0.2041 0.1633 0.1224 0.1020 0.0612 0.0612 0.0612 0.1020 0.1224",
    12: "0.1547 0.1322 0.1097 0.0900 0.0788 0.0577 0.0464 0.0464 0.0464 0.0633 0.0816 0.0928",
    20: "0.0948 0.0868 0.0788 0.0708 0.0628 0.0559 0.0519 0.0479 0.0404 0.0324 0.0284 0.0284 0.0284 0.0284 0.0284 "
    "0.0344 0.0424 0.0489 0.0529 0.0569",
}


@pytest.mark.parametrize("num_hits", ROWS)
def test_order_rows(num_hits):
    row = weight_order(num_hits, np.arange(num_hits))
    np.testing.assert_allclose(row, [float(v) for v in ROWS[num_hits].split()], atol=5.001e-5)
    assert row.sum() == pytest.approx(1.0)


def test_order_row_of_nine_is_the_profile():
    np.testing.assert_allclose(weight_order(9, np.arange(9)) * 49, [10, 8, 6, 5, 3, 3, 3, 5, 6])


def test_short_and_long_particles():
    assert weight_order(3, np.arange(3)).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(weight_order(21, np.arange(20)), weight_order(20, np.arange(20)))
    with pytest.warns(UserWarning, match="place 20"):
        assert weight_order(21, [20]).tolist() == [0]
    with pytest.raises(DataError, match="no place among the 9 hits"):
        weight_order(9, 9)
    with pytest.raises(DataError, match="-1 is no place"):
        weight_order(9, -1)


def test_momentum_weight():
    np.testing.assert_allclose(
        weight_pt([0.0, 0.049, 0.05, 0.5, 1.0, 3.0, 50.0]), [0, 0, 0.2, 0.2, 0.2 + 0.8 * 0.5 / 2.5, 1, 1]
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 6)), max_size=40))
def test_place_is_the_truncated_mean_rank(hits):
    owner = np.array([h[0] for h in hits], dtype=np.int64)
    distance = np.array([h[1] for h in hits], dtype=np.float32)
    place = hit_place(owner, distance)
    for particle in set(owner.tolist()) - {-1}:
        mine = owner == particle
        np.testing.assert_array_equal(place[mine], (rankdata(distance[mine]) - 1).astype(int))
    assert (place[owner == -1] == 0).all()


def test_hit_weights_by_hand_and_phases():
    secondary = encode_particle_id(vertex=1, primary=2, generation=1)
    primary = encode_particle_id(vertex=1, primary=2)
    arguments = {
        "object_index": [0, 0, 0, 0, 1, 1, 1, 1, -1],
        "object_id": [int(primary), int(secondary)],
        "object_pt": [3.0, 0.3],
        "object_vertex_z": [10.0, -5.0],
        "object_num_points": [4, 4],
        "truth_z": [40.0, 20.0, 30.0, 50.0, -6.0, -7.0, -8.0, -9.0, 3.0],
    }
    row = np.array([30.0, 16.0, 9.0, 18.0]) / 73  # profile at 0, 8/3, 16/3, 8: 10, 16/3, 3, 6
    raw = np.concatenate([row[[2, 0, 1, 3]], 0.2 * row, [0.0]])
    np.testing.assert_allclose(hit_weights(**arguments, phase=1), raw / raw.sum())
    raw[4:8] = 0
    np.testing.assert_allclose(hit_weights(**arguments, phase=2), raw / raw.sum())
    with pytest.raises(DataError, match="1 or 2 was wanted"):
        hit_weights(**arguments, phase=3)


def test_no_weight_at_all_is_zero_not_nan():
    weights = hit_weights(
        object_index=[-1, 0],
        object_id=[8],
        object_pt=[1.0],
        object_vertex_z=[0.0],
        object_num_points=[1],
        truth_z=[1.0, 2.0],
        phase=1,
    )
    assert weights.tolist() == [0.0, 0.0]


@given(st.tuples(*(st.integers(0, (1 << bits) - 1) for bits in (11, 16, 12, 12, 12))))
def test_particle_id_round_trip(fields):
    packed = encode_particle_id(
        vertex=fields[0], primary=fields[1], generation=fields[2], secondary=fields[3], process=fields[4]
    )
    assert packed.dtype == np.int64
    assert tuple(int(field) for field in decode_particle_id(packed)) == fields
    bits = "".join(format(value, f"0{width}b") for value, width in zip(fields, (12, 16, 12, 12, 12), strict=True))
    assert int(packed) == int(bits, 2)


def test_particle_id_overflow_and_sign():
    with pytest.raises(DataError, match="primary = 65536 does not fit"):
        encode_particle_id(vertex=0, primary=1 << 16)
    with pytest.raises(DataError, match="vertex = 2048"):
        encode_particle_id(vertex=2048, primary=0)
    assert int(decode_particle_id(np.int64(-1)).vertex) == 4095, "read as unsigned"
    with pytest.raises(DataError, match="integers were wanted"):
        decode_particle_id([1.0])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=50))
def test_score_equals_brute_force(hits):
    labels = [h[0] for h in hits]
    particles = [h[1] for h in hits]
    weights = [float(h[2]) if h[1] else 0.0 for h in hits]
    truth = EventTruth.from_particle_ids(particles, weight=weights)
    value = trackml_score(labels, truth).value
    if sum(weights) == 0:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(metrics_oracle.score(labels, particles, weights), abs=1e-12)


def test_score_of_removed_hits():
    # Two of five hits were cut before the arrays: n_p and the total weight are those of the whole event.
    truth = EventTruth(object_index=[0, 0, 0], object_id=[3], num_points=[5], weight=[1, 1, 1], total_weight=5.0)
    assert trackml_score([0, 0, 0], truth).value == pytest.approx(3 / 5)
    assert trackml_score([0, 0, -1], truth).value == 0


def test_score_needs_weights():
    with pytest.raises(DataError, match="needs a weight"):
        trackml_score([0], EventTruth.from_particle_ids([1]))
    with pytest.raises(DataError, match="finite values from 0"):
        trackml_score([0], EventTruth.from_particle_ids([1], weight=[-1.0]))


def test_submissions():
    rng = np.random.default_rng(5)
    particles = rng.integers(0, 300, 3000) * 10**15
    truth = EventTruth.from_particle_ids(particles, weight=(particles > 0).astype(float))
    assert trackml_score(truth_labels(particles, rng=rng), truth).value == pytest.approx(1)
    assert trackml_score(np.zeros(3000, np.int64), truth).value == 0
    assert trackml_score(np.arange(3000), truth).value == 0
    labels = random_solution(3000, 40, rng=rng)
    assert (labels.min(), labels.max(), labels.dtype) == (0, 39, np.int64)
    dropped = drop_hits(particles, 0.1, rng=rng)
    sizes = np.bincount(dropped)
    assert (sizes == 1).sum() == pytest.approx(300, abs=60)
    assert trackml_score(dropped, truth).value == pytest.approx(0.9, abs=0.02)
    values = [trackml_score(shuffle_hits(particles, p, rng=rng), truth).value for p in (0.0, 0.05, 0.2, 0.5)]
    assert values[0] == pytest.approx(1)
    assert values[1] == pytest.approx(0.95, abs=0.02)
    assert values[0] > values[1] > values[2] > values[3]
    with pytest.raises(DataError, match=r"within 0 \.\. 1"):
        drop_hits(particles, 1.5, rng=rng)
