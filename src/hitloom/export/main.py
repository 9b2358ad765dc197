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
from hitloom.errors import ConfigError, HitloomError, nearest
from hitloom.export.contract import contract_path, write_contract
from hitloom.export.parity import ParityError, compare, first_line
from hitloom.systems.base import ExportSignature, System

# Format -> (module that writes and runs it, file suffix).
FORMATS: dict[str, tuple[str, str]] = {
    "torchscript": ("hitloom.export.torchscript", ".pt"),
    "torch-export": ("hitloom.export.torch_export", ".pt2"),
    "onnx": ("hitloom.export.onnx", ".onnx"),
}


def export(
    system: System,
    path: str | Path,
    *,
    to: str,
    sizes: Sequence[int | tuple[int, ...]] | None = None,
    tolerance: float = 1e-4,
    min_agreement: float | None = None,
    inputs: Sequence[tuple[torch.Tensor, ...]] = (),
    signature: ExportSignature | None = None,
) -> dict[str, Any]:
    """Write a system's network to a file that runs without hitloom.

    The file is run again on inputs of sizes that were never traced and compared with the system. Only a file that
    passes is put in place, with ``<file>.report.json`` beside it, and ``<file>.contract.json`` where the system has a
    contract (:mod:`hitloom.export.contract`).

    Parameters
    ----------
    system : System
    path : file to write
    to : str
        torchscript, torch-export or onnx.
    sizes : sequence of int or tuples of int, or None
        Sizes of the random inputs that are compared: numbers of points, or (points, edges). None = those of the
        signature.
    tolerance : float
        Largest difference of an output value that counts as agreement.
    min_agreement : float or None
        Share of points (or edges) whose every output must agree; None = that of the signature. It is below 1 where
        rounding may settle a near tie between two neighbours differently, and the point then sees another neighbour.
    inputs : sequence of tuples of tensors
        Inputs of real events to compare besides.
    signature : ExportSignature or None
        Another form of the system than its own ``export_signature()``.

    Returns
    -------
    dict
        The report: format, file, inputs, outputs, versions, limits, and what the comparison found for every size.

    Raises
    ------
    ConfigError
        When the format is unknown, or the exporter of the format cannot write the system.
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
        signature = signature or system.export_signature()
        agreement = signature.min_agreement if min_agreement is None else min_agreement
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / f"draft{FORMATS[to][1]}"
            with torch.no_grad():
                _write(backend, signature, draft, f"{path}: the {to} exporter cannot write '{system.name}'")
                run: Callable[..., tuple[torch.Tensor, ...]] = backend.reader(draft)
                examples = [
                    signature.example(*(size if isinstance(size, tuple) else (size,)))
                    for size in (signature.parity_sizes if sizes is None else sizes)
                ]
                checks = [compare(signature, run, example, tolerance) for example in [*examples, *inputs]]
            report = {
                "format": to,
                "file": path.name,
                "bytes": draft.stat().st_size,
                "system": system.name,
                "inputs": list(signature.input_names),
                "outputs": list(signature.output_names),
                **({"settings": signature.settings} if signature.settings else {}),
                "hitloom": __version__,
                "torch": torch.__version__,
                "traced_at": signature.traced_size[0]
                if len(signature.traced_size) == 1
                else list(signature.traced_size),
                "min_points": min([backend.MIN_POINTS, *(next(iter(check.values())) for check in checks)]),
                "tolerance": tolerance,
                "min_agreement": agreement,
                "parity": checks,
            }
            if not checks:
                raise ConfigError(f"{path}: no size to compare came, wanted at least one; mend: leave sizes out")
            worst = min(checks, key=lambda check: check["agreement"])
            if worst["agreement"] < agreement:
                raise ParityError(
                    f"{path}: the {to} file differs from the system: {describe_check(worst, tolerance)}; nothing was "
                    "written; mend: another format or tolerance"
                )
            notes = Path(folder) / "report.json"
            notes.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            if signature.contract:
                contract = Path(folder) / "contract.json"
                write_contract(contract, signature.contract, model=draft, name=path.name, to=to)
                os.replace(contract, contract_path(path))
            os.replace(draft, path)
            os.replace(notes, path.with_name(path.name + ".report.json"))
    finally:
        system.train(was_training)
    return report


def _write(backend: Any, signature: ExportSignature, path: Path, failure: str) -> None:
    """Let a format write the file; whatever its exporter stumbles over becomes one line."""
    try:
        backend.write(signature, path)
    except HitloomError:
        raise
    except Exception as error:
        raise ConfigError(f"{failure}: {first_line(error)}; mend: another format") from error


def describe_check(check: dict[str, Any], tolerance: float) -> str:
    """Return one comparison in words."""
    sizes = ", ".join(
        f"{value} {name.removeprefix('num_')}" for name, value in check.items() if name.startswith("num_")
    )
    return (
        f"{sizes}: {check['agreement']:.4f} agree within {tolerance:g}, largest difference "
        f"{check['max_difference']:.3g}"
    )
