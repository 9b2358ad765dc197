"""The value of a loss: named parts, their weights, and how many pairs or points each part rests on."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Named scalar parts; the total is their weighted sum.

    Attributes
    ----------
    parts : dict of () float32 tensors
    weights : dict of float, by the same names; a missing name weighs 1
    counts : dict of int
        Pairs or points behind each part. A part without any is 0 (never NaN) and its count says so.
    """

    parts: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """Weighted sum of the parts, () float32."""
        return torch.stack([self.weights.get(name, 1.0) * part for name, part in self.parts.items()]).sum()

    def with_part(self, name: str, part: Tensor, *, count: int, weight: float = 1.0) -> Loss:
        """Return a copy with one more part."""
        return Loss(
            parts=self.parts | {name: part},
            weights=self.weights | {name: weight},
            counts=self.counts | {name: count},
        )
