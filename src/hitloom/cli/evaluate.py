"""``hitloom eval`` and ``hitloom display``: results to numbers, plots, a report and event displays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.eval_defaults import chosen_split, recorded_settings
from hitloom.cli.options import Family, Set
from hitloom.cli.slurm import with_slurm

Results = Annotated[Path, typer.Argument(help="Folder of results written by 'hitloom infer'.")]
Events = Annotated[Path | None, typer.Option("--events", "-e", help="Event store (else the one the results name).")]
Split = Annotated[
    str | None, typer.Option("--split", "-s", help="Default: test, else val, else what is there; never mixed.")
]


@with_slurm("eval")
def eval_command(
    results: Results,
    events: Events = None,
    split: Split = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the report; default RESULTS itself.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="YAML file with evaluation settings.")] = None,
    set_: Set = None,
    eps: Annotated[float | None, typer.Option("--eps", help="Cluster again at this radius.")] = None,
    min_samples: Annotated[int | None, typer.Option("--min-samples", min=1, help="Cluster again with this.")] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="NAME=DIR", help="Results to stand beside these, for example ckf=runs/ckf."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", help="Look inside this network: graphs in the loss budget, attributions, losses."),
    ] = None,
    family: Family = None,
    scan: Annotated[bool, typer.Option("--scan/--no-scan", help="Scan eps and min_samples of DBSCAN.")] = True,
) -> None:
    """Evaluate results: numbers as JSON and CSV, plots, report.html."""
    from hitloom.cli.counter import Counter
    from hitloom.cli.inside import inside_of
    from hitloom.config import apply_overrides, build, load_yaml
    from hitloom.report.evaluate import evaluate_results
    from hitloom.report.family import family_of_results

    split = chosen_split(results, split)
    kind = family_of_results(results, events=events, split=split, family=family)
    # What the results say of their input, the evaluation reads from them itself, for the baselines too.
    recorded = recorded_settings(results, split)
    values = {key: value for key, value in recorded.items() if key not in ("hit_selection", "truth_selected_input")}
    values |= load_yaml(config) if config is not None else {}
    values = apply_overrides(values, set_ or [])
    values |= {name: value for name, value in (("eps", eps), ("min_samples", min_samples)) if value is not None}
    if not scan:
        values["scan"] = False
    settings = build(kind.config_class, values, where=str(config or "evaluation settings"))
    counter = Counter("events")
    folder = output if output is not None else results
    metrics = evaluate_results(
        results,
        events=events,
        split=split,
        config=settings,
        output=folder,
        baselines=_baselines(baseline or []),
        inside=inside_of(checkpoint) if checkpoint is not None else None,
        family=kind.name,
        on_event=counter,
    )
    counter.close()
    for line in kind.summary_lines(metrics):
        typer.echo(line)
    typer.echo(f"report: {folder / 'report.html'}")


def display_command(
    results: Results,
    events: Events = None,
    split: Split = None,
    event: Annotated[int | None, typer.Option("--event", help="Event id; default the first.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML page; default RESULTS/event-ID.html.")
    ] = None,
    phoenix: Annotated[
        Path | None, typer.Option("--phoenix", help="Also write the event for the Phoenix event display.")
    ] = None,
    max_hits: Annotated[
        int | None,
        typer.Option("--max-hits", "--max-points", min=1, help="Larger events are thinned; default by kind of event."),
    ] = None,
    family: Family = None,
) -> None:
    """Draw an event and what was found in it in 3D, as one HTML page that works offline."""
    from hitloom.report.family import family_of
    from hitloom.report.page import write_text
    from hitloom.report.sources import find_event, find_events

    split = chosen_split(results, split)
    found, result = find_event(results, events=events, split=split, event_id=event)
    kind = family_of([found], family)
    beside = find_events(results, kind.companions(result.event_id), events=events, split=split)
    path = output if output is not None else results / f"event-{result.event_id}.html"
    write_text(path, kind.display_pages([(found, result), *beside], max_points=max_hits))
    typer.echo(f"display: {path}")
    if phoenix is not None:
        kind.write_phoenix(found, result, phoenix)
        typer.echo(f"phoenix: {phoenix}")


evaluate, display = eval_command, display_command


def _baselines(given: Sequence[str]) -> dict[str, str]:
    """Return name -> folder of every NAME=DIR."""
    from hitloom.errors import ConfigError

    baselines: dict[str, str] = {}
    for text in given:
        name, separator, folder = text.partition("=")
        if not separator or not name or not folder:
            raise ConfigError(f"--baseline {text!r}: wanted NAME=DIR, for example ckf=runs/ckf/results")
        if name in baselines or name == "this result":
            raise ConfigError(f"--baseline {text!r}: the name '{name}' is taken; mend: another name")
        baselines[name] = folder
    return baselines
