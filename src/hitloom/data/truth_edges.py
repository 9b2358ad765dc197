"""Truth edges: consecutive points of one true object, outwards from its production vertex.

Three definitions (:data:`DEFINITIONS`); all sort the points of an object by 3D distance to the production vertex.
Exa.TrkX (arXiv:2103.06995) uses the first two, C. Biscarat et al. (arXiv:2103.00916) the modulewise product.

Shape letters: N points, K objects, T truth edges.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hitloom.errors import ConfigError, DataError, nearest
from hitloom.event import Event

Definition = Literal["modulewise", "modulewise-first", "layerwise"]
DEFINITIONS: tuple[str, ...] = get_args(Definition)


def truth_edges(event: Event, definition: str = "modulewise") -> Tensor:
    """Return the truth edges (2, T) int64 of an event or a batch, inner point above outer, each once.

    ``modulewise``
        Every point of a module to every point of the object's next module.
    ``modulewise-first``
        Only the first point of an object on a module; consecutive ones linked.
    ``layerwise``
        Every point of a layer to every point of the object's next layer: several edges where modules overlap.

    Noise is in no edge, nor are objects whose production vertex is not a number. Points of equal distance are ordered
    by module and measured position, so permuting the points permutes the edges.

    Raises
    ------
    ConfigError
        When there is no such definition.
    DataError
        When the event lacks truth, production vertices, or the module (or layer) of its points.

    Examples
    --------
    >>> event = Event(pos=torch.tensor([[1.0, 0, 0], [1.1, 0, 0], [2, 0, 0], [5, 0, 0]]),
    ...               module=torch.tensor([5, 5, 9, 9]), object_index=torch.tensor([0, 0, 0, -1]),
    ...               object_id=torch.tensor([7]), object_vertex=torch.zeros(1, 3))
    >>> truth_edges(event).tolist()
    [[0, 1], [2, 2]]
    >>> truth_edges(event, "modulewise-first").tolist()
    [[0], [2]]
    """
    if definition not in DEFINITIONS:
        raise ConfigError(f"truth edges: no definition '{definition}'.{nearest(definition, DEFINITIONS)}")
    owner, distance = _owner_and_distance(event, f"{definition} truth edges")
    key = point_groups(event, "layer" if definition == "layerwise" else "module")
    if definition == "modulewise-first":
        edges = first_edges(owner, key, distance, pos=event.pos.cpu().numpy())
    else:
        edges = modulewise_edges(owner, key, distance)
    return torch.from_numpy(edges).to(event.pos.device)


def redundant_split(event: Event, truth_edge_index: Tensor) -> Tensor:
    """Return (T,) bool: the edge leads to a further cluster on a module, not the one nearest to the vertex.

    A cluster split in two gives two parallel truth edges; all but the one to the nearest cluster of the object on that
    module are redundant. Clusters of equal distance are both nearest. The end that counts is the one on the object's
    later module, whichever way the edge (2, T) is stored.

    Raises
    ------
    DataError
        When the event lacks truth, production vertices, or the module of its points.
    """
    owner, distance = _owner_and_distance(event, "redundant_split")
    key = point_groups(event, "module")
    order = np.lexsort((distance, key, owner))
    first = _first_of_group(owner[order], key[order])
    least = np.empty_like(distance)
    least[order] = distance[order][np.flatnonzero(first)[np.cumsum(first) - 1]] if order.size else 0.0
    a, b = truth_edge_index.cpu().numpy()
    outer = np.where(least[a] > least[b], a, b)
    return torch.from_numpy((owner >= 0) & (distance > least)).to(truth_edge_index.device)[outer]


def _owner_and_distance(event: Event, what: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the object of each point (N,), -1 = noise or no vertex, and its distance to the vertex in mm (N,)."""
    for name in ("object_index", "object_id", "object_vertex"):
        if name not in event:
            raise DataError(
                f"{event.describe()}: '{name}' is not in the data and {what} needs it; mend: use the truth edges that "
                "the source stores"
            )
    owner = Event.object_key(event).cpu().numpy()
    place = event.truth_pos if "truth_pos" in event else event.pos
    distance = vertex_distance(place.cpu().numpy(), owner, event.object_vertex.cpu().numpy())
    known = np.isfinite(distance)
    return np.where(known, owner, -1), np.where(known, distance, 0.0)


