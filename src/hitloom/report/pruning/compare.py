"""Two prunings of the same tracksters: differences with a paired bootstrap.

Shape letters: G tracksters, B resampled units, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hitloom.metrics.pruning_counts import Counts, group_masks
from hitloom.metrics.pruning_rates import RATE_DEFINITIONS, rate_values, resampled_counts, resamples_of
from hitloom.metrics.summary import difference_entry
from hitloom.report.pruning.config import PruningEvaluationConfig


def differences(first: Mapping[str, Any], second: Mapping[str, Any], config: PruningEvaluationConfig) -> dict[str, Any]:
    """Return ``second`` minus ``first`` in every rate that both have, by group of tracksters.

    Both are resampled with the same units, so fluctuations of the tracksters cancel. Tracksters that one side lacks
    are left out of both.

    Returns
    -------
    dict
        ``rates[group][rate]`` with ``first``, ``second``, ``difference``, ``interval`` (68 %, None with one unit),
        ``fraction_above_zero`` and ``definition``.
    """
    sides = [item["per_event"] for item in (first, second)]
    where = {event_id: row for row, event_id in enumerate(sides[0]["event_id"])}
    shared = [(where[name], row) for row, name in enumerate(sides[1]["event_id"]) if name in where]
    rows = np.array(shared, dtype=np.int64).reshape(-1, 2).T
    counts: list[Counts] = [
        {name: np.asarray(values)[row] for name, values in side["counts"].items()}
        for side, row in zip(sides, rows, strict=True)
    ]
    unit = np.asarray(sides[1]["unit"])[rows[1]]
    what = "tracksters" if len(np.unique(unit)) == len(unit) else "collisions"
    resamples = resamples_of(unit, num_resamples=config.num_resamples, seed=config.seed, what=what)
    result: dict[str, Any] = {
        "num_events": rows.shape[1],
        "interval_kind": "none: one unit" if resamples is None else f"paired {resamples.text}",
        "rates": {},
    }
    for group, mask in group_masks(counts[1]).items():
        values = [rate_values({name: item[mask].sum(keepdims=True) for name, item in side.items()}) for side in counts]
        samples = None
        if resamples is not None:
            samples = [rate_values(resampled_counts(side, mask, resamples)) for side in counts]
        result["rates"][group] = {
            name: difference_entry(
                float(values[0][name][0]),
                float(values[1][name][0]),
                None if samples is None else samples[1][name] - samples[0][name],
            )
            | {"definition": RATE_DEFINITIONS[name]}
            for name in values[0]
            if name in values[1]
        }
    return result
