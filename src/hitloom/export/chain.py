"""A chain of stages as files: one for each stage, and ``chain.json``, which says how to run them one after another."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hitloom._version import __version__
from hitloom.errors import ConfigError, nearest
from hitloom.export.main import FORMATS, export
from hitloom.systems.base import ExportSignature, System
from hitloom.systems.staged import Stage, StagedSystem

CHAIN_FILE = "chain.json"
CHAIN_FORMAT = "hitloom-chain"
FORMAT_VERSION = 1


def export_chain(
    system: StagedSystem,
    folder: str | Path,
    *,
    to: str,
    tolerance: float = 1e-4,
    acts: bool = False,
    edge_attr: bool = False,
    on_stage: Callable[[str, dict[str, Any]], None] = lambda name, report: None,
) -> dict[str, Any]:
    """Write every stage of a chain into a folder, each checked, and ``chain.json`` beside them.

    The files are put in place once all of them agree with the system.

    Parameters
    ----------
    system : StagedSystem
    folder : str or Path
    to : str
        torchscript, torch-export or onnx.
    tolerance : float
        Largest difference of an output value that counts as agreement.
    acts, edge_attr : bool
        The form of ACTS's plugin; with the features of edges as an input.
    on_stage : callable
        Called with the name of a stage and its report once it agrees.

    Returns
    -------
    dict
        What ``chain.json`` holds.

    Raises
    ------
    ConfigError, ParityError, MissingDependencyError
        As :func:`hitloom.export.export`; nothing is written then.
    """
    if to not in FORMATS:
        raise ConfigError(f"export: unknown format '{to}'.{nearest(to, FORMATS)}")
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
        draft = Path(place)
        entries = []
        for name, stage in system.parts.items():
            if is_map(stage):
                entries.append(_map_entry(name, stage, draft))
                continue
            signature = stage_signature(system, name, acts=acts, edge_attr=edge_attr)
            path = draft / f"{name}{FORMATS[to][1]}"
            report = export(stage, path, to=to, tolerance=tolerance, signature=signature)
            on_stage(name, report)
            entries.append({"name": name, "system": stage.name, "file": path.name} | describe(signature))
        content = {
            "format": CHAIN_FORMAT,
            "version": FORMAT_VERSION,
            "to": to,
            "form": "acts" if acts else "hitloom",
            "system": system.name,
            "hitloom": __version__,
            "torch": str(torch.__version__),
            "stages": entries,
        }
        (draft / CHAIN_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        folder.mkdir(exist_ok=True)
        (folder / CHAIN_FILE).unlink(missing_ok=True)  # an older chain is gone before its files are
        for path in sorted(draft.iterdir(), key=lambda path: path.name == CHAIN_FILE):
            os.replace(path, folder / path.name)
    return content


def stage_signature(system: System, name: str, *, acts: bool = False, edge_attr: bool = False) -> ExportSignature:
    """Return the signature of one stage of a chain, in hitloom's own form or in that of ACTS.

    Raises
    ------
    ConfigError
        When the chain has no such stage, or the stage no such form.
    """
    if not isinstance(system, StagedSystem):
        raise ConfigError(f"--stage: '{system.name}' is not made of stages; mend: leave --stage out")
    if name not in system.parts:
        raise ConfigError(f"--stage: unknown stage '{name}'.{nearest(name, [*system.parts, 'all'])}")
    stage = system.parts[name]
    return (
        acts_form(stage, before=system.parts.get("filter"), edge_attr=edge_attr) if acts else stage.export_signature()
    )


def acts_form(stage: System, *, before: Stage | None = None, edge_attr: bool = False) -> ExportSignature:
    """Return the signature of a stage in the form of ACTS's plugin; ``before`` is the filter of its chain.

    Raises
    ------
    ConfigError
        When the system has no such form.
    """
    from hitloom.systems.exatrkx.acts_form import acts_signature

    if not isinstance(stage, Stage):
        raise ConfigError(f"--acts: '{stage.name}' is no stage of a tracking chain; mend: leave --acts out")
    return acts_signature(stage, before=before, edge_attr=edge_attr)


def describe(signature: ExportSignature) -> dict[str, Any]:
    """Return names, types and shapes of the tensors, and the settings; free sizes stand as their names."""
    inputs = signature.example(*signature.traced_size)
    with torch.no_grad():
        outputs = signature.module(*inputs)
    outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs

    def tensor(name: str, value: torch.Tensor) -> dict[str, Any]:
        shape = [signature.dynamic_axes[name].get(axis, size) for axis, size in enumerate(value.shape)]
        return {"name": name, "dtype": str(value.dtype).removeprefix("torch."), "shape": shape}

    return {
        "inputs": [tensor(*pair) for pair in zip(signature.input_names, inputs, strict=True)],
        "outputs": [tensor(*pair) for pair in zip(signature.output_names, outputs, strict=True)],
        "settings": signature.settings,
    }


def is_map(stage: Stage) -> bool:
    """Whether a stage is a module map, a table instead of a network."""
    return hasattr(stage, "module_map")


def _map_entry(name: str, stage: Stage, folder: Path) -> dict[str, Any]:
    from hitloom.data.module_map_files import write_module_map

    path = folder / f"{name}.txt"
    write_module_map(stage.module_map, path)  # type: ignore[arg-type]
    settings = stage.config.model_dump(mode="json", include={"method", "tolerance"})
    return {"name": name, "system": stage.name, "file": path.name, "inputs": [], "outputs": [], "settings": settings}
