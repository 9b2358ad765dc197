"""TorchScript: for C++ through libtorch. A neighbour search is a compiled loop, so any number of points runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from hitloom.export.contract import EMBEDDED, embedded_text
from hitloom.export.parity import as_tuple
from hitloom.systems.base import ExportSignature

MIN_POINTS = 0


def write(signature: ExportSignature, path: Path) -> None:
    """Trace the module, unless it is compiled already, and save it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        module = signature.module if signature.traced is None else signature.traced()
        if not isinstance(module, torch.jit.ScriptModule):
            module = torch.jit.trace(module, signature.example(*signature.traced_size), check_trace=False)
        module.save(str(path), _extra_files=embedded_text(signature.contract))


def reader(path: Path) -> Callable[..., tuple[Tensor, ...]]:
    """Return the function that the file holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loaded = torch.jit.load(str(path))
    return lambda *inputs: as_tuple(loaded(*inputs))


def embedded(path: Path) -> str:
    """Return the contract inside the file, empty where there is none."""
    extra = {EMBEDDED: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.load(str(path), _extra_files=extra)
    text: str | bytes = extra[EMBEDDED]
    return text.decode() if isinstance(text, bytes) else text
