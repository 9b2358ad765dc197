"""TrackML events from CSV files, lazily and strictly.

What is refused, with one line that names file, column and mend: a file of a set missing, a missing column, a value of
the wrong type (ids must be integers), NaN or infinity, an id twice, truth or cells of a hit that is not there, a hit
without truth, fewer hits in ``nhits`` than found, an unknown module, a damaged or cut-off file, two files for one part.
What is mended, with one warning per kind: unknown columns (ignored), hits of a particle that is not listed (noise, with
``unlisted="noise"``), fewer hits than ``nhits`` says (kept). An event without hits is an event with 0 points.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from hitloom.data.trackml_build import (
    Columns,
    add_cells,
    add_edges,
    add_hits,
    add_objects,
    add_truth,
    columns_of,
    sorted_by,
    warn_of_missing_hits,
    weight_phase,
)
from hitloom.data.trackml_files import PARTS, EventFiles, TrackMLSource, open_trackml
from hitloom.data.trackml_geometry import BARRELS, PIXELS, VOLUMES, TrackMLGeometry
from hitloom.errors import DataError, nearest
from hitloom.event import Event

Subset = Literal["all", "pixel", "barrel"]
SUBSETS: dict[str, tuple[int, ...]] = {"all": VOLUMES, "pixel": PIXELS, "barrel": BARRELS}
_log = logging.getLogger(__name__)


def read_trackml(
    source: str | Path | TrackMLSource,
    *,
    detectors: str | Path | TrackMLGeometry | None = None,
    skip: int = 0,
    limit: int | None = None,
    subset: Subset = "all",
    parts: Sequence[str] | None = None,
    extra_features: bool = False,
    unlisted: Literal["error", "noise"] = "error",
) -> Iterator[Event]:
    """Return an iterator over the events, sorted by event number.

    Parameters
    ----------
    source : path or TrackMLSource
        Folder, zip archive, or prefix of one event (``data/event000001001``).
    detectors : path, TrackMLGeometry or None
        ``detectors.csv``; None = the one beside the events or above them, if there is one. Needed for cell features.
    skip, limit : int
        Events to leave out at the front, and to read at most.
    subset : str
        ``all``, ``pixel`` (volumes 7, 8, 9) or ``barrel`` (8, 13, 17). Other hits are dropped; ``object_num_points``
        stays the number in the whole detector, truth edges connect what is left.
    parts : sequence or None
        Of hits, cells, particles, truth; every event must have them. None = those that any event has.
    extra_features : bool
        Add :data:`hitloom.data.features.EXTRA_CELL_FEATURES`.
    unlisted : str
        What a hit of a particle that is not listed is: an ``error``, or ``noise``.

    Returns
    -------
    iterator of Event
        With truth only when there is a truth file; with particles alone there is an object table without links.

    Raises
    ------
    DataError
        At once for an impossible source or argument, else when the event is reached.
    """
    if not isinstance(source, TrackMLSource):
        source = open_trackml(source)
    if subset not in SUBSETS:
        raise DataError(f"unknown subset '{subset}'.{nearest(subset, SUBSETS)}")
    if skip < 0 or (limit is not None and limit < 0):
        raise DataError(f"skip and limit must not be negative, got {skip} and {limit}")
    wanted = _parts(source, parts)
    geometry = None
    if "cells" in wanted or detectors is not None:
        geometry = load_geometry(source, detectors)
        if geometry is None:
            _log.warning("%s: no detectors.csv beside or above it, so no cell features", source.path)
    reader = _Reader(
        source=source,
        geometry=geometry,
        volumes=None if subset == "all" else SUBSETS[subset],
        subset=subset,
        parts=wanted,
        extra=extra_features,
        unlisted=unlisted,
    )
    last = None if limit is None else skip + limit
    return (reader.read(files) for files in source.events[skip:last])


def load_geometry(source: TrackMLSource, detectors: str | Path | TrackMLGeometry | None) -> TrackMLGeometry | None:
    """Return the given geometry, or that of the ``detectors.csv`` which belongs to the source, or None."""
    if isinstance(detectors, TrackMLGeometry):
        return detectors
    if detectors is not None:
        return TrackMLGeometry.read(detectors)
    if source.detectors is None:
        return None
    if Path(source.detectors).is_absolute():
        return TrackMLGeometry.read(source.detectors)
    return TrackMLGeometry.from_bytes(source.read(source.detectors), where=f"{source.path}: {source.detectors}")


def _parts(source: TrackMLSource, parts: Sequence[str] | None) -> tuple[str, ...]:
    if parts is None:
        chosen = tuple(part for part in PARTS if any(part in event.parts for event in source.events))
        if "truth" in chosen and "particles" not in chosen:
            name = source.events[0].name
            raise DataError(
                f"{source.path}: {name}-particles.csv is missing, and truth needs it; mend: add the file, or read "
                "parts hits and cells only"
            )
        for event in source.events:
            lacking = [part for part in ("hits", *chosen) if part not in event.parts]
            if lacking:
                raise DataError(
                    f"{source.path}: {event.name}-{lacking[0]}.csv is missing, other files of the set are there; mend: "
                    "add the file, or name the parts to read"
                )
        return chosen
    for part in parts:
        if part not in PARTS:
            raise DataError(f"unknown part '{part}'.{nearest(part, PARTS)}")
    if "hits" not in parts or ("truth" in parts and "particles" not in parts):
        raise DataError(f"parts: hits are always needed, and particles with truth, got {list(parts)}")
    return tuple(part for part in PARTS if part in parts)


@dataclass(kw_only=True)
class _Reader:
    source: TrackMLSource
    geometry: TrackMLGeometry | None
    volumes: tuple[int, ...] | None
    subset: str
    parts: tuple[str, ...]
    extra: bool
    unlisted: str
    warned: set[str] = field(default_factory=set)

    def read(self, files: EventFiles) -> Event:
        where = f"{self.source.path}: {files.name}"
        hits = sorted_by(self._columns(files, "hits"), "hit_id", where=f"{where}-hits")
        particles = truth = cells = None
        if "particles" in self.parts:
            particles = sorted_by(self._columns(files, "particles"), "particle_id", where=f"{where}-particles")
            if (particles["particle_id"] == 0).any():
                raise DataError(f"{where}-particles: particle_id 0 means noise; mend: remove the row")
        if "truth" in self.parts:
            truth = sorted_by(self._columns(files, "truth"), "hit_id", where=f"{where}-truth")
        if "cells" in self.parts:
            cells = self._columns(files, "cells")
        if self.volumes is not None:
            hits, truth, cells = _within(self.volumes, hits, truth, cells)
        event = Event(event_id=files.number, source=f"TrackML {files.name}")
        add_hits(event, hits)
        if cells is not None:
            add_cells(event, cells, self.geometry, extra=self.extra, where=f"{where}-cells")
        elif self.geometry is not None:
            self.geometry.rows_of(event.volume.numpy(), event.layer.numpy(), event.module.numpy())
        record: dict[str, object] = {"reader": "trackml", "parts": list(self.parts), "subset": self.subset}
        if particles is not None:
            add_objects(event, particles)
        if truth is not None:
            add_truth(event, truth, unlisted=self.unlisted, where=f"{where}-truth", warn=self._warner(where))
            if self.volumes is None:
                warn_of_missing_hits(event, self._warner(where))
            add_edges(event)
            # on a subset the places of hits along their particle are not those of the weights
            record["weight_phase"] = weight_phase(event) if self.volumes is None else None
            record["weight_sum"] = round(float(event.point_weight.double().sum()), 9)
        event.provenance = json.dumps(record, sort_keys=True)
        return event.validate()

    def _columns(self, files: EventFiles, part: str) -> Columns:
        where = f"{self.source.path}: {files.name}"
        table = self.source.table(files, part, on_extra=self._warner(where))
        return columns_of(table, where=f"{where}-{part}")

    def _warner(self, where: str) -> Callable[[str], None]:
        def warn(text: str) -> None:
            kind = "".join(letter for letter in text if not letter.isdigit())
            if kind not in self.warned:
                self.warned.add(kind)
                _log.warning("%s: %s (said once)", where, text)

        return warn


def _within(
    volumes: tuple[int, ...], hits: Columns, truth: Columns | None, cells: Columns | None
) -> tuple[Columns, Columns | None, Columns | None]:
    """Return the hits in these volumes with their truth and cells; rows of unknown hits stay, to be reported."""
    outside = hits["hit_id"][~np.isin(hits["volume_id"], volumes)]

    def keep(columns: Columns) -> Columns:
        inside = ~np.isin(columns["hit_id"], outside)
        return {name: values[inside] for name, values in columns.items()}

    return keep(hits), None if truth is None else keep(truth), None if cells is None else keep(cells)
