"""Tracks as plain text, as acorn writes them: ``event<ID>.txt``, one line of hit ids per track."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hitloom.data.files import atomic_file, reason
from hitloom.errors import DataError
from hitloom.result import Result


def write_track_lists(results: Iterable[Result], folder: str | Path, *, min_hits: int = 1) -> int:
    """Write one file per event and return the number of events.

    Tracks come in the order of their labels, hits in the order of the event; unassigned hits are not written.

    Parameters
    ----------
    min_hits : int
        Shorter tracks are left out.

    Raises
    ------
    DataError
        When an event comes twice, there is none, or the folder cannot be written to.
    """
    folder = Path(folder)
    seen: set[int] = set()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for result in results:
            if result.event_id in seen:
                raise DataError(f"{folder}: event {result.event_id} came twice")
            seen.add(result.event_id)
            with atomic_file(folder / f"event{result.event_id}.txt") as part:
                part.write_text("".join(f"{line}\n" for line in _lines(result, min_hits)))
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {reason(error)}") from None
    if not seen:
        raise DataError(f"{folder}: no result to write")
    return len(seen)


def _lines(result: Result, min_hits: int) -> list[str]:
    labels, ids = result.labels.cpu().numpy(), result.point_id.cpu().numpy()
    rows = np.flatnonzero(labels >= 0)
    rows = rows[np.argsort(labels[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[rows])) + 1
    tracks = np.split(ids[rows], starts) if rows.size else []
    return [" ".join(map(str, track.tolist())) for track in tracks if track.size >= min_hits]
