"""Time of each stage against the size of the event: table and numbers, from what the results store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

TOTAL = "total"
DEFINITION = (
    "wall seconds of each stage of the inference of one event, as stored with the results; a stage may contain others; "
    "total as stored, else the sum of the stages; reading and writing of files not included"
)


def timing_of(metrics: Mapping[str, Any], hardware: str | None) -> dict[str, Any] | None:
    """Return the timing block of a result, or None where no event has times.

    Parameters
    ----------
    metrics : mapping
        Result of :class:`hitloom.metrics.Evaluator`.
    hardware : str or None
        Where the inference ran, in words; None = not recorded.
    """
    events = metrics["per_event"]
    timed = [(n, times) for n, times in zip(events["num_points"], events["timing"], strict=True) if times]
    if not timed:
        return None
    names: list[str] = []
    for _, times in timed:
        names += [name for name in times if name not in names and name != TOTAL]
    seconds = {name: [times.get(name, math.nan) for _, times in timed] for name in names}
    seconds[TOTAL] = [times.get(TOTAL, sum(times.values())) for _, times in timed]
    return {
        "definition": DEFINITION,
        "hardware": hardware,
        "num_events": len(timed),
        "num_points": [number for number, _ in timed],
        "seconds": seconds,
        "stages": {name: _summary(values) for name, values in seconds.items()},
    }


def _summary(values: list[float]) -> dict[str, Any]:
    array = np.asarray(values, dtype=float)
    known = array[np.isfinite(array)]
    if not known.size:
        return {"mean": None, "median": None, "max": None, "num_events": 0}
    return {
        "mean": float(known.mean()),
        "median": float(np.median(known)),
        "max": float(known.max()),
        "num_events": int(known.size),
    }
