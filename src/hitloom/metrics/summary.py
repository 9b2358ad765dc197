"""Counts per event to the entries of the metrics JSON: value, counts, intervals, event mean and definition.

Shape letters: B events, R resamples, F count names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.metrics.counts import FRACTIONAL, divide
from hitloom.metrics.definitions import DEFINITIONS, RATES, RateKey
from hitloom.metrics.intervals import (
    LEVEL,
    clopper_pearson,
    mean_and_standard_error,
    percentile_interval,
    quotient_samples,
)

Columns = Mapping[str, NDArray[Any]]


def number(value: float) -> int | float | None:
    """Return a number for JSON: NaN and infinities become None."""
    if isinstance(value, int | np.integer):
        return int(value)
    return float(value) if math.isfinite(value) else None


def pair(low: float, high: float) -> list[int | float | None] | None:
    """Return an interval for JSON, None where it is undefined."""
    return None if math.isnan(low) or math.isnan(high) else [number(low), number(high)]


def parts(rate: str, columns: Columns) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return numerator and denominator of a rate for each event, (B,) each."""
    item = RATES[rate]
    zero = np.zeros_like(next(iter(columns.values())))
    top = sum((c * columns[name] for name, c in item.numerator.items()), zero)
    bottom = sum((c * columns[name] for name, c in item.denominator.items()), zero)
    return np.asarray(top), np.asarray(bottom)


def bootstrap_text(num_events: int, num_resamples: int, seed: int) -> str:
    """Return how a bootstrap interval was made."""
    return f"bootstrap over {num_events} events, {LEVEL:.0%}, {num_resamples} resamples, seed {seed}".replace("%", " %")


def rate_entry(
    key: RateKey, columns: Columns, weights: NDArray[np.float64] | None, bootstrap_kind: str | None
) -> dict[str, Any]:
    """Return the entry of one rate.

    Parameters
    ----------
    columns : mapping
        Count name -> (B,).
    weights : (R, B) or None
        Resampling weights; None with one event.
    bootstrap_kind : str or None
        Text of the bootstrap interval.
    """
    item = RATES[key.rate]
    per_event_top, per_event_bottom = parts(key.rate, columns)
    top, bottom = per_event_top.sum(), per_event_bottom.sum()
    fractional = any(name in FRACTIONAL for name in item.numerator)
    numerator = float(top) if fractional else round(float(top))
    denominator = round(float(bottom))
    event_interval = None
    if weights is not None:
        samples = quotient_samples(per_event_top, per_event_bottom, weights)
        event_interval = pair(*percentile_interval(samples))
    if item.proportion:
        low, high = clopper_pearson(numerator, denominator)
        interval, kind = pair(float(low), float(high)), "clopper-pearson 68 %"
    else:
        interval, kind = event_interval, bootstrap_kind or "none: one event, not a proportion"
    mean, error, num_defined = mean_and_standard_error(divide(per_event_top, per_event_bottom))
    return {
        "value": number(numerator / denominator) if denominator else None,
        "numerator": numerator,
        "denominator": denominator,
        "interval": interval,
        "interval_kind": kind,
        "event_interval": event_interval,
        "event_interval_kind": bootstrap_kind,
        "event_mean": number(mean),
        "event_mean_standard_error": number(error),
        "event_mean_num_events": num_defined,
        "definition": DEFINITIONS[key.key],
    }


def difference_entry(first: float, second: float, samples: NDArray[np.float64] | None) -> dict[str, Any]:
    """Return ``second`` minus ``first`` with the 68 % interval of its resamples (R,), None = no resamples.

    ``fraction_above_zero`` is the share of the resamples with a positive difference.
    """
    result: dict[str, Any] = {
        "first": number(first),
        "second": number(second),
        "difference": number(second - first),
        "interval": None,
        "fraction_above_zero": None,
    }
    if samples is not None:
        result["interval"] = pair(*percentile_interval(samples))
        finite = samples[np.isfinite(samples)]
        result["fraction_above_zero"] = float((finite > 0).mean()) if finite.size else None
    return result


def quotient_difference(
    sides: Sequence[tuple[NDArray[Any], NDArray[Any]]], weights: NDArray[np.float64] | None
) -> dict[str, Any]:
    """Return the entry of a difference of pooled quotients, both resampled with the same events.

    Parameters
    ----------
    sides : numerator and denominator (B,) of the first, then of the second
    weights : (R, B) or None
        None with one event.
    """
    values = [float(divide(top.sum(), bottom.sum())) for top, bottom in sides]
    samples = None
    if weights is not None:
        samples = quotient_samples(*sides[1], weights) - quotient_samples(*sides[0], weights)
    return difference_entry(values[0], values[1], samples)


def proportion_entry(numerator: int, denominator: int, definition: str) -> dict[str, Any]:
    """Return the entry of a proportion that is no rate of the table (loss budget, graph quality)."""
    low, high = clopper_pearson(numerator, denominator)
    return {
        "value": numerator / denominator if denominator else None,
        "numerator": int(numerator),
        "denominator": int(denominator),
        "interval": pair(float(low), float(high)),
        "interval_kind": "clopper-pearson 68 %",
        "definition": definition,
    }


def score_entry(
    earned: NDArray[np.float64],
    total: NDArray[np.float64],
    names: list[str],
    weights: NDArray[np.float64] | None,
    bootstrap_kind: str | None,
) -> dict[str, Any]:
    """Return the entry of the TrackML score: the mean over events that have weights."""
    scores = divide(earned, total)
    mean, error, num_defined = mean_and_standard_error(scores)
    interval = None
    if weights is not None:
        defined = np.isfinite(scores)
        interval = pair(*percentile_interval(quotient_samples(np.where(defined, scores, 0.0), defined, weights)))
    return {
        "value": number(mean),
        "numerator": float(earned.sum()),
        "denominator": float(total.sum()),
        "standard_error": number(error),
        "num_events": num_defined,
        "interval": interval,
        "interval_kind": bootstrap_kind if interval else None,
        "weights": sorted(set(names)),
        "definition": DEFINITIONS["trackml_score"],
    }
