"""The TrackML files of a folder, a zip archive or one prefix: found, opened and parsed strictly.

Names are ``event<number>-{hits,cells,particles,truth}.csv``, plain or ``.gz``, in an archive below any folder. Columns
have explicit types: ids never pass through a float. Nothing is read before it is asked for.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from hitloom.data.files import reason
from hitloom.errors import DataError, nearest

PARTS = ("hits", "cells", "particles", "truth")
_I, _F = pa.int64(), pa.float64()

COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "hits": {"hit_id": _I, "x": _F, "y": _F, "z": _F, "volume_id": _I, "layer_id": _I, "module_id": _I},
    "cells": {"hit_id": _I, "ch0": _I, "ch1": _I, "value": _F},
    "particles": {"particle_id": _I, "particle_type": _I}
    | dict.fromkeys(("vx", "vy", "vz", "px", "py", "pz"), _F)
    | {"q": _I, "nhits": _I},
    "truth": {"hit_id": _I, "particle_id": _I} | dict.fromkeys(("tx", "ty", "tz", "tpx", "tpy", "tpz", "weight"), _F),
    "detectors": dict.fromkeys(("volume_id", "layer_id", "module_id"), _I)
    | dict.fromkeys(("cx", "cy", "cz", *(f"rot_{row}{axis}" for row in "xyz" for axis in "uvw")), _F)
    | dict.fromkeys(("module_t", "module_minhu", "module_maxhu", "module_hv", "pitch_u", "pitch_v"), _F),
    "submission": {"event_id": _I, "hit_id": _I, "track_id": _I},
}
OPTIONAL = {"particles": ("particle_type",)}

_NAME = re.compile(r"(?P<prefix>(?:.*/)?event(?P<number>\d+))-(?P<part>hits|cells|particles|truth)\.csv(?:\.gz)?")
_PARENTS = 2  # folders above the data in which detectors.csv is looked for


@dataclass(frozen=True, kw_only=True)
class EventFiles:
    """The files of one event: ``parts`` maps hits, cells, particles, truth to the name of the file that is there."""

    number: int
    prefix: str
    parts: Mapping[str, str]

    @property
    def name(self) -> str:
        """The prefix without folders, such as ``event000001001``."""
        return self.prefix.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class TrackMLSource:
    """Events of a folder, archive or prefix, sorted by number; ``read`` opens one of their files."""

    path: Path
    events: tuple[EventFiles, ...]
    detectors: str | None
    read: Callable[[str], bytes] = field(repr=False)

    def table(self, event: EventFiles, part: str, *, on_extra: Callable[[str], None] | None = None) -> pa.Table:
        """Return one part of an event; see :func:`parse`.

        Raises
        ------
        DataError
            When the event has no such file, or it is damaged.
        """
        name = event.parts.get(part)
        if name is None:
            raise DataError(
                f"{self.path}: {event.name}-{part}.csv is missing (there: {', '.join(sorted(event.parts))}); mend: "
                f"add the file, or read other parts"
            )
        return parse(self.read(name), part, where=f"{self.path}: {name}", on_extra=on_extra)


def open_trackml(source: str | Path) -> TrackMLSource:
    """Find the events of a folder, a zip archive, or a prefix such as ``data/event000001001``.

    Raises
    ------
    DataError
        When there is no event, or two files (or two folders of an archive) claim the same event.
    """
    path = Path(source)
    only = None
    if not path.exists() and path.parent.is_dir() and path.name.startswith("event"):
        path, only = path.parent, path.name
    if path.is_dir():
        names = [entry.name for entry in path.iterdir() if entry.is_file()]
        read = _folder_reader(path)
        around = _detectors_around(path)
    elif path.is_file():
        read, names = _archive(path)
        inside = [name for name in names if re.fullmatch(r"(?:.*/)?detectors\.csv(?:\.gz)?", name)]
        around = _single(inside, path) or _detectors_around(path.parent)
    else:
        raise DataError(f"{source}: no such folder, archive or event prefix")
    events = _group(names, path, only)
    if not events:
        wanted = f"{only}-hits.csv" if only else "event*-hits.csv"
        raise DataError(f"{path}: no TrackML event in it; {wanted} (or .csv.gz) was wanted")
    return TrackMLSource(path=path, events=tuple(events), detectors=around, read=read)


def _group(names: Sequence[str], path: Path, only: str | None) -> list[EventFiles]:
    found: dict[int, tuple[str, dict[str, str]]] = {}
    for name in sorted(names):
        match = _NAME.fullmatch(name)
        if match is None or (only is not None and match["prefix"] != only):
            continue
        number, prefix, part = int(match["number"]), match["prefix"], match["part"]
        first, parts = found.setdefault(number, (prefix, {}))
        if first != prefix:
            raise DataError(f"{path}: event {number} is there twice, as {first} and {prefix}; mend: remove one")
        if part in parts:
            raise DataError(f"{path}: two files for one part, {parts[part]} and {name}; mend: remove one")
        parts[part] = name
    return [EventFiles(number=number, prefix=found[number][0], parts=found[number][1]) for number in sorted(found)]


def _folder_reader(path: Path) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        return read_file(path / name)

    return read


def read_file(path: Path) -> bytes:
    """Return the content of a plain or ``.gz`` file.

    Raises
    ------
    DataError
        When it cannot be read or the gzip data are damaged or cut off.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from None
    return _unpacked(data, path.name, where=str(path))


