"""``hitloom simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.options import Set

app = typer.Typer(no_args_is_help=True, help="Simulate events into an event store.")


@app.callback()
def _group() -> None:
    """Simulate events into an event store."""


@app.command()
def tracker(
    output: Annotated[Path, typer.Option("--output", "-o", help="Event store to write; must not exist.")],
    num_events: Annotated[int, typer.Option("--num-events", "-n", min=1, help="Number of events.")] = 10,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed; with the event number it decides all.")] = 0,
    first_event_id: Annotated[int, typer.Option("--first-event-id", min=0, help="Number of the first event.")] = 0,
    num_processes: Annotated[int, typer.Option("--num-processes", "-j", min=1, help="Processes.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is there.")] = False,
    config: Annotated[Path | None, typer.Option("--config", help="YAML of the simulation's settings.")] = None,
    set_: Set = None,
) -> None:
    """Pythia 8 collisions in the ACTS generic (TrackML) detector, with cells, noise and truth."""
    from hitloom.config import apply_overrides, build, load_yaml
    from hitloom.data.store import EventWriter
    from hitloom.simulate.tracker import TrackerConfig, simulate_tracker

    values = apply_overrides(load_yaml(config) if config is not None else {}, set_ or [])
    settings = build(TrackerConfig, values, where=str(config or "tracker simulation"))
    provenance = {"simulation": "tracker", "config": settings.model_dump(mode="json"), "seed": seed}
    with EventWriter(output, provenance=provenance, overwrite=overwrite) as writer:
        for event in simulate_tracker(
            settings, num_events=num_events, seed=seed, first_event_id=first_event_id, num_processes=num_processes
        ):
            writer.write(event)
    typer.echo(f"{num_events} events in {output}")
