"""``hitloom stability``: how decisions change when the input moves within its errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hitloom.cli.options import Accelerator

if TYPE_CHECKING:
    from hitloom.report.stability_run import Model


def stability(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, a run folder (its best), or shipped weights.")],
    store: Annotated[Path, typer.Argument(help="Event store.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for numbers, maps and report.")],
    against: Annotated[
        str | None, typer.Option("--against", help="A second model on the same perturbed events.")
    ] = None,
    perturbation: Annotated[
        str | None,
        typer.Option("--perturbation", "-p", help="error-bars, offset or smear; default: what the events call for."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Samples of each event for edges; default 50 (offset 100).")
    ] = None,
    graph_samples: Annotated[
        int | None,
        typer.Option("--graph-samples", min=1, help="Samples for partitions; default 30 (offset 100)."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many events.")] = 100,
    split: Annotated[
        str | None, typer.Option("--split", "-s", help="train, val, test or all; default: held-out events.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the perturbations; recorded.")] = 0,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=0, max=1, help="Cut on edges; default the model's own.")
    ] = None,
    against_threshold: Annotated[
        float | None, typer.Option("--against-threshold", min=0, max=1, help="Cut on edges of the second model.")
    ] = None,
    feature: Annotated[str | None, typer.Option("--feature", help="offset: the feature to shift.")] = None,
    max_offset: Annotated[float, typer.Option("--max-offset", min=0, help="offset: its largest size.")] = 0.001,
    sigma: Annotated[
        list[float] | None, typer.Option("--sigma", help="smear: width in mm, once or for x, y, z; default 0.05.")
    ] = None,
    with_z: Annotated[bool, typer.Option("--with-z/--no-with-z", help="error-bars: z moves too.")] = True,
    elementwise: Annotated[
        bool, typer.Option("--elementwise", help="error-bars: the published formula (docs: stability).")
    ] = False,
    angles: Annotated[bool, typer.Option("--angles/--no-angles", help="error-bars: eta and phi follow.")] = True,
    edges: Annotated[bool, typer.Option("--edges/--no-edges", help="error-bars: features of edges follow.")] = False,
    nodes: Annotated[bool, typer.Option("--nodes", help="Draw the places of the edges over their maps.")] = False,
    max_distance: Annotated[
        float, typer.Option("--max-distance", min=0, help="cm; cells of edge maps farther from an edge stay empty.")
    ] = 2.0,
    resolution: Annotated[int, typer.Option("--resolution", min=2, help="Cells of a map along each axis.")] = 200,
    accelerator: Accelerator = "auto",
) -> None:
    """Perturb events, reconstruct them again, and measure what changes: edges, partitions, energies of objects."""
    from hitloom.cli.compare_run import choose_rows
    from hitloom.cli.counter import Counter
    from hitloom.data.perturb import make_perturbation, natural_kind
    from hitloom.data.store import EventStore
    from hitloom.errors import ConfigError
    from hitloom.report.stability_page import write_stability
    from hitloom.report.stability_run import run_stability
    from hitloom.training.checkpoint import find_checkpoint, load_checkpoint

    if against_threshold is not None and against is None:
        raise ConfigError("--against-threshold: there is no second model; mend: --against CHECKPOINT")
    events = EventStore(store)
    names = [checkpoint] if against is None else [checkpoint, against]
    loaded = {name: load_checkpoint(find_checkpoint(name)) for name in names}
    rows = choose_rows(events, loaded, split=split, allow_training=True)[:limit]
    kind = perturbation or natural_kind(events[rows[0]])
    change = make_perturbation(kind, feature=feature, max_offset=max_offset, sigma=sigma or [0.05], with_z=with_z,
                               elementwise=elementwise, angles=angles, edges=edges)  # fmt: skip
    models = [_model(name, cut, accelerator) for name, cut in zip(names, (threshold, against_threshold), strict=False)]
    if len({model.name for model in models}) < len(models):
        models = [_renamed(model, f"{model.name} ({place})") for place, model in enumerate(models, 1)]
    usual = (100, 100) if kind == "offset" else (30, 50)
    counter = Counter("events")
    try:
        run = run_stability(
            models,
            (events[row] for row in rows),
            change,
            num_partition_samples=graph_samples or min(usual[0], samples or usual[0]),
            num_edge_samples=samples or usual[1],
            seed=seed,
            on_event=lambda done: counter("stability", done, len(rows)),
        )
    finally:
        counter.close()
    provenance = {
        "events": str(store),
        "store_fingerprint": events.fingerprint(),
        **{f"checkpoint {model.name}": loaded[name].fingerprint for model, name in zip(models, names, strict=True)},
    }
    maps = {"num_cells": resolution, "edge_distance": max_distance, "nodes": nodes}
    found = write_stability(run, change, output, provenance=provenance, map_settings=maps)
    for name, item in found["models"].items():
        for key in ("flip_rate", "shift", "rand_index", "kept_pairs"):
            if key in item["means"] and item["means"][key]["value"] is not None:
                typer.echo(f"{name}: {key} {item['means'][key]['value']:.4g}")
    typer.echo(f"report: {output / 'report.html'}")


def _model(name: str, threshold: float | None, accelerator: str) -> Model:
    """Return a system ready for events, with its threshold or the one asked for."""
    from hitloom.cli.compare_run import _name_of
    from hitloom.errors import ConfigError
    from hitloom.report.stability_run import Model
    from hitloom.training.reconstruct import Reconstructor

    reconstruct = Reconstructor(name, accelerator=accelerator)
    own = reconstruct.system.edge_threshold
    if threshold is not None and own is None:
        raise ConfigError(f"--threshold: '{reconstruct.system.name}' scores no edges; mend: leave it out")
    cut = own if threshold is None else threshold
    return Model(name=_name_of("checkpoint", name), reconstruct=reconstruct, threshold=cut)


def _renamed(model: Model, name: str) -> Model:
    from dataclasses import replace

    return replace(model, name=name)
