"""``hitloom simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hitloom.cli.options import Set

if TYPE_CHECKING:
    from hitloom.data.store import EventStore

_TOY = "The shapes of the showers are toy: see docs/calorimeter.md for what they reproduce."
_TOY_ARGON = "Cascades, readout and clusters are toy: see docs/lartpc_readout.md for what they reproduce."

app = typer.Typer(no_args_is_help=True, help="Simulate events into an event store.")


Output = Annotated[Path, typer.Option("--output", "-o", help="Event store to write.")]
Events = Annotated[int, typer.Option("--events", "-n", min=1, help="Number of events.")]
Pileup = Annotated[float | None, typer.Option("--pileup", help="Mean number of pile-up collisions; default 0.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Random seed; with the event number it decides all.")]
FirstEventId = Annotated[int, typer.Option("--first-event-id", min=0, help="Number of the first event.")]
NumProcesses = Annotated[int | None, typer.Option("--num-processes", "-j", min=1, help="Default: all cores.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML of the simulation's settings.")]


@app.callback()
def _group() -> None:
    """Simulate events into an event store."""


@app.command()
def tracker(
    output: Output = Path("events"),
    events: Events = 10,
    pileup: Pileup = None,
    process: Annotated[str | None, typer.Option("--process", help="ttbar (default), minbias, zmumu or gun.")] = None,
    energy: Annotated[float | None, typer.Option("--energy", help="Collision energy in TeV; default 13.")] = None,
    field: Annotated[str | None, typer.Option("--field", help="solenoid (default) or constant.")] = None,
    noise: Annotated[float | None, typer.Option("--noise", help="Noise hits as a share of all; default 0.15.")] = None,
    detectors: Annotated[
        Path | None, typer.Option("--detectors", help="TrackML detectors.csv: module ids become TrackML's.")
    ] = None,
    seed: Seed = 0,
    first_event_id: FirstEventId = 0,
    num_processes: NumProcesses = None,
    trackml: Annotated[
        Path | None, typer.Option("--trackml", help="Also write TrackML CSV files into this folder or *.zip.")
    ] = None,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    set_: Set = None,
) -> None:
    """Pythia 8 collisions in the ACTS generic (TrackML) detector, with cells, noise and truth.

    The same seed gives the same events whatever the number of processes.
    """
    from hitloom.simulate.tracker_config import TrackerConfig

    options: dict[str, Any] = {
        "pileup": pileup, "process": process, "energy": energy, "field": field, "noise_fraction": noise,
        "detectors": detectors,
    }  # fmt: skip
    settings = _settings(TrackerConfig, options, config=config, overrides=set_, where="tracker simulation")
    _run(
        settings, output, num_events=events, seed=seed, first_event_id=first_event_id, num_processes=num_processes,
        overwrite=overwrite, trackml=trackml,
    )  # fmt: skip
    typer.echo(f"{events} events in {output}" + (f", as TrackML files in {trackml}" if trackml else ""))


@app.command()
def calorimeter(
    output: Output = Path("events"),
    events: Events = 10,
    pileup: Pileup = None,
    process: Annotated[
        str | None, typer.Option("--process", help="gun (default: 10 pions), ttbar, minbias or zmumu.")
    ] = None,
    energy: Annotated[float | None, typer.Option("--energy", help="Collision energy in TeV; default 14.")] = None,
    truth: Annotated[
        str | None, typer.Option("--truth", help="SC (default): what enters; CP: products of a particle summed.")
    ] = None,
    seed: Seed = 0,
    first_event_id: FirstEventId = 0,
    num_processes: NumProcesses = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Also write this ROOT file, in the schema of TICL's dumper.")
    ] = None,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    set_: Set = None,
) -> None:
    """Particles in the calorimeter's endcaps (HGCAL): showers, cells, layer clusters, tracksters and truth.

    The shapes of the showers are toy, tuned to public tables; the particles of pile-up are Pythia 8's. The same seed
    gives the same events whatever the number of processes. For example ``--set gun.species=[photon]``.
    """
    from hitloom.simulate.calorimeter_config import CalorimeterConfig

    options = {"pileup": pileup, "process": process, "energy": energy, "truth": truth}
    settings = _settings(CalorimeterConfig, options, config=config, overrides=set_, where="calorimeter simulation")
    _run(
        settings, output, num_events=events, seed=seed, first_event_id=first_event_id, num_processes=num_processes,
        overwrite=overwrite, root=root,
    )  # fmt: skip
    typer.echo(f"{events} events in {output}" + (f", as ROOT file {root}" if root else ""))
    typer.echo(_TOY)


@app.command("close-showers")
def close_showers(
    output: Output = Path("events"),
    events: Annotated[int, typer.Option("--events", "-n", min=1, help="Number of collisions.")] = 10,
    overlap: Annotated[
        float | None, typer.Option("--overlap", help="0 to 1: how much showers overlap; default 0.2.")
    ] = None,
    separation: Annotated[
        tuple[float, float] | None, typer.Option("--separation", help="Range of cm between showers; default 2 6.")
    ] = None,
    species: Annotated[
        list[str] | None, typer.Option("--species", help="Kind of shower, may be repeated; default photon.")
    ] = None,
    pileup: Pileup = None,
    majority: Annotated[
        str | None, typer.Option("--majority", help="count (default) or energy decides whose a trackster is.")
    ] = None,
    min_size: Annotated[
        int | None, typer.Option("--min-size", help="Fewest layer clusters of a trackster; default 3.")
    ] = None,
    seed: Seed = 0,
    first_event_id: FirstEventId = 0,
    num_processes: NumProcesses = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Also write this ROOT file, in the layout of pruning.")
    ] = None,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    set_: Set = None,
) -> None:
    """Close-by showers in the calorimeter's endcaps: one event for each trackster, labelled for pruning.

    ``--overlap`` sets how many layer clusters are to prune, from below 1 % at 0 to 20 % at 1. The shapes of the showers
    are toy. The same seed gives the same events whatever the number of processes.
    """
    from hitloom.simulate.close_showers_config import CloseShowersConfig

    options = {
        "overlap": overlap, "separation": separation, "species": species or None, "pileup": pileup,
        "majority": majority, "min_size": min_size,
    }  # fmt: skip
    settings = _settings(CloseShowersConfig, options, config=config, overrides=set_, where="close showers simulation")
    store = _run(
        settings, output, num_events=events, seed=seed, first_event_id=first_event_id, num_processes=num_processes,
        overwrite=overwrite, root=root,
    )  # fmt: skip
    as_root = f", as ROOT file {root}" if root else ""
    typer.echo(f"{len(store)} tracksters of {events} collisions in {output}{as_root}")
    typer.echo(_TOY)


@app.command()
def lartpc(
    output: Output = Path("events"),
    events: Annotated[int, typer.Option("--events", "-n", min=1, help="Number of slices, of three views each.")] = 10,
    detector: Annotated[
        str | None, typer.Option("--detector", help="Name in the table, or a YAML file; default dune-fd-hd.")
    ] = None,
    seed: Seed = 0,
    first_event_id: FirstEventId = 0,
    num_processes: NumProcesses = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Also write this ROOT file, in the layout of Pandora's training.")
    ] = None,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    set_: Set = None,
) -> None:
    """Showers and tracks in liquid argon: hits of three wire views in small 2D clusters, with truth.

    Each view is an event of its own. Cascades, readout and clusters are toy. The same seed gives the same events
    whatever the number of processes. For example ``--set generator.num_pi0=[1,2]``.
    """
    from hitloom.data.lartpc_detectors import get_detector
    from hitloom.simulate.lartpc_config import LArTPCConfig

    options = {"detector": detector}
    settings = _settings(LArTPCConfig, options, config=config, overrides=set_, where="lartpc simulation")
    get_detector(settings.detector)
    store = _run(
        settings, output, num_events=events, seed=seed, first_event_id=first_event_id, num_processes=num_processes,
        overwrite=overwrite, root=root,
    )  # fmt: skip
    as_root = f", as ROOT file {root}" if root else ""
    typer.echo(f"{len(store)} views of {events} slices in {output}{as_root}")
    typer.echo(_TOY_ARGON)


@app.command()
def tracksters(
    statistics: Annotated[Path, typer.Option("--statistics", help="File of 'hitloom data statistics'.")],
    output: Output = Path("events"),
    events: Events = 10,
    seed: Seed = 0,
    first_event_id: FirstEventId = 0,
    one_endcap: Annotated[bool, typer.Option("--one-endcap", help="All tracksters at positive z.")] = False,
    root: Annotated[
        Path | None, typer.Option("--root", help="Also write this ROOT file, layout A of TICL's dumper.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Dummy tracksters drawn from statistics of real ones: for tests of formats and code, not physics."""
    from hitloom.cli.counter import Counter
    from hitloom.data.store import EventStore, EventWriter
    from hitloom.data.ticl_write import write_ticl
    from hitloom.simulate.trackster_sampler import sample_tracksters
    from hitloom.simulate.trackster_statistics import TracksterStatistics

    learned = TracksterStatistics.load(statistics)
    provenance = {"simulation": "dummy tracksters drawn from statistics", "statistics": statistics.name, "seed": seed}
    drawn = sample_tracksters(
        learned, num_events=events, seed=seed, first_event_id=first_event_id, both_endcaps=not one_endcap
    )
    counter = Counter("events")
    try:
        with EventWriter(output, provenance=provenance, overwrite=overwrite) as writer:
            for done, event in enumerate(drawn, start=1):
                writer.write(event)
                counter("drawn", done, events)
    finally:
        counter.close()
    if root is not None:
        write_ticl(EventStore(output), root, layouts=("A",), overwrite=overwrite)
    typer.echo(f"{events} dummy events in {output}" + (f", as ROOT file {root}" if root else ""))


def _settings(
    config_class: Any, options: dict[str, Any], *, config: Path | None, overrides: list[str] | None, where: str
) -> Any:
    """Settings from the file, the options and ``--set``, later ones first in rank."""
    from hitloom.config import apply_overrides, build, load_yaml

    values = load_yaml(config) if config is not None else {}
    values |= {name: value for name, value in options.items() if value is not None}
    return build(config_class, apply_overrides(values, overrides or []), where=str(config or where))


def _run(
    settings: Any,
    output: Path,
    *,
    num_events: int,
    seed: int,
    first_event_id: int,
    num_processes: int | None,
    overwrite: bool,
    trackml: Path | None = None,
    root: Path | None = None,
) -> EventStore:
    import os

    from hitloom.cli.counter import Counter
    from hitloom.simulate.store import simulate_to_store

    counter = Counter("events")
    try:
        return simulate_to_store(
            output,
            settings,
            num_events=num_events,
            seed=seed,
            first_event_id=first_event_id,
            num_processes=num_processes or min(os.cpu_count() or 1, num_events),
            overwrite=overwrite,
            trackml=trackml,
            root=root,
            on_event=lambda done: counter("simulated", done, num_events),
        )
    finally:
        counter.close()
