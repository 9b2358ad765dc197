"""``hitloom ceilings``: the best that segmentation can do with the true edges of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.options import Set


def ceilings(
    store: Annotated[Path, typer.Argument(help="Event store with truth; with edges, their ceiling is found too.")],
    split: Annotated[str | None, typer.Option("--split", "-s", help="train, val or test; default: all events.")] = None,
    definition: Annotated[
        str | None,
        typer.Option(
            help="Truth edges: stored, modulewise, modulewise-first or layerwise; default: stored where they are."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(help="components, walk, junction-removal, simple-paths or shortest-paths."),
    ] = "components",
    set_: Set = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find the ceilings of tracking by segmentation: efficiency and fakes if every edge were judged rightly."""
    from hitloom.cli.counter import Counter
    from hitloom.config import apply_overrides, build
    from hitloom.data.store import EventStore
    from hitloom.grouping import SegmentationConfig
    from hitloom.report.ceilings import STORED, ceiling_lines, find_ceilings
    from hitloom.report.page import to_json

    config = build(SegmentationConfig, apply_overrides({"method": method}, set_ or []), where="segmentation")
    events = EventStore(store)
    rows = list(range(len(events))) if split is None else events.indices(split)
    if definition is None:
        definition = STORED if "truth_edge_index" in events.fields else "modulewise"
    counter = Counter("events")
    try:
        found = find_ceilings(events, rows[:limit], definition=definition, config=config, on_event=counter)
    finally:
        counter.close()
    if as_json:
        typer.echo(to_json(found.as_json()))
        return
    for line in ceiling_lines(found):
        typer.echo(line)
