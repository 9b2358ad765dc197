"""The checked tables of one TrackML event put together into an :class:`~hitloom.event.Event`.

Everything is joined by id and never by row. Points are sorted by hit id, objects by particle id, cells by hit and
channel, so that shuffled files give the same event. Legend: N hits, M cells, K particles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import ArrayLike, NDArray

from hitloom.data.features import (
    CELL_FEATURES,
    EXTRA_CELL_FEATURES,
    POSITION_FEATURES,
    cell_shape_features,
    extra_cell_features,
    position_features,
    pseudorapidity,
)
from hitloom.data.masses import mass_of
from hitloom.data.trackml_geometry import BARRELS, TrackMLGeometry
from hitloom.data.truth_edges import module_key, modulewise_edges, vertex_distance
from hitloom.errors import DataError
from hitloom.event import Event

CELL_COLUMNS = ("ch0", "ch1", "value")
Columns = dict[str, NDArray[Any]]


def columns_of(table: pa.Table, *, where: str) -> Columns:
    """Return the columns as arrays.

    Raises
    ------
    DataError
        When a number is NaN or infinite.
    """
    columns = {name: table[name].to_numpy() for name in table.column_names}
    for name, values in columns.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise DataError(f"{where}: column '{name}' holds {values[row]} in row {row + 1}; mend: remove the row")
    return columns


def sorted_by(columns: Columns, name: str, *, where: str) -> Columns:
    """Return the rows in the order of an id.

    Raises
    ------
    DataError
        When an id comes twice.
    """
    order = np.argsort(columns[name], kind="stable")
    ids = columns[name][order]
    same = np.flatnonzero(ids[1:] == ids[:-1])
    if same.size:
        raise DataError(f"{where}: {name} {ids[same[0]]} comes twice ({same.size} such rows); mend: remove one")
    return {key: values[order] for key, values in columns.items()}


def rows_in(ids: NDArray[np.int64], table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of each id in a sorted table, -1 where it is not there."""
    if not table.size:
        return np.full(ids.size, -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(table, ids), table.size - 1)
    return np.where(table[place] == ids, place, -1)


def add_hits(event: Event, hits: Columns) -> None:
    """Set position, ids and position features of the points."""
    pos = np.stack([hits[name] for name in "xyz"], axis=1)
    event.pos = as_float(pos)
    event.x = torch.from_numpy(position_features(event.pos.numpy()))
    event.feature_names = list(POSITION_FEATURES)
    event.point_id = as_int(hits["hit_id"])
    for name in ("volume", "layer", "module"):
        event[name] = as_int(hits[f"{name}_id"])


def add_cells(event: Event, cells: Columns, geometry: TrackMLGeometry | None, *, extra: bool, where: str) -> None:
    """Set the constituents, and the cell features when the geometry is known.

    Raises
    ------
    DataError
        When a cell belongs to no hit, or a hit lies on an unknown module.
    """
    index = rows_in(cells["hit_id"], event.point_id.numpy())
    if (index < 0).any():
        unknown = cells["hit_id"][index < 0]
        raise DataError(f"{where}: {unknown.size} cells of hits that are not there (first: hit_id {unknown[0]})")
    order = np.lexsort((cells["ch1"], cells["ch0"], index))
    index, ch0, ch1, value = (
        index[order],
        cells["ch0"][order],
        cells["ch1"][order],
        cells["value"][order].astype(np.float32),
    )
    event.part_point_index = as_int(index)
    event.part_x = as_float(np.stack([ch0, ch1, value], axis=1))
    event.part_feature_names = list(CELL_COLUMNS)
    if geometry is None:
        return
    try:
        rows = geometry.rows_of(event.volume.numpy(), event.layer.numpy(), event.module.numpy())
    except DataError as error:
        raise DataError(f"{where}: {error}; mend: the detectors.csv that belongs to the hits") from None
    pitch_u, pitch_v = geometry.pitch_u[rows], geometry.pitch_v[rows]
    thickness, rotation = geometry.thickness[rows], geometry.rotation[rows]
    parts = [
        event.x.numpy(),
        cell_shape_features(
            point_index=index,
            ch0=ch0,
            ch1=ch1,
            value=value,
            pitch_u=pitch_u,
            pitch_v=pitch_v,
            thickness=thickness,
            rotation=rotation,
        ),
    ]
    if extra:
        parts.append(
            extra_cell_features(
                point_index=index,
                ch0=ch0,
                ch1=ch1,
                pitch_u=pitch_u,
                pitch_v=pitch_v,
                thickness=thickness,
                rotation=rotation,
                is_barrel=np.isin(event.volume.numpy(), BARRELS),
            )
        )
    event.x = torch.from_numpy(np.concatenate(parts, axis=1))
    event.feature_names = [*POSITION_FEATURES, *CELL_FEATURES, *(EXTRA_CELL_FEATURES if extra else ())]


