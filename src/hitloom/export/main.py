"""One entry for all formats: write beside the target, check, and only then put in place."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from hitloom._version import __version__
from hitloom.errors import ConfigError, nearest
from hitloom.export.parity import ParityError, compare
from hitloom.systems.base import System

# Format -> (module that writes and runs it, file suffix).
FORMATS: dict[str, tuple[str, str]] = {
    "torchscript": ("hitloom.export.torchscript", ".pt"),
    "torch-export": ("hitloom.export.torch_export", ".pt2"),
    "onnx": ("hitloom.export.onnx", ".onnx"),
}
PARITY_SIZES = (7, 200, 1001)


def export(
    system: System,
    path: str | Path,
    *,
    to: str,
    sizes: Sequence[int] = PARITY_SIZES,
    tolerance: float = 1e-4,
    min_agreement: float = 0.99,
    inputs: Sequence[tuple[torch.Tensor, ...]] = (),
) -> dict[str, Any]:
    """Write a system's network to a file that runs without hitloom.

    The file is run again on inputs of sizes that were never traced and compared with the system. Only a file that
    passes is put in place, with ``<file>.report.json`` beside it.

    Parameters
    ----------
    system : System
    path : file to write
    to : str
        torchscript, torch-export or onnx.
    sizes : sequence of int
        Numbers of points of the random inputs that are compared.
    tolerance : float
        Largest difference of an output value that counts as agreement.
    min_agreement : float
        Share of points whose every output must agree. Below 1, because rounding may settle a near tie between two
        neighbours differently, and the point then sees another neighbour.
    inputs : sequence of tuples of tensors
        Inputs of real events to compare besides.

    Returns
    -------
    dict
        The report: format, file, inputs, outputs, versions, limits, and what the comparison found for every size.

    Raises
    ------
    ConfigError
        When the format is unknown.
    ParityError
        When an output differs; nothing is written then.
    MissingDependencyError
        When a package of the format is not installed.
    """
    if to not in FORMATS:
        raise ConfigError(f"export: unknown format '{to}'.{nearest(to, FORMATS)}")
    path = Path(path)
    backend = import_module(FORMATS[to][0])
    was_training = system.training
    system.eval()
    try:
        signature = system.export_signature()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / f"draft{FORMATS[to][1]}"
            with torch.no_grad():
                backend.write(signature, draft)
                run: Callable[..., tuple[torch.Tensor, ...]] = backend.reader(draft)
                examples = [signature.example(size) for size in sizes]
                checks = [compare(signature, run, example, tolerance) for example in [*examples, *inputs]]
            report = {
                "format": to,
                "file": path.name,
                "bytes": draft.stat().st_size,
                "system": system.name,
                "inputs": list(signature.input_names),
                "outputs": list(signature.output_names),
                "hitloom": __version__,
                "torch": torch.__version__,
                "traced_at": backend.TRACED_AT,
                "min_points": backend.MIN_POINTS,
                "tolerance": tolerance,
                "min_agreement": min_agreement,
                "parity": checks,
            }
            worst = min(checks, key=lambda check: check["agreement"])
            if worst["agreement"] < min_agreement:
                raise ParityError(
                    f"{path}: the {to} file differs from the system: of {worst['num_points']} points only a share of "
                    f"{worst['agreement']:.4f} agrees within {tolerance:g} (largest difference "
                    f"{worst['max_difference']:.3g}); nothing was written; mend: another format or tolerance"
                )
            notes = Path(folder) / "report.json"
            notes.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            os.replace(draft, path)
            os.replace(notes, path.with_name(path.name + ".report.json"))
    finally:
        system.train(was_training)
    return report
