"""``hitloom export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hitloom.cli.options import Set

if TYPE_CHECKING:
    from hitloom.systems.base import System

NUM_CHECKED = 100
"""Events on which the C++ program is compared."""


def export(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, a run folder (its best), or shipped weights.")],
    to: Annotated[
        str, typer.Option("--to", help="torchscript, torch-export, onnx, pandora (showers) or safetensors (weights).")
    ] = "onnx",
    stage: Annotated[str | None, typer.Option("--stage", help="Stage of a chain, or all of them.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write (folder with --stage all); default by name.")
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, help="Largest difference that agrees.")] = 1e-4,
    acts: Annotated[bool, typer.Option("--acts", help="In the form of ACTS's GNN plugin (docs: export).")] = False,
    edge_attr: Annotated[
        bool, typer.Option("--edge-attr", help="With --acts: six features of edges are an input.")
    ] = False,
    check_cpp: Annotated[
        Path | None,
        typer.Option("--check-cpp", help="Build the C++ program beside the file; compare it on events of this store."),
    ] = None,
    validate: Annotated[
        Path | None,
        typer.Option("--validate", help="With --to pandora: compare the files on views of this store, and time them."),
    ] = None,
    set_: Set = None,
) -> None:
    """Write a trained system as a file that runs without hitloom, checked against the system it came from.

    A chain is written stage by stage: --stage all makes a folder of them with a chain.json. safetensors holds weights
    and settings for hitloom itself: infer, info and train --init-from read it. pandora-weights turns a run folder of
    shower growing into the training folder of the original code.
    """
    from hitloom.errors import ConfigError, nearest
    from hitloom.export import FORMATS, acts_form, export_chain, stage_signature
    from hitloom.export import export as write
    from hitloom.systems.staged import StagedSystem

    if edge_attr and not acts:
        raise ConfigError("--edge-attr: belongs to the form of ACTS; mend: --acts --edge-attr")
    if check_cpp is not None and to not in ("torchscript", "pandora"):
        raise ConfigError(f"--check-cpp: the C++ program runs torchscript, not {to}; mend: --to torchscript")
    if validate is not None and to != "pandora":
        raise ConfigError("--validate: belongs to the files for Pandora; mend: --to pandora")
    name = Path(checkpoint).resolve().stem if Path(checkpoint).exists() else checkpoint
    if to == "pandora-weights":
        from hitloom.cli.export_reference import export_run

        export_run(Path(checkpoint), output or Path(f"{name}-pandora-weights"))
        return
    if to == "safetensors":
        if stage is not None or acts:
            raise ConfigError("--to safetensors: holds the whole chain in hitloom's form; mend: no --stage, no --acts")
        _write_weights(checkpoint, output or Path(f"{name}.safetensors"), set_ or [])
        return
    if to not in (*FORMATS, "pandora"):
        known = [*FORMATS, "pandora", "pandora-weights", "safetensors"]
        raise ConfigError(f"--to: unknown format '{to}'.{nearest(to, known)}")
    if to == "pandora":
        from hitloom.cli.export_pandora import export_folder

        if stage is not None or acts:
            raise ConfigError("--to pandora: writes all parts at once; mend: no --stage, no --acts")
        folder = output or Path(f"{name}-pandora")
        system = _load(checkpoint, None, set_ or [])
        export_folder(system, folder, tolerance=tolerance, validate=validate, check_cpp=check_cpp)
        return
    system = _load(checkpoint, stage, set_ or [])
    if stage == "all" and isinstance(system, StagedSystem):
        folder = output or Path(f"{name}-{to}")
        export_chain(system, folder, to=to, tolerance=tolerance, acts=acts, edge_attr=edge_attr, on_stage=_say)
        typer.echo(f"{folder}: {len(system.parts)} stages and chain.json")
        return
    path = output or Path(f"{name}{'' if stage is None else f'-{stage}'}{FORMATS[to][1]}")
    signature = None
    part: Any = system
    if stage is not None and isinstance(system, StagedSystem):
        signature = stage_signature(system, stage, acts=acts, edge_attr=edge_attr)
        part = system.parts[stage]
    elif acts:
        signature = acts_form(system, edge_attr=edge_attr)
    report = write(part, path, to=to, tolerance=tolerance, signature=signature)
    _say("", report)
    typer.echo(f"{path}: {report['bytes']} bytes")
    if check_cpp is not None:
        _check_cpp(path, part, check_cpp)


def _load(checkpoint: str, stage: str | None, overrides: list[str]) -> System:
    """Return the system of a checkpoint, or a finished stage of a run whose chain is not complete yet.

    Raises
    ------
    ConfigError
        When a stage is asked of a system that is not made of stages.
    """
    from hitloom.errors import ConfigError
    from hitloom.systems.staged import StagedSystem
    from hitloom.training.checkpoint import find_checkpoint, load_checkpoint
    from hitloom.training.infer import with_overrides

    folder = Path(checkpoint)
    if stage not in (None, "all") and (folder / "config.yaml").is_file() and not (folder / "checkpoints").is_dir():
        from hitloom.cli.stage import open_run
        from hitloom.training.stage_events import load_stage

        if overrides:
            raise ConfigError("--set: the chain of this run is not complete; mend: finish it, or leave --set out")
        return load_stage(open_run(folder), str(stage))
    system = with_overrides(load_checkpoint(find_checkpoint(checkpoint)), overrides).build_system()
    if stage is not None and not isinstance(system, StagedSystem):
        raise ConfigError(f"--stage: '{system.name}' is not made of stages; mend: leave --stage out")
    return system


def _write_weights(checkpoint: str, path: Path, overrides: list[str]) -> None:
    from hitloom.training.checkpoint import export_weights, find_checkpoint, load_checkpoint
    from hitloom.training.infer import with_overrides

    loaded = with_overrides(load_checkpoint(find_checkpoint(checkpoint)), overrides)
    export_weights(loaded, path)
    typer.echo(f"{path}: {sum(tensor.numel() for tensor in loaded.weights.values())} numbers")


def _check_cpp(path: Path, system: System, store: Path) -> None:
    from itertools import islice

    from hitloom.data.store import EventStore
    from hitloom.errors import ConfigError
    from hitloom.export import cpp_program
    from hitloom.systems.linking import Linking

    if not isinstance(system, Linking):
        raise ConfigError(
            f"--check-cpp: the C++ program links tracksters, '{system.name}' does not; mend: leave it out"
        )
    events = islice(EventStore(store), NUM_CHECKED)
    program = cpp_program.build(path.parent / cpp_program.PROGRAM)
    found = cpp_program.check_partitions(program, path, system, events)
    typer.echo(
        f"{program}: the same partition as the system on {found['num_events']} events "
        f"({found['num_points']} points, {found['num_edges']} edges)"
    )


def _say(stage: str, report: dict[str, Any]) -> None:
    from hitloom.export import describe_check

    for check in report["parity"]:
        typer.echo(f"{stage}: " * bool(stage) + describe_check(check, report["tolerance"]))
