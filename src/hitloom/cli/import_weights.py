"""``hitloom import-weights``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.options import Set


def import_weights(
    file: Annotated[Path, typer.Argument(help="Checkpoint or state dict of the original code (.pt).")],
    recipe: Annotated[str, typer.Argument(help="Recipe or YAML file whose model has the sizes of these weights.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write.")],
    set_: Set = None,
) -> None:
    """Turn weights of the original linking or shower-growing code into a checkpoint: infer, export, train --init-from.

    Its parameters are matched by order and shape. TorchScript files are not read.
    """
    from hitloom.training.import_weights import import_weights as run
    from hitloom.training.run_config import load_recipe

    typer.echo(run(file, load_recipe(recipe, set_ or []), output))
