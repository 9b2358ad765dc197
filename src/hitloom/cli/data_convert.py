"""``hitloom data convert``: between the formats of others and the event store."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.counter import watched


class Source(StrEnum):
    """Formats that can be read."""

    trackml = "trackml"
    pyg = "pyg"
    ticl = "ticl"
    processed = "processed"
    pruning = "pruning"
    pandora = "pandora"
    pandora_pt = "pandora-pt"
    store = "store"


class Target(StrEnum):
    """Formats that can be written."""

    store = "store"
    trackml = "trackml"
    pyg = "pyg"
    ticl = "ticl"
    processed = "processed"
    pruning = "pruning"
    pandora = "pandora"
    pandora_pt = "pandora-pt"


class Layout(StrEnum):
    """Layouts of TICL files (A, B) and of files of tracksters for pruning."""

    A = "A"
    B = "B"
    root = "root"
    json = "json"
    collisions = "collisions"


class Truth(StrEnum):
    """True objects in TICL files: SimClusters or CaloParticles."""

    SC = "SC"
    CP = "CP"


class Subset(StrEnum):
    """Parts of the TrackML detector."""

    all = "all"
    pixel = "pixel"
    barrel = "barrel"


class Dialect(StrEnum):
    """Names in PyG files."""

    prefixed = "prefixed"
    plain = "plain"
    exa = "exa"


class Majority(StrEnum):
    """What the majority of simulated tracksters is counted by."""

    by_count = "count"
    by_energy = "energy"


class AllNoise(StrEnum):
    """What becomes of tracksters without any truth."""

    keep = "keep"
    drop = "drop"


class Form(StrEnum):
    """Forms of tensor files of 2D clusters."""

    of_list = "list"
    of_dict = "dict"


class Denominator(StrEnum):
    """Hits that a share of a cluster counts."""

    all = "all"
    matched = "matched"


def convert(
    source: Annotated[Path, typer.Argument(help="Folder, zip archive, event prefix, or event store.")],
    store: Annotated[Path, typer.Argument(help="Where to write; must not exist.")],
    format_: Annotated[
        Source | None, typer.Option("--format", "-f", help="Format of the source; default: recognised.")
    ] = None,
    to: Annotated[Target, typer.Option("--to", help="Format to write.")] = Target.store,
    detectors: Annotated[
        Path | None, typer.Option(help="TrackML detectors.csv; default: the one beside or above the events.")
    ] = None,
    skip: Annotated[int, typer.Option(min=0, help="Leave out so many events at the front.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
    subset: Annotated[Subset, typer.Option(help="Part of the TrackML detector.")] = Subset.all,
    unit: Annotated[str, typer.Option(help="Unit of momenta in .pyg files: GeV, or MeV (ITk).")] = "GeV",
    dialect: Annotated[
        Dialect, typer.Option(help="Names in .pyg files that are written; exa: Exa.TrkX's feature store.")
    ] = Dialect.prefixed,
    extra_features: Annotated[bool, typer.Option("--extra-features", help="Add signed and safe features.")] = False,
    layout: Annotated[
        Layout | None,
        typer.Option(
            help="TICL files: A or B; default: B where a file has it, else A; writing: both. Tracksters for pruning: "
            "root, json or collisions; default: as the file is."
        ),
    ] = None,
    truth: Annotated[Truth | None, typer.Option(help="Objects from TICL files; default SC (SimClusters).")] = None,
    collection: Annotated[str, typer.Option(help="Tracksters in TICL files of layout B.")] = "ticlTrackstersCLUE3DHigh",
    skeleton_features: Annotated[
        bool, typer.Option("--skeleton-features", help="Seven edge features instead of five (TICL, layout B).")
    ] = False,
    drop_small: Annotated[
        bool, typer.Option("--drop-small", help="Leave out TICL events with one trackster or fewer than two edges.")
    ] = False,
    tracksters_tree: Annotated[
        str, typer.Option(help="Pruning: tree of the tracksters; ';1' is a cycle, without one the highest counts.")
    ] = "Tracksters;1",
    edges_tree: Annotated[str, typer.Option(help="Pruning: tree of the links.")] = "Edges;1",
    collisions_tree: Annotated[
        str | None,
        typer.Option(help="Pruning: tree with one collision for each entry; default: found by its branches."),
    ] = None,
    branch: Annotated[
        list[str] | None, typer.Option(help="Pruning: a branch under another name, NAME=NAME_IN_FILE; repeatable.")
    ] = None,
    strict_edges: Annotated[
        bool, typer.Option("--strict-edges", help="Pruning: a link to a layer cluster that is not there is an error.")
    ] = False,
    drop_without_positive: Annotated[
        bool, typer.Option("--drop-without-positive", help="Pruning: leave out tracksters with nothing to prune.")
    ] = False,
    drop_empty: Annotated[
        bool, typer.Option("--drop-empty", help="Pruning: leave out entries without layer clusters.")
    ] = False,
    majority: Annotated[
        Majority, typer.Option(help="Pruning, collisions: what decides which particle a trackster stands for.")
    ] = Majority.by_count,
    all_noise: Annotated[
        AllNoise, typer.Option(help="Pruning, collisions: tracksters without any truth: keep them whole, or drop them.")
    ] = AllNoise.keep,
    geometry: Annotated[
        str, typer.Option(help="Pruning: layers of files that hold none: a name, or a path of a .csv.")
    ] = "hgcal-v17",
    clusters_tree: Annotated[
        str | None, typer.Option(help="Pandora: tree of the 2D clusters; default: clusters, or the only one there.")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Pandora: detector to hold constants against; default: recognised by them.")
    ] = None,
    views: Annotated[str, typer.Option(help="Pandora: wire views to take, letters of U, V, W.")] = "UVW",
    preset: Annotated[
        int | None, typer.Option(help="Pandora: columns of tensor files, 1 to 10; default: by their number, written 8.")
    ] = None,
    form: Annotated[Form, typer.Option(help="Pandora: form of tensor files; dict holds the particles too.")] = (
        Form.of_dict
    ),
    denominator: Annotated[
        Denominator, typer.Option(help="Pandora: hits that the similarity in tensor files counts: all, or with truth.")
    ] = Denominator.all,
    balance_events: Annotated[
        bool, typer.Option("--balance-events", help="Pandora: as many slices from the beam as others.")
    ] = False,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Pandora: take so many slices, which the seed says.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Pandora: seed of --sample and --balance-events.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier conversion wrote.")] = False,
) -> None:
    """Convert events of other formats into an event store, or a store into them (--to).

    trackml: CSV files. pyg: files of EggNet, acorn, Exa.TrkX. ticl: ROOT files of TICL's dumper; written as one file
    (*.root) or as a folder with train, val, test. processed: samples of TICL's linking. pruning: tracksters of layer
    clusters as ROOT or JSON, one event for each; written as one file (*.root, *.json) or such a folder. pandora: 2D
    clusters in argon as ROOT, one event for each wire view; --skip and --limit count slices. pandora-pt: such views as
    tensor files, <slice>_<U|V|W>.pt.
    """
    from hitloom.data.convert import TiclOptions
    from hitloom.data.convert import convert as run
    from hitloom.data.pruning_files import LAYOUTS, PruningOptions
    from hitloom.data.shower_convert import PandoraOptions, view_codes

    chosen = None if layout is None else layout.value
    of_pruning = chosen if chosen in LAYOUTS else None

    number = run(
        source,
        store,
        source_format=None if format_ is None else format_.value,
        target_format=to.value,
        detectors=detectors,
        skip=skip,
        limit=limit,
        subset=subset.value,
        unit=unit,
        dialect=dialect.value,
        extra_features=extra_features,
        ticl=TiclOptions(
            layout=None if of_pruning else chosen,
            truth=None if truth is None else truth.value,
            collection=collection,
            skeleton_features=skeleton_features,
            drop_small=drop_small,
        ),
        pruning=PruningOptions(
            layout=of_pruning,
            tracksters=tracksters_tree,
            edges=edges_tree,
            collisions=collisions_tree,
            branches=_renamed(branch or []),
            strict_edges=strict_edges,
            drop_without_positive=drop_without_positive,
            drop_empty=drop_empty,
            majority=majority.value,
            all_noise=all_noise.value,
            geometry=geometry,
        ),
        pandora=PandoraOptions(
            tree=clusters_tree,
            detector=detector,
            views=view_codes(views),
            preset=preset,
            form=form.value,
            denominator=denominator.value,
            balance=balance_events,
            sample=sample,
            seed=seed,
        ),
        overwrite=overwrite,
        tick=watched,
    )
    typer.echo(f"{number} events written to {store}")


def _renamed(texts: list[str]) -> dict[str, str]:
    from hitloom.errors import ConfigError

    pairs = [text.partition("=") for text in texts]
    for text, (name, _, other) in zip(texts, pairs, strict=True):
        if not name or not other:
            raise ConfigError(f"--branch {text!r}: NAME=NAME_IN_FILE was wanted, for example simTst_idx=sim")
    return {name: other for name, _, other in pairs}
