"""``hitloom eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.options import Set
from hitloom.cli.slurm import with_slurm


@with_slurm("eval")
def evaluate(
    results: Annotated[Path, typer.Argument(help="Folder of results written by 'hitloom infer'.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the report.")] = None,
    set_: Set = None,
) -> None:
    """Evaluate results: numbers as JSON and CSV, plots, report.html."""
    raise NotImplementedError
