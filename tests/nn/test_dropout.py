"""Dropout by a hash: its share, its scale, independence of chunks, the same choice in the backward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from hitloom.nn.dropout import draw_seed, drop_rows, dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.9])
def test_the_share_taken_away_and_the_scale_of_the_rest(p: float):
    mask = drop_rows(torch.ones(4000, 37), p, 5)
    kept = mask[mask > 0]
    assert stats.binomtest(mask.numel() - len(kept), mask.numel(), p).pvalue > 1e-4
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))
    for axis in (0, 1):  # no row, channel or lane is preferred
        share = (mask == 0).float().mean(axis).numpy()
        width = np.sqrt(p * (1 - p) / mask.shape[axis])
        assert np.abs(share - p).max() < 6 * width


def test_neighbouring_entries_are_independent():
    mask = (drop_rows(torch.ones(4000, 32), 0.5, 9) > 0).numpy().astype(float) - 0.5
    for shift in ((0, 1), (0, 4), (1, 0), (1, 1), (3, 2)):
        other = np.roll(mask, shift, (0, 1))
        assert abs((mask * other).mean() / 0.25) < 6 / np.sqrt(mask.size)
    second = (drop_rows(torch.ones(4000, 32), 0.5, 10**12) > 0).numpy().astype(float) - 0.5
    assert abs((mask * second).mean() / 0.25) < 6 / np.sqrt(mask.size)


def test_chunks_do_not_matter():
    whole = drop_rows(torch.ones(100, 10), 0.4, 3)
    parts = [drop_rows(torch.ones(len(rows), 10), 0.4, 3, offset=int(rows[0])) for rows in torch.arange(100).split(17)]
    assert torch.equal(torch.cat(parts), whole)


def test_the_backward_pass_makes_the_same_choice():
    x = torch.randn(50, 9, requires_grad=True)
    torch.manual_seed(1)
    out = dropout(x, 0.4, True)
    out.sum().backward()
    torch.manual_seed(1)
    mask = drop_rows(torch.ones(50, 9), 0.4, draw_seed())
    assert torch.equal(x.grad, mask)
    torch.testing.assert_close(out, x * mask)


def test_shapes_and_the_ways_around():
    x = torch.randn(4, 5, 7)
    assert dropout(x, 0.5, True).shape == x.shape
    assert dropout(x, 0.5, False) is x
    assert dropout(x, 0.0, True) is x
    assert dropout(torch.zeros(0, 7), 0.5, True).shape == (0, 7)
    assert dropout(x.double(), 0.5, True).dtype == torch.float64
    turned = torch.randn(7, 4).t()
    torch.manual_seed(0)
    own = dropout(turned, 0.5, True)
    torch.manual_seed(0)
    assert torch.equal(own, dropout(turned.contiguous(), 0.5, True))
