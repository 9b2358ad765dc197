"""Truth edges: consecutive points of one true object, outwards from its production vertex.

Shape letters: N points, T truth edges. Definitions: docs/data.md; C. Biscarat et al. (arXiv:2103.00916) use the
modulewise form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError


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
    new = np.ones(rows.size, dtype=bool)
    new[1:] = (np.diff(owner[rows][by_group]) != 0) | (np.diff(key[rows][by_group]) != 0)
    start = np.flatnonzero(new)
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
