"""Does an exported file say what the system says?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hitloom.errors import ConfigError, HitloomError
from hitloom.systems.base import ExportSignature


class ParityError(HitloomError):
    """An exported file gives other numbers than the system."""


def first_line(error: Exception) -> str:
    """Return what an exporter or runtime says, in one line."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"


def as_tuple(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the outputs of a module as a tuple."""
    return (value,) if isinstance(value, Tensor) else tuple(value)


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
        The sizes of the inputs by their names (``num_points``, ``num_edges``); ``max_difference`` over all values;
        ``agreement``, the share of rows whose every value agrees within ``tolerance`` (1 without rows). Outputs over
        the same free axis share their rows; of several such groups the worst counts.

    Raises
    ------
    ConfigError
        When the file does not run with inputs of this size.
    ParityError
        When an output has another shape or type.
    """
    expected = as_tuple(getattr(signature.module, "reference", signature.module)(*inputs))
    try:
        found = run(*inputs)
    except Exception as error:
        sizes = ", ".join(f"{size} {name.removeprefix('num_')}" for name, size in sizes_of(signature, inputs).items())
        raise ConfigError(
            f"export: the written file does not run with {sizes}: {first_line(error)}; it was not kept; mend: another "
            "format"
        ) from error
    if len(found) != len(expected):
        raise ParityError(f"the exported file has {len(found)} outputs, wanted {len(expected)}")
    agree: dict[str, Tensor] = {}
    largest = 0.0
    for name, ours, theirs in zip(signature.output_names, expected, found, strict=True):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise ParityError(
                f"output '{name}' of the exported file is {theirs.dtype} {tuple(theirs.shape)}, wanted {ours.dtype} "
                f"{tuple(ours.shape)}"
            )
        gap = (ours.double() - theirs.double()).abs().reshape(ours.shape[0], max(1, ours[:1].numel()))
        gap = gap.nan_to_num(nan=torch.inf)
        largest = max(largest, float(gap.max()) if gap.numel() else 0.0)
        rows = signature.dynamic_axes[name][0]
        agree[rows] = (gap <= tolerance).all(1) & agree.get(rows, torch.tensor(True))
    shares = [float(rows.float().mean()) for rows in agree.values() if len(rows)]
    return sizes_of(signature, inputs) | {"max_difference": largest, "agreement": min(shares, default=1.0)}


def sizes_of(signature: ExportSignature, inputs: tuple[Tensor, ...]) -> dict[str, int]:
    """Return the free sizes of inputs by their names."""
    sizes: dict[str, int] = {}
    for name, value in zip(signature.input_names, inputs, strict=True):
        for axis, size in signature.dynamic_axes[name].items():
            sizes.setdefault(size, value.shape[axis])
    return sizes
