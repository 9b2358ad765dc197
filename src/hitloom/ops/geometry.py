"""Angles and cylindrical coordinates. Lengths in any one unit, angles in rad.

N points.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hitloom.errors import DataError


def wrap_phi(phi: Tensor) -> Tensor:
    """Return the angle ``phi`` moved by whole turns into [-pi, pi).

    Angles inside already come back bit for bit.

    Examples
    --------
    >>> wrap_phi(torch.tensor([0.5, 7.0])).tolist()
    [0.5, 0.7168147563934326]
    """
    turned = torch.remainder(phi + math.pi, 2 * math.pi) - math.pi
    # A remainder that rounds up to a whole turn belongs at the lower end.
    turned = torch.where(turned >= math.pi, turned - 2 * math.pi, turned)
    return torch.where((phi >= -math.pi) & (phi < math.pi), phi, turned)


def delta_phi(a: Tensor, b: Tensor) -> Tensor:
    """Return the signed difference a - b of two angles, in [-pi, pi)."""
    return wrap_phi(a - b)


def cylindrical(pos: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (r, phi, z, eta) of ``pos`` (..., 3), each (...).

    ``r = hypot(x, y)``, ``phi = atan2(y, x)`` in [-pi, pi], ``eta = asinh(z / r)``, which equals -ln tan(theta / 2); on
    the beam line eta is +-inf with the sign of z, at the origin 0.

    Raises
    ------
    DataError
        When the last axis is not x, y, z.

    Examples
    --------
    >>> [round(float(value), 3) for value in cylindrical(torch.tensor([3.0, 4.0, 12.0]))]
    [5.0, 0.927, 12.0, 1.609]
    """
    if pos.shape[-1:] != (3,):
        raise DataError(f"pos: came with shape {tuple(pos.shape)}, wanted (..., 3); mend: give x, y, z")
    x, y, z = pos.unbind(dim=-1)
    r = torch.hypot(x, y)
    eta = torch.asinh(z / torch.where(r > 0, r, 1.0))
    eta = torch.where(r > 0, eta, torch.where(z == 0, 0.0, torch.copysign(torch.full_like(z, math.inf), z)))
    return r, torch.atan2(y, x), z, eta
