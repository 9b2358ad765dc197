"""Normalisations of hidden layers.

Shape letters: C channels, leading axes (...) of any number.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.nn.fused import is_traced


class PlainLayerNorm(nn.Module):
    """Layer normalisation over the last axis, without affine parameters.

    Shapes: (..., C) -> (..., C).
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.layer_norm(x, x.shape[-1:])


class AffineLayerNorm(nn.Module):
    """Layer normalisation over the last axis, then a scale and a shift for each channel.

    Shapes: (..., C) -> (..., C).

    Parameters
    ----------
    num_channels : int
    """

    def __init__(self, *, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias)


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over all leading axes, affine, without running statistics.

    Statistics come from the rows at hand, in training and in inference alike, and only from rows where ``mask`` is
    true: a padded neighbour slot must not move the mean. Rows of one batch therefore see each other.

    Shapes: x (..., C), mask (...) bool -> (..., C).

    Parameters
    ----------
    num_channels : int
    eps : float
        Added to the variance; 6e-5 is the published value.
    """

    def __init__(self, *, num_channels: int, eps: float = 6e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).float()
        if mask is None:
            if is_traced():  # a number would be frozen in the graph
                count = torch.ones_like(rows[:, :1]).sum().clamp(min=1.0)
            else:
                count = torch.tensor(float(max(1, rows.shape[0])), device=x.device)
            mean = rows.sum(0) / count
            variance = (rows - mean).square().sum(0) / count
        else:
            flat = mask.reshape(-1, 1).float()
            count = flat.sum().clamp(min=1.0)
            mean = (rows * flat).sum(0) / count
            variance = ((rows - mean).square() * flat).sum(0) / count
        scaled = (rows - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        return scaled.reshape(x.shape).to(x.dtype)
