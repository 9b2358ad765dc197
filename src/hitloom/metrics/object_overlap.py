"""What each true object misses in its best candidate, and what that candidate holds besides.

For an object T and the candidate P* that shares most weight with it: missing dU = w(T) - w(T and P*), foreign
dO = w(P*) - w(T and P*). The weight of a point is its energy, or 1 where points have none. A point without a candidate
is a candidate of its own. Points without an object weigh in candidates only.

Shape letters: N points, K objects with at least one point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hitloom.errors import DataError
from hitloom.event import Event

FloatArray = NDArray[np.float64]
CLASSES = ("signal", "pile-up")


@dataclass(frozen=True, kw_only=True)
class ObjectOverlap:
    """One entry an object.

    Attributes
    ----------
    missing, foreign, weight : (K,) float64
        GeV, or points.
    eta, phi : (K,) float64
        Direction of the object's weighted centre, seen from the origin.
    kind : (K,) int64
        Row of :data:`CLASSES`; signal where the event does not say.
    """

    missing: FloatArray
    foreign: FloatArray
    weight: FloatArray
    eta: FloatArray
    phi: FloatArray
    kind: NDArray[np.int64]


def object_overlap(event: Event, labels: Tensor) -> ObjectOverlap:
    """Return the overlap of every object that has a point with its best candidate; of equal ones, the lowest.

    Raises
    ------
    DataError
        When the event has no truth, or the labels are of another event.
    """
    if not event.has_truth or labels.shape != (event.num_points,):
        raise DataError(f"{event.describe()}: truth, and a label for each of its points, were wanted")
    owner = event.object_index.numpy()
    groups = labels.numpy().astype(np.int64)
    alone = groups < 0
    groups = np.where(alone, int(groups.max(initial=-1)) + 1 + np.cumsum(alone) - 1, groups)
    weight = event.energy.double().numpy() if "energy" in event else np.ones(len(owner))
    held = np.bincount(groups, weights=weight)
    known = np.flatnonzero(owner >= 0)
    objects, row = np.unique(owner[known], return_inverse=True)
    num = len(objects)
    width = len(held)
    pairs, place = np.unique(row.astype(np.int64) * width + groups[known], return_inverse=True)
    shared: FloatArray = np.bincount(place, weights=weight[known], minlength=len(pairs)).astype(np.float64)
    order = np.lexsort((pairs % max(width, 1), -shared, pairs // max(width, 1)))
    first = order[np.unique(pairs[order] // max(width, 1), return_index=True)[1]]
    total: FloatArray = np.bincount(row, weights=weight[known], minlength=num).astype(np.float64)
    pos = event.pos.double().numpy()[known]
    share = np.maximum(weight[known], 1e-12)
    centre = np.stack([np.bincount(row, weights=share * pos[:, axis], minlength=num) for axis in range(3)], axis=1)
    transverse = np.maximum(np.hypot(centre[:, 0], centre[:, 1]), 1e-9)
    kind = np.zeros(num, dtype=np.int64)
    if "object_is_signal" in event:
        kind = (~event.object_is_signal.numpy()[objects]).astype(np.int64)
    return ObjectOverlap(
        missing=total - shared[first],
        foreign=held[pairs[first] % max(width, 1)] - shared[first],
        weight=total,
        eta=np.arcsinh(centre[:, 2] / transverse),
        phi=np.arctan2(centre[:, 1], centre[:, 0]),
        kind=kind,
    )
