"""Segment reductions against loops. E rows, S segments."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import DataError
from hitloom.ops import segment_count, segment_max, segment_mean, segment_softmax, segment_sum

SEGMENTS = 5
cases = st.tuples(
    st.lists(st.integers(0, SEGMENTS - 1), max_size=30),
    st.sampled_from([(), (1,), (3,), (2, 2)]),
    st.integers(0, 2**31 - 1),
)


def draw(case):
    index, trailing, seed = case
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(len(index), *trailing, dtype=torch.float64, generator=generator)
    return values, torch.tensor(index, dtype=torch.int64)


def by_loop(values, index, reduce, empty=0.0):
    rows = [values[index == s] for s in range(SEGMENTS)]
    blank = torch.full(values.shape[1:], empty, dtype=values.dtype)
    return torch.stack([reduce(own) if len(own) else blank for own in rows])


@given(cases)
@settings(max_examples=60, deadline=None)
def test_equal_loops(case):
    values, index = draw(case)
    close = torch.testing.assert_close
    close(segment_sum(values, index, SEGMENTS), by_loop(values, index, lambda v: v.sum(0)))
    close(segment_mean(values, index, SEGMENTS), by_loop(values, index, lambda v: v.mean(0)))
    close(segment_max(values, index, SEGMENTS), by_loop(values, index, lambda v: v.amax(0)))
    close(segment_max(values, index, SEGMENTS, empty=-9.0), by_loop(values, index, lambda v: v.amax(0), -9.0))
    assert segment_count(index, SEGMENTS).tolist() == [int((index == s).sum()) for s in range(SEGMENTS)]
    soft = segment_softmax(values, index, SEGMENTS)
    for s in range(SEGMENTS):
        close(soft[index == s], values[index == s].softmax(0))


@given(cases, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_order_of_rows_does_not_matter(case, random):
    values, index = draw(case)
    order = torch.tensor(random.sample(range(len(index)), len(index)), dtype=torch.int64)
    for function in (segment_sum, segment_mean, segment_max):
        torch.testing.assert_close(function(values[order], index[order], SEGMENTS), function(values, index, SEGMENTS))
    soft = segment_softmax(values, index, SEGMENTS)
    torch.testing.assert_close(segment_softmax(values[order], index[order], SEGMENTS), soft[order])


@pytest.mark.parametrize("function", [segment_sum, segment_mean, segment_max, segment_softmax])
def test_gradients(function):
    values = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([3, 0, 0, 1, 3, 3, 0, 1, 3])
    assert torch.autograd.gradcheck(lambda v: function(v, index, SEGMENTS), (values,))


def test_softmax_survives_large_and_half_logits():
    logits = torch.tensor([1e4, 1e4 - 1, -1e4, 0.0])
    index = torch.tensor([0, 0, 1, 1])
    torch.testing.assert_close(segment_softmax(logits, index, 2)[:2], torch.tensor([1.0, 0.0]).softmax(0))
    assert segment_softmax(logits, index, 2)[2:].tolist() == [0.0, 1.0]
    half = segment_softmax(logits.bfloat16(), index, 2)
    assert half.dtype == torch.bfloat16
    assert bool(half.isfinite().all())


def test_wrong_index_is_named():
    with pytest.raises(DataError, match="one integer per row"):
        segment_sum(torch.zeros(4), torch.zeros(3, dtype=torch.int64), 2)
    with pytest.raises(DataError, match="one integer per row"):
        segment_max(torch.zeros(4), torch.zeros(4), 2)
