"""Spreads and principal axes of tracksters, from their features and, where an event holds them, their layer clusters.

Shape letters: N points (tracksters). Features and spreads are cm.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.event import Event

AXIS = ("eVector0_x", "eVector0_y", "eVector0_z")
SPREAD = ("sigmaPCA1", "sigmaPCA2", "sigmaPCA3")
SMALLEST_SPREAD = 1e-6
"""cm; a trackster of one layer cluster has no spread."""


def has_axes(event: Event) -> bool:
    """Whether the points of an event have spreads and a first axis."""
    return {*SPREAD, *AXIS} <= set(event.column_names())


def spreads(event: Event) -> Tensor:
    """Return the spreads (N, 3) float64 along the principal axes, cm, at least 1e-6.

    Raises
    ------
    DataError
        When the event has none.
    """
    return event.columns(SPREAD).double().clamp(min=SMALLEST_SPREAD)


def first_axis(event: Event) -> Tensor:
    """Return the first axis (N, 3) float64 as the features hold it.

    Raises
    ------
    DataError
        When the event has none.
    """
    return event.columns(AXIS).double()


def principal_axes(event: Event) -> Tensor:
    """Return the principal axes (N, 3, 3) float64, one a row, orthonormal, the longest first.

    The first is that of the features. The second is that of the layer clusters' covariance, made orthogonal to the
    first; where the event holds no layer clusters, or they lie on a line, it is any direction orthogonal to the first.

    Raises
    ------
    DataError
        When the event has no axes.
    """
    first = first_axis(event)
    length = first.norm(dim=1, keepdim=True)
    beam = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand_as(first)
    first = torch.where(length > 1e-6, first / length.clamp(min=1e-6), beam)
    second = _orthogonal(first)
    if "member_index" in event:
        wanted = _second_axis(event)
        wanted = wanted - (wanted * first).sum(1, keepdim=True) * first
        size = wanted.norm(dim=1, keepdim=True)
        second = torch.where(size > 1e-3, wanted / size.clamp(min=1e-3), second)
    return torch.stack([first, second, torch.linalg.cross(first, second)], 1)


def _orthogonal(axis: Tensor) -> Tensor:
    """Return unit vectors (N, 3) orthogonal to unit vectors (N, 3)."""
    helper = torch.zeros_like(axis)
    helper.scatter_(1, axis.abs().argmin(1, keepdim=True), 1.0)
    found = torch.linalg.cross(axis, helper)
    return found / found.norm(dim=1, keepdim=True)


def _second_axis(event: Event) -> Tensor:
    """Return the axis (N, 3) of the second largest eigenvalue of each covariance; 0 without a spread."""
    part, point = event.member_index
    weight = (event.member_fraction * event.part_energy[part]).double()
    total = torch.zeros(event.num_points, dtype=torch.float64).index_add_(0, point, weight)
    weight = weight / total[point].clamp(min=1e-12)
    pos = event.part_pos[part].double()
    centre = torch.zeros(event.num_points, 3, dtype=torch.float64).index_add_(0, point, weight[:, None] * pos)
    away = pos - centre[point]
    outer = weight[:, None, None] * away[:, :, None] * away[:, None, :]
    covariance = torch.zeros(event.num_points, 3, 3, dtype=torch.float64).index_add_(0, point, outer)
    values, vectors = torch.linalg.eigh(covariance)
    spread = values[:, 1] > 1e-9 * values[:, 2].clamp(min=1e-12)
    return vectors[:, :, 1] * spread[:, None]
