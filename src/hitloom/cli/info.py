"""``hitloom info``."""

from __future__ import annotations

from typing import Annotated

import typer


def info(
    what: Annotated[str, typer.Argument(help="A recipe, a checkpoint, a run folder, or shipped weights.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a recipe or a checkpoint is: system, size, needs, versions."""
    import json

    from hitloom.training.describe import describe

    values = describe(what)
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        typer.echo(f"{name}: {'-' if text in (None, '') else text}")
