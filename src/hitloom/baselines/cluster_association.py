"""How two 2D clusters belong together by their distances: the rules of classic shower growing (PandoraPFA/LArContent).

A cluster runs forward when the vertex lies before its inner end, backward when it lies before its outer end, and is
undecided when both or none holds. It begins where it is nearest to the vertex: at the inner end when it runs forward,
at the outer end when backward; an undecided one may begin at either.

Shape letters: C clusters. Ends are 0 = inner, 1 = outer. Lengths cm.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hitloom.baselines.cluster_geometry import Bools, ClusterGeometry, Floats

NONE, SINGLE, STANDARD, STRONG = range(4)
"""Kinds of association, the better the higher; ``SINGLE`` holds next to the seed only."""


def begins_at(geometry: ClusterGeometry, *, tan_angle: float, apex_shift: float) -> Bools:
    """Return whether each cluster may begin at each end (C, 2); both = undecided.

    The vertex lies before an end when it is in the cone that opens there along the line through both ends. The apex
    lies inside the cluster, by ``apex_shift`` times the distance of the ends; ``tan_angle`` is the half opening.
    """
    line = geometry.ends[:, 1] - geometry.ends[:, 0]
    length = np.hypot(*line.T)[:, None, None]
    unit = line[:, None] / np.where(length > 0, length, 1.0)
    out = np.concatenate([-unit, unit], 1)  # (C, 2, 2)
    to_vertex = -(geometry.ends - apex_shift * length * out)
    along, across = _split(to_vertex, out)
    before = (along > 0) & (across < tan_angle * along)
    decided = before[:, 0] != before[:, 1]
    return np.where(decided[:, None], before, True)


def points_to_vertex(
    geometry: ClusterGeometry, *, transverse: float, low: float, high: float, allowance: float
) -> Bools:
    """Return which clusters (C,) touch the vertex with an end or point back at it.

    Along the direction out of an end, the vertex lies between ``low`` and ``high``, and across it less than
    ``transverse`` away, plus what an angle of ``allowance`` (degrees) adds on the way.
    """
    along, across = _split(-geometry.ends, geometry.outward)
    widening = math.tan(math.radians(allowance)) * np.maximum(along, 0.0)
    held = (along > low) & (along < high) & (across < transverse + widening)
    return held[:, 0] | held[:, 1]


def _split(vector: Floats, unit: Floats) -> tuple[Floats, Floats]:
    """Return the lengths of vectors (..., 2) along unit vectors and across."""
    along = (vector * unit).sum(-1)
    return along, np.abs(vector[..., 0] * unit[..., 1] - vector[..., 1] * unit[..., 0])


def associations(geometry: ClusterGeometry, begins: Bools, *, nearby: float, remote: float) -> NDArray[np.int8]:
    """Return the association (C, C) of a cluster in a shower (row) with a candidate (column).

    ``begins`` is that of :func:`begins_at`. In this order, where no rule holds or the closest hits are more than
    ``remote`` apart there is none:

    - strong, enclosed: both ends of the candidate are near the cluster, and where the cluster begins is not near the
      candidate;
    - strong, overlapping: both run the same way, and one end of the candidate and the other end of the cluster are near
      the other;
    - standard, a branch: the candidate begins near the cluster, and where the cluster begins is more than ``remote``
      from the candidate;
    - single: any of the four ends is near the other cluster.

    Near = closer than ``nearby``. Where a cluster is undecided, both of its ends count as its begin: all of them must
    be far, one of them near is enough.
    """
    end = geometry.end_distance
    mine = end.transpose(1, 0, 2)  # (2, C, C): from an end of the row to the column
    theirs = end.transpose(1, 2, 0)  # from an end of the column to the row
    near, their_near = mine < nearby, theirs < nearby
    begin_mine, begin_theirs = begins.T[:, :, None], begins.T[:, None, :]
    begin_apart = (~begin_mine | (mine > nearby)).all(0)
    begin_remote = (~begin_mine | (mine > remote)).all(0)
    same_way = (begins[:, None] == begins[None]).all(2)
    enclosed = their_near.all(0) & begin_apart
    overlapping = same_way & ((their_near[0] & near[1]) | (their_near[1] & near[0]))
    branch = (begin_theirs & their_near).any(0) & begin_remote
    result = np.full(geometry.distance.shape, NONE, np.int8)
    result[(near | their_near).any(0)] = SINGLE
    result[branch] = STANDARD
    result[enclosed | overlapping] = STRONG
    result[geometry.distance > remote] = NONE
    np.fill_diagonal(result, NONE)
    return result
