"""Edges in the files of EggNet, acorn and Exa.TrkX: graphs with truth, scores, weights and features.

Every array of edges has one value for each edge, or the file is refused: two scores for one edge cannot be told apart.
Shape letters: N hits, E edges, T truth edges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hitloom.data.conditions import Conditions
from hitloom.data.edge_labels import truth_edge_weights, truth_to_edge
from hitloom.data.truth_edges import redundant_split
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.ops.edge_features import EDGE_FEATURES

# field of the event: names in the files, newest first
EDGE_NAMES = {
    "edge_y": ("edge_y", "y"),
    "edge_score": ("edge_scores", "scores"),
    "edge_weight": ("edge_weights", "weights"),
}
# of neither hits nor particles, whatever their length
NOT_HITS = {"y_pid", "scores", "weights", "labels", "redundant_split_edges", "truth_map", *EDGE_FEATURES}
_NOT_FEATURES = {"edge_index", "edge_track_labels", *(name for names in EDGE_NAMES.values() for name in names)}


def is_edge_truth(value: Tensor, num_hits: int) -> bool:
    """Whether an old file's ``y`` is the truth of edges, and not the coordinate y of its hits."""
    return value.shape != (num_hits,) or not value.is_floating_point()


def read_edges(event: Event, values: Mapping[str, Any], where: str) -> None:
    """Set the graph of an event from the entries of its file.

    Raises
    ------
    DataError
        When there is not one value for each edge.
    """
    edges = values.get("edge_index")
    if not isinstance(edges, Tensor):
        return
    if edges.dim() != 2 or edges.shape[0] != 2 or edges.is_floating_point():
        raise DataError(f"{where}: edge_index has shape {tuple(edges.shape)} of {edges.dtype}, integers (2, E) wanted")
    event.edge_index = edges.to(torch.int64)
    for field, names in EDGE_NAMES.items():
        name = next((name for name in names if isinstance(values.get(name), Tensor)), None)
        if name is None or (name == "y" and not is_edge_truth(values[name], event.num_points)):
            continue
        event[field] = _one_each(values[name], name, edges.shape[1], where).to(torch.float32)
    features = {
        name.removeprefix("edge_"): value
        for name, value in values.items()
        if isinstance(value, Tensor)
        and ((name.startswith("edge_") and name not in _NOT_FEATURES) or name in EDGE_FEATURES)
    }
    if features:
        columns = [_one_each(value, f"edge_{name}", edges.shape[1], where) for name, value in features.items()]
        event.edge_attr = torch.stack([column.to(torch.float32) for column in columns], dim=1)
        event.edge_feature_names = list(features)


def _one_each(value: Tensor, name: str, num_edges: int, where: str) -> Tensor:
    value = value.reshape(-1) if value.dim() == 2 and value.shape[1] == 1 else value
    if value.shape != (num_edges,):
        hint = "; mend: keep one of the two directions" if value.shape == (2 * num_edges,) else ""
        raise DataError(
            f"{where}: '{name}' has shape {tuple(value.shape)}, one value for each of the {num_edges} edges was "
            f"wanted{hint}"
        )
    return value


def edge_entries(event: Event) -> dict[str, Tensor]:
    """Return the entries of a graph, in the prefixed dialect; truth as booleans."""
    if "edge_index" not in event:
        return {}
    entries = {"edge_index": event.edge_index}
    for field, (name, _) in EDGE_NAMES.items():
        if field in event:
            entries[name] = event[field]
    if "edge_y" in event and bool(((event.edge_y == 0) | (event.edge_y == 1)).all()):
        entries["edge_y"] = event.edge_y > 0.5
    if "edge_attr" in event:
        for place, name in enumerate(event.edge_feature_names):
            entries[f"edge_{name}"] = event.edge_attr[:, place].clone()
    return entries


def truth_edge_entries(event: Event) -> dict[str, Tensor]:
    """Return the entries per truth edge, in the prefixed dialect: particles, redundant splits, places in the graph.

    The particle of an edge is that of its inner hit.
    """
    if "truth_edge_index" not in event:
        return {}
    edges = event.truth_edge_index
    entries = {"track_edges": edges}
    if "edge_index" in event:
        entries["track_to_edge_map"] = truth_to_edge(event.edge_index, edges, event.num_points)
    entries |= {f"track_particle_{name}": values[edges[0]] for name, values in particle_columns(event).items()}
    if {"object_index", "object_vertex", "module"} <= set(event.keys()):
        entries["track_redundant_split_edges"] = redundant_split(event, edges)
    if "point_weight" in event:
        entries["track_weights"] = truth_edge_weights(event, edges)
    return entries


def particle_columns(event: Event) -> dict[str, Tensor]:
    """Return columns (N,) of each hit's particle, in the files' names; noise has id 0, NaN and -1."""
    if not event.has_truth or "object_id" not in event:
        return {}

    def spread(values: Tensor, noise: float) -> Tensor:
        return torch.cat([values, values.new_full((1,), noise)])[event.object_index]

    columns = {"id": spread(event.object_id, 0)}
    for name, field, noise in (
        ("pt", "object_pt", math.nan),
        ("eta", "object_eta", math.nan),
        ("nhits", "object_num_points", -1),
        ("pdgId", "object_pdg", 0),
    ):
        if field in event:
            columns[name] = spread(event[field], noise)
    if "object_vertex" in event:
        vertex = event.object_vertex
        columns["radius"] = spread(torch.hypot(vertex[:, 0], vertex[:, 1]), math.nan)
        columns |= {f"v{axis}": spread(vertex[:, place], math.nan) for place, axis in enumerate("xyz")}
    primary = Conditions.parse({"object_is_primary": True}).object_mask(event)
    columns["primary"] = spread(primary.to(torch.int64), 0)
    return columns
