"""Labels of one event at every working point of the scan, from one neighbour graph.

Shape letters: N points of the event, R points of the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitloom.errors import DataError
from hitloom.metrics.scan import WorkingPoint
from hitloom.report.join import Joined
from hitloom.result import Result


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Radii and core sizes to scan; ``stored`` is the working point of the stored labels, part of the grid."""

    eps: tuple[float, ...]
    min_samples: tuple[int, ...]
    stored: WorkingPoint | None

    @classmethod
    def build(cls, eps: tuple[float, ...], min_samples: tuple[int, ...], stored: WorkingPoint | None) -> Grid:
        """Return the grid with the stored working point added where it lies off it."""
        if stored is None:
            return cls(eps=tuple(sorted(eps)), min_samples=tuple(sorted(min_samples)), stored=None)
        near = [value for value in eps if math.isclose(value, stored.eps, rel_tol=1e-6)]
        place = near[0] if near else stored.eps
        return cls(
            eps=tuple(sorted({*eps, place})),
            min_samples=tuple(sorted({*min_samples, stored.min_samples})),
            stored=WorkingPoint(place, stored.min_samples),
        )


def labels_on_grid(result: Result, joined: Joined, grid: Grid) -> dict[WorkingPoint, NDArray[np.int64]]:
    """Return the labels (N,) at every working point, in the order of the event's points.

    Points outside the network's input, and points without a finite embedding, stay unassigned.

    Raises
    ------
    DataError
        When the result has no embedding.
    """
    from hitloom.grouping.dbscan import DBSCANScan

    if result.embedding is None:
        raise DataError(f"event {result.event_id}: the result has no embedding to scan; mend: --no-scan")
    embedding = result.embedding.detach().cpu().float()
    inside = embedding.isfinite().all(dim=1)
    if result.in_input is not None:
        inside &= result.in_input.cpu()
    rows = joined.rows[inside.numpy()]
    scan = DBSCANScan(embedding[inside], eps_max=grid.eps[-1])
    labels: dict[WorkingPoint, NDArray[np.int64]] = {}
    for eps in grid.eps:
        for number in grid.min_samples:
            column = np.full(len(joined.labels), -1, dtype=np.int64)
            column[rows] = scan.labels(eps, number).cpu().numpy()
            labels[WorkingPoint(eps, number)] = column
    return labels


def same_partition(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Return whether two labellings (N,) group the same points, whatever the numbers of the groups.

    Examples
    --------
    >>> same_partition(np.array([3, 3, -1]), np.array([0, 0, -1]))
    True
    """
    if not np.array_equal(first < 0, second < 0):
        return False
    pairs = np.stack([first, second])[:, first >= 0]
    joint = np.unique(pairs, axis=1).shape[1] if pairs.size else 0
    return joint == np.unique(pairs[0]).size == np.unique(pairs[1]).size
