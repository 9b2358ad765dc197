"""``hitloom stage``: the stages of a staged run, each applied and judged alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hitloom.training.stages import StagedRun

app = typer.Typer(no_args_is_help=True, help="Apply and judge the stages of a staged run, one at a time.")

Run = Annotated[Path, typer.Argument(help="Run folder of a staged system.")]
StageName = Annotated[str, typer.Option("--stage", help="Name of the stage.")]


@app.callback()
def _group() -> None:
    """Apply and judge the stages of a staged run, one at a time."""


def open_run(folder: Path) -> StagedRun:
    """Return the staged run in a folder.

    Raises
    ------
    ConfigError
        When the folder holds no run of a staged system.
    """
    from hitloom.errors import ConfigError
    from hitloom.training.run_config import load_recipe
    from hitloom.training.stages import StagedRun, is_staged

    if not (folder / "config.yaml").is_file():
        raise ConfigError(
            f"{folder}: no config.yaml in it; mend: the folder of a run (hitloom train RECIPE -o {folder})"
        )
    config = load_recipe(folder)
    if not is_staged(config):
        raise ConfigError(f"{folder}: a run of '{config.system}', which is not made of stages")
    return StagedRun(config=config, folder=folder)


@app.command("list")
def list_stages(run: Run) -> None:
    """Say for each stage whether it is trained, what it chose, and whether its events are written."""
    from hitloom.training.stage_folder import read_state

    opened = open_run(run)
    for name in opened.names:
        state = read_state(run / name)
        if state is None:
            typer.echo(f"{name}: not trained")
            continue
        events = "events written" if (run / name / "events").exists() else "not applied"
        stale = "" if state.inputs == opened.inputs(name) else "; STALE: its settings or inputs have changed"
        typer.echo(f"{name}: trained in {state.seconds:.0f} s, chosen {state.chosen or 'nothing'}, {events}{stale}")


@app.command("apply")
def apply(
    run: Run,
    stage: StageName,
    store: Annotated[
        Path | None, typer.Argument(help="Event store with what the stage needs; default the stage's own input.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Event store to write; default RUN/STAGE/events.")
    ] = None,
) -> None:
    """Write events with what a trained stage decides: edges, and their scores."""
    from hitloom.cli.counter import Counter
    from hitloom.errors import ConfigError
    from hitloom.training.stages import apply_stage

    if store is not None and output is None:
        raise ConfigError("--output: events of another store need a place; mend: --output FOLDER")
    opened = open_run(run)
    counter = Counter("events")
    path = apply_stage(opened, stage, store=store, output=output, on_event=counter)
    counter.close()
    typer.echo(f"events: {path}")


@app.command("eval")
def evaluate(
    run: Run,
    stage: StageName,
    split: Annotated[str, typer.Option("--split", "-s", help="train, val or test of the stage's input.")] = "val",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many events.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file; default RUN/STAGE/evaluation-SPLIT.json.")
    ] = None,
) -> None:
    """Judge a trained stage alone: edges before and after it, curves against radius or cut."""
    from hitloom.cli.counter import Counter
    from hitloom.data.files import atomic_file
    from hitloom.report.page import to_json
    from hitloom.training.stage_quality import stage_quality

    opened = open_run(run)
    counter = Counter("events")
    quality = stage_quality(opened, stage, split=split, limit=limit, on_event=counter)
    counter.close()
    for where in ("before", "after"):
        if quality[where] is None:
            continue
        typer.echo(f"edges {where} stage {stage}:")
        for name, entry in quality[where].items():
            value = "-" if entry["value"] is None else f"{entry['value']:.4f}"
            counts = f" ({entry['numerator']:,} of {entry['denominator']:,})" if "numerator" in entry else ""
            typer.echo(f"  {name} {value}{counts}: {entry['definition']}")
    if quality["scores"] is not None:
        for name, entry in quality["scores"]["auc"].items():
            value = "-" if entry["value"] is None else f"{entry['value']:.4f}"
            typer.echo(f"  auc.{name} {value}: {entry['definition']}")
    path = output or run / stage / f"evaluation-{split}.json"
    with atomic_file(path) as part:
        part.write_text(to_json(quality) + "\n", encoding="utf-8")
    typer.echo(f"curves: {path}")
