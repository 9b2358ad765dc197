"""One event and its result side by side, joined by point id and never by row.

Shape letters: N points of the event, R points of the result, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.result import Result


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What the result says of the event's points, in the event's order.

    Attributes
    ----------
    point_id : (N,) int64
    labels : (N,) int64
        -1 where unassigned or not in the result.
    in_input : (N,) bool
        Points that the network saw; False where the result lacks the point.
    rows : (R,) int64
        Row of the event of each point of the result.
    """

    point_id: NDArray[np.int64]
    labels: NDArray[np.int64]
    in_input: NDArray[np.bool_]
    rows: NDArray[np.int64]


def join(event: Event, result: Result) -> Joined:
    """Bring the labels of ``result`` into the order of ``event``.

    Raises
    ------
    DataError
        When the two are different events, or the result names a point twice or one that the event does not have.
    """
    if "event_id" in event and int(event.event_id) != result.event_id:
        raise DataError(
            f"{event.describe()}: the result is of event {result.event_id}; mend: give the same event store"
        )
    num_points = event.num_points
    point_id = event.point_id.cpu().numpy() if "point_id" in event else np.arange(num_points)
    given = result.point_id.cpu().numpy()
    if np.array_equal(point_id, given):
        rows = np.arange(num_points)
    else:
        rows = _rows_of(given, point_id, event.describe())
    labels = np.full(num_points, -1, dtype=np.int64)
    labels[rows] = result.labels.cpu().numpy()
    in_input = np.zeros(num_points, dtype=np.bool_)
    in_input[rows] = True if result.in_input is None else result.in_input.cpu().numpy()
    return Joined(point_id=point_id, labels=labels, in_input=in_input, rows=rows)


def _rows_of(given: NDArray[np.int64], point_id: NDArray[np.int64], where: str) -> NDArray[np.int64]:
    if np.unique(given).size != given.size:
        raise DataError(f"{where}: the result names a point twice; mend: run the inference again")
    order = np.argsort(point_id)
    place = np.minimum(np.searchsorted(point_id[order], given), max(len(order) - 1, 0))
    rows = order[place] if len(order) else np.zeros(given.size, dtype=np.int64)
    unknown = np.ones(given.size, dtype=np.bool_) if not len(order) else point_id[rows] != given
    if unknown.any():
        raise DataError(
            f"{where}: point {int(given[unknown][0])} of the result is not in the event ({int(unknown.sum())} such "
            f"points); mend: give the event store that the results were made from"
        )
    return rows