def _unpacked(data: bytes, name: str, *, where: str) -> bytes:
    if not name.endswith(".gz"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where}: damaged or cut-off gzip file: {reason(error)}; mend: copy it again") from None


def _archive(path: Path) -> tuple[Callable[[str], bytes], list[str]]:
    try:
        archive = zipfile.ZipFile(path)
        names = [name for name in archive.namelist() if not name.endswith("/")]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: a folder or a zip archive was wanted: {reason(error)}") from None

    def read(name: str) -> bytes:
        try:
            data = archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise DataError(f"{path}: member {name} cannot be read: {reason(error)}") from None
        return _unpacked(data, name, where=f"{path}: {name}")

    return read, names


def _single(names: Sequence[str], path: Path) -> str | None:
    if len(names) > 1:
        raise DataError(f"{path}: two detector tables, {names[0]} and {names[1]}; mend: remove one")
    return names[0] if names else None


def _detectors_around(folder: Path) -> str | None:
    """Return detectors.csv(.gz) as an absolute path, from the folder or those above it."""
    folder = folder.resolve()
    for place in (folder, *folder.parents[:_PARENTS]):
        found = [str(place / name) for name in ("detectors.csv", "detectors.csv.gz") if (place / name).is_file()]
        if found:
            return _single(found, place)
    return None


def parse(data: bytes, part: str, *, where: str, on_extra: Callable[[str], None] | None = None) -> pa.Table:
    """Return the table of a CSV text with exactly the columns of :data:`COLUMNS`, whatever their order.

    An unnamed first column (a saved index) is dropped; other unknown columns are dropped and told to ``on_extra``.

    Raises
    ------
    DataError
        When a column is missing or named twice, a row is cut, or a value is not of the column's type.
    """
    columns = COLUMNS[part]
    end = data.find(b"\n")
    header = data[: end if end >= 0 else len(data)].decode("utf-8", "replace").strip().lstrip("\ufeff")
    names = [name.strip().strip('"') for name in header.split(",")]
    if not header:
        raise DataError(f"{where}: the file is empty; a header {','.join(columns)} was wanted")
    missing = [name for name in columns if name not in names and name not in OPTIONAL.get(part, ())]
    if missing:
        extra = [name for name in names if name and name not in columns]
        hint = nearest(missing[0], extra) if extra else ""
        raise DataError(f"{where}: column '{missing[0]}' is missing.{hint}")
    present = [name for name in columns if name in names]
    twice = [name for name in present if names.count(name) > 1]
    if twice:
        raise DataError(f"{where}: column '{twice[0]}' is there twice")
    for place, name in enumerate(names):
        if name not in columns and (name or place) and on_extra is not None:
            on_extra(f"{part}: unknown column '{name}' ignored")
    # names of our own making, since unknown columns may be called anything
    unique = [name if name in columns else f"#{place}" for place, name in enumerate(names)]
    try:
        return csv.read_csv(
            io.BytesIO(data),
            read_options=csv.ReadOptions(use_threads=False, column_names=unique, skip_rows=1, block_size=1 << 24),
            convert_options=csv.ConvertOptions(
                include_columns=present,
                column_types={name: columns[name] for name in present},
                null_values=[],
            ),
        )
    except pa.ArrowInvalid as error:
        text = reason(error)
        if text.startswith("Empty CSV"):
            return pa.table({name: pa.array([], columns[name]) for name in present})
        found = re.search(r"column #(\d+)", text)
        if found is not None:
            text = text.replace(found[0], f"column '{names[int(found[1])]}'")
        raise DataError(f"{where}: {text}") from None
