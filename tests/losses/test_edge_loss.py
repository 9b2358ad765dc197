"""The loss of edges against torch's own cross-entropy and sums by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from hitloom.losses.edges import edge_loss

LOGIT = torch.tensor([2.0, -1.0, 0.5, -3.0, 1.0])
SIGNAL = torch.tensor([True, True, False, False, False])


def each() -> torch.Tensor:
    return binary_cross_entropy_with_logits(LOGIT, SIGNAL.float(), reduction="none")


def test_proportional_is_the_mean_over_all_edges():
    wanted = binary_cross_entropy_with_logits(LOGIT, SIGNAL.float(), pos_weight=torch.tensor(3.0))
    found = edge_loss(LOGIT, SIGNAL, pos_weight=3.0, balance="proportional").total
    torch.testing.assert_close(found, wanted)


def test_equal_is_the_sum_of_two_means():
    value = each()
    wanted = 2.0 * value[:2].mean() + value[2:].mean()
    torch.testing.assert_close(edge_loss(LOGIT, SIGNAL, pos_weight=2.0, balance="equal").total, wanted)


def test_an_edge_of_weight_zero_is_masked():
    weight = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.0])
    loss = edge_loss(LOGIT, SIGNAL, weight=weight, balance="equal")
    value = each()
    assert loss.counts == {"edge_positive": 1, "edge_negative": 2}
    torch.testing.assert_close(loss.parts["edge_positive"], value[0])
    torch.testing.assert_close(loss.parts["edge_negative"], (2 * value[2] + value[3]) / 2)


@pytest.mark.parametrize("signal", [torch.zeros(5, dtype=torch.bool), torch.ones(5, dtype=torch.bool)])
def test_one_class_alone_is_finite(signal: torch.Tensor):
    for balance in ("equal", "proportional"):
        assert bool(torch.isfinite(edge_loss(LOGIT, signal, balance=balance).total))


def test_no_edge_gives_zero():
    logit = torch.zeros(0, requires_grad=True)
    total = edge_loss(logit, torch.zeros(0, dtype=torch.bool)).total
    assert float(total.detach()) == 0
    total.backward()
