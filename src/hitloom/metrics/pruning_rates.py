"""Rates of pruning with intervals: over all tracksters, in groups, by size and by what there is to prune.

The interval of a share of tracksters is Clopper-Pearson's; that of a quotient of sums over layer clusters comes from
resampling whole tracksters, or all tracksters of a collision together where collisions are known.

Shape letters: G tracksters, B resampled units (tracksters or collisions), R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.metrics.counts import divide
from hitloom.metrics.intervals import mean_and_standard_error, percentile_interval, resampling_weights
from hitloom.metrics.pruning_counts import (
    CONFUSION,
    ENERGY_SUM_DEFINITION,
    PRUNING_RATES,
    Counts,
    PruningRate,
    num_points,
    num_to_prune,
    rate_parts,
)
from hitloom.metrics.pruning_particles import PARTICLE_RATES
from hitloom.metrics.summary import bootstrap_text, number, pair, proportion_entry
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

LOG_LIMIT = 1e-12
LOG_RATES: dict[str, PruningRate] = {
    "log_likelihood": PruningRate(
        ("log_likelihood",),
        CONFUSION,
        f"mean over layer clusters of ln P(truth), each P at least {LOG_LIMIT:g}; 0 is perfect, -0.693 is a coin",
    )
}
ALL_RATES: dict[str, PruningRate] = {**PRUNING_RATES, **PARTICLE_RATES, **LOG_RATES}
RATE_DEFINITIONS: dict[str, str] = {
    **{name: rate.definition for name, rate in ALL_RATES.items()},
    "energy_sum": ENERGY_SUM_DEFINITION,
}
PER_TRACKSTER = (
    "label_purity_before",
    "label_purity_after",
    "purity_before",
    "purity_after",
    "completeness_before",
    "completeness_after",
)
"""Rates that are also given as the mean over tracksters, each counting the same."""
SIZE_BINS: tuple[tuple[int, int | None], ...] = ((1, 1), (2, 3), (4, 7), (8, 15), (16, 31), (32, 63), (64, None))
SHARE_STEP = 0.05


class Resamples(NamedTuple):
    """How often each unit is drawn, the unit of each trackster, and the method in words."""

    weights: NDArray[np.float64]  # (R, B)
    unit: IntArray  # (G,)
    text: str


@lru_cache(maxsize=2)
def _weights(num_units: int, num_resamples: int, seed: int) -> NDArray[np.float64]:
    return resampling_weights(num_units, num_resamples=num_resamples, seed=seed)


def resamples_of(unit: ArrayLike, *, num_resamples: int, seed: int, what: str = "tracksters") -> Resamples | None:
    """Return the resamples of units, None where there are fewer than two; equal input gives equal resamples.

    Parameters
    ----------
    unit : (G,) int
        Any number that tracksters share which are resampled together.
    what : str
        What a unit is, in words.
    """
    found, row = np.unique(np.asarray(unit), return_inverse=True)
    if len(found) < 2:
        return None
    text = bootstrap_text(len(found), num_resamples, seed).replace("events", what)
    return Resamples(_weights(len(found), num_resamples, seed), row.astype(np.int64), text)


def by_unit(columns: NDArray[Any], resamples: Resamples) -> FloatArray:
    """Return (B, C): columns (G, C) summed over the tracksters of each unit."""
    result = np.zeros((resamples.weights.shape[1], columns.shape[1]))
    np.add.at(result, resamples.unit, columns)
    return result


def known_rates(counts: Mapping[str, Any]) -> dict[str, PruningRate]:
    """Return the rates whose counts are there."""
    return {
        name: rate
        for name, rate in ALL_RATES.items()
        if all(part in counts for part in (*rate.numerator, *rate.denominator))
    }


def rate_values(counts: Counts) -> dict[str, FloatArray]:
    """Return every rate that the counts allow, of the shape of a count; NaN where nothing stands beneath.

    Examples
    --------
    >>> counts = {name: np.array([1.0]) for name in CONFUSION}
    >>> {name: float(values[0]) for name, values in rate_values(counts).items()}
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'accuracy': 0.5}
    """
    values = {name: divide(*rate_parts(rate, counts)) for name, rate in known_rates(counts).items()}
    if "energy_retained" in values:
        values["energy_sum"] = values["energy_retained"] + values["energy_pruned"]
    return values


def resampled_counts(counts: Counts, mask: BoolArray, resamples: Resamples) -> Counts:
    """Return the summed counts of the tracksters of ``mask`` (G,) in each resample, (R,) each."""
    columns = np.stack([np.where(mask, values, 0) for values in counts.values()], axis=1)
    sums = resamples.weights @ by_unit(columns, resamples)
    return dict(zip(counts, sums.T, strict=True))


def rate_entries(counts: Counts, mask: BoolArray, resamples: Resamples | None) -> dict[str, dict[str, Any]]:
    """Return rate -> value, numerator, denominator, interval, its kind and definition, for the tracksters of a mask.

    An undefined value is None, never 0. Rates of :data:`PER_TRACKSTER` have ``trackster_mean`` and
    ``trackster_mean_standard_error`` besides.
    """
    pooled: Counts = {name: values[mask].sum(keepdims=True) for name, values in counts.items()}
    values = rate_values(pooled)
    samples = {} if resamples is None else rate_values(resampled_counts(counts, mask, resamples))
    rates, entries = known_rates(counts), {}
    for name, value in values.items():
        rate = rates.get(name)
        interval = pair(*percentile_interval(samples[name])) if resamples is not None else None
        kind = resamples.text if interval and resamples is not None else None
        if rate is not None and rate.of_tracksters:
            top, bottom = (round(float(part[0])) for part in rate_parts(rate, pooled))
            entries[name] = proportion_entry(top, bottom, rate.definition)
            entries[name] |= {"event_interval": interval, "event_interval_kind": kind}
            continue
        parts = [None, None] if rate is None else [float(part[0]) for part in rate_parts(rate, pooled)]
        defined = number(float(value[0]))
        entries[name] = {
            "value": defined,
            "numerator": parts[0],
            "denominator": parts[1],
            "interval": interval if defined is not None else None,
            "interval_kind": kind if defined is not None else None,
            "definition": RATE_DEFINITIONS[name],
        }
        if rate is not None and name in PER_TRACKSTER:
            each = divide(*(part[mask] for part in rate_parts(rate, counts)))
            mean, error, _ = mean_and_standard_error(each)
            entries[name] |= {"trackster_mean": number(mean), "trackster_mean_standard_error": number(error)}
    return entries


def by_size(counts: Counts, resamples: Resamples | None) -> list[dict[str, Any]]:
    """Return the rates of tracksters by their number of layer clusters, one entry for each bin of :data:`SIZE_BINS`."""
    return [_bin(*place, counts, resamples) for place in size_masks(num_points(counts))]


def size_masks(num_points: IntArray) -> list[tuple[str, int, int | None, BoolArray]]:
    """Return label, ends and mask (G,) of each bin of :data:`SIZE_BINS`."""
    bins = []
    for low, high in SIZE_BINS:
        text = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        bins.append((text, low, high, (num_points >= low) & (num_points <= (np.inf if high is None else high))))
    return bins


def by_share(counts: Counts, resamples: Resamples | None) -> list[dict[str, Any]]:
    """Return the rates of tracksters by the share of their layer clusters to prune: none, then steps of 5 %.

    A bin holds its upper end, not its lower one.
    """
    share = divide(num_to_prune(counts), num_points(counts))
    bins = [_bin("none", 0.0, 0.0, share == 0, counts, resamples)]
    edges = np.round(np.arange(0, 1 + SHARE_STEP / 2, SHARE_STEP), 10)
    for low, high in pairwise(edges):
        mask = (share > low) & (share <= high)
        bins.append(_bin(f"{100 * low:g}-{100 * high:g} %", float(low), float(high), mask, counts, resamples))
    return bins


def _bin(
    text: str, low: float, high: float | None, mask: BoolArray, counts: Counts, resamples: Resamples | None
) -> dict[str, Any]:
    return {
        "label": text,
        "low": low,
        "high": high,
        "num_tracksters": int(mask.sum()),
        "num_layer_clusters": int(num_points(counts)[mask].sum()),
        "rates": rate_entries(counts, mask, resamples),
    }
