"""The metric-learning loss against sums written out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.losses.squared import squared_distance, squared_hinge_loss

MARGIN = 0.5


def test_four_hits_by_hand():
    """Hits at 0, 0.3, 0.4 and 2: positives (0,1) and (2,3), negatives (0,2) and (1,2) and (0,3)."""
    z = torch.tensor([[0.0], [0.3], [0.4], [2.0]])
    pairs = torch.tensor([[0, 2, 0, 1, 0], [1, 3, 2, 2, 3]])
    positive = torch.tensor([True, True, False, False, False])
    loss = squared_hinge_loss(z, pairs, positive, margin=MARGIN, positive_weight=2.0)
    attract = (0.3**2 + 1.6**2) / 2
    repel = ((0.25 - 0.16) + (0.25 - 0.01) + 0.0) / 3
    assert float(loss.parts["positive"]) == pytest.approx(attract, rel=1e-5)
    assert float(loss.parts["negative"]) == pytest.approx(repel, rel=1e-5)
    assert float(loss.total) == pytest.approx(2 * attract + repel, rel=1e-5)
    assert loss.counts == {"positive": 2, "negative": 3}


def test_the_margin_is_a_distance_compared_as_a_square():
    z = torch.tensor([[0.0, 0.0], [0.0, 0.0999]])
    pairs, positive = torch.tensor([[0], [1]]), torch.tensor([False])
    assert float(squared_hinge_loss(z, pairs, positive, margin=0.1).total) > 0
    assert float(squared_hinge_loss(z * 1.01, pairs, positive, margin=0.1).total) == 0


def test_a_masked_pair_does_not_count():
    z = torch.tensor([[0.0], [0.3], [0.4]])
    pairs, positive = torch.tensor([[0, 1, 0], [1, 2, 2]]), torch.tensor([True, False, False])
    weight = torch.tensor([1.0, 1.0, 0.0])
    loss = squared_hinge_loss(z, pairs, positive, margin=MARGIN, weight=weight)
    assert loss.counts == {"positive": 1, "negative": 1}
    assert float(loss.parts["negative"]) == pytest.approx(0.25 - 0.01, rel=1e-5)


def test_without_pairs_the_loss_is_zero_and_has_a_gradient():
    z = torch.randn(3, 2, requires_grad=True)
    empty = torch.zeros((2, 0), dtype=torch.int64)
    total = squared_hinge_loss(z, empty, torch.zeros(0, dtype=torch.bool), margin=1.0).total
    assert float(total.detach()) == 0
    total.backward()
    assert z.grad is not None


@settings(deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_and_direction_of_pairs_do_not_matter(seed: int):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(12, 3, generator=generator)
    pairs = torch.randint(12, (2, 20), generator=generator)
    positive = torch.rand(20, generator=generator) < 0.4
    order = torch.randperm(20, generator=generator)
    first = squared_hinge_loss(z, pairs, positive, margin=1.0).total
    second = squared_hinge_loss(z, pairs.flip(0)[:, order], positive[order], margin=1.0).total
    torch.testing.assert_close(first, second)


def test_distances_are_those_of_cdist():
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    pairs = torch.cartesian_prod(torch.arange(9), torch.arange(9)).T
    wanted = torch.cdist(z.double(), z.double()).square().reshape(-1).float()
    torch.testing.assert_close(squared_distance(z, pairs), wanted, atol=1e-5, rtol=1e-4)