def _first_of_group(owner: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (N,) bool, the first row of each run of equal (owner, key)."""
    first = np.ones(owner.size, dtype=bool)
    first[1:] = (np.diff(owner) != 0) | (np.diff(key) != 0)
    return first


def point_groups(event: Event, finest: Literal["module", "layer"] = "module") -> NDArray[np.int64]:
    """Return (N,) int64, equal for points of the same module (or layer).

    A ``module`` without volume and layer is taken as it is, any int64.

    Raises
    ------
    DataError
        When the event has no such column.
    """
    if finest not in event:
        raise DataError(f"{event.describe()}: '{finest}' is not in the data, which says which points lie together")
    names = ("volume", "layer") if finest == "layer" else ("volume", "layer", "module")
    ids = {name: event[name].cpu().numpy() for name in names if name in event}
    if len(ids) == 1:
        return ids[finest]
    none = np.zeros(event.pos.shape[0], dtype=np.int64)
    return module_key(*(ids.get(name, none) for name in ("volume", "layer", "module")))


def module_key(volume: ArrayLike, layer: ArrayLike, module: ArrayLike) -> NDArray[np.int64]:
    """Return (N,) int64, equal for two points exactly when they lie on the same module.

    Raises
    ------
    DataError
        When a number is negative or too large for its share of the key.
    """
    key = np.zeros(np.shape(np.asarray(volume)), dtype=np.int64)
    for name, values, bits in (("volume", volume, 15), ("layer", layer, 24), ("module", module, 24)):
        column = np.asarray(values, dtype=np.int64)
        if column.size and (column.min() < 0 or column.max() >= 1 << bits):
            wrong = int(column.min() if column.min() < 0 else column.max())
            raise DataError(f"{name}: {wrong} does not fit into a module key; wanted 0 to {(1 << bits) - 1}")
        key = (key << bits) | column
    return key


def vertex_distance(pos: ArrayLike, object_index: ArrayLike, object_vertex: ArrayLike) -> NDArray[np.float64]:
    """Return (N,) the 3D distance in mm of each point (N, 3) to its object's vertex (K, 3); 0 for noise."""
    index = np.asarray(object_index, dtype=np.int64)
    own = np.append(np.asarray(object_vertex, dtype=np.float64).reshape(-1, 3), [[0.0, 0.0, 0.0]], axis=0)[index]
    distance = np.linalg.norm(np.asarray(pos, dtype=np.float64).reshape(-1, 3) - own, axis=1)
    return np.where(index >= 0, distance, 0.0)


def modulewise_edges(
    object_index: ArrayLike, module_key: ArrayLike, distance_to_vertex: ArrayLike
) -> NDArray[np.int64]:
    """Return truth edges, product form: every point of a module to every point of the object's *next* module.

    The points of an object are sorted by distance; its modules are ordered by their first point. Each edge occurs
    once and points outwards. Equal distances are ordered by module key, so that the order of the rows does not matter.

    Parameters
    ----------
    object_index : (N,) int
        Row of the object of each point, -1 = noise (in no edge).
    module_key : (N,) int
        Equal for points of the same module, see :func:`module_key`.
    distance_to_vertex : (N,)
        3D distance to the production vertex, see :func:`vertex_distance`.

    Returns
    -------
    (2, T) int64
        Rows of points, inner above outer.

    Examples
    --------
    >>> modulewise_edges([0, 0, 0, -1], [5, 5, 9, 9], [1.0, 1.1, 2.0, 0.5]).tolist()
    [[0, 1], [2, 2]]
    """
    owner = np.asarray(object_index, dtype=np.int64)
    key = np.asarray(module_key, dtype=np.int64)
    distance = np.asarray(distance_to_vertex, dtype=np.float64)
    rows = np.flatnonzero(owner >= 0)
    rows = rows[np.lexsort((key[rows], distance[rows], owner[rows]))]
    if rows.size < 2:
        return np.zeros((2, 0), dtype=np.int64)
    # groups (object, module), numbered by the place of their first point, which keeps objects together
    by_group = np.lexsort((np.arange(rows.size), key[rows], owner[rows]))
    start = np.flatnonzero(_first_of_group(owner[rows][by_group], key[rows][by_group]))
    size = np.diff(np.append(start, rows.size))
    order = np.argsort(by_group[start])
    start, size = start[order], size[order]
    group_owner = owner[rows][by_group][start]
    # products of each group with the next one of the same object
    first = np.flatnonzero(group_owner[1:] == group_owner[:-1])
    num_pairs = size[first] * size[first + 1]
    pair = np.repeat(np.arange(first.size), num_pairs)
    place = np.arange(num_pairs.sum()) - np.repeat(np.cumsum(num_pairs) - num_pairs, num_pairs)
    inner, outer = np.divmod(place, size[first + 1][pair])
    members = rows[by_group]
    return np.stack([members[start[first][pair] + inner], members[start[first + 1][pair] + outer]])


def layerwise_edges(object_index: ArrayLike, layer_key: ArrayLike, distance_to_vertex: ArrayLike) -> NDArray[np.int64]:
    """Return truth edges (2, T) between consecutive layers of an object; several where modules overlap.

    As :func:`modulewise_edges` with one key per layer (any integers, equal within a layer).
    """
    return modulewise_edges(object_index, layer_key, distance_to_vertex)


def first_edges(
    object_index: ArrayLike, module_key: ArrayLike, distance_to_vertex: ArrayLike, *, pos: ArrayLike
) -> NDArray[np.int64]:
    """Return truth edges (2, T) between consecutive points of an object, one point for each of its modules.

    The point of a module is the nearest to the vertex; equal distances are ordered by module, then by ``pos`` (N, 3).
    """
    owner = np.asarray(object_index, dtype=np.int64)
    key = np.asarray(module_key, dtype=np.int64)
    distance = np.asarray(distance_to_vertex, dtype=np.float64)
    place = np.asarray(pos, dtype=np.float64).reshape(-1, 3)
    rows = np.flatnonzero(owner >= 0)
    outwards = (*place[rows].T[::-1], key[rows], distance[rows])
    by_module = rows[np.lexsort((*outwards, key[rows], owner[rows]))]
    nearest_point = np.zeros(owner.size, dtype=bool)
    nearest_point[by_module[_first_of_group(owner[by_module], key[by_module])]] = True
    track = rows[np.lexsort((*outwards, owner[rows]))]
    track = track[nearest_point[track]]
    linked = owner[track[1:]] == owner[track[:-1]]
    return np.stack([track[:-1][linked], track[1:][linked]]).astype(np.int64)
