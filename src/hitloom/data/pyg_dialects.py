"""The keys of EggNet's and acorn's ``.pyg`` events, in both dialects, to and from :class:`~hitloom.event.Event`.

In the newer dialect keys begin with ``hit_`` (one value per hit), ``track_`` (per truth edge) or ``edge_``. In the
older one they have no prefix, and what belongs to particles (particle_id, pt) stands once per truth edge.
Shape letters: N hits, T truth edges, K particles.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.result import Result

_log = logging.getLogger(__name__)
_PARTICLE = {
    "pt": "object_pt",
    "eta": "object_eta",
    "phi": "object_phi",
    "nhits": "object_num_points",
    "pdgId": "object_pdg",
    "pdg_id": "object_pdg",
    "charge": "object_charge",
    "q": "object_charge",
}
_INTEGER_POINT = {
    "module_id": "module",
    "module_index": "module",
    "volume_id": "volume",
    "layer_id": "layer",
}
_GEV = ("object_pt",)
_NOT_FEATURES = {"id", "x", "y", "score", "label", "embedding", *_INTEGER_POINT}


def event_of(values: Mapping[str, Any], *, gev: float, where: str) -> Event:
    """Return the event of a ``.pyg`` file's entries.

    Parameters
    ----------
    values : mapping
        The entries of the ``Data`` object.
    gev : float
        GeV per unit of momentum in the file.

    Raises
    ------
    DataError
        When an entry is missing, of the wrong length or type.
    """
    values = {key: _tensor(value) for key, value in values.items() if value is not None}
    hits, num_hits = _hit_entries(values, where)
    event = Event(event_id=_event_id(values, where), source=f"pyg {where.rsplit('/', 1)[-1]}")
    event.pos = _positions(hits, where)
    names = [name for name in hits if _is_feature(name, hits[name])]
    if names:
        event.x = torch.stack([hits[name].to(torch.float32) for name in names], dim=1)
        event.feature_names = names
    event.point_id = _integers(hits["id"], "hit_id", where) if "id" in hits else torch.arange(num_hits)
    for name, field in _INTEGER_POINT.items():
        if name in hits and field not in event:
            event[field] = _integers(hits[name], name, where)
    if "track_edges" in values:
        edges = values["track_edges"]
        if edges.dim() != 2 or edges.shape[0] != 2:
            raise DataError(f"{where}: track_edges has shape {tuple(edges.shape)}, (2, T) was wanted")
        event.truth_edge_index = _integers(edges, "track_edges", where)
    if "edge_index" in values:
        event.edge_index = _integers(values["edge_index"], "edge_index", where)
        if "edge_y" in values:
            event.edge_y = values["edge_y"].to(torch.float32)
    _add_particles(event, values, hits, gev, where)
    config = values.get("config")
    event.provenance = json.dumps({"reader": "pyg", "config": config}, default=str)
    return event.validate()


def _tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(value))
    return value


def _hit_entries(values: Mapping[str, Any], where: str) -> tuple[dict[str, Tensor], int]:
    """Return the entries per hit without their prefix, and N."""
    prefixed = any(key.startswith("hit_") and key != "hit_id" for key in values)
    length = values.get("hit_id", values.get("hit_x" if prefixed else "x"))
    if not isinstance(length, Tensor) or length.dim() != 1:
        raise DataError(f"{where}: 'hit_id' (N,) is missing; not an event file of EggNet or acorn")
    num_hits = int(length.shape[0])
    hits: dict[str, Tensor] = {}
    for key, value in values.items():
        per_hit = isinstance(value, Tensor) and value.dim() >= 1 and value.shape[0] == num_hits
        if prefixed and key.startswith("hit_"):
            if not per_hit:
                raise DataError(f"{where}: '{key}' must have one value for each of the {num_hits} hits")
            hits[key.removeprefix("hit_")] = value
        elif not prefixed and per_hit and not key.startswith(("track_", "edge_")):
            hits[key.removeprefix("hit_")] = value
    if not prefixed:
        _drop_truth_entries(values, hits)
    return hits, num_hits


def _drop_truth_entries(values: Mapping[str, Any], hits: dict[str, Tensor]) -> None:
    """In the old dialect, remove entries per truth edge, which look like hit entries when T = N."""
    edges = values.get("track_edges")
    if not isinstance(edges, Tensor) or edges.shape[-1] != len(next(iter(hits.values()))):
        return
    ids = hits.get("particle_id")
    if ids is not None and bool((ids[edges[0]] == ids[edges[1]]).all()):
        return
    for name in ("particle_id", *_PARTICLE, "radius", "primary", "vx", "vy", "vz"):
        hits.pop(name, None)


def _is_feature(name: str, value: Tensor) -> bool:
    if value.dim() != 1 or name in _NOT_FEATURES or name.startswith("particle_"):
        return False
    return name in ("eta", "phi") or name not in _PARTICLE


def _positions(hits: Mapping[str, Tensor], where: str) -> Tensor:
    if {"x", "y", "z"} <= set(hits):
        return torch.stack([hits[name].to(torch.float32) for name in "xyz"], dim=1)
    if {"r", "phi", "z"} <= set(hits):
        r, phi, z = (hits[name].double() for name in ("r", "phi", "z"))
        return torch.stack([r * phi.cos(), r * phi.sin(), z], dim=1).float()
    raise DataError(f"{where}: positions are missing; hit_x, hit_y, hit_z or hit_r, hit_phi, hit_z were wanted")


def _event_id(values: Mapping[str, Any], where: str) -> int:
    value = values.get("event_id")
    while isinstance(value, list | tuple) and value:
        value = value[0]
    try:
        return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise DataError(f"{where}: event_id {value!r} is no whole number") from None


def _integers(value: Tensor, name: str, where: str) -> Tensor:
    if value.is_floating_point():
        raise DataError(f"{where}: '{name}' is {value.dtype}; integers were wanted, since a float loses digits of ids")
    return value.to(torch.int64)


def _add_particles(event: Event, values: Mapping[str, Any], hits: Mapping[str, Tensor], gev: float, where: str) -> None:
    """Set the object table and links; unique by particle id only, whatever else of two hits differs."""
    columns: dict[str, Tensor] = {}
    if "particle_id" in hits:
        particle = _integers(hits["particle_id"], "particle_id", where)
        rows = torch.arange(event.num_points)
        columns = {key.removeprefix("particle_"): value for key, value in hits.items() if key.startswith("particle_")}
    elif isinstance(values.get("particle_id"), Tensor) and "truth_edge_index" in event:
        per_edge = _integers(values["particle_id"], "particle_id", where)
        num_edges = event.truth_edge_index.shape[1]
        if per_edge.shape != (num_edges,):
            raise DataError(f"{where}: particle_id has {tuple(per_edge.shape)} values, one per truth edge was wanted")
        for key in _PARTICLE:
            value = values.get(key)
            if isinstance(value, Tensor) and value.shape == (num_edges,):
                columns[key] = value.repeat(2)
        particle, rows = per_edge.repeat(2), event.truth_edge_index.reshape(-1)
    else:
        return
    own = particle != 0
    ids = torch.unique(particle[own])
    event.object_id = ids
    place = torch.searchsorted(ids, particle[own])
    index = torch.full((event.num_points,), -1, dtype=torch.int64)
    index[rows[own]] = place
    event.object_index = index
    shared = int((index[rows[own]] != place).sum())
    if shared:
        _log.warning("%s: %d truth edges end on a hit that another particle has too; one keeps it", where, shared)
    first = torch.zeros(len(ids), dtype=torch.int64)
    first[place.flip(0)] = own.nonzero().flatten().flip(0)
    for key, value in columns.items():
        field = _PARTICLE.get(key)
        if field is None or field in event:
            continue
        column = value[first]
        if field in ("object_pdg", "object_num_points"):
            event[field] = column.round().to(torch.int64)
        else:
            event[field] = (column.double() * (gev if field in _GEV else 1.0)).to(torch.float32)
    if "object_num_points" not in event:
        event.object_num_points = torch.bincount(index[index >= 0], minlength=len(ids))


def data_entries(event: Event, result: Result | None = None) -> dict[str, Any]:
    """Return the entries of a file in the prefixed dialect, GeV and mm; with a result also what inference adds.

    Raises
    ------
    DataError
        When the event has no ``event_id``.
    """
    if "event_id" not in event:
        raise DataError(f"{event.describe()}: 'event_id' is missing; every exported event needs one")
    entries: dict[str, Any] = {
        "hit_id": event.point_id if "point_id" in event else torch.arange(event.num_points),
        **{f"hit_{name}": event.pos[:, place].clone() for place, name in enumerate("xyz")},
    }
    for place, name in enumerate(event.column_names() if "x" in event else ()):
        entries.setdefault(f"hit_{name}", event.x[:, place].clone())
    for name, field in (("module_id", "module"), ("volume_id", "volume"), ("layer_id", "layer")):
        if field in event:
            entries[f"hit_{name}"] = event[field]
    if event.has_truth and "object_id" in event:
        entries |= _truth_entries(event)
    if "edge_index" in event:
        entries["edge_index"] = event.edge_index
        if "edge_y" in event:
            entries["edge_y"] = event.edge_y
    entries |= {"event_id": f"{int(event.event_id):09d}", "config": [event.provenance_dict()]}
    if result is not None:
        entries |= {"hit_label": result.labels}
        entries |= {"hit_embedding": result.embedding} if result.embedding is not None else {}
        entries |= {"hit_score": result.point_score.reshape(-1, 1)} if result.point_score is not None else {}
        entries |= {name: float(seconds) for name, seconds in result.timing.items()}
    return entries


def _truth_entries(event: Event) -> dict[str, Tensor]:
    def spread(values: Tensor, noise: float) -> Tensor:
        return torch.cat([values, values.new_full((1,), noise)])[event.object_index]

    entries = {"hit_particle_id": spread(event.object_id, 0)}
    for name, field, noise in (
        ("pt", "object_pt", float("nan")),
        ("eta", "object_eta", float("nan")),
        ("nhits", "object_num_points", -1),
        ("pdgId", "object_pdg", 0),
    ):
        if field in event:
            entries[f"hit_particle_{name}"] = spread(event[field], noise)
    if "truth_edge_index" in event:
        entries["track_edges"] = event.truth_edge_index
        start = event.truth_edge_index[0]
        for name in ("id", "pt"):
            if f"hit_particle_{name}" in entries:
                entries[f"track_particle_{name}"] = entries[f"hit_particle_{name}"][start]
    return entries


def result_of(values: Mapping[str, Any], *, where: str) -> Result | None:
    """Return what inference wrote into a file, None when it holds no labels."""
    values = {key: _tensor(value) for key, value in values.items()}
    if not isinstance(values.get("hit_label"), Tensor):
        return None
    labels: Tensor = values["hit_label"].to(torch.int64)
    score = values.get("hit_score")
    return Result(
        event_id=_event_id(values, where),
        point_id=_integers(values["hit_id"], "hit_id", where),
        labels=labels,
        embedding=values["hit_embedding"].float() if isinstance(values.get("hit_embedding"), Tensor) else None,
        point_score=score.float().reshape(-1) if isinstance(score, Tensor) else None,
        timing={name: value for name, value in values.items() if isinstance(value, float)},
    )
