"""Sums, means, maxima and softmax over segments: rows that share an index.

Plain torch (``index_add``, ``scatter_reduce``): any device, differentiable, any order of the index. Edges sorted by
target give better locality, not another answer.

E rows, S segments, F trailing axes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.errors import DataError


def _check(values: Tensor, index: Tensor) -> None:
    if index.ndim != 1 or values.ndim < 1 or values.shape[0] != index.shape[0] or index.is_floating_point():
        raise DataError(
            f"index: came as {index.dtype} {tuple(index.shape)} for values {tuple(values.shape)}, "
            "wanted one integer per row of values; mend: index of shape (E,)"
        )


def segment_sum(values: Tensor, index: Tensor, num_segments: int) -> Tensor:
    """Sum ``values`` (E, F...) by ``index`` (E,) into (S, F...); empty segments are 0.

    Examples
    --------
    >>> segment_sum(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 0]), 3).tolist()
    [5.0, 0.0, 2.0]
    """
    _check(values, index)
    return values.new_zeros((num_segments, *values.shape[1:])).index_add(0, index, values)


def segment_count(index: Tensor, num_segments: int) -> Tensor:
    """Number of rows (S,) int64 of each segment."""
    ones = torch.ones_like(index, dtype=torch.int64)
    return index.new_zeros(num_segments, dtype=torch.int64).index_add(0, index, ones)


def segment_mean(values: Tensor, index: Tensor, num_segments: int) -> Tensor:
    """Mean of ``values`` (E, F...) by ``index`` (E,) into (S, F...); empty segments are 0."""
    total = segment_sum(values, index, num_segments)
    count = segment_count(index, num_segments).clamp(min=1).to(total.dtype)
    return total / count.reshape(-1, *([1] * (values.ndim - 1)))


def segment_max(values: Tensor, index: Tensor, num_segments: int, *, empty: float = 0.0) -> Tensor:
    """Maximum of ``values`` (E, F...) by ``index`` (E,) into (S, F...); empty segments are ``empty``.

    The gradient is shared evenly among tied maxima.
    """
    _check(values, index)
    start = values.new_full((num_segments, *values.shape[1:]), empty)
    place = index.reshape(-1, *([1] * (values.ndim - 1))).expand_as(values)
    return start.scatter_reduce(0, place, values, "amax", include_self=False)


def segment_softmax(logits: Tensor, index: Tensor, num_segments: int) -> Tensor:
    """Softmax of ``logits`` (E, F...) among the rows of each segment; computed in float32 or better, type kept.

    Examples
    --------
    >>> segment_softmax(torch.tensor([3.0, 3.0, -7.0]), torch.tensor([0, 0, 1]), 2).tolist()
    [0.5, 0.5, 1.0]
    """
    _check(logits, index)
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    # The largest logit only guards against overflow: it cancels, so no gradient flows through it.
    top = segment_max(wide.detach(), index, num_segments)
    weight = (wide - top.index_select(0, index)).exp()
    total = segment_sum(weight, index, num_segments)
    return (weight / total.index_select(0, index)).to(logits.dtype)
