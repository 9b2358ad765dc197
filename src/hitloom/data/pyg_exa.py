"""The feature store of Exa.TrkX (arXiv:2103.06995): one file per event, to and from the prefixed dialect.

``x`` holds r / 1000, phi / pi, z / 1000; ``pid``, ``hid``, ``pt``, ``modules``, ``hit_weights`` one value per hit;
``modulewise_true_edges`` and ``layerwise_true_edges`` (2, T); ``edge_weights`` one per truth edge; ``cell_data`` the
nine cell features. Files are named by the event id and have no suffix.

Shape letters: N hits, T truth edges.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hitloom.data.edge_labels import truth_edge_weights
from hitloom.data.features import CELL_FEATURES
from hitloom.data.pyg_edges import edge_entries, particle_columns
from hitloom.data.truth_edges import point_groups, truth_edges
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.ops.geometry import cylindrical

_TRUTH = ("modulewise_true_edges", "layerwise_true_edges", "signal_true_edges")
_HITS = {"hid": "hit_id", "pid": "hit_particle_id", "pt": "hit_particle_pt", "modules": "hit_module_id",
         "hit_weights": "hit_weight"}  # fmt: skip
_LARGEST_EXACT = float(1 << 53)


def is_exa(values: Mapping[str, Any]) -> bool:
    """Whether the entries are those of Exa.TrkX."""
    x = values.get("x")
    return isinstance(x, Tensor) and x.dim() == 2 and x.shape[1] == 3 and ("pid" in values or "hid" in values)


def from_exa(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the entries in the prefixed dialect.

    The momentum of a particle is the one at its hit nearest to the origin: the file has no other.

    Raises
    ------
    DataError
        When an array does not fit to the hits, or an id has lost digits.
    """
    x = values["x"]
    entries: dict[str, Any] = {
        "hit_r": x[:, 0].double() * 1000, "hit_phi": x[:, 1].double() * math.pi, "hit_z": x[:, 2].double() * 1000,
        "event_id": _event_id(values, where),
    }  # fmt: skip
    entries |= {name: values[exa] for exa, name in _HITS.items() if isinstance(values.get(exa), Tensor)}
    for name in ("hit_id", "hit_particle_id", "hit_module_id"):
        if name in entries:
            entries[name] = _whole(entries[name], name, where)
    if "hit_id" not in entries:
        entries["hit_id"] = torch.arange(x.shape[0])
    if "hit_particle_pt" in entries and "hit_particle_id" in entries:
        entries["hit_particle_pt"] = _of_innermost(entries["hit_particle_pt"], entries["hit_particle_id"], x)
    cells = values.get("cell_data")
    if isinstance(cells, Tensor) and cells.dim() == 2:
        known = CELL_FEATURES if cells.shape[1] == len(CELL_FEATURES) else range(cells.shape[1])
        entries |= {
            f"hit_{name}" if isinstance(name, str) else f"hit_cell_{name}": cells[:, place]
            for place, name in enumerate(known)
        }
    truth = next((name for name in _TRUTH if isinstance(values.get(name), Tensor)), None)
    if truth is not None:
        entries["track_edges"] = values[truth]
    if isinstance(values.get("edge_index"), Tensor):
        entries["edge_index"] = values["edge_index"]
        entries |= {name: values[exa] for exa, name in (("y", "edge_y"), ("scores", "edge_scores")) if exa in values}
    return entries | {"config": [{"truth_edges": truth, "pt": "at the innermost hit"}]}


def to_exa(event: Event) -> dict[str, Any]:
    """Return the entries of an event as Exa.TrkX has them; ``pt`` is the generated one, NaN for noise.

    Raises
    ------
    DataError
        When the event lacks truth or the modules of its points.
    """
    r, phi, z, _ = cylindrical(event.pos.double())
    particle = particle_columns(event)
    if not particle or "object_vertex" not in event:
        raise DataError(f"{event.describe()}: Exa.TrkX files need truth: object_index, object_id and object_vertex")
    _, modules = torch.unique(torch.from_numpy(point_groups(event)), return_inverse=True)
    entries: dict[str, Any] = {
        "x": torch.stack([r / 1000, phi / math.pi, z / 1000], dim=1).float(),
        "pid": particle["id"],
        "hid": event.point_id if "point_id" in event else torch.arange(event.num_points),
        "modules": modules,
        "event_file": f"event{int(event.event_id):09d}",
        "modulewise_true_edges": truth_edges(event, "modulewise"),
    }
    if "pt" in particle:
        entries["pt"] = particle["pt"]
    if "layer" in event:
        entries["layerwise_true_edges"] = truth_edges(event, "layerwise")
    if "point_weight" in event:
        entries["hit_weights"] = event.point_weight
        entries["edge_weights"] = truth_edge_weights(event, entries["modulewise_true_edges"])
    names = event.column_names() if "x" in event else []
    if set(CELL_FEATURES) <= set(names):
        entries["cell_data"] = event.columns(CELL_FEATURES)
    graph = edge_entries(event)
    return entries | {
        exa: graph[name] for name, exa in (("edge_index", "edge_index"), ("edge_y", "y"), ("edge_scores", "scores"))
        if name in graph
    }  # fmt: skip


def _event_id(values: Mapping[str, Any], where: str) -> int:
    """Return the last number in the name of the event's file: all its digits, since the last four repeat."""
    text = values.get("event_file")
    text = text[0] if isinstance(text, list | tuple) and text else text
    found = re.findall(r"\d+", str(text).rsplit("/", 1)[-1]) or re.findall(r"\d+", where.rsplit("/", 1)[-1])
    if not found:
        raise DataError(f"{where}: no event id: event_file is {text!r}, and the file's name has no number")
    return int(found[-1])


def _whole(values: Tensor, name: str, where: str) -> Tensor:
    """Return integers; of floats only those that lost no digit, NaN (noise) as 0."""
    if not values.is_floating_point():
        return values.to(torch.int64)
    whole = values.double().nan_to_num(0.0)
    limit = float(1 << 24) if values.dtype == torch.float32 else _LARGEST_EXACT
    if bool((whole.abs() > limit).any()) or bool((whole != whole.round()).any()):
        raise DataError(
            f"{where}: '{name}' is {values.dtype} with values above {limit:.0f}: digits of ids are lost; mend: build "
            "the file without the layerwise step, which turns ids into floats"
        )
    return whole.to(torch.int64)


def _of_innermost(pt: Tensor, particle: Tensor, x: Tensor) -> Tensor:
    """Return (N,) the momentum at the particle's hit nearest to the origin."""
    ids, place = torch.unique(particle, return_inverse=True)
    size = x[:, 0].double() ** 2 + x[:, 2].double() ** 2
    least = torch.full((ids.numel(),), math.inf, dtype=torch.float64).scatter_reduce(0, place, size, "amin")
    value = torch.full((ids.numel(),), -math.inf, dtype=pt.dtype)
    nearest = size == least[place]
    return value.scatter_reduce(0, place[nearest], pt[nearest], "amax")[place]
