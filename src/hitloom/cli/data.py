"""``hitloom data``: convert, inspect and split events, learn module maps and statistics from them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hitloom.cli.counter import watched
from hitloom.cli.data_convert import Truth, convert

app = typer.Typer(no_args_is_help=True, help="Convert, inspect and split events.")
app.command()(convert)


class Split(StrEnum):
    """Events of a store."""

    train = "train"
    val = "val"
    test = "test"
    all = "all"


@app.callback()
def _group() -> None:
    """Convert, inspect and split events."""


@app.command("compare-layouts")
def compare_layouts(
    source: Annotated[Path, typer.Argument(help="TICL file or folder with both layouts.")],
    truth: Annotated[Truth | None, typer.Option(help="Objects; default: those of layout A.")] = None,
    collection: Annotated[str, typer.Option(help="Tracksters of layout B.")] = "ticlTrackstersCLUE3DHigh",
    atol: Annotated[float, typer.Option(min=0, help="Largest difference that counts as none.")] = 1e-4,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
) -> None:
    """Say whether both layouts of TICL files give the same samples; exit code 1 when they do not."""
    from hitloom.data.ticl_compare import compare_layouts as compare

    found = compare(source, truth=None if truth is None else truth.value, collection=collection, limit=limit)
    typer.echo(f"{found.num_paired} events in both layouts, {found.num_unpaired} in one alone")
    for name, value in found.largest.items():
        place = f" ({found.where[name]})" if name in found.where else ""
        unit = " edges" if name == "edge_index" else ""
        typer.echo(f"{name}: largest difference {value:g}{unit}{place}")
    same = found.equal(atol)
    typer.echo("the layouts agree" if same else f"the layouts differ by more than {atol:g}")
    if not same:
        raise typer.Exit(1)


@app.command()
def statistics(
    store: Annotated[Path, typer.Argument(help="Event store of tracksters with truth.")],
    output: Annotated[Path, typer.Argument(help="File (*.npz) to write.")],
    chosen: Annotated[Split, typer.Option("--split", help="Events to learn from.")] = Split.train,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the clusterings.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Learn from a store how tracksters are spread, for 'hitloom simulate tracksters'."""
    from hitloom.data.store import EventStore
    from hitloom.errors import DataError
    from hitloom.simulate.trackster_statistics import TracksterStatistics

    if output.exists() and not overwrite:
        raise DataError(f"{output}: already exists; mend: another path, or --overwrite")
    opened = EventStore(store)
    rows = list(range(len(opened))) if chosen is Split.all else opened.indices(chosen.value)
    rows = rows[:limit] if limit is not None else rows
    learned = TracksterStatistics.fit(watched((opened[row] for row in rows), len(rows)), seed=seed)
    learned.save(output)
    typer.echo(f"{output}: {learned.describe()}, from {len(rows)} events ({chosen.value})")


