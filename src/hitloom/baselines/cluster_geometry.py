"""What rules of shower growing look at: ends, directions and distances of the 2D clusters of one wire view.

Coordinates are (x, z), drift and wire, relative to the vertex. The inner end of a cluster lies at its lowest wire, the
outer end at its highest one; an end is the mean of the hits on that wire.

Shape letters: C clusters, M hits of theirs, sorted by cluster. The two ends are 0 = inner, 1 = outer. Lengths cm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from hitloom.event import Event

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
MM_PER_CM = 10.0
_BLOCK = 1_000_000  # distances that are held at once


@dataclass(frozen=True, kw_only=True)
class ClusterGeometry:
    """Clusters of one view with enough hits to have ends and a direction.

    Attributes
    ----------
    row : (C,) int64
        Point of the event.
    num_hits : (C,) int64
    length : (C,) float64
        Diagonal of the box around the hits.
    ends, outward : (C, 2, 2) float64
        Coordinates of both ends, and the unit direction out of the cluster there.
    distance : (C, C) float64
        Between the closest hits of two clusters, 0 on the diagonal.
    end_distance : (C, 2, C) float64
        From an end of the first cluster to the closest hit of the second.
    """

    row: Ints
    num_hits: Ints
    length: Floats
    ends: Floats
    outward: Floats
    distance: Floats
    end_distance: Floats


def hit_positions(event: Event) -> tuple[Floats, Ints, Ints]:
    """Return coordinates (M, 2), cluster (M,) and wire pitch (M,) of the hits of a view, sorted by cluster."""
    order = np.argsort(event.part_point_index.numpy(), kind="stable")
    return (
        event.part_pos[:, [0, 2]].double().numpy()[order] / MM_PER_CM,
        event.part_point_index.numpy()[order],
        event.part_x[:, list(event.part_feature_names).index("pitch")].double().numpy()[order],
    )


def cluster_geometry(event: Event, *, min_hits: int, direction_length: float) -> ClusterGeometry:
    """Return the geometry of the clusters of at least ``min_hits`` hits.

    Parameters
    ----------
    direction_length
        The direction at an end is the principal axis of the hits of the cluster so near to it, cm.
    """
    place, cluster, pitch = hit_positions(event)
    num_hits = np.bincount(cluster, minlength=event.num_points)
    kept = num_hits >= min_hits
    inside = kept[cluster]
    place, pitch = place[inside], pitch[inside]
    row, hits = np.flatnonzero(kept), num_hits[kept]
    owner = np.repeat(np.arange(len(row)), hits)
    start = np.cumsum(hits) - hits
    low, high = _by_cluster(np.minimum, place, start), _by_cluster(np.maximum, place, start)
    at_end = np.stack([place[:, 1] < low[owner, 1] + pitch / 2, place[:, 1] > high[owner, 1] - pitch / 2], 1)
    ends = np.stack([_mean(place, at_end[:, end], owner, len(row)) for end in (0, 1)], 1)
    return ClusterGeometry(
        row=row,
        num_hits=hits,
        length=np.hypot(*(high - low).T),
        ends=ends,
        outward=_outward(place, owner, ends, direction_length),
        distance=_closest(place, hits, start),
        end_distance=_closest_hit(ends.reshape(-1, 2), place, start).reshape(len(row), 2, len(row)),
    )


def _by_cluster(ufunc: np.ufunc, values: Floats, start: Ints, axis: int = 0) -> Floats:
    return ufunc.reduceat(values, start, axis=axis) if len(start) else values


def _mean(values: Floats, weight: Bools, owner: Ints, number: int) -> Floats:
    whole = np.maximum(np.bincount(owner, weight, minlength=number), 1e-300)
    return np.stack([np.bincount(owner, weight * column, minlength=number) / whole for column in values.T], 1)


def _outward(place: Floats, owner: Ints, ends: Floats, reach: float) -> Floats:
    """Return the unit directions (C, 2, 2) out of the clusters at their ends: principal axes of the hits near to each.

    Of hits that all lie on one spot, the direction is along the wires.
    """
    number = len(ends)
    result = np.empty_like(ends)
    for end in (0, 1):
        near = np.hypot(*(place - ends[owner, end]).T) <= reach
        mean = _mean(place, near, owner, number)
        x, z = (place - mean[owner]).T
        xx, xz, zz = (np.bincount(owner, near * product, minlength=number) for product in (x * x, x * z, z * z))
        angle = np.arctan2(2 * xz, xx - zz) / 2
        axis = np.stack([np.cos(angle), np.sin(angle)], 1)
        side = (axis * (ends[:, end] - mean)).sum(1)
        result[:, end] = np.where(side < 0, -1.0, 1.0)[:, None] * axis
    return result


def _closest(place: Floats, hits: Ints, start: Ints) -> Floats:
    """Return the distances (C, C) between the closest hits of clusters, some clusters at a time."""
    number = len(start)
    result = np.zeros((number, number))
    first = 0
    while first < number:
        room = np.searchsorted(np.cumsum(hits[first:]), max(1, _BLOCK // max(1, len(place))), side="right")
        last = min(number, first + max(1, int(room)))
        rows = slice(start[first], start[last - 1] + hits[last - 1])
        columns = _closest_hit(place[rows], place, start)
        result[first:last] = np.minimum.reduceat(columns, start[first:last] - start[first], axis=0)
        first = last
    return result


def _closest_hit(point: Floats, place: Floats, start: Ints) -> Floats:
    """Return the distance (P, C) of each point to the closest hit of each cluster."""
    if not len(point) or not len(start):
        return np.zeros((len(point), len(start)))
    return np.sqrt(_by_cluster(np.minimum, cdist(point, place, "sqeuclidean"), start, axis=1))
