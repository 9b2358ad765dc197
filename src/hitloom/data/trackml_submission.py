"""TrackML submissions: ``event_id,hit_id,track_id``, every hit exactly one track. Legend: N hits."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from hitloom.data.files import atomic_file
from hitloom.data.trackml_files import parse, read_file
from hitloom.data.trackml_write import csv_bytes
from hitloom.errors import DataError
from hitloom.result import Result


def write_submission(results: Iterable[Result], path: str | Path) -> int:
    """Write a submission (gzip when the name ends in ``.gz``) and return the number of events.

    The format knows no unassigned hits: each becomes a track of its own, numbered after the others, and earns nothing.

    Raises
    ------
    DataError
        When an event comes twice or there is none.
    """
    path = Path(path)
    tables, seen = [], set()
    for result in results:
        if result.event_id in seen:
            raise DataError(f"{path}: event {result.event_id} came twice")
        seen.add(result.event_id)
        labels = result.labels.cpu().numpy().copy()
        alone = labels < 0
        labels[alone] = labels.max(initial=-1) + 1 + np.arange(int(alone.sum()))
        event_id = np.full(labels.size, result.event_id, dtype=np.int64)
        tables.append(pa.table({"event_id": event_id, "hit_id": result.point_id.cpu().numpy(), "track_id": labels}))
    if not tables:
        raise DataError(f"{path}: no result to write")
    data = csv_bytes(pa.concat_tables(tables))
    with atomic_file(path) as part:
        part.write_bytes(gzip.compress(data, 4, mtime=0) if path.suffix == ".gz" else data)
    return len(tables)


def read_submission(path: str | Path) -> Iterator[Result]:
    """Return one result per event of a submission, by event id; the order of the rows does not matter.

    Raises
    ------
    DataError
        When the file is damaged, a hit is there twice, or a track is negative (no id for it exists in the format).
    """
    path = Path(path)
    table = parse(read_file(path), "submission", where=str(path))
    event_id, hit_id, track_id = (table[name].to_numpy() for name in ("event_id", "hit_id", "track_id"))
    order = np.lexsort((hit_id, event_id))
    event_id, hit_id, track_id = event_id[order], hit_id[order], track_id[order]
    same = (event_id[1:] == event_id[:-1]) & (hit_id[1:] == hit_id[:-1])
    if same.any():
        row = int(same.argmax())
        raise DataError(f"{path}: hit {hit_id[row]} of event {event_id[row]} is there twice; mend: one track per hit")
    if track_id.size and track_id.min() < 0:
        raise DataError(f"{path}: track_id {track_id.min()} is negative; mend: a track number from 0 for every hit")
    starts = np.flatnonzero(np.diff(event_id, prepend=np.int64(event_id[0] - 1))) if event_id.size else event_id
    ends = np.append(starts[1:], event_id.size)
    return (
        Result(
            event_id=int(event_id[start]),
            point_id=torch.from_numpy(hit_id[start:end].copy()),
            labels=torch.from_numpy(track_id[start:end].copy()),
        )
        for start, end in zip(starts, ends, strict=False)
    )
