"""``hitloom config``: show, check and explain configurations."""

from __future__ import annotations

from pathlib import Path
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


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Configuration of the original code (YAML).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Recipe to write.")],
    system: Annotated[str, typer.Option("--system", help="Name of the system.")] = "showers",
    preset: Annotated[
        int | None, typer.Option("--preset", help="Preset of the hit features, where the file leaves several.")
    ] = None,
) -> None:
    """Turn a configuration of the original shower-growing code into a recipe; says what is not the same in it."""
    from hitloom.config import dump_yaml, load_yaml
    from hitloom.data.files import atomic_file
    from hitloom.errors import ConfigError
    from hitloom.registry import get_system
    from hitloom.training.run_config import build_run_config

    reference = getattr(get_system(system), "import_config", None)
    if reference is None:
        raise ConfigError(f"system '{system}' does not import configurations of another code")
    values, notes = reference(load_yaml(file), where=str(file), preset=preset)
    build_run_config(values, where=str(output))
    with atomic_file(output) as part:
        part.write_text(dump_yaml(values), encoding="utf-8")
    for note in notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{output}: a run of system {system}")


@app.command("list")
def list_() -> None:
    """List the recipes that ship with hitloom."""
    from hitloom.training.run_config import recipe_names

    for name in recipe_names():
        typer.echo(name)
