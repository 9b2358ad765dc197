"""Two groupings of the same views: differences with a paired bootstrap over slices, on the common views only.

Shape letters: B common views.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hitloom.metrics.hit_partition import PARTITION_DEFINITIONS
from hitloom.metrics.pruning_rates import resamples_of
from hitloom.metrics.summary import quotient_difference
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.showers.entries import by_slice


def differences(first: Mapping[str, Any], second: Mapping[str, Any], config: ShowerEvaluationConfig) -> dict[str, Any]:
    """Return ``second`` minus ``first`` in the mean of every rate, by group of hits.

    Views that one side lacks, or where one side has too few hits, are left out of both. Both are resampled with the
    same slices.
    """
    sides = [item["per_event"] for item in (first, second)]
    where = {event_id: row for row, event_id in enumerate(sides[0]["event_id"])}
    shared = [(where[name], row) for row, name in enumerate(sides[1]["event_id"]) if name in where]
    rows = np.array(shared, dtype=np.int64).reshape(-1, 2).T
    unit = np.asarray(sides[1]["unit"])[rows[1]]
    resamples = resamples_of(unit, num_resamples=config.num_resamples, seed=config.seed, what="slices")
    other_hits = sum(sides[0]["num_hits"][one] != sides[1]["num_hits"][other] for one, other in rows.T.tolist())
    result: dict[str, Any] = {
        "num_events": rows.shape[1],
        "num_events_of_other_hits": int(other_hits),
        "interval_kind": "none: one slice" if resamples is None else f"paired {resamples.text}",
        "rates": {},
    }
    for hits in second["per_event"]["rates"]:
        result["rates"][hits] = {}
        for name, definition in PARTITION_DEFINITIONS.items():
            values = [
                np.array([np.nan if value is None else value for value in side["rates"][hits][name]])[row]
                for side, row in zip(sides, rows, strict=True)
            ]
            both = np.isfinite(values[0]) & np.isfinite(values[1])
            events = np.arange(len(unit))
            parts = [(np.where(both, value, 0.0), both.astype(np.float64)) for value in values]
            if resamples is not None:
                parts = [(by_slice(top, events, resamples), by_slice(low, events, resamples)) for top, low in parts]
            entry = quotient_difference(parts, None if resamples is None else resamples.weights)
            result["rates"][hits][name] = entry | {"definition": definition}
    return result