@app.command()
def inspect(
    store: Annotated[Path, typer.Argument(help="Event store.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what an event store holds."""
    from hitloom.data.store import EventStore
    from hitloom.data.summary import summarise

    record = summarise(EventStore(store))
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    else:
        _print_tables(record)


@app.command()
def split(
    store: Annotated[Path, typer.Argument(help="Event store.")],
    fractions: Annotated[
        tuple[float, float, float] | None, typer.Option(help="Shares of train, val, test, for example 0.8 0.1 0.1.")
    ] = None,
    counts: Annotated[
        tuple[int, int, int] | None, typer.Option(help="Events of train, val, test, for example 2000 400 200.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed gives another division.")] = 0,
) -> None:
    """Record in the store how it is divided into train, val and test, by a hash of seed and event id."""
    from hitloom.data.splits import DEFAULT_FRACTIONS, SPLITS, write_splits
    from hitloom.data.store import EventStore
    from hitloom.data.store_writer import SPLITS_FILE
    from hitloom.errors import DataError

    opened = EventStore(store)
    if not opened.path.is_dir():
        raise DataError(f"{store}: a split can only be recorded in a store that is a folder, not in a single file")
    if fractions is not None and counts is not None:
        raise DataError("split: --fractions or --counts was wanted, not both")
    if counts is None:
        fractions = fractions or DEFAULT_FRACTIONS
    numbers = {name: len(opened.indices(name, fractions=fractions, counts=counts, seed=seed)) for name in SPLITS}
    write_splits(opened.path / SPLITS_FILE, fractions=fractions, counts=counts, seed=seed)
    rest = len(opened) - sum(numbers.values())
    parts = [f"{name} {number}" for name, number in numbers.items()] + ([f"unused {rest}"] if rest else [])
    typer.echo(f"{store}: {', '.join(parts)} (seed {seed})")


@app.command()
def tracks(
    results: Annotated[Path, typer.Argument(help="Folder of results written by 'hitloom infer'.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for event<ID>.txt.")],
    split_: Annotated[str | None, typer.Option("--split", "-s", help="Only this split; default all.")] = None,
    min_hits: Annotated[int, typer.Option("--min-hits", min=1, help="Leave out shorter tracks.")] = 1,
) -> None:
    """Write tracks as text: one file per event, one line of hit ids per track."""
    from hitloom.data.results import open_results
    from hitloom.data.track_lists import write_track_lists

    number = write_track_lists(open_results(results, split_), output, min_hits=min_hits)
    typer.echo(f"tracks of {number} events written to {output}")


@app.command()
def pruned(
    results: Annotated[Path, typer.Argument(help="Folder of results of a pruning, written by 'hitloom infer'.")],
    output: Annotated[Path, typer.Argument(help="File (*.root, *.json), or event store, to write.")],
    split_: Annotated[str | None, typer.Option("--split", "-s", help="Only this split; default all.")] = None,
    events: Annotated[Path | None, typer.Option(help="Event store; default: the one that the results name.")] = None,
    all_layer_clusters: Annotated[
        bool, typer.Option("--all-layer-clusters", help="Those that were pruned as well, told by their score.")
    ] = False,
    tracksters_tree: Annotated[str, typer.Option(help="Tree of the tracksters.")] = "Tracksters",
    edges_tree: Annotated[str, typer.Option(help="Tree of the links.")] = "Edges",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write tracksters after pruning in the form that they came in, with prune_score = probability to prune.

    A layer cluster whose leader was pruned follows the nearest one above that was kept.
    """
    from hitloom.data.pruning_decisions import write_pruned
    from hitloom.data.results import open_results
    from hitloom.data.store import EventStore
    from hitloom.errors import DataError

    opened = open_results(results, split_)
    if events is None and opened.events is None:
        raise DataError(f"{results}: does not say which store it was made from; mend: --events")
    store = EventStore(events or str(opened.events))
    rows = {int(event_id): row for row, event_id in enumerate(store.event_ids)}
    missing = [event_id for event_id in opened.event_ids if event_id not in rows]
    if missing:
        raise DataError(f"{store.path}: event {missing[0]} of {results} is not in it; mend: --events")
    chosen = watched((store[rows[event_id]] for event_id in opened.event_ids), len(opened))
    number = write_pruned(
        chosen, opened, output, tracksters=tracksters_tree, edges=edges_tree, keep_all=all_layer_clusters,
        overwrite=overwrite,
    )  # fmt: skip
    typer.echo(f"{number} tracksters written to {output}")


@app.command("module-map")
def module_map(
    store: Annotated[Path, typer.Argument(help="Event store with truth.")],
    output: Annotated[Path, typer.Argument(help="Text file of 24 columns to write.")],
    chosen: Annotated[Split, typer.Option("--split", help="Events to learn from.")] = Split.train,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
    conditions: Annotated[
        str, typer.Option(help="Particles that count, for example '{object_pt: [1, .inf]}'.")
    ] = "{object_pt: [1, .inf]}",
    definition: Annotated[str, typer.Option(help="Truth edges: modulewise, modulewise-first, stored.")] = "modulewise",
    min_occurrence: Annotated[int, typer.Option(min=1, help="Leave out rows seen less often.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Learn from true tracks which modules follow each other, and write the module map as text."""
    from hitloom.config import parse_yaml
    from hitloom.data.module_map import ModuleMap
    from hitloom.data.store import EventStore
    from hitloom.errors import ConfigError, DataError

    wanted = parse_yaml(conditions, where="--conditions")
    if not isinstance(wanted, dict):
        raise ConfigError(f"--conditions {conditions!r}: a mapping was wanted, for example '{{object_pt: [1, .inf]}}'")
    if output.exists() and not overwrite:
        raise DataError(f"{output}: already exists; mend: another path, or --overwrite")
    opened = EventStore(store)
    rows = list(range(len(opened))) if chosen is Split.all else opened.indices(chosen.value)
    rows = rows[:limit] if limit is not None else rows
    events = watched((opened[row] for row in rows), len(rows))
    learned = ModuleMap.fit(events, conditions=wanted, definition=definition, min_occurrence=min_occurrence)
    learned.write(output)
    typer.echo(
        f"{output}: {learned.num_rows} triplets and {learned.num_doublets} pairs of {learned.modules.size} modules, "
        f"from {len(rows)} events ({chosen.value})"
    )


def _print_tables(record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    counts = Table(title=record["store"], title_justify="left", show_header=False)
    for name, meaning in record["definitions"].items():
        value = record[name]
        counts.add_row(name, "unknown" if value is None else f"{value:,}", meaning)
    console.print(counts)
    sizes, splits = record["points_per_event"], record["splits"]
    console.print(f"counts of objects from {record['counts_from']}", highlight=False)
    console.print(f"points per event: {sizes['min']} to {sizes['max']}, median {sizes['median']:g}", highlight=False)
    for part in ("graphs", "pruning"):
        for name, text in record.get(part, {}).get("definitions", {}).items():
            console.print(f"{name}: {record[part][name]:,.6g} ({text})", highlight=False)
    showers = dict(record.get("showers", {}))
    for name, text in showers.pop("definitions", {}).items():
        values = ", ".join(f"{view} {numbers[name]:,.4g}" for view, numbers in showers.items())
        console.print(f"{name}: {values} ({text})", highlight=False)
    console.print(
        f"split: train {splits['train']}, val {splits['val']}, test {splits['test']} ({splits['rule']})",
        highlight=False,
    )
    console.print(f"features: {', '.join(record['features']) or 'none'}", highlight=False)
    fields = Table("field", "shape", "dtype", "unit", "meaning")
    for name, field in record["fields"].items():
        fields.add_row(name, field["shape"], field["dtype"], field["unit"] or "-", field["meaning"])
    console.print(fields)
    console.print(f"provenance: {json.dumps(record['provenance'])}", highlight=False, markup=False)
    console.print(f"fingerprint: {record['fingerprint']}", highlight=False)
