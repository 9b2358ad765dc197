"""Conversion between TrackML CSV, EggNet ``.pyg`` files and the event store, event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hitloom._version import __version__
from hitloom.data.store_writer import is_store
from hitloom.errors import DataError, nearest
from hitloom.event import Event

SOURCES = ("trackml", "pyg", "store")
TARGETS = ("store", "trackml", "pyg")
Tick = Callable[[Iterable[Event], int | None], Iterable[Event]]


def guess_format(source: Path) -> str:
    """Return the format of a path: store, pyg or trackml.

    Raises
    ------
    DataError
        When nothing is there.
    """
    if is_store(source) or source.suffix == ".parquet":
        return "store"
    if source.suffix == ".pyg" or (source.is_file() and source.name.isdecimal()):
        return "pyg"
    if source.is_dir():
        from hitloom.data.pyg_files import event_files

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
    overwrite: bool = False,
    tick: Tick | None = None,
) -> int:
    """Read events in one format, write them in another, and return their number.

    The splits of ``.pyg`` folders are recorded in the store; a store's splits make the ``.pyg`` folders.

    Parameters
    ----------
    source_format : str or None
        trackml, pyg or store; None = guessed from the path.
    target_format : str
        store, trackml or pyg.
    detectors, subset, extra_features
        For TrackML, see :func:`hitloom.data.trackml_read.read_trackml`.
    unit : str
        Unit of momenta in ``.pyg`` files, GeV or MeV.
    dialect : str
        Names in ``.pyg`` files that are written, see :func:`hitloom.data.pyg_files.write_pyg`.
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
    events, total, splits = _open(source, source_format, detectors, skip, limit, subset, unit, extra_features)
    watched = events if tick is None else tick(events, total)
    if target_format == "store":
        return _to_store(watched, target, source, source_format, subset, unit, overwrite, splits)
    if target_format == "trackml":
        from hitloom.data.trackml_write import write_trackml

        return write_trackml(watched, target, detectors=detectors, overwrite=overwrite)
    from hitloom.data.pyg_files import write_pyg

    split_of = None if splits is None else {event_id: name for name, ids in splits.items() for event_id in ids}
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
) -> tuple[Iterator[Event], int, dict[str, list[int]] | None]:
    """Return the events, their number and their splits by event id (filled while the events are read)."""
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
        return events, len(opened.events[skip:last]), None
    if source_format == "pyg":
        from hitloom.data.pyg_files import find_pyg, read_pyg

        files = find_pyg(source)[skip:last]
        splits: dict[str, list[int]] = {}
        named = any(split is not None for _, split in files)

        def noted() -> Iterator[Event]:
            events = read_pyg(source, unit=unit, skip=skip, limit=limit)
            for event, (_, split) in zip(events, files, strict=True):
                splits.setdefault(split or "", []).append(int(event.event_id))
                yield event

        return noted(), len(files), splits if named else None
    from hitloom.data.splits import SPLITS
    from hitloom.data.store import EventStore

    store = EventStore(source)
    ids = store.event_ids
    rows = range(len(store))[skip:last]
    by_split = {name: [int(ids[row]) for row in store.indices(name)] for name in SPLITS}
    return (store[row] for row in rows), len(rows), by_split


def _to_store(
    events: Iterable[Event],
    target: Path,
    source: Path,
    source_format: str,
    subset: str,
    unit: str,
    overwrite: bool,
    splits: dict[str, list[int]] | None,
) -> int:
    from hitloom.data.store import EventWriter

    provenance: dict[str, Any] = {"converted_from": source_format, "source": source.name, "hitloom": __version__}
    provenance |= {"subset": subset} if source_format == "trackml" else {"unit": unit}
    with EventWriter(target, provenance=provenance, overwrite=overwrite) as writer:
        for event in events:
            writer.write(event)
        if splits is not None:
            writer.record_split(splits)
    return writer.num_events
