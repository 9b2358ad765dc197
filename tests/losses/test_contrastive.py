"""The pair losses by hand on four points, and their limits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.losses import (
    Loss,
    PairWeights,
    contrastive_loss,
    pair_hinge,
    random_pairs,
    same_object,
    score_loss,
    seeded_generator,
)

# Four hits: two of object 7, one of object 8, one of noise.
Z = torch.tensor([[0.0, 0.0], [0.3, 0.4], [0.0, 0.6], [3.0, 0.0]])
KEY = torch.tensor([7, 7, 8, -1])


def test_terms_by_hand():
    terms = {
        "signal": torch.tensor([[0], [1]]),  # together, d = 0.5: 0.25
        "knn": torch.tensor([[0, 1, 3], [2, 2, 0]]),  # apart: d = 0.6: 0.16; d = sqrt(0.13); d = 3: 0
        "random": torch.tensor([[0, 3, 2], [0, 3, 3]]),  # self of an object: 0; self of noise: 1; far: 0
    }
    loss = contrastive_loss(Z, KEY, terms=terms)
    knn = (0.16 + (1 - 0.13**0.5) ** 2 + 0.0) / 3
    assert float(loss.parts["signal"]) == pytest.approx(0.25, abs=1e-6)
    assert float(loss.parts["knn"]) == pytest.approx(knn, abs=1e-6)
    assert float(loss.parts["random"]) == pytest.approx(1 / 3, abs=1e-5)
    assert float(loss.total) == pytest.approx(0.25 + knn + 1 / 3, abs=1e-5)
    assert loss.counts == {"signal": 1, "knn": 3, "random": 3}


def test_margin_moves_the_hinge():
    pairs = torch.tensor([[0], [3]])
    assert float(pair_hinge(Z, pairs, torch.tensor([False]), margin=4.0)) == pytest.approx(1.0, abs=1e-5)


def test_weights_by_hand():
    pairs = torch.tensor([[0, 1, 0, 3], [1, 0, 2, 0]])
    weights = PairWeights(
        positive=torch.tensor([2.0, 5.0, 9.0, 9.0]), negative=0.5, confidence=torch.tensor([1.0, 0.5, 0.25, 0.1])
    )
    positive = same_object(KEY, pairs)
    assert positive.tolist() == [True, True, False, False]
    # positive by the FIRST point; times both confidences
    expected = [2.0 * 0.5, 5.0 * 0.5, 0.5 * 0.25, 0.5 * 0.1]
    assert weights.of(pairs, positive).tolist() == pytest.approx(expected)
    value = (expected[0] * 0.25 + expected[1] * 0.25 + expected[2] * 0.16) / sum(expected)
    loss = contrastive_loss(Z, KEY, terms={"a": pairs}, weights=weights)
    assert float(loss.parts["a"]) == pytest.approx(value, abs=1e-6)


def test_negatives_may_weigh_as_their_heavier_member():
    pairs = torch.tensor([[0, 2], [2, 0]])
    weights = PairWeights(positive=torch.tensor([2.0, 5.0, 9.0, 9.0]), negative=0.5, negatives_from_members=True)
    assert weights.of(pairs, same_object(KEY, pairs)).tolist() == [4.5, 4.5]


def test_confidence_carries_a_gradient_through_the_normalisation_too():
    score = torch.tensor([0.3, -0.2, 0.8, 0.1], requires_grad=True)
    pairs = torch.tensor([[0, 0], [1, 2]])

    def value(logits: torch.Tensor) -> torch.Tensor:
        weights = PairWeights(confidence=logits.sigmoid())
        return contrastive_loss(Z, KEY, terms={"a": pairs}, weights=weights).total

    (grad,) = torch.autograd.grad(value(score), [score])
    step = torch.zeros(4)
    step[2] = 1e-3
    difference = (value(score.detach() + step) - value(score.detach() - step)) / 2e-3
    assert float(grad[2]) == pytest.approx(float(difference), rel=1e-2)


@pytest.mark.parametrize("empty", ["no pairs", "no weight"])
def test_defect_18_a_term_without_pairs_is_zero_and_counted(empty: str):
    z = Z.clone().requires_grad_()
    pairs = torch.zeros(2, 0, dtype=torch.int64) if empty == "no pairs" else torch.tensor([[0], [1]])
    weights = PairWeights(positive=torch.zeros(4)) if empty == "no weight" else None
    loss = contrastive_loss(z, KEY, terms={"signal": pairs}, weights=weights)
    assert float(loss.parts["signal"].detach()) == 0.0
    assert loss.counts == {"signal": pairs.shape[1]}
    loss.total.backward()
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_coincident_points_have_a_finite_gradient():
    z = torch.zeros(2, 3, requires_grad=True)
    for key in (torch.tensor([1, 1]), torch.tensor([1, 2])):
        (grad,) = torch.autograd.grad(contrastive_loss(z, key, terms={"a": torch.tensor([[0], [1]])}).total, [z])
        assert grad.isfinite().all()


def test_half_precision_embeddings_are_compared_in_float32():
    z = Z.to(torch.bfloat16)
    loss = contrastive_loss(z, KEY, terms={"a": torch.tensor([[0], [1]])})
    assert loss.total.dtype == torch.float32


def test_defect_11_objects_are_compared_as_integers():
    large = 4503668346847233
    key = torch.tensor([large, large + 1])
    assert float(key[0].float()) == float(key[1].float())
    assert same_object(key, torch.tensor([[0, 0], [1, 0]])).tolist() == [False, True]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 20), st.integers(0, 50), st.integers(-(2**63), 2**63 - 1))
def test_random_pairs_are_in_range_and_repeatable(num_points: int, num_pairs: int, seed: int):
    draws = [random_pairs(num_points, num_pairs, generator=seeded_generator(3, seed)) for _ in range(2)]
    assert torch.equal(*draws)
    assert draws[0].shape == (2, num_pairs if num_points else 0)
    assert ((draws[0] >= 0) & (draws[0] < max(1, num_points))).all()


def test_seeds_differ_in_every_place():
    draws = {
        tuple(torch.rand(3, generator=seeded_generator(*numbers)).tolist())
        for numbers in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 0, 0), (2, 3), (3, 2)]
    }
    assert len(draws) == 7


def test_score_loss_by_hand():
    logit = torch.tensor([0.0, 2.0, -1.0])
    truth = torch.tensor([True, False, False])
    weight = torch.tensor([1.0, 3.0, 0.0])
    softplus = torch.nn.functional.softplus
    expected = (1.0 * softplus(torch.tensor(0.0)) + 3.0 * softplus(torch.tensor(2.0))) / 4.0
    assert float(score_loss(logit, truth, weight=weight)) == pytest.approx(float(expected), rel=1e-6)
    assert float(score_loss(logit[:0], truth[:0])) == 0.0
    assert float(score_loss(logit, truth, weight=torch.zeros(3))) == 0.0


def test_total_is_the_weighted_sum_of_the_parts():
    loss = Loss(parts={"a": torch.tensor(2.0)}, counts={"a": 1}).with_part("b", torch.tensor(3.0), count=4, weight=0.5)
    assert float(loss.total) == 3.5
    assert loss.counts == {"a": 1, "b": 4}
