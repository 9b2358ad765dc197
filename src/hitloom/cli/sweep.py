"""``hitloom sweep``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.options import Set
from hitloom.cli.slurm import leave, with_slurm


@with_slurm("sweep")
def sweep(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or a YAML file.")],
    store: Annotated[Path | None, typer.Argument(help="Event store (else data.store of the recipe).")] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="KEY=VALUE,VALUE",
            help="A setting and its values, repeatable; default: the grid that ships for the recipe.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the sweep; default runs/sweep-RECIPE.")
    ] = None,
    set_: Set = None,
) -> None:
    """Train a recipe once for every combination of some settings, one after the other, into one table.

    Runs that are finished are kept, one that was stopped is resumed: the same command goes on. A run that fails is in
    the table with its error. The table is printed, and written as sweep.csv and sweep.md.
    """
    from hitloom.training.run_config import recipe_path
    from hitloom.training.stop import StopRequested
    from hitloom.training.sweep import grid_of_recipe, parse_grid
    from hitloom.training.sweep import sweep as run
    from hitloom.training.sweep_table import markdown_lines

    values = parse_grid(grid) if grid else grid_of_recipe(recipe)
    folder = output if output is not None else Path("runs") / f"sweep-{recipe_path(recipe).stem}"
    try:
        rows = run(recipe, grid=values, output=folder, overrides=set_ or [], store=store)
    except StopRequested as stopped:
        again = f"stopped; the same command goes on from here: the sweep is in {shlex.quote(str(folder))}"
        raise typer.Exit(leave(stopped.signum, again)) from None
    for line in markdown_lines(rows):
        typer.echo(line)
    typer.echo(f"table: {folder / 'sweep.csv'}, {folder / 'sweep.md'}")
