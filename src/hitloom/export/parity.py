"""Does an exported file say what the system says?

Shape letters: N points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hitloom.errors import HitloomError
from hitloom.systems.base import ExportSignature


class ParityError(HitloomError):
    """An exported file gives other numbers than the system."""


def compare(
    signature: ExportSignature,
    run: Callable[..., tuple[Tensor, ...]],
    inputs: tuple[Tensor, ...],
    tolerance: float,
) -> dict[str, Any]:
    """Run file and system on the same inputs.

    The system speaks through ``signature.module.reference`` where that exists (its own forward pass, with its own
    neighbour search), else through the module itself.

    Returns
    -------
    dict
        ``num_points``; ``max_difference`` over all values; ``agreement``, the share of points whose every value
        agrees within ``tolerance`` (1 without points).
    """
    expected = getattr(signature.module, "reference", signature.module)(*inputs)
    found = run(*inputs)
    if len(found) != len(expected):
        raise ParityError(f"the exported file has {len(found)} outputs, wanted {len(expected)}")
    agree = torch.ones(inputs[0].shape[0], dtype=torch.bool)
    largest = 0.0
    for name, ours, theirs in zip(signature.output_names, expected, found, strict=True):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise ParityError(
                f"output '{name}' of the exported file is {theirs.dtype} {tuple(theirs.shape)}, wanted {ours.dtype} "
                f"{tuple(ours.shape)}"
            )
        gap = (ours.double() - theirs.double()).abs().reshape(len(agree), max(1, ours[:1].numel()))
        gap = gap.nan_to_num(nan=torch.inf)
        largest = max(largest, float(gap.max()) if gap.numel() else 0.0)
        agree &= (gap <= tolerance).all(1)
    share = float(agree.float().mean()) if len(agree) else 1.0
    return {"num_points": len(agree), "max_difference": largest, "agreement": share}
