"""Angles and cylindrical coordinates by their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hitloom.errors import DataError
from hitloom.ops import cylindrical, delta_phi, wrap_phi

angles = st.floats(-1e4, 1e4, allow_nan=False, width=32)


@given(angles)
def test_wrapped_is_in_range_and_the_same_direction(phi):
    for dtype in (torch.float32, torch.float64):
        before = torch.tensor(phi, dtype=dtype)
        after = wrap_phi(before)
        assert -math.pi <= float(after.double()) < math.pi or after == torch.tensor(-math.pi, dtype=dtype)
        close = 2e-3 if dtype == torch.float32 else 1e-9
        assert math.isclose(math.cos(float(after)), math.cos(phi), abs_tol=close)
        assert math.isclose(math.sin(float(after)), math.sin(phi), abs_tol=close)
        assert wrap_phi(after) == after


def test_inside_is_kept_bit_for_bit_and_the_seam_belongs_below():
    inside = torch.linspace(-3.14159, 3.14159, 1001)
    assert torch.equal(wrap_phi(inside), inside)
    seam = torch.tensor([math.pi, -math.pi, 3 * math.pi], dtype=torch.float64)
    torch.testing.assert_close(wrap_phi(seam), torch.full((3,), -math.pi, dtype=torch.float64))


@given(angles, angles)
def test_difference_crosses_the_seam(a, b):
    ta, tb = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    difference = float(delta_phi(ta, tb))
    assert -math.pi <= difference < math.pi
    assert math.isclose(math.cos(difference), math.cos(a - b), abs_tol=1e-8)
    assert math.isclose(math.sin(difference), math.sin(a - b), abs_tol=1e-8)


def test_difference_by_hand():
    torch.testing.assert_close(delta_phi(torch.tensor(3.0), torch.tensor(-3.0)), torch.tensor(6.0 - 2 * math.pi))


def test_cylindrical_by_definition():
    pos = torch.randn(200, 3, dtype=torch.float64) * 500
    r, phi, z, eta = cylindrical(pos)
    theta = torch.atan2((pos[:, 0] ** 2 + pos[:, 1] ** 2).sqrt(), pos[:, 2])
    torch.testing.assert_close(eta, -torch.log(torch.tan(theta / 2)))
    torch.testing.assert_close(torch.stack([r * phi.cos(), r * phi.sin(), z], 1), pos)


def test_cylindrical_on_the_beam_line():
    _, _, _, eta = cylindrical(torch.tensor([[0.0, 0.0, 5.0], [0.0, 0.0, -5.0], [0.0, 0.0, 0.0]]))
    assert eta.tolist() == [math.inf, -math.inf, 0.0]
    with pytest.raises(DataError, match="wanted"):
        cylindrical(torch.zeros(4, 2))


def test_cylindrical_has_finite_gradients_off_the_axis():
    pos = torch.tensor([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]], requires_grad=True)
    cylindrical(pos[:1])[3].sum().backward()
    assert bool(pos.grad[0].isfinite().all())