def add_objects(event: Event, particles: Columns) -> None:
    """Set the object table: every listed particle, with or without hits, momenta as generated."""
    # from what is stored (float32), so that the columns of the table agree with each other
    px, py, pz = (particles[name].astype(np.float32).astype(np.float64) for name in ("px", "py", "pz"))
    pt = np.hypot(px, py)
    event.object_id = as_int(particles["particle_id"])
    event.object_charge = as_float(particles["q"])
    event.object_pt = as_float(pt)
    event.object_eta = as_float(pseudorapidity(pt, pz))
    event.object_phi = as_float(np.arctan2(py, px))
    event.object_momentum = as_float(np.stack([px, py, pz], axis=1))
    event.object_vertex = as_float(np.stack([particles[name] for name in ("vx", "vy", "vz")], axis=1))
    event.object_num_points = as_int(particles["nhits"])
    if "particle_type" in particles:
        event.object_pdg = as_int(particles["particle_type"])
        mass = mass_of(particles["particle_type"])
        event.object_energy = as_float(np.sqrt(px**2 + py**2 + pz**2 + mass**2))


def add_truth(event: Event, truth: Columns, *, unlisted: str, where: str, warn: Callable[[str], None]) -> None:
    """Link points to objects by exact id and set what the truth file says of each point.

    Raises
    ------
    DataError
        When truth and hits are not of the same hits, a particle is not listed, or has fewer hits listed than found.
    """
    rows = rows_in(truth["hit_id"], event.point_id.numpy())
    if (rows < 0).any():
        first = truth["hit_id"][rows < 0][0]
        raise DataError(f"{where}: truth of {int((rows < 0).sum())} hits that are not there (first: hit_id {first})")
    if rows.size != event.num_points:
        there = np.isin(event.point_id.numpy(), truth["hit_id"])
        first = event.point_id.numpy()[~there][0]
        raise DataError(f"{where}: no truth for {int((~there).sum())} hits (first: hit_id {first})")
    particle = truth["particle_id"]
    index = rows_in(particle, event.object_id.numpy())
    lost = (index < 0) & (particle != 0)
    if lost.any():
        text = f"{int(lost.sum())} hits of particles that are not listed (first: particle_id {particle[lost][0]})"
        if unlisted == "error":
            raise DataError(f"{where}: {text}; mend: unlisted='noise' takes them as noise")
        warn(f"{text} taken as noise")
    event.object_index = as_int(index)
    event.truth_pos = as_float(np.stack([truth[name] for name in ("tx", "ty", "tz")], axis=1))
    event.truth_momentum = as_float(np.stack([truth[name] for name in ("tpx", "tpy", "tpz")], axis=1))
    event.point_weight = as_float(truth["weight"])
    counted, listed = _counts(event)
    if (counted > listed).any():
        row = int((counted > listed).argmax())
        raise DataError(
            f"{where}: particle_id {int(event.object_id[row])} has {counted[row]} hits, but nhits says {listed[row]}"
        )


def warn_of_missing_hits(event: Event, warn: Callable[[str], None]) -> None:
    """Tell when particles have fewer hits than the file's nhits."""
    counted, listed = _counts(event)
    if (counted < listed).any():
        warn(f"{int((counted < listed).sum())} particles have fewer hits than nhits says (thinned by hit?)")


def _counts(event: Event) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    index = event.object_index.numpy()
    return np.bincount(index[index >= 0], minlength=event.num_objects), event.object_num_points.numpy()


def add_edges(event: Event) -> None:
    """Set the truth edges: modulewise, product form, sorted by the true crossing's distance to the vertex."""
    index = event.object_index.numpy()
    distance = vertex_distance(event.truth_pos.numpy(), index, event.object_vertex.numpy())
    key = module_key(event.volume.numpy(), event.layer.numpy(), event.module.numpy())
    event.truth_edge_index = as_int(modulewise_edges(index, key, distance))


def weight_phase(event: Event) -> int | None:
    """Return the phase (1 or 2) to which the weights of the event are proportional, None where they are to neither.

    Weights that both phases share (no hit of a secondary particle) count as phase 1.
    """
    from hitloom.metrics import hit_weights

    given = event.point_weight.double().numpy()
    arrays: Mapping[str, Any] = {
        "object_index": event.object_index.numpy(),
        "object_id": event.object_id.numpy(),
        "object_pt": event.object_momentum[:, :2].double().norm(dim=1).numpy(),
        "object_vertex_z": event.object_vertex[:, 2].double().numpy(),
        "object_num_points": event.object_num_points.numpy(),
        "truth_z": event.truth_pos[:, 2].double().numpy(),
    }
    if not given.sum() > 0:
        return None
    for phase in (1, 2):
        weight = hit_weights(**arrays, phase=phase)  # type: ignore[arg-type]
        if weight.sum() > 0 and np.allclose(weight, given / given.sum(), rtol=1e-3, atol=1e-3 * weight.max()):
            return phase
    return None


def as_float(values: ArrayLike) -> torch.Tensor:
    """Return a float32 tensor."""
    return torch.from_numpy(np.array(values, dtype=np.float32))


def as_int(values: ArrayLike) -> torch.Tensor:
    """Return an int64 tensor; integers only."""
    return torch.from_numpy(np.array(values, dtype=np.int64))
