"""The candidate graph that the network reads: that of the event, or built from its barycentres.

Shape letters: N tracksters, E edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, edge_features
from hitloom.data.trackster_graph import candidate_graph
from hitloom.errors import DataError, nearest
from hitloom.event import Event

_ETA, _PHI, _Z = (NODE_FEATURES.index(f"barycenter_{name}") for name in ("eta", "phi", "z"))


def graph_of(event: Event, features: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the edges (2, E), inner trackster above outer, and their features (E, 5 or 7) of an event or a batch.

    Raises
    ------
    DataError
        When the edges lack a feature, or point to tracksters that do not exist.
    """
    if "edge_index" not in event:
        return built_graph(event, features)
    edge_index = event.edge_index
    if "edge_attr" not in event:
        raise DataError(
            f"{event.describe()}: edges came without 'edge_attr'; mend: give both, or neither (then they are built)"
        )
    if edge_index.shape[1] and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < event.num_points:
        raise DataError(
            f"{event.describe()}: edge_index holds {int(edge_index.min())} to {int(edge_index.max())}, wanted rows of "
            f"tracksters (0 to {event.num_points - 1}); mend: the graph of this event"
        )
    names = edge_names(event)
    missing = [name for name in features if name not in names]
    if missing:
        raise DataError(
            f"{event.describe()}: edge feature '{missing[0]}' is needed and not in the data."
            f"{nearest(missing[0], names)}"
        )
    if names[: len(features)] == list(features):
        return edge_index, event.edge_attr[:, : len(features)]
    return edge_index, event.edge_attr[:, [names.index(name) for name in features]]


def edge_names(event: Event) -> list[str]:
    """Return the names of the columns of ``edge_attr``; without names the order of the contract is meant."""
    names = event.get("edge_feature_names")
    if names is None:
        from hitloom.data.trackster_features import SKELETON_EDGE_FEATURES

        return list(SKELETON_EDGE_FEATURES[: event.edge_attr.shape[1]])
    return list(names[0] if names and not isinstance(names[0], str) else names)


def built_graph(event: Event, features: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Build the candidate graph of each event of a batch, with the five features.

    Raises
    ------
    DataError
        When the network reads distances of layer clusters too: those come with the event.
    """
    if tuple(features) != EDGE_FEATURES:
        raise DataError(
            f"{event.describe()}: edge feature '{features[-1]}' is needed and the event has no graph; mend: store the "
            "event with its graph and skeleton features"
        )
    x = event.columns(NODE_FEATURES).detach().cpu().double().numpy()
    pointer = event.get("ptr")
    bounds = [0, event.num_points] if pointer is None else pointer.tolist()
    parts = []
    for first, last in pairwise(bounds):
        rows = x[first:last]
        parts.append(torch.from_numpy(candidate_graph(rows[:, _ETA], rows[:, _PHI], rows[:, _Z])) + first)
    edge_index = torch.cat(parts, 1)
    attributes = torch.from_numpy(edge_features(x, edge_index.numpy())).float()
    return edge_index.to(event.pos.device), attributes.to(event.pos.device)


def sizes_of(event: Event) -> list[int] | None:
    """Return the number of tracksters of each event of a batch; None for a single event."""
    pointer = event.get("ptr")
    return None if pointer is None else (pointer[1:] - pointer[:-1]).tolist()


def edge_energy(event: Event) -> Tensor:
    """Return the raw energy (N,) of the tracksters, GeV."""
    return event.columns(("raw_energy",))[:, 0]
