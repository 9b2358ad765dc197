"""``hitloom config``: show, check and explain configurations."""

from __future__ import annotations

from typing import Annotated

import typer

from hitloom.cli.options import Set

app = typer.Typer(no_args_is_help=True, help="Show, check and explain configurations.")

Recipe = Annotated[str, typer.Argument(help="A recipe's name, a YAML file, or a run folder.")]


@app.command()
def show(recipe: Recipe, set_: Set = None) -> None:
    """Print the resolved configuration, every default spelt out, as YAML."""
    from hitloom.training.run_config import load_recipe

    typer.echo(load_recipe(recipe, set_ or []).to_yaml(), nl=False)


@app.command()
def check(recipe: Recipe, set_: Set = None) -> None:
    """Check a configuration; all mistakes come in one line."""
    from hitloom.training.run_config import load_recipe, recipe_path

    config = load_recipe(recipe, set_ or [])
    typer.echo(f"{recipe_path(recipe)}: a valid run of system {config.system}")


@app.command()
def schema(system: Annotated[str, typer.Argument(help="Name of the system.")] = "eggnet") -> None:
    """Print the JSON schema of a run of a system, for editors that complete YAML."""
    import json

    from hitloom.training.run_config import run_config_class

    typer.echo(json.dumps(run_config_class(system).model_json_schema(), indent=2))


@app.command("list")
def list_() -> None:
    """List the recipes that ship with hitloom."""
    from hitloom.training.run_config import recipe_names

    for name in recipe_names():
        typer.echo(name)
