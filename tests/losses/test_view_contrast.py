"""Contrast between two views against its definition; permutations within events."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitloom.losses.views import shuffled_within, view_contrast


@pytest.mark.parametrize("margin", [0.3, 2.0])
def test_the_contrast_equals_its_definition(margin: float):
    g = np.random.default_rng(0)
    u, v, different = g.normal(size=(30, 5)), g.normal(size=(30, 5)), g.random(30) < 0.5
    total = 0.0
    for a, b, apart in zip(u, v, different, strict=True):
        d = np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b))
        total += max(0.0, margin - d) ** 2 if apart else d**2
    own = view_contrast(torch.tensor(u), torch.tensor(v), torch.tensor(different), margin=margin)
    assert float(own) == pytest.approx(total / 30, rel=1e-5)


def test_length_does_not_count():
    u, v, different = torch.randn(9, 4), torch.randn(9, 4), torch.arange(9) % 2 == 0
    first = view_contrast(u, v, different, margin=1.0)
    torch.testing.assert_close(view_contrast(3 * u, 0.1 * v, different, margin=1.0), first)


def test_equal_embeddings_and_none_are_finite():
    u = torch.zeros(3, 4, requires_grad=True)
    view_contrast(u, u, torch.tensor([True, False, True]), margin=1.0).backward()
    assert bool(torch.isfinite(u.grad).all())
    v = torch.zeros(0, 4, requires_grad=True)
    view_contrast(v, v, torch.zeros(0, dtype=torch.bool), margin=1.0).backward()


def test_shuffling_stays_within_events():
    event = torch.tensor([0, 0, 0, 0, 2, 2, 5])
    seen = set()
    for seed in range(50):
        order = shuffled_within(event, generator=torch.Generator().manual_seed(seed))
        assert sorted(order.tolist()) == list(range(7))
        assert torch.equal(event[order], event)
        seen.add(tuple(order.tolist()))
    assert len(seen) > 20
