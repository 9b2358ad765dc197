"""A second view of tracksters: each barycentre moved within its own spread along its principal axes.

Shape letters: N tracksters.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.data.trackster_features import NODE_FEATURES

_AT = {name: place for place, name in enumerate(NODE_FEATURES)}
_POSITION = [_AT[name] for name in ("barycenter_x", "barycenter_y", "barycenter_z")]
_AXIS = [_AT[name] for name in ("eVector0_x", "eVector0_y", "eVector0_z")]
_SPREAD = [_AT[name] for name in ("sigmaPCA1", "sigmaPCA2", "sigmaPCA3")]
LEAST_SPREAD = 1e-6


def principal_frame(axis: Tensor) -> Tensor:
    """Return (N, 3, 3): rows are the axis and two unit vectors across it; an axis of length 0 counts as z."""
    length = axis.norm(dim=1, keepdim=True)
    z = torch.zeros_like(axis)
    z[:, 2] = 1.0
    first = torch.where(length > 0, axis / length.clamp(min=1e-12), z)
    # the coordinate axis that is least along the first one
    helper = torch.nn.functional.one_hot(first.abs().argmin(1), 3).to(first.dtype)
    second = torch.linalg.cross(first, helper)
    second = second / second.norm(dim=1, keepdim=True)
    return torch.stack([first, second, torch.linalg.cross(first, second)], 1)


def perturbed(x: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return features (N, 29) with barycentre, eta and phi moved by sum_k n_k v_k, n_k ~ N(0, sigma_k)."""
    noise = torch.randn(len(x), 3, generator=generator, dtype=torch.float64).to(x)
    shift = (noise * x[:, _SPREAD].clamp(min=LEAST_SPREAD))[:, None] @ principal_frame(x[:, _AXIS])
    position = x[:, _POSITION] + shift[:, 0]
    result = x.clone()
    result[:, _POSITION] = position
    px, py, pz = position.unbind(1)
    radius = torch.sqrt(px.square() + py.square())
    result[:, _AT["barycenter_phi"]] = torch.atan2(py, px)
    result[:, _AT["barycenter_eta"]] = torch.asinh(pz / radius.clamp(min=1e-6))
    return result
