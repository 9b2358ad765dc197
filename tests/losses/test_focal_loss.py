"""Focal loss against its definition in numpy, and what its weights mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.losses.focal import focal_loss, focal_loss_on_probabilities


def by_hand(logit: np.ndarray, target: np.ndarray, gamma: float, alpha: float, weight: np.ndarray | None) -> float:
    p = 1 / (1 + np.exp(-logit))
    total = mass = 0.0
    for k in range(len(logit)):
        entropy = -(target[k] * np.log(p[k]) + (1 - target[k]) * np.log(1 - p[k]))
        right = p[k] * target[k] + (1 - p[k]) * (1 - target[k])
        share = alpha * target[k] + (1 - alpha) * (1 - target[k])
        w = 1.0 if weight is None else weight[k]
        total, mass = total + w * entropy * share * (1 - right) ** gamma, mass + w
    return total / max(mass, 1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=25)
@given(
    rows=st.lists(st.tuples(st.floats(-6, 6), st.floats(0, 1), st.floats(0, 3)), min_size=1, max_size=20),
    gamma=st.sampled_from([0.0, 1.0, 2.0]),
    alpha=st.floats(0.05, 0.95),
)
def test_focal_loss_equals_its_definition(weighted: bool, rows, gamma: float, alpha: float):
    logit, target, weight = np.array(rows, dtype=np.float64).T
    given_weight = weight if weighted else None
    own = focal_loss(
        torch.tensor(logit), torch.tensor(target), gamma=gamma, alpha=alpha,
        weight=torch.tensor(weight) if weighted else None,
    )  # fmt: skip
    assert float(own) == pytest.approx(by_hand(logit, target, gamma, alpha, given_weight), rel=2e-4, abs=1e-5)


def test_gamma_zero_and_half_alpha_is_half_the_cross_entropy():
    logit, target = torch.randn(50), torch.rand(50)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logit, target)
    torch.testing.assert_close(focal_loss(logit, target, gamma=0.0, alpha=0.5), plain / 2)


def test_weights_carry_no_gradient_and_only_their_ratio_counts():
    logit = torch.randn(20, requires_grad=True)
    target, weight = torch.rand(20), torch.rand(20, requires_grad=True)
    value = focal_loss(logit, target, weight=weight)
    value.backward()
    assert weight.grad is None
    torch.testing.assert_close(focal_loss(logit, target, weight=7 * weight), value)


@pytest.mark.parametrize("loss", [focal_loss, focal_loss_on_probabilities])
def test_nothing_to_learn_from_is_zero_with_a_gradient(loss):
    none = torch.zeros(0, requires_grad=True)
    loss(none, torch.zeros(0), weight=torch.zeros(0)).backward()
    some = torch.full((3,), 0.5, requires_grad=True)
    value = loss(some, torch.ones(3), weight=torch.zeros(3))
    assert float(value.detach()) == 0.0
    value.backward()


def test_the_older_form_shrinks_edges_of_small_weight_twice():
    probability, target = torch.tensor([0.2]), torch.tensor([1.0])
    for weight in (1.0, 0.1):
        entropy = -weight * np.log(0.2)
        wanted = 0.4 * (1 - np.exp(-entropy)) ** 2 * entropy
        found = focal_loss_on_probabilities(probability, target, weight=torch.tensor([weight]))
        assert float(found) == pytest.approx(wanted, rel=1e-5)
    full, light = (
        float(focal_loss_on_probabilities(probability, target, weight=torch.tensor([w]))) for w in (1.0, 0.1)
    )
    assert light < 0.1 * full / 10  # far less than the weight asks for


def test_extreme_logits_stay_finite():
    logit = torch.tensor([-200.0, 200.0, -200.0, 200.0], requires_grad=True)
    value = focal_loss(logit, torch.tensor([0.0, 1.0, 1.0, 0.0]))
    value.backward()
    assert bool(torch.isfinite(value))
    assert bool(torch.isfinite(logit.grad).all())
