"""The compiled passes against plain torch in double precision, values and gradients."""

from __future__ import annotations

import os
import time

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hitloom.nn.fused import attend, can_fuse, gather_add, masked_softmax, norm_silu


def plain_attend(raw: Tensor, logit: Tensor, mask: Tensor, saturated: bool) -> tuple[Tensor, Tensor]:
    out = F.silu(raw)
    weight = torch.where(mask, (F.silu(logit) if saturated else logit).exp(), 0.0)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-300)
    return out, (weight[..., None] * out).sum(1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.integers(1, 40), st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 30.0]))
def test_norm_silu_and_its_gradient(rows: int, width: int, seed: int, size: float):
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randn(rows, width, generator=generator) * size + size).requires_grad_()
    assert can_fuse(x)
    grad = torch.randn(rows, width, generator=generator)
    exact = x.detach().double().requires_grad_()
    reference = F.silu(F.layer_norm(exact, (width,)))
    torch.testing.assert_close(norm_silu(x).double(), reference, atol=3e-6, rtol=1e-5)
    ours, theirs = (torch.autograd.grad(out, [leaf], grad.to(leaf.dtype))[0] for out, leaf in
                    ((norm_silu(x), x), (reference, exact)))  # fmt: skip
    torch.testing.assert_close(ours.double(), theirs, atol=1e-5 + 2e-5 / size, rtol=2e-4)


@pytest.mark.parametrize("saturated", [True, False])
@pytest.mark.parametrize("keep", [0.0, 0.6, 1.0])
def test_attend_and_its_gradient(saturated: bool, keep: float):
    generator = torch.Generator().manual_seed(5)
    raw, logit = (torch.randn(*shape, generator=generator) * 3 for shape in ((7, 4, 5), (7, 4)))
    inputs = [raw.requires_grad_(), logit.requires_grad_()]
    mask = torch.rand(7, 4, generator=generator) < keep
    grads = [torch.randn(7, 4, 5, generator=generator), torch.randn(7, 5, generator=generator)]
    exact = [value.detach().double().requires_grad_() for value in inputs]
    ours, theirs = attend(*inputs, mask, saturated_logit=saturated), plain_attend(*exact, mask, saturated)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.double(), b, atol=2e-6, rtol=1e-5)
    found = torch.autograd.grad(ours, inputs, grads)
    expected = torch.autograd.grad(theirs, exact, [grad.double() for grad in grads])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, atol=1e-5, rtol=1e-4)
    into = torch.empty(7, 4, 5)
    with torch.no_grad():
        assert attend(*inputs, mask, saturated_logit=saturated, into=into)[0] is into
    assert torch.equal(into, ours[0])


def test_gather_add():
    source, centre = torch.randn(9, 3), torch.randn(5, 3)
    index = torch.randint(9, (5, 4))
    expected = source[index] + centre[:, None]
    assert torch.equal(gather_add(source, centre, index), expected)
    with torch.no_grad():
        assert torch.equal(gather_add(source, centre, index), expected)


def test_extreme_and_broken_values_behave_as_in_torch():
    x = torch.tensor([[1e30, -1e30, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [float("nan"), 0.0, 1.0, 2.0]])
    ours, theirs = norm_silu(x), F.silu(F.layer_norm(x, (4,)))
    torch.testing.assert_close(ours[1], theirs[1])
    assert ours[2].isnan().all()
    assert theirs[2].isnan().all()
    raw, logit = torch.tensor([[[200.0, -200.0], [1.0, 2.0]]]), torch.tensor([[90.0, 500.0]])
    state, message = attend(raw, logit, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(state, F.silu(raw))
    torch.testing.assert_close(message, F.silu(raw)[:, 1])


def test_half_precision_and_double_take_the_plain_path():
    for dtype in (torch.bfloat16, torch.float64):
        x = torch.randn(3, 8).to(dtype)
        assert not can_fuse(x)
        assert torch.equal(norm_silu(x), F.silu(F.layer_norm(x, (8,))))


def test_masked_softmax_of_nothing_is_nothing():
    assert torch.equal(masked_softmax(torch.randn(2, 3), torch.zeros(2, 3, dtype=torch.bool)), torch.zeros(2, 3))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_several_threads_give_the_same_numbers_also_after_a_fork(monkeypatch: pytest.MonkeyPatch):
    raw, logit, mask = torch.randn(700, 4, 6), torch.randn(700, 4), torch.rand(700, 4) < 0.7
    alone = norm_silu(raw), *attend(raw, logit, mask)
    monkeypatch.setattr("hitloom.nn._workers.num_threads", lambda: 3)
    monkeypatch.setattr("hitloom.nn.fused.GRAIN", 64)
    calls = [norm_silu(raw), *attend(raw, logit, mask)]
    assert all(torch.equal(a, b) for a, b in zip(alone, calls, strict=True))
    child = os.fork()
    if child == 0:
        same = all(torch.equal(a, b) for a, b in zip(alone, [norm_silu(raw), *attend(raw, logit, mask)], strict=True))
        os._exit(0 if same else 1)
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the forked process hangs")
        time.sleep(0.02)
    assert ended[1] == 0
