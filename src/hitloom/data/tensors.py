"""Columns of numpy as tensors of the two types that events hold."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def floats(values: ArrayLike) -> Tensor:
    """Return the values as float32."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def integers(values: ArrayLike) -> Tensor:
    """Return a copy of the values as int64."""
    return torch.from_numpy(np.array(values, dtype=np.int64))
