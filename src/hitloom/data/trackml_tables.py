"""The functions of the TrackML helper library on hitloom's own readers, for scripts that know that library.

Tables are pandas frames where pandas is installed, else Arrow tables; either is accepted. Names differ in one place:
``rho`` is the cylindrical radius and ``r3`` the distance from the origin, so that ``r`` never means two things.
Random generators are passed in. The score, weights and ids themselves are in :mod:`hitloom.metrics`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hitloom.data.trackml_build import rows_in
from hitloom.data.trackml_files import PARTS, open_trackml
from hitloom.errors import DataError


def load_event(prefix: str | Path, parts: Sequence[str] = PARTS) -> tuple[Any, ...]:
    """Return the tables of one event in the order of ``parts``; ``prefix`` is such as ``data/event000001001``.

    Raises
    ------
    DataError
        When a file is missing, damaged, or there twice.
    """
    source = open_trackml(prefix)
    if len(source.events) != 1:
        raise DataError(f"{prefix}: {len(source.events)} events there; the prefix of one was wanted")
    return tuple(_frame(source.table(source.events[0], part)) for part in parts)


def load_dataset(
    path: str | Path, skip: int | None = None, nevents: int | None = None, parts: Sequence[str] = PARTS
) -> Iterator[tuple[Any, ...]]:
    """Return an iterator of (event id, *tables), by event number, from a folder or zip archive."""
    source = open_trackml(path)
    first = skip or 0
    events = source.events[first : None if nevents is None else first + nevents]
    return ((event.number, *(_frame(source.table(event, part)) for part in parts)) for event in events)


def add_position_quantities(table: Any, prefix: str = "") -> Any:
    """Return the table with rho, phi and r3 (each after ``prefix``) of the columns x, y, z."""
    x, y, z = (_column(table, prefix + name) for name in "xyz")
    rho = np.hypot(x, y)
    return _with(table, {"rho": rho, "phi": np.arctan2(y, x), "r3": np.hypot(rho, z)}, prefix)


def add_momentum_quantities(table: Any, prefix: str = "") -> Any:
    """Return the table with p, pt, pphi and peta (each after ``prefix``) of the columns px, py, pz."""
    px, py, pz = (_column(table, prefix + name) for name in ("px", "py", "pz"))
    pt = np.hypot(px, py)
    with np.errstate(divide="ignore", invalid="ignore"):
        peta = np.where(pt > 0, np.arcsinh(pz / pt), np.sign(pz) * np.inf)
    return _with(table, {"p": np.hypot(pt, pz), "pt": pt, "pphi": np.arctan2(py, px), "peta": peta}, prefix)


def decode_particle_id(table: Any) -> Any:
    """Return the table with vertex_id, primary_id, generation, secondary_id and process."""
    from hitloom.metrics import decode_particle_id as decode

    fields = decode(_column(table, "particle_id"))
    names = ("vertex_id", "primary_id", "generation", "secondary_id", "process")
    return _with(table, dict(zip(names, fields, strict=True)))


def score_event(truth: Any, submission: Any) -> float:
    """Return the TrackML score of one event; hits missing from the submission and track -1 are unassigned.

    Raises
    ------
    DataError
        When a hit is there twice or the submission names an unknown hit.
    """
    from hitloom.metrics import EventTruth, trackml_score

    hit_id, given, track = (
        _column(truth, "hit_id"),
        _column(submission, "hit_id"),
        _column(submission, "track_id"),
    )
    order = np.argsort(hit_id)
    for name, ids in (("truth", hit_id), ("submission", given)):
        if np.unique(ids).size != ids.size:
            raise DataError(f"{name}: a hit_id is there twice; mend: one row per hit")
    rows = rows_in(given, hit_id[order])
    if (rows < 0).any():
        raise DataError(f"submission: hit_id {given[rows < 0][0]} is not in the truth; mend: the same event for both")
    labels = np.full(hit_id.size, -1, dtype=np.int64)
    labels[order[rows]] = track
    event = EventTruth.from_particle_ids(_column(truth, "particle_id"), weight=_column(truth, "weight"))
    return trackml_score(labels, event).value


def weight_hits(truth: Any, particles: Any, *, phase: Literal[1, 2]) -> Any:
    """Return the truth table with its column ``weight`` made anew for a phase (1 accuracy, 2 throughput).

    Raises
    ------
    DataError
        When a particle of the truth is not among the particles.
    """
    from hitloom.metrics import hit_weights

    ids = _column(particles, "particle_id")
    order = np.argsort(ids)
    particle = _column(truth, "particle_id")
    index = rows_in(particle, ids[order])
    if ((index < 0) & (particle != 0)).any():
        raise DataError(f"truth: particle_id {particle[(index < 0) & (particle != 0)][0]} is not among the particles")
    weight = hit_weights(
        object_index=index,
        object_id=ids[order],
        object_pt=np.hypot(_column(particles, "px"), _column(particles, "py"))[order],
        object_vertex_z=_column(particles, "vz")[order],
        object_num_points=_column(particles, "nhits")[order],
        truth_z=_column(truth, "tz"),
        phase=phase,
    )
    return _with(truth, {"weight": weight})


def _frame(table: pa.Table) -> Any:
    return table.to_pandas() if importlib.util.find_spec("pandas") is not None else table


def _column(table: Any, name: str) -> NDArray[Any]:
    names = table.column_names if isinstance(table, pa.Table) else list(table.columns)
    if name not in names:
        raise DataError(f"the table has no column '{name}' (there: {', '.join(names)})")
    return np.asarray(table[name].to_numpy())


def _with(table: Any, columns: Mapping[str, NDArray[Any]], prefix: str = "") -> Any:
    """Return a copy of the table with these columns, after those that are there."""
    named = {prefix + name: values for name, values in columns.items()}
    if not isinstance(table, pa.Table):
        return table.assign(**named)
    for name, values in named.items():
        place = table.column_names.index(name) if name in table.column_names else None
        array = pa.array(values)
        table = table.append_column(name, array) if place is None else table.set_column(place, name, array)
    return table
