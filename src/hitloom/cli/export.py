"""``hitloom export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.options import Set


def export(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, a run folder (its best), or shipped weights.")],
    to: Annotated[str, typer.Option("--to", help="torchscript, torch-export, onnx or safetensors (weights).")] = "onnx",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default NAME.SUFFIX.")] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, help="Largest difference that agrees.")] = 1e-4,
    set_: Set = None,
) -> None:
    """Write a trained system as a file that runs without hitloom, checked against the system it came from.

    safetensors holds weights and settings for hitloom itself: infer, info and train --init-from read it.
    """
    from hitloom.training.checkpoint import export_weights, find_checkpoint, load_checkpoint
    from hitloom.training.infer import with_overrides

    loaded = with_overrides(load_checkpoint(find_checkpoint(checkpoint)), set_ or [])
    name = Path(checkpoint).resolve().stem if Path(checkpoint).exists() else checkpoint
    if to == "safetensors":
        path = output or Path(f"{name}.safetensors")
        export_weights(loaded, path)
        typer.echo(f"{path}: {sum(tensor.numel() for tensor in loaded.weights.values())} numbers")
        return
    from hitloom.errors import ConfigError, nearest
    from hitloom.export import FORMATS
    from hitloom.export import export as write

    if to not in FORMATS:
        raise ConfigError(f"--to: unknown format '{to}'.{nearest(to, [*FORMATS, 'safetensors'])}")
    path = output or Path(f"{name}{FORMATS[to][1]}")
    report = write(loaded.build_system(), path, to=to, tolerance=tolerance)
    for check in report["parity"]:
        typer.echo(
            f"{check['num_points']} points: {check['agreement']:.4f} agree within {report['tolerance']:g}, "
            f"largest difference {check['max_difference']:.3g}"
        )
    typer.echo(f"{path}: {report['bytes']} bytes")
