"""Checks of points, batches and masks shared by the neighbour searches.

N points, Q queries, D dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.errors import DataError

LARGEST = 1e17  # above this a float32 square overflows


def check_points(x: Tensor, name: str) -> Tensor:
    """Return ``x`` (N, D) detached and in float32, or raise a :class:`DataError` that says what is wrong with it."""
    if x.ndim != 2 or x.shape[1] == 0:
        raise DataError(
            f"{name}: came with shape {tuple(x.shape)}, wanted (N, D) with D >= 1; mend: reshape to one row per point"
        )
    if not x.is_floating_point():
        raise DataError(f"{name}: came as {x.dtype}, wanted floating point; mend: {name}.float()")
    x = x.detach().to(torch.float32).contiguous()
    if x.numel():
        top = x.abs().max()  # NaN and infinity both survive a maximum
        if not bool(torch.isfinite(top)):
            bad = int((~torch.isfinite(x)).any(dim=1).nonzero()[0, 0])
            raise DataError(
                f"{name}: row {bad} is not finite ({x[bad].tolist()}), wanted finite coordinates; mend: drop such rows"
            )
        if float(top) > LARGEST:
            raise DataError(
                f"{name}: came with |value| up to {float(top):.3g}, wanted at most {LARGEST:g}; mend: rescale"
            )
    return x


def check_rows(value: Tensor | None, num_rows: int, name: str, dtype: torch.dtype) -> Tensor | None:
    """Return ``value`` (num_rows,) as ``dtype``, or raise when its length or kind is wrong."""
    if value is None:
        return None
    if value.shape != (num_rows,):
        raise DataError(
            f"{name}: came with shape {tuple(value.shape)}, wanted ({num_rows},); mend: one entry per point"
        )
    if value.is_floating_point() or ((dtype == torch.bool) != (value.dtype == torch.bool)):
        wanted = "bool" if dtype == torch.bool else "integer"
        raise DataError(f"{name}: came as {value.dtype}, wanted {wanted}; mend: {name}.to({dtype})")
    return value.detach().to(dtype)


def check_radius(value: float, name: str) -> float:
    """Return ``value`` as a float when it is a finite number >= 0, else raise."""
    number = float(value)
    if not 0.0 <= number < float("inf"):
        raise DataError(f"{name}: came as {value!r}, wanted a finite number >= 0; mend: choose a distance")
    return number


def check_batch(batch: Tensor | None, num_rows: int) -> tuple[NDArray[np.int64] | None, int]:
    """Return the batch elements (num_rows,) renumbered 0..B-1 as an array, and B."""
    batch = check_rows(batch, num_rows, "batch", torch.int64)
    if batch is None:
        return None, 1
    values, element = np.unique(batch.cpu().numpy(), return_inverse=True)
    return element, max(1, len(values))
