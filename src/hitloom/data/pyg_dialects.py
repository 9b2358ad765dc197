"""The keys of EggNet's and acorn's ``.pyg`` events, in both dialects, to and from :class:`~hitloom.event.Event`.

In the newer dialect keys begin with ``hit_`` (one value per hit), ``track_`` (per truth edge) or ``edge_``. In the
older one they have no prefix, and what belongs to particles (particle_id, pt) stands once per truth edge.
Edges: :mod:`hitloom.data.pyg_edges`; the files of Exa.TrkX: :mod:`hitloom.data.pyg_exa`.
Shape letters: N hits, E edges, T truth edges, K particles.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hitloom.data.pyg_edges import (
    NOT_HITS,
    edge_entries,
    is_edge_truth,
    particle_columns,
    read_edges,
    truth_edge_entries,
)
from hitloom.data.pyg_exa import from_exa, is_exa, to_exa
from hitloom.errors import DataError, nearest
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
    "eta_particle": "object_eta",
}
_VERTEX = ("vx", "vy", "vz")
_OF_HITS = ("phi", "eta")  # without prefix these are of hits
_INTEGER_POINT = {
    "module_id": "module",
    "module_index": "module",
    "volume_id": "volume",
    "layer_id": "layer",
}
_GEV = ("object_pt",)
_NOT_FEATURES = {"id", "x", "y", "score", "label", "embedding", "weight", *_INTEGER_POINT}
DIALECTS = ("prefixed", "plain", "exa")


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
    if is_exa(values):
        values = from_exa(values, where)
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
    if "weight" in hits:
        event.point_weight = hits["weight"].to(torch.float32)
    read_edges(event, values, where)
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
        elif not prefixed and per_hit and not _of_edges(key, values, num_hits):
            hits[key.removeprefix("hit_")] = value
    if not prefixed:
        _drop_truth_entries(values, hits)
    return hits, num_hits


def _of_edges(key: str, values: Mapping[str, Any], num_hits: int) -> bool:
    """Whether an entry of the old dialect belongs to edges, even where there are as many edges as hits."""
    truth_of_edges = key == "y" and "edge_index" in values and is_edge_truth(values["y"], num_hits)
    return truth_of_edges or key.startswith(("track_", "edge_")) or key in NOT_HITS


def _drop_truth_entries(values: Mapping[str, Any], hits: dict[str, Tensor]) -> None:
    """In the old dialect, remove entries per truth edge, which look like hit entries when T = N."""
    edges = values.get("track_edges")
    if not isinstance(edges, Tensor) or edges.shape[-1] != len(next(iter(hits.values()))):
        return
    ids = hits.get("particle_id")
    if ids is not None and bool((ids[edges[0]] == ids[edges[1]]).all()):
        return
    for name in ("particle_id", *_PARTICLE, "radius", "primary", *_VERTEX):
        if name not in _OF_HITS:
            hits.pop(name, None)


def _is_feature(name: str, value: Tensor) -> bool:
    if value.dim() != 1 or name in _NOT_FEATURES or name.startswith("particle_"):
        return False
    return name in ("eta", "phi") or name not in _PARTICLE


def _positions(hits: Mapping[str, Tensor], where: str) -> Tensor:
    if {"x", "y", "z"} <= set(hits) and all(hits[name].dim() == 1 for name in "xyz"):
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
        for key in (*_PARTICLE, *_VERTEX):
            if key in hits and key not in _OF_HITS:
                columns.setdefault(key, hits[key])
    elif (own_id := _first(values, "track_particle_id", "particle_id")) is not None and "truth_edge_index" in event:
        per_edge = _integers(own_id, "particle_id", where)
        num_edges = event.truth_edge_index.shape[1]
        if per_edge.shape != (num_edges,):
            raise DataError(f"{where}: particle_id has {tuple(per_edge.shape)} values, one per truth edge was wanted")
        for key in (*_PARTICLE, *_VERTEX):
            value = _first(values, f"track_particle_{key}", *(() if key in _OF_HITS else (key,)))
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
    if set(_VERTEX) <= set(columns):
        event.object_vertex = torch.stack([columns[name][first].to(torch.float32) for name in _VERTEX], dim=1)
    if "object_num_points" not in event:
        event.object_num_points = torch.bincount(index[index >= 0], minlength=len(ids))


def _first(values: Mapping[str, Any], *names: str) -> Tensor | None:
    """Return the first of these entries that is a tensor."""
    return next((values[name] for name in names if isinstance(values.get(name), Tensor)), None)


def data_entries(event: Event, result: Result | None = None, *, dialect: str = "prefixed") -> dict[str, Any]:
    """Return the entries of a file, GeV and mm; with a result also what inference adds.

    Parameters
    ----------
    dialect : str
        ``prefixed``, ``plain`` (no prefixes; particles once per truth edge, so that particles without one are lost)
        or ``exa`` (the feature store of Exa.TrkX).

    Raises
    ------
    DataError
        When the event has no ``event_id``, or lacks what the dialect needs.
    """
    if "event_id" not in event:
        raise DataError(f"{event.describe()}: 'event_id' is missing; every exported event needs one")
    if dialect not in DIALECTS:
        raise DataError(f"unknown dialect '{dialect}'.{nearest(dialect, DIALECTS)}")
    if dialect == "exa":
        return to_exa(event)
    entries: dict[str, Any] = {
        "hit_id": event.point_id if "point_id" in event else torch.arange(event.num_points),
        **{f"hit_{name}": event.pos[:, place].clone() for place, name in enumerate("xyz")},
    }
    for place, name in enumerate(event.column_names() if "x" in event else ()):
        entries.setdefault(f"hit_{name}", event.x[:, place].clone())
    for name, field in (
        ("module_id", "module"), ("volume_id", "volume"), ("layer_id", "layer"), ("weight", "point_weight"),
    ):  # fmt: skip
        if field in event:
            entries[f"hit_{name}"] = event[field]
    entries |= {f"hit_particle_{name}": values for name, values in particle_columns(event).items()}
    entries |= truth_edge_entries(event) | edge_entries(event)
    entries |= {"event_id": f"{int(event.event_id):09d}", "config": _config(event)}
    if result is not None:
        entries |= {"hit_label": result.labels}
        entries |= {"hit_embedding": result.embedding} if result.embedding is not None else {}
        entries |= {"hit_score": result.point_score.reshape(-1, 1)} if result.point_score is not None else {}
        entries |= {name: float(seconds) for name, seconds in result.timing.items()}
    return entries if dialect == "prefixed" else _without_prefixes(entries)


def _config(event: Event) -> list[Any]:
    """Return the settings of all stages that made the event, oldest first."""
    own = event.provenance_dict()
    before = own.pop("config", None)
    return [*(before if isinstance(before, list) else []), own]


_PLAIN = {"edge_y": "y", "track_to_edge_map": "truth_map", "track_redundant_split_edges": "redundant_split_edges",
          "hit_label": "labels", "track_particle_eta": "eta_particle", "track_particle_id": "particle_id"}  # fmt: skip
_KEPT = ("hit_id", "edge_index", "track_edges", "event_id", "config")


def _without_prefixes(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries in the older dialect; hits give r, phi, z, since ``y`` is the truth of edges there."""
    x, y, z = (entries[f"hit_{name}"].double() for name in "xyz")
    plain: dict[str, Any] = {"r": torch.hypot(x, y), "phi": torch.atan2(y, x), "z": z}
    for name, value in entries.items():
        if name in _KEPT:
            plain[name] = value
        elif name in _PLAIN:
            plain[_PLAIN[name]] = value
        elif not name.startswith("hit_particle_") and name not in ("hit_x", "hit_y"):
            plain.setdefault(name.removeprefix("track_particle_").removeprefix("hit_").removeprefix("edge_"), value)
    return plain


def result_of(values: Mapping[str, Any], *, where: str) -> Result | None:
    """Return what inference wrote into a file, None when it holds no labels."""
    values = {key: _tensor(value) for key, value in values.items()}
    found = _first(values, "hit_label", "hit_track_labels", "edge_track_labels", "labels")
    if found is None:
        return None
    labels: Tensor = found.to(torch.int64)
    score = values.get("hit_score")
    return Result(
        event_id=_event_id(values, where),
        point_id=_integers(values["hit_id"], "hit_id", where),
        labels=labels,
        embedding=values["hit_embedding"].float() if isinstance(values.get("hit_embedding"), Tensor) else None,
        point_score=score.float().reshape(-1) if isinstance(score, Tensor) else None,
        timing={name: value for name, value in values.items() if isinstance(value, float)},
    )
