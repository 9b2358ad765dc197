"""Similarity of pairs: every form gives the same values and gradients as the plain loop over pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hitloom.nn.pair_head import PairHead

CLOSE = {"atol": 1e-6, "rtol": 1e-5}


def head(*, symmetric: bool, max_pairs: int = 40) -> PairHead:
    torch.manual_seed(0)
    return PairHead(num_inputs=6, hidden=20, symmetric=symmetric, max_pairs=max_pairs)


def by_loop(made: PairHead, vectors: Tensor) -> Tensor:
    """Pair by pair, the pair (i, j) with i < j by the first MLP, the diagonal by the second."""
    rows = [[torch.zeros(())] * len(vectors) for _ in vectors]
    for i, a in enumerate(vectors):
        rows[i][i] = made.single(a)[0]
        for j in range(i + 1, len(vectors)):
            value = made.pair(torch.cat([a, vectors[j]]))[0]
            if made.symmetric:
                value = (value + made.pair(torch.cat([vectors[j], a]))[0]) / 2
            rows[i][j] = rows[j][i] = value
    return torch.stack([torch.stack(row) for row in rows]) if rows else vectors.new_zeros((0, 0))


def by_concatenation(made: PairHead, vectors: Tensor) -> Tensor:
    """All pairs as one table (N^2, 2 A)."""
    num = len(vectors)
    table = torch.cat([vectors.repeat_interleave(num, 0), vectors.repeat(num, 1)], 1)
    one = made.pair(table).view(num, num)
    both = (one + one.T) / 2 if made.symmetric else one.triu(1) + one.triu(1).T
    return both.diagonal_scatter(made.single(vectors)[:, 0])


def in_blocks(made: PairHead, vectors: Tensor) -> Tensor:
    """Block of rows by block of rows, as on other devices."""
    last = made.pair[2]
    pairs = made.in_blocks(*made.project(vectors), last.weight[0], last.bias)
    return pairs.diagonal_scatter(made.diagonal(vectors))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("num", [0, 1, 2, 3, 5, 17])
def test_loop_concatenation_blocks_and_compiled_pass_agree(num: int, symmetric: bool):
    made = head(symmetric=symmetric)
    vectors = torch.randn(num, 6)
    with torch.no_grad():
        wanted = by_loop(made, vectors)
        for form in (made, lambda v: by_concatenation(made, v), lambda v: in_blocks(made, v)):
            torch.testing.assert_close(form(vectors), wanted, **CLOSE)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("num", [1, 2, 9, 34])
def test_gradients_of_blocks_and_compiled_pass_equal_those_of_the_concatenation(num: int, symmetric: bool):
    made = head(symmetric=symmetric)
    vectors = torch.randn(num, 6, requires_grad=True)
    weight = torch.randn(num, num)

    def gradients(values: Tensor) -> list[Tensor]:
        found = torch.autograd.grad((values * weight).sum(), [vectors, *made.parameters()], allow_unused=True)
        return [torch.zeros(1) if grad is None else grad for grad in found]

    wanted = gradients(by_concatenation(made, vectors))
    for form in (made(vectors), in_blocks(made, vectors)):
        for grad, other in zip(gradients(form), wanted, strict=True):
            torch.testing.assert_close(grad, other.expand_as(grad), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_threads_share_the_rows_without_a_gap(num_threads: int):
    made = head(symmetric=True)
    vectors = torch.randn(150, 6)
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        with torch.no_grad():
            torch.testing.assert_close(made(vectors), by_concatenation(made, vectors), **CLOSE)
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def test_similarities_follow_a_permutation_of_the_elements():
    made, vectors = head(symmetric=True), torch.randn(12, 6)
    order = torch.randperm(12)
    torch.testing.assert_close(made(vectors[order]), made(vectors)[order][:, order], **CLOSE)
    assert torch.equal(made(vectors), made(vectors).T)


@torch.no_grad()
def test_the_ordered_form_depends_on_the_order_as_published():
    made, vectors = head(symmetric=False), torch.randn(4, 6)
    turned = made(vectors.flip(0)).flip(0, 1)
    assert float((turned - made(vectors)).abs().max()) > 1e-3


def test_similarities_stay_float32_under_half_precision():
    """What enters the head may be rounded; logits, and so losses and groups, are float32."""
    made, vectors = head(symmetric=True), torch.randn(7, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = made(vectors)
    assert logits.dtype == torch.float32
    assert len(torch.unique((logits * 2**12) % 1)) > 5, "values between those of bfloat16 are there"
    torch.testing.assert_close(logits, made(vectors), atol=2e-2, rtol=2e-2)


def test_blocks_keep_no_more_than_their_share_for_the_backward_pass():
    made = head(symmetric=True, max_pairs=60)
    vectors = torch.randn(30, 6, requires_grad=True)
    kept: list[int] = []

    def keep(value: Tensor) -> Tensor:
        kept.append(value.numel())
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        in_blocks(made, vectors)
        made(vectors)
    assert max(kept) <= 30 * 20, "nothing of the size pairs times width"
