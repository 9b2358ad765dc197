"""``hitloom export --to pandora``: the folder that the chain of Pandora loads, its validation, its check in C++."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from hitloom.systems.base import System

NUM_VALIDATED = 10_000
"""Views on which the files are compared."""


def export_folder(
    system: System, folder: Path, *, tolerance: float, validate: Path | None, check_cpp: Path | None
) -> None:
    """Write the folder; compare it with the system on the views of a store, and in C++ on those of another.

    Raises
    ------
    ConfigError
        When the system is no shower growing.
    """
    from hitloom.errors import ConfigError
    from hitloom.export.pandora import SIDECAR, SNIPPET, export_pandora
    from hitloom.systems.showers.system import Showers

    if not isinstance(system, Showers):
        raise ConfigError(f"--to pandora: a model of 'showers' was wanted, not '{system.name}'; mend: --to torchscript")
    content = export_pandora(system, folder, tolerance=tolerance)
    for name, part in content["parts"].items():
        largest = max(check["max_difference"] for check in part["parity"])
        typer.echo(f"{folder / part['file']}: {name}, {part['num_parameters']} parameters, differs by {largest:.2g}")
    for note in content["notes"]:
        typer.echo(f"note: {note}")
    typer.echo(f"{folder / SIDECAR}, {folder / SNIPPET}:")
    typer.echo((folder / SNIPPET).read_text(encoding="utf-8"), nl=False)
    if validate is not None:
        _validate(system, folder, validate)
    if check_cpp is not None:
        check_program(system, folder, check_cpp)


def _validate(system: System, folder: Path, store: Path) -> None:
    from hitloom.data.files import atomic_file
    from hitloom.data.store import EventStore
    from hitloom.export.pandora_check import validate
    from hitloom.report.export_plots import write_validation

    found = validate(system, folder, islice(EventStore(store), NUM_VALIDATED))  # type: ignore[arg-type]
    numbers = found.numbers()
    with atomic_file(folder / "validation.json") as draft:
        draft.write_text(json.dumps(numbers) + "\n", encoding="utf-8")
    write_validation(numbers, folder)
    typer.echo(
        f"{folder / 'validation.json'}: {found.num_views} views, {found.num_pairs} pairs, {found.num_outside} of them "
        f"differ by more than 0.0001, the largest by {found.largest:.2g}; features by {found.largest_feature:.2g}; "
        f"groups equal in {found.num_equal_groups} views"
    )


def check_program(system: System, folder: Path, store: Path) -> None:
    """Build the C++ program beside the files and compare its groups with those of the system."""
    from hitloom.cli.export import NUM_CHECKED
    from hitloom.data.store import EventStore
    from hitloom.export import cpp_program, shower_program

    program = cpp_program.build(folder / shower_program.PROGRAM, source=shower_program.PROGRAM)
    found = shower_program.check_groups(program, folder, system, islice(EventStore(store), NUM_CHECKED))  # type: ignore[arg-type]
    typer.echo(
        f"{program}: the same groups as the system on {found['num_views']} views ({found['num_clusters']} clusters, "
        f"{found['num_groups']} groups)"
    )
