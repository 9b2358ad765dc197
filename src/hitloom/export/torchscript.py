"""TorchScript: for C++ through libtorch. A neighbour search is a compiled loop, so any number of points runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from hitloom.export.parity import as_tuple
from hitloom.systems.base import ExportSignature

MIN_POINTS = 0


def write(signature: ExportSignature, path: Path) -> None:
    """Trace the module and save it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(signature.module, signature.example(*signature.traced_size), check_trace=False)
        traced.save(str(path))


def reader(path: Path) -> Callable[..., tuple[Tensor, ...]]:
    """Return the function that the file holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loaded = torch.jit.load(str(path))
    return lambda *inputs: as_tuple(loaded(*inputs))
