"""``hitloom compare``: several methods on the same events, in one table and one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hitloom.cli.options import Accelerator, Family, Set
from hitloom.cli.slurm import with_slurm


@with_slurm("compare")
def compare(
    store: Annotated[Path, typer.Argument(help="Event store with truth.")],
    methods: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]WHAT...",
            help="A baseline (tracker: ckf, helix-dbscan; calorimeter: merge-all, merge-none, distance, skeleton), "
            "shipped weights, a checkpoint or run folder, or a folder of results.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results and report.")],
    main: Annotated[
        str | None, typer.Option("--main", help="Method that the others stand beside; default the first.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", "-s", help="train, val, test or all; default: events that no method was trained on."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many events.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="YAML file with evaluation settings.")] = None,
    set_: Set = None,
    accelerator: Accelerator = "auto",
    family: Family = None,
    redo: Annotated[bool, typer.Option("--redo", help="Run again what is there from another checkpoint.")] = False,
    allow_training: Annotated[
        bool, typer.Option("--allow-training", help="Count events that a method was trained on.")
    ] = False,
) -> None:
    """Run several methods on the same events and put their numbers side by side.

    Results that are there already from the same checkpoint and store are kept.
    """
    from hitloom.cli.compare_run import compare as run
    from hitloom.cli.compare_run import parse_methods
    from hitloom.cli.counter import Counter
    from hitloom.config import Config, apply_overrides, build, load_yaml
    from hitloom.report.family import get_family

    def settings(recorded: dict[str, Any], wanted: type[Config]) -> Config:
        values = recorded | (load_yaml(config) if config is not None else {})
        return build(wanted, apply_overrides(values, set_ or []), where=str(config or "evaluation settings"))

    counter = Counter("events")
    try:
        metrics = run(
            store,
            parse_methods(methods),
            output=output,
            main=main,
            split=split,
            limit=limit,
            config=settings,
            family=family,
            accelerator=accelerator,
            redo=redo,
            allow_training=allow_training,
            on_event=counter,
        )
    finally:
        counter.close()
    for line in get_family(metrics["family"]).side_by_side_lines(metrics):
        typer.echo(line)
    typer.echo(f"report: {output / 'report.html'}")
