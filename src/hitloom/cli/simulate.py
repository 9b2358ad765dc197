"""``hitloom simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hitloom.cli.options import Set

app = typer.Typer(no_args_is_help=True, help="Simulate events into an event store.")


@app.callback()
def _group() -> None:
    """Simulate events into an event store."""


@app.command()
def tracker(
    output: Annotated[Path, typer.Option("--output", "-o", help="Event store to write.")] = Path("events"),
    events: Annotated[int, typer.Option("--events", "-n", min=1, help="Number of events.")] = 10,
    pileup: Annotated[
        float | None, typer.Option("--pileup", help="Mean number of pile-up collisions; default 0.")
    ] = None,
    process: Annotated[str | None, typer.Option("--process", help="ttbar (default), minbias, zmumu or gun.")] = None,
    energy: Annotated[float | None, typer.Option("--energy", help="Collision energy in TeV; default 13.")] = None,
    field: Annotated[str | None, typer.Option("--field", help="solenoid (default) or constant.")] = None,
    noise: Annotated[float | None, typer.Option("--noise", help="Noise hits as a share of all; default 0.15.")] = None,
    detectors: Annotated[
        Path | None, typer.Option("--detectors", help="TrackML detectors.csv: module ids become TrackML's.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed; with the event number it decides all.")] = 0,
    first_event_id: Annotated[int, typer.Option("--first-event-id", min=0, help="Number of the first event.")] = 0,
    num_processes: Annotated[
        int | None, typer.Option("--num-processes", "-j", min=1, help="Default: all cores.")
    ] = None,
    trackml: Annotated[
        Path | None, typer.Option("--trackml", help="Also write TrackML CSV files into this folder or *.zip.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    config: Annotated[Path | None, typer.Option("--config", help="YAML of the simulation's settings.")] = None,
    set_: Set = None,
) -> None:
    """Pythia 8 collisions in the ACTS generic (TrackML) detector, with cells, noise and truth.

    The same seed gives the same events whatever the number of processes.
    """
    import os

    from hitloom.cli.counter import Counter
    from hitloom.config import apply_overrides, build, load_yaml
    from hitloom.simulate.store import simulate_to_store
    from hitloom.simulate.tracker import TrackerConfig

    options: dict[str, Any] = {
        "pileup": pileup, "process": process, "energy": energy, "field": field, "noise_fraction": noise,
        "detectors": detectors,
    }  # fmt: skip
    values = load_yaml(config) if config is not None else {}
    values |= {name: value for name, value in options.items() if value is not None}
    settings = build(TrackerConfig, apply_overrides(values, set_ or []), where=str(config or "tracker simulation"))
    counter = Counter("events")
    try:
        simulate_to_store(
            output,
            settings,
            num_events=events,
            seed=seed,
            first_event_id=first_event_id,
            num_processes=num_processes or min(os.cpu_count() or 1, events),
            overwrite=overwrite,
            trackml=trackml,
            on_event=lambda done: counter("simulated", done, events),
        )
    finally:
        counter.close()
    typer.echo(f"{events} events in {output}" + (f", as TrackML files in {trackml}" if trackml else ""))
