"""Event data for Phoenix, the event display of the HEP Software Foundation: hits and tracks of one or more events.

Format: Phoenix "event data format" guide (github.com/HSF/phoenix, guides/developers). A file maps an event name to an
object with ``event number``, ``run number``, and collections under ``Hits`` and ``Tracks``. Positions are mm; ``pT`` is
written in MeV because Phoenix's pT slider counts so. Phoenix colours a collection of hits as one and skips tracks of
fewer than three positions, so hits are grouped by fate and such tracks are left out. Whatever else an object holds is
shown to the user as it is: ids are text, so that no digit is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hitloom.errors import DataError
from hitloom.report.outline import Ints
from hitloom.report.page import to_json, write_text
from hitloom.report.palette import GREY, SERIES, STATUS
from hitloom.report.view import EventView

GEV_TO_MEV = 1000.0
MIN_POSITIONS = 3


def write_phoenix(views: Iterable[EventView], path: str | Path, *, run_number: int = 0) -> Path:
    """Write events as one Phoenix file.

    Raises
    ------
    DataError
        When there is no event, an event comes twice, or the file cannot be written.
    """
    events: dict[str, Any] = {}
    for view in views:
        name = f"Event {view.event_id}"
        if name in events:
            raise DataError(f"{path}: event {view.event_id} came twice; wanted every event once")
        events[name] = phoenix_event(view, run_number=run_number)
    if not events:
        raise DataError(f"{path}: no event to write; wanted at least one")
    write_text(Path(path), to_json(events) + "\n")
    return Path(path)


def phoenix_event(view: EventView, *, run_number: int = 0) -> dict[str, Any]:
    """Return one event in Phoenix's form: JSON values only."""
    return {
        "event number": view.event_id,
        "run number": run_number,
        "source": view.source,
        "Hits": _hits(view),
        "Tracks": _tracks(view),
    }


def _hits(view: EventView) -> dict[str, list[dict[str, Any]]]:
    noise = (view.particle < 0) & (view.label < 0)
    collections = {
        "Hits on tracks": (view.label >= 0, SERIES[0]),
        "Hits without a track": ((view.label < 0) & ~noise, STATUS["missed"]),
        "Noise without a track": (noise, GREY),
    }
    ids = view.ids()
    return {
        name: [
            {
                "type": "Point",
                "pos": _triplet(view.position[row]),
                "color": _colour(colour),
                "hit_id": str(int(view.hit_id[row])),
                "candidate": str(int(view.track_name[view.label[row]])) if view.label[row] >= 0 else "none",
                "particle_id": ids[row],
            }
            for row in np.flatnonzero(chosen)
        ]
        for name, (chosen, colour) in collections.items()
        if chosen.any()
    }


def _tracks(view: EventView) -> dict[str, list[dict[str, Any]]]:
    collections: dict[str, list[dict[str, Any]]] = {}
    from_origin = np.linalg.norm(view.position, axis=1)
    pt = view.track_pt()
    for track, rows in _ordered(view.label, from_origin):
        status, owner = str(view.track_status[track]), int(view.track_particle[track])
        collections.setdefault(f"Found tracks: {status}", []).append(
            {
                "pos": [_triplet(point) for point in view.position[rows]],
                "color": _colour(STATUS[status]),
                "candidate": str(int(view.track_name[track])),
                "particle_id": str(int(view.particle_id[owner])) if owner >= 0 else "noise",
                "purity": round(float(view.track_purity[track]), 4),
                "hit_ids": [str(int(number)) for number in view.hit_id[rows]],
            }
            | _momentum(pt[track])
        )
    vertex = np.concatenate([view.particle_vertex, np.zeros((1, 3))])[view.particle]
    for row, rows in _ordered(view.particle, np.linalg.norm(view.position - vertex, axis=1)):
        status = str(view.particle_status[row])
        collections.setdefault(f"True tracks: {status}", []).append(
            {
                "pos": [_triplet(point) for point in view.position[rows]],
                "color": _colour(STATUS[status]),
                "particle_id": str(int(view.particle_id[row])),
            }
            | _momentum(view.particle_pt[row], view.particle_eta[row])
        )
    return collections


def _ordered(group: Ints, distance: np.ndarray) -> list[tuple[int, Ints]]:
    """Return (group, rows in order of distance) of every group with enough points."""
    rows = np.flatnonzero(group >= 0)
    rows = rows[np.lexsort((rows, distance[rows], group[rows]))]
    if not rows.size:
        return []
    starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
    parts = np.split(rows, starts[1:])
    return [(int(group[part[0]]), part) for part in parts if len(part) >= MIN_POSITIONS]


def _momentum(pt: float, eta: float = np.nan) -> dict[str, float]:
    """Return what is known of the momentum; an unknown value is left out, so that no slider reads a null."""
    values = {"pT": round(float(pt) * GEV_TO_MEV, 3), "eta": round(float(eta), 5)}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _triplet(point: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in point]


def _colour(colour: str) -> str:
    """Return ``0xrrggbb``: Phoenix parses colours as hexadecimal numbers."""
    return "0x" + colour.removeprefix("#")
