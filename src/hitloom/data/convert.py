"""Conversion between the formats of others and the event store, event by event.

TrackML CSV, ``.pyg`` files of EggNet, acorn and Exa.TrkX, ROOT files of TICL, ``processed`` folders of TICL's linking,
files of tracksters for pruning, ROOT and tensor files of 2D clusters in argon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hitloom._version import __version__
from hitloom.data.pruning_files import PruningOptions, is_pruning_file
from hitloom.data.shower_convert import (
    PandoraOptions,
    open_root,
    open_tensors,
    write_root,
    write_tensors_of,
)
from hitloom.data.shower_files import is_pandora_file
from hitloom.data.store_writer import is_store
from hitloom.errors import DataError, nearest
from hitloom.event import Event

SOURCES = ("trackml", "pyg", "ticl", "processed", "pruning", "pandora", "pandora-pt", "store")
TARGETS = ("store", "trackml", "pyg", "ticl", "processed", "pruning", "pandora", "pandora-pt")
Tick = Callable[[Iterable[Event], int | None], Iterable[Event]]
Splits = dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class TiclOptions:
    """What to read from TICL files, or to write into them; see :func:`hitloom.data.ticl_read.read_ticl`.

    Without ``layout`` the reader takes B where a file has it, else A, and the writer writes both.
    """

    layout: str | None = None
    truth: str | None = None
    collection: str = "ticlTrackstersCLUE3DHigh"
    skeleton_features: bool = False
    drop_small: bool = False


def guess_format(source: Path) -> str:
    """Return the format of a path, one of :data:`SOURCES`.

    Raises
    ------
    DataError
        When nothing is there.
    """
    if is_store(source) or source.suffix == ".parquet":
        return "store"
    if source.suffix == ".pyg" or (source.is_file() and source.name.isdecimal()):
        return "pyg"
    if source.suffix == ".json":
        return "pruning"
    if source.suffix == ".root":
        return "pruning" if is_pruning_file(source) else "pandora" if is_pandora_file(source) else "ticl"
    if source.suffix == ".pt":
        return "pandora-pt"
    if source.is_dir():
        from hitloom.data.processed_folder import is_processed
        from hitloom.data.pyg_files import event_files
        from hitloom.data.shower_tensor_folder import holds_tensors

        for path in sorted(source.rglob("*.root"))[:1]:
            return guess_format(path)
        if holds_tensors(source):
            return "pandora-pt"
        if is_processed(source):
            return "processed"
        if event_files(source):
            return "pyg"
    if not source.exists() and not source.parent.is_dir():
        raise DataError(f"{source}: no such file or folder")
    return "trackml"


def convert(
    source: str | Path,
    target: str | Path,
    *,
    source_format: str | None = None,
    target_format: str = "store",
    detectors: str | Path | None = None,
    skip: int = 0,
    limit: int | None = None,
    subset: Any = "all",
    unit: str = "GeV",
    dialect: str = "prefixed",
    extra_features: bool = False,
    ticl: TiclOptions | None = None,
    pruning: PruningOptions | None = None,
    pandora: PandoraOptions | None = None,
    overwrite: bool = False,
    tick: Tick | None = None,
) -> int:
    """Read events in one format, write them in another, and return their number.

    The splits of folders (train, val, test) are recorded in the store; a store's splits make such folders.

    Parameters
    ----------
    source_format : str or None
        One of :data:`SOURCES`; None = guessed from the path.
    target_format : str
        One of :data:`TARGETS`.
    detectors, subset, extra_features
        For TrackML, see :func:`hitloom.data.trackml_read.read_trackml`.
    unit : str
        Unit of momenta in ``.pyg`` files, GeV or MeV.
    dialect : str
        Names in ``.pyg`` files that are written, see :func:`hitloom.data.pyg_files.write_pyg`.
    ticl : TiclOptions or None
        For ROOT files of TICL.
    pruning : PruningOptions or None
        For files of tracksters: how they are read; the names of the trees also where they are written.
    pandora : PandoraOptions or None
        For files of 2D clusters, ROOT and tensors. For them ``skip`` and ``limit`` count slices, not views.
    tick : callable or None
        ``tick(events, total)`` wraps the iterator, to show progress.

    Raises
    ------
    DataError
        When the input is not what it should be; the target is then as it was before.
    """
    source, target = Path(source), Path(target)
    source_format = source_format or guess_format(source)
    for name, value, valid in (("format", source_format, SOURCES), ("to", target_format, TARGETS)):
        if value not in valid:
            raise DataError(f"unknown {name} '{value}'.{nearest(value, valid)}")
    if source_format == target_format:
        raise DataError(f"{source}: is {source_format} already; mend: another --to")
    ticl, pruning, pandora = ticl or TiclOptions(), pruning or PruningOptions(), pandora or PandoraOptions()
    events: Iterable[Event]
    if source_format == "pruning":
        events, total, splits, facts = _open_pruning(source, pruning, skip, limit)
    elif source_format in ("pandora", "pandora-pt"):
        open_ = open_root if source_format == "pandora" else open_tensors
        events, total, splits, facts = open_(source, pandora, skip, limit)
    else:
        events, total, splits, facts = _open(
            source, source_format, detectors, skip, limit, subset, unit, extra_features, ticl
        )
    watched = events if tick is None else tick(events, total)
    if target_format == "store":
        facts = {"converted_from": source_format, "source": source.name, "hitloom": __version__} | facts
        return _to_store(watched, target, facts, overwrite, splits)
    if target_format == "trackml":
        from hitloom.data.trackml_write import write_trackml

        return write_trackml(watched, target, detectors=detectors, overwrite=overwrite)
    if target_format == "ticl":
        return _to_ticl(watched, target, ticl, overwrite, splits)
    if target_format == "pruning":
        return _to_pruning(watched, target, pruning, overwrite, splits)
    split_of = None if splits is None else {event_id: name for name, ids in splits.items() for event_id in ids}
    if target_format in ("pandora", "pandora-pt"):
        write = write_root if target_format == "pandora" else write_tensors_of
        return write(watched, target, pandora, overwrite, split_of)
    if target_format == "processed":
        from hitloom.data.processed_folder import write_processed

        return sum(write_processed(watched, target, split_of=split_of, overwrite=overwrite).values())
    from hitloom.data.pyg_files import write_pyg

    return sum(write_pyg(watched, target, split_of=split_of, overwrite=overwrite, dialect=dialect).values())


def _open(
    source: Path,
    source_format: str,
    detectors: str | Path | None,
    skip: int,
    limit: int | None,
    subset: Any,
    unit: str,
    extra_features: bool,
    ticl: TiclOptions,
) -> tuple[Iterator[Event], int, Splits | None, dict[str, Any]]:
    """Return the events, their number, their splits by event id (filled while they are read), what is known of them."""
    last = None if limit is None else skip + limit
    if source_format == "trackml":
        from hitloom.data.trackml_read import open_trackml, read_trackml

        opened = open_trackml(source)
        events = read_trackml(
            opened,
            detectors=detectors,
            skip=skip,
            limit=limit,
            subset=subset,
            extra_features=extra_features,
        )
        return events, len(opened.events[skip:last]), None, {"subset": subset}
    if source_format == "ticl":
        from hitloom.data.ticl_read import open_ticl, read_ticl

        files = open_ticl(source, layout_name=ticl.layout, truth=ticl.truth, collection=ticl.collection)
        events = read_ticl(
            files, skeleton_features=ticl.skeleton_features, drop_small=ticl.drop_small, skip=skip, limit=limit
        )
        facts = asdict(ticl) | {"layout": files.layout, "truth": files.truth}
        return (
            events,
            len(files.event_ids[skip:last]),
            _between(files.splits(), files.event_ids[skip:last].tolist()),
            facts,
        )
    if source_format == "processed":
        from hitloom.data.processed_folder import open_processed, read_processed

        folder = open_processed(source)
        events = read_processed(folder, skip=skip, limit=limit)
        numbers = range(len(folder.files))[skip:last]
        return events, len(numbers), _between(folder.splits(), numbers), folder.scalers
    if source_format == "pyg":
        from hitloom.data.pyg_files import find_pyg, read_pyg

        found = find_pyg(source)[skip:last]
        splits: Splits = {}
        named = any(split is not None for _, split in found)

        def noted() -> Iterator[Event]:
            events = read_pyg(source, unit=unit, skip=skip, limit=limit)
            for event, (_, split) in zip(events, found, strict=True):
                splits.setdefault(split or "", []).append(int(event.event_id))
                yield event

        return noted(), len(found), splits if named else None, {"unit": unit}
    from hitloom.data.splits import SPLITS
    from hitloom.data.store import EventStore

    store = EventStore(source)
    ids = store.event_ids
    rows = range(len(store))[skip:last]
    by_split = {name: [int(ids[row]) for row in store.indices(name)] for name in SPLITS}
    return (store[row] for row in rows), len(rows), by_split, {}


def _open_pruning(
    source: Path, options: PruningOptions, skip: int, limit: int | None
) -> tuple[Iterator[Event], int | None, Splits | None, dict[str, Any]]:
    """As :func:`_open`; the number is not known where an entry is a collision, and not exact where some are dropped."""
    from hitloom.data.pruning_files import open_pruning, option_facts, read_pruning

    opened = open_pruning(source, options)
    splits: Splits = {}

    def noted() -> Iterator[Event]:
        for event in read_pruning(opened, skip=skip, limit=limit):
            splits.setdefault(opened.split_of(event) or "", []).append(int(event.event_id))
            yield event

    known = None if opened.layout == "collisions" else len(opened.event_ids[skip:][:limit])
    named = any(file.split is not None for file in opened.files)
    return noted(), known, splits if named else None, option_facts(options) | {"layout": opened.layout}


def _between(splits: Splits | None, ids: Iterable[int]) -> Splits | None:
    """Return the splits with these ids alone."""
    if splits is None:
        return None
    kept = {int(event_id) for event_id in ids}
    return {name: [event_id for event_id in own if event_id in kept] for name, own in splits.items()}


def _to_store(
    events: Iterable[Event], target: Path, provenance: dict[str, Any], overwrite: bool, splits: Splits | None
) -> int:
    from hitloom.data.store import EventWriter

    with EventWriter(target, provenance=provenance, overwrite=overwrite) as writer:
        for event in events:
            writer.write(event)
        if splits is not None:
            writer.record_split(splits)
    return writer.num_events


def _to_ticl(
    events: Iterable[Event], target: Path, options: TiclOptions, overwrite: bool, splits: Splits | None
) -> int:
    """Write one file, or where the target is a folder, one file for each split."""
    from hitloom.data.ticl_layout import LAYOUTS
    from hitloom.data.ticl_write import write_ticl, write_ticl_folder

    layouts = LAYOUTS if options.layout is None else (options.layout,)
    if target.suffix == ".root":
        return write_ticl(events, target, layouts=layouts, collection=options.collection, overwrite=overwrite)
    split_of = {event_id: name for name, ids in (splits or {}).items() for event_id in ids}
    return write_ticl_folder(
        events, target, split_of=split_of, layouts=layouts, collection=options.collection, overwrite=overwrite
    )


def _to_pruning(
    events: Iterable[Event], target: Path, options: PruningOptions, overwrite: bool, splits: Splits | None
) -> int:
    """Write one file, or where the target is a folder, one file for each split."""
    from hitloom.data.pruning_write import write_pruning, write_pruning_folder

    tracksters, edges = options.tracksters, options.edges
    if target.suffix in (".root", ".json"):
        return write_pruning(
            events, target, layout=options.layout, tracksters=tracksters, edges=edges, overwrite=overwrite
        )
    split_of = {event_id: name for name, ids in (splits or {}).items() for event_id in ids}
    return write_pruning_folder(
        events, target, split_of=split_of, tracksters=tracksters, edges=edges, overwrite=overwrite
    )
