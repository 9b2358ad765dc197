"""Events to TrackML CSV files: a folder, or a zip archive when the path ends in ``.zip``.

Legend: N hits, M cells, K particles. What is read back is the same event: float32 values are written with as many
digits as they need, ids as integers.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyarrow import csv

from hitloom.data.files import atomic_file, refuse_existing, replace_folder, temporary_name
from hitloom.data.trackml_build import CELL_COLUMNS
from hitloom.errors import DataError
from hitloom.event import Event

_OWN_FILE = re.compile(r"event\d+-(hits|cells|particles|truth)\.csv(\.gz)?|detectors\.csv(\.gz)?")


def write_trackml(
    events: Iterable[Event],
    path: str | Path,
    *,
    compress: bool = True,
    detectors: str | Path | None = None,
    overwrite: bool = False,
    weight_phase: Literal[1, 2] = 1,
) -> int:
    """Write all files of each event and return the number of events.

    Parameters
    ----------
    events : iterable of Event
        hits need ``pos``, ``volume``, ``layer``, ``module``; cells, particles and truth are written when the event
        has them (``part_x`` with ch0, ch1, value; ``object_id``; ``object_index``).
    path : path
        New folder, or new archive ``*.zip``.
    compress : bool
        ``.csv.gz`` rather than ``.csv``; in an archive always plain ``.csv``, as the archive compresses.
    detectors : path or None
        A ``detectors.csv`` (plain or gz) to put beside them; without it cell features cannot be made again.
    overwrite : bool
        Replace an existing folder that holds TrackML files only, or an existing archive.
    weight_phase : 1 or 2
        Weights of events that have none (``point_weight``).

    Raises
    ------
    DataError
        When the path is taken, an event lacks something, an id comes twice, or there is no event. Nothing is left then.
    """
    path = Path(path)
    archive = path.suffix == ".zip"
    refuse_existing(path, overwrite=overwrite, may_replace=Path.is_file if archive else _is_trackml_folder)
    if detectors is not None and not Path(detectors).is_file():
        raise DataError(f"{detectors}: no such file; wanted the detectors.csv of the events")
    path.parent.mkdir(parents=True, exist_ok=True)
    if archive:
        with atomic_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as file:
            number = _write(events, file.writestr, suffix=".csv", phase=weight_phase, where=path)
            if detectors is not None:
                file.write(detectors, Path(detectors).name)
        return number
    part = temporary_name(path)
    part.mkdir()

    def put(name: str, data: bytes) -> None:
        (part / name).write_bytes(gzip.compress(data, 4, mtime=0) if compress else data)

    try:
        number = _write(events, put, suffix=".csv.gz" if compress else ".csv", phase=weight_phase, where=path)
        if detectors is not None:
            shutil.copyfile(detectors, part / Path(detectors).name)
        replace_folder(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return number


def _is_trackml_folder(path: Path) -> bool:
    return path.is_dir() and all(_OWN_FILE.fullmatch(entry.name) for entry in path.iterdir())


def _write(
    events: Iterable[Event], put: Callable[[str, bytes], None], *, suffix: str, phase: Literal[1, 2], where: Path
) -> int:
    seen: set[int] = set()
    for event in events:
        event.validate()
        event_id = int(event.event_id)
        if event_id in seen:
            raise DataError(f"{where}: event id {event_id} came twice; ids must be unique in a folder")
        if not 0 <= event_id < 10**9:
            raise DataError(f"{where}: event id {event_id} does not fit into the 9 digits of a TrackML file name")
        seen.add(event_id)
        for name, table in tables_of(event, weight_phase=phase).items():
            put(f"event{event_id:09d}-{name}{suffix}", csv_bytes(table))
    if not seen:
        raise DataError(f"{where}: no event to write")
    return len(seen)


def csv_bytes(table: pa.Table) -> bytes:
    """Return a table as CSV text with a header and no quotes."""
    buffer = io.BytesIO()
    csv.write_csv(table, buffer, csv.WriteOptions(quoting_style="none", quoting_header="none"))
    return buffer.getvalue()


def tables_of(event: Event, *, weight_phase: Literal[1, 2] = 1) -> dict[str, pa.Table]:
    """Return the tables hits, cells, particles, truth of an event, those that it has data for.

    Raises
    ------
    DataError
        When the event lacks a field that a table needs.
    """
    _need(event, "hits", ("volume", "layer", "module"))
    hit_id = event.point_id.numpy() if "point_id" in event else np.arange(1, event.num_points + 1)
    x, y, z = event.pos.numpy().T
    hits: dict[str, NDArray[np.generic]] = {"hit_id": hit_id, "x": x, "y": y, "z": z}
    hits |= {f"{name}_id": event[name].numpy() for name in ("volume", "layer", "module")}
    tables = {"hits": pa.table(hits)}
    if "part_x" in event and set(CELL_COLUMNS) <= set(event.part_feature_names):
        ch0, ch1, value = (event.part_x[:, event.part_feature_names.index(name)].numpy() for name in CELL_COLUMNS)
        cells = {"hit_id": hit_id[event.part_point_index.numpy()], "ch0": _whole(event, ch0), "ch1": _whole(event, ch1)}
        tables["cells"] = pa.table(cells | {"value": value})
    if "object_id" in event:
        tables["particles"] = _particles(event)
    if "object_index" in event:
        tables["truth"] = _truth(event, hit_id, weight_phase)
    return tables


def _particles(event: Event) -> pa.Table:
    _need(event, "particles", ("object_momentum", "object_vertex", "object_charge", "object_num_points"))
    columns: dict[str, NDArray[np.generic]] = {"particle_id": event.object_id.numpy()}
    if "object_pdg" in event:
        columns["particle_type"] = event.object_pdg.numpy()
    columns |= dict(zip(("vx", "vy", "vz"), event.object_vertex.numpy().T, strict=True))
    columns |= dict(zip(("px", "py", "pz"), event.object_momentum.numpy().T, strict=True))
    columns |= {"q": _whole(event, event.object_charge.numpy()), "nhits": event.object_num_points.numpy()}
    return pa.table(columns)


def _truth(event: Event, hit_id: NDArray[np.int64], phase: Literal[1, 2]) -> pa.Table:
    _need(event, "truth", ("object_id", "truth_pos", "truth_momentum"))
    if bool((event.object_id == 0).any()):
        raise DataError(f"{event.describe()}: object_id 0 means noise in TrackML; mend: number objects from 1")
    ids = torch.cat([event.object_id, torch.zeros(1, dtype=torch.int64)])  # row -1 is noise
    columns: dict[str, NDArray[np.generic]] = {"hit_id": hit_id, "particle_id": ids[event.object_index].numpy()}
    columns |= dict(zip(("tx", "ty", "tz"), event.truth_pos.numpy().T, strict=True))
    columns |= dict(zip(("tpx", "tpy", "tpz"), event.truth_momentum.numpy().T, strict=True))
    columns["weight"] = event.point_weight.numpy() if "point_weight" in event else _weights(event, phase)
    return pa.table(columns)


def _weights(event: Event, phase: Literal[1, 2]) -> NDArray[np.float32]:
    from hitloom.metrics import hit_weights

    _need(event, "truth (weights)", ("object_pt", "object_vertex", "object_num_points"))
    weights = hit_weights(
        object_index=event.object_index.numpy(),
        object_id=event.object_id.numpy(),
        object_pt=event.object_pt.double().numpy(),
        object_vertex_z=event.object_vertex[:, 2].double().numpy(),
        object_num_points=event.object_num_points.numpy(),
        truth_z=event.truth_pos[:, 2].double().numpy(),
        phase=phase,
    )
    return weights.astype(np.float32)


def _whole(event: Event, values: NDArray[np.floating]) -> NDArray[np.int64]:
    if (values != np.round(values)).any():
        raise DataError(f"{event.describe()}: channels and charges must be whole numbers in TrackML files")
    return values.astype(np.int64)


def _need(event: Event, what: str, names: Iterable[str]) -> None:
    missing = [name for name in names if name not in event]
    if missing:
        raise DataError(f"{event.describe()}: TrackML {what} need '{missing[0]}', which the event does not have")
