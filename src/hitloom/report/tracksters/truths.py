"""One event seen by each truth: with SimClusters and with CaloParticles as objects.

Shape letters: N tracksters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.data.trackster_truth import as_calo_particles, truth_type
from hitloom.errors import DataError
from hitloom.event import Event

NEEDED = ("pos", "energy", "object_index", "object_id", "edge_index", "edge_y", "match_score", "match_energy")
TRUTHS = {
    "SC": "SimClusters: particles as they enter the calorimeter",
    "CP": "CaloParticles: all SimClusters of one origin summed",
}


def truths_of(event: Event, wanted: Sequence[str]) -> dict[str, Event]:
    """Return truth -> the event with its objects, the one that the event is stored with first.

    The stored truth is always there. Events that hold CaloParticles cannot be taken apart again, and events that do not
    know the origin of their objects cannot be summed: then there is one.

    Raises
    ------
    DataError
        When a field that the evaluation needs is missing.
    """
    for name in NEEDED:
        if name not in event:
            raise DataError(
                f"{event.describe()}: field '{name}' is needed to evaluate a linking and not in the event; mend: give "
                "the event store with truth"
            )
    stored = truth_type(event)
    found = {stored: event}
    if "CP" in wanted and stored == "SC" and "object_parent" in event:
        found["CP"] = as_calo_particles(event)
    return found


def every_label(labels: ArrayLike) -> NDArray[np.int64]:
    """Return labels (N,) from 0 without gaps; a trackster with label -1 is a candidate of its own.

    Examples
    --------
    >>> every_label([7, -1, 7, -1]).tolist()
    [0, 1, 0, 2]
    """
    given = np.array(labels, dtype=np.int64)
    loose = given < 0
    given[loose] = given.max(initial=-1) + 1 + np.arange(loose.sum())
    return np.unique(given, return_inverse=True)[1].astype(np.int64)


class Fingerprint:
    """A hash of the truth that numbers are counted on, whatever the order of the events."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, event_id: int, event: Event) -> None:
        """Take in one event."""
        digest = hashlib.sha256(str(event_id).encode())
        for name in ("energy", "object_index", "object_id", "edge_index", "edge_y", "part_share_fraction"):
            if name in event:
                digest.update(np.ascontiguousarray(event[name].numpy()).tobytes())
        self._parts.append(digest.hexdigest())

    def result(self) -> str:
        """Return 16 hexadecimal digits."""
        return hashlib.sha256("".join(sorted(self._parts)).encode()).hexdigest()[:16]
