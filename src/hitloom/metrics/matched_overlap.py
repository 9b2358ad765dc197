"""What each matched object misses in its best candidate, what that candidate holds besides, and where the object lies.

The counting is that of :func:`hitloom.metrics.energy_overlap.energy_overlap` with the points of one match as a true
group. The weight of a point is its energy, or 1 where points have none. Points without an object weigh in candidates
only: noise is no group here.

Shape letters: N points, T objects that at least one point is matched to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.energy_overlap import PILEUP, SIGNAL, energy_overlap, match_groups, trackster_kind
from hitloom.metrics.truth import FloatArray, IntArray

CLASSES = {"signal": SIGNAL, "pileup": PILEUP}


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchedOverlap:
    """One entry an object.

    Attributes
    ----------
    missing, foreign, weight : (T,) float64
        dU, dO and the weight of the object: GeV, or points.
    eta, phi : (T,) float64
        Direction of the object's weighted centre, seen from the origin.
    kind : (T,) int64
        1 signal, 0 pile-up; all signal where the event does not say.
    """

    missing: FloatArray
    foreign: FloatArray
    weight: FloatArray
    eta: FloatArray
    phi: FloatArray
    kind: IntArray


def matched_overlap(event: Event, labels: Tensor) -> MatchedOverlap:
    """Return the overlap of every object with its best candidate.

    Raises
    ------
    DataError
        When the event has no truth, or the labels are of another event.
    """
    if not event.has_truth or labels.shape != (event.num_points,):
        raise DataError(f"{event.describe()}: truth, and a label for each of its points, were wanted")
    weight = event.energy.double().numpy() if "energy" in event else np.ones(event.num_points)
    index = event.object_index.numpy()
    groups = match_groups(index)
    found = energy_overlap(
        energy=weight,
        true_labels=groups,
        labels=labels.numpy(),
        kind=trackster_kind(index, event.object_is_signal.numpy() if "object_is_signal" in event else None),
    )
    num, place = len(found.energy), event.pos.double().numpy()
    share = np.maximum(weight, 1e-12)
    x, y, z = (np.bincount(groups, weights=share * place[:, axis], minlength=num) for axis in range(3))
    matched = np.zeros(num, dtype=np.bool_)
    matched[groups[index >= 0]] = True
    return MatchedOverlap(
        missing=found.missing[matched],
        foreign=found.foreign[matched],
        weight=found.energy[matched],
        eta=np.arcsinh(z / np.maximum(np.hypot(x, y), 1e-9))[matched],
        phi=np.arctan2(y, x)[matched],
        kind=found.kind[matched],
    )
