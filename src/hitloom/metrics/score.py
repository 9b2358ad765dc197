"""The TrackML weighted score (S. Amrouche et al., arXiv:1904.06778).

A good track holds more than half of its own hits and more than half of its majority particle's hits, n_p counted in
the whole event; it earns the weights of the shared hits. Unassigned hits (-1) are no track. No minimum length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.matching import Contingency, check_labels, contingency, match_tracks
from hitloom.metrics.truth import EventTruth


@dataclass(frozen=True, kw_only=True)
class Score:
    """Weight earned and weight of the event; which weights these are is ``EventTruth.weight_name``."""

    earned: float
    total: float

    @property
    def value(self) -> float:
        """Score within 0..1; NaN where the event has no weight."""
        return self.earned / self.total if self.total > 0 else math.nan


def trackml_score(labels: ArrayLike, truth: EventTruth, *, table: Contingency | None = None) -> Score:
    """Score one event.

    Parameters
    ----------
    labels : (N,) int
        Track of each hit, -1 = unassigned.
    truth : EventTruth
        With ``weight``.
    table : Contingency or None
        The event's contingency in the original universe, when it is at hand.

    Raises
    ------
    DataError
        When the truth has no weights, or a weight is negative or not finite.

    Examples
    --------
    >>> truth = EventTruth.from_particle_ids([5, 5, 5, 9, 9, 0], weight=[1, 1, 1, 1, 1, 0])
    >>> trackml_score([0, 0, -1, 1, -1, 1], truth).value
    0.4
    """
    if truth.weight is None:
        raise DataError("the TrackML score needs a weight for each hit; mend: EventTruth(weight=hit_weights(...))")
    if not np.isfinite(truth.weight).all() or (truth.weight < 0).any():
        raise DataError("weight: finite values from 0 were wanted")
    labels = check_labels(labels, truth.num_hits)
    if table is None:
        table = contingency(labels, truth)
    match = match_tracks(table, "double_majority", min_track_hits=1)
    assigned = labels >= 0
    track = np.searchsorted(table.track_id, labels[assigned])
    owner = truth.object_index[assigned]
    shared = (owner >= 0) & (match.track_particle[track] == owner)
    total = float(truth.weight.sum()) if truth.total_weight is None else float(truth.total_weight)
    return Score(earned=float(truth.weight[assigned][shared].sum()), total=total)
