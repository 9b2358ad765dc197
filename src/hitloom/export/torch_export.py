"""torch.export: a graph for Python, AOTInductor and ExecuTorch. At least two points (torch treats 0 and 1 apart)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from hitloom.export.contract import EMBEDDED, embedded_text
from hitloom.export.parity import as_tuple
from hitloom.systems.base import ExportSignature

MIN_POINTS = 2


def program(signature: ExportSignature) -> torch.export.ExportedProgram:
    """Return the module as an exported program whose number of points is free."""
    example = signature.example(*signature.traced_size)
    free = tuple(dict.fromkeys(signature.dynamic_axes[n], torch.export.Dim.DYNAMIC) for n in signature.input_names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised inside torch while it traces
        return torch.export.export(signature.module, example, dynamic_shapes=(free,) if _packed(signature) else free)


def _packed(signature: ExportSignature) -> bool:
    """Whether ``forward`` takes its inputs as ``*inputs``."""
    code = signature.module.forward.__code__
    return bool(code.co_flags & 0x04)


def write(signature: ExportSignature, path: Path) -> None:
    """Export the module and save it."""
    torch.export.save(program(signature), str(path), extra_files=embedded_text(signature.contract))


def reader(path: Path) -> Callable[..., tuple[Tensor, ...]]:
    """Return the function that the file holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(str(path)).module()
    return lambda *inputs: as_tuple(module(*inputs))


def embedded(path: Path) -> str:
    """Return the contract inside the file, empty where there is none."""
    extra = {EMBEDDED: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.load(str(path), extra_files=extra)
    return extra[EMBEDDED]
