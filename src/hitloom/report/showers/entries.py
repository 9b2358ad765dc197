"""Entries of the metrics file: a mean or a quotient with the interval from resampling whole slices.

Shape letters: B views, S slices, R resamples, X rows of any kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.metrics.counts import divide
from hitloom.metrics.intervals import percentile_interval, quotient_samples
from hitloom.metrics.pruning_rates import Resamples
from hitloom.metrics.summary import number, pair
from hitloom.metrics.truth import FloatArray, IntArray


def by_slice(values: ArrayLike, event: IntArray, resamples: Resamples) -> FloatArray:
    """Return the sum over the rows of each slice, (S,); rows (X,) know their view."""
    rows = resamples.unit[event]
    sums = np.bincount(rows, np.asarray(values, dtype=np.float64), minlength=resamples.weights.shape[1])
    return sums.astype(np.float64)


def mean_entry(values: ArrayLike, event: IntArray, resamples: Resamples | None, definition: str) -> dict[str, Any]:
    """Return the entry of the mean of the rows (X,) that are numbers."""
    array = np.asarray(values, dtype=np.float64)
    known = np.isfinite(array)
    return quotient_entry(np.where(known, array, 0.0), known, event, resamples, definition)


def quotient_entry(
    top: ArrayLike, bottom: ArrayLike, event: IntArray, resamples: Resamples | None, definition: str
) -> dict[str, Any]:
    """Return the entry of sum of ``top`` (X,) / sum of ``bottom`` (X,); an undefined value is None, never 0."""
    high, low = (np.asarray(values, dtype=np.float64) for values in (top, bottom))
    value = number(float(divide(high.sum(), low.sum())))
    interval = None
    if resamples is not None and value is not None:
        samples = quotient_samples(by_slice(high, event, resamples), by_slice(low, event, resamples), resamples.weights)
        interval = pair(*percentile_interval(samples))
    return {
        "value": value,
        "numerator": float(high.sum()),
        "denominator": float(low.sum()),
        "interval": interval,
        "interval_kind": resamples.text if interval and resamples is not None else None,
        "definition": definition,
    }
