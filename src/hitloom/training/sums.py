"""Sums of an epoch so far on one device, as a plain dictionary, and the values that they come to.

``loss`` and ``part/<name>`` are () tensors, ``empty/<name>`` counts the batches in which a part rested on no pair,
``num_left_out`` steps and ``num_batches`` batches; ``mean/<name>`` and ``count/<name>`` make a mean of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hitloom.losses.base import Loss


def add_loss(sums: dict[str, Any], loss: Loss, total: Tensor) -> None:
    """Add the loss of a batch."""
    _add(sums, "num_batches", 1)
    sums["loss"] = sums.get("loss", 0.0) + total.float()
    for name, part in loss.parts.items():
        sums[f"part/{name}"] = sums.get(f"part/{name}", 0.0) + part.detach().float()
    for name, count in loss.counts.items():
        _add(sums, f"empty/{name}", int(count == 0))


def add_mean(sums: dict[str, Any], name: str, value: Tensor) -> None:
    """Add one more value to the mean ``train_<name>``; what is not finite is left out of it."""
    value = value.detach().float()
    if bool(torch.isfinite(value)):
        sums[f"mean/{name}"] = sums.get(f"mean/{name}", 0.0) + value
        _add(sums, f"count/{name}", 1)


def epoch_values(sums: Mapping[str, float]) -> dict[str, float]:
    """Return ``train_loss`` and ``train_<part>``, means over the epoch, and the means that were added besides.

    ``train_<part>_empty`` says how often a part rested on nothing, where that happened.
    """
    num_batches, num_left_out = sums.get("num_batches", 0.0), sums.get("num_left_out", 0.0)
    values = {"train_steps_left_out": num_left_out} if num_left_out else {}
    for name, value in sums.items():
        kind, _, part = name.rpartition("/")
        if kind == "empty":
            if value:
                values[f"train_{part}_empty"] = value
        elif kind == "mean":
            values[f"train_{part}"] = value / sums[f"count/{part}"]
        elif kind == "part" or name == "loss":
            values[f"train_{part}"] = value / num_batches
    return values


def _add(sums: dict[str, Any], name: str, count: int) -> None:
    sums[name] = sums.get(name, 0) + count
