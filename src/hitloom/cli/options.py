"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, for example training.max_epochs=10."),
]
Accelerator = Annotated[str, typer.Option("--accelerator", "-a", help="auto, cpu or cuda.")]
Family = Annotated[
    str | None,
    typer.Option(
        "--family", help="tracks, tracksters, pruning or showers; default: by the events.", show_default=False
    ),
]
