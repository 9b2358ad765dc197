"""Binned counts: against pt, eta, phi, vertex radius and number of hits, with nothing dropped.

Every axis keeps an underflow, an overflow and an entry for values that are not numbers, so the entries sum to the
total; per-track counts have one more entry for tracks owned by noise. The quantity of the axis is not cut.

Shape letters: K particles, C tracks, H bins; a histogram has H + 4 entries: under, H bins, over, undefined, noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import ConfigError
from hitloom.metrics.counts import PARTICLE_COUNTS, Rows, divide, rows_of
from hitloom.metrics.definitions import DEFINITIONS, RATES
from hitloom.metrics.intervals import clopper_pearson
from hitloom.metrics.matching import Contingency, Match
from hitloom.metrics.selection import Selection, quantity
from hitloom.metrics.track_kinematics import TrackKinematics
from hitloom.metrics.truth import EventTruth, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Bins of one particle quantity: ``edges[i] <= value < edges[i+1]``.

    Raises
    ------
    ConfigError
        When edges do not rise.
    """

    name: str
    edges: tuple[float, ...]
    unit: str = ""
    log: bool = False

    def __post_init__(self) -> None:
        if len(self.edges) < 2 or not all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ConfigError(f"axis '{self.name}': at least two rising edges were wanted")

    @property
    def num_bins(self) -> int:
        return len(self.edges) - 1

    def bin_of(self, values: FloatArray) -> IntArray:
        """Return the entry of each value: 0 under, 1..H, H+1 over, H+2 undefined. phi is taken in [-pi, pi)."""
        values = np.asarray(values, dtype=np.float64)
        if self.name == "phi":
            values = (values + np.pi) % (2 * np.pi) - np.pi
        entry = np.searchsorted(np.asarray(self.edges), values, side="right")
        return np.where(np.isnan(values), self.num_bins + 2, entry).astype(np.int64)


def _linear(name: str, low: float, high: float, num_bins: int, unit: str = "") -> Axis:
    return Axis(name=name, edges=tuple(float(e) for e in np.linspace(low, high, num_bins + 1)), unit=unit)


DEFAULT_AXES: tuple[Axis, ...] = (
    Axis(name="pt", edges=tuple(float(e) for e in np.geomspace(1.0, 50.0, 10)), unit="GeV", log=True),
    _linear("eta", -4.0, 4.0, 49),
    _linear("phi", -float(np.pi), float(np.pi), 32, "rad"),
    Axis(
        name="vertex_radius",
        edges=(0.0, 0.1, 1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1000.0),
        unit="mm",
    ),
    Axis(
        name="vertex_z",
        edges=(-200.0, -100.0, -50.0, -20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0),
        unit="mm",
    ),
    Axis(name="num_points", edges=tuple(float(n) for n in range(1, 22))),
)
FITTED_AXES = ("pt", "eta", "phi")

_BY_OWNER = ("num_tracks", "num_selected_tracks", "num_matched_tracks", "num_selected_matched_tracks")
_BY_FIT = ("num_track_side", "num_track_side_matched")
# Rate -> what its axis means.
CURVE_RATES: dict[str, str] = {
    "efficiency": "target particle",
    "duplicate_per_particle": "target particle",
    "fake_per_track": "majority owner of the track",
    "fake_per_selected_track": "majority owner of the track",
    "fake_per_fitted_track": "fitted value of the track",
}

Histograms = dict[str, IntArray]


def num_entries(axis: Axis) -> int:
    """Return the length of a histogram on this axis."""
    return axis.num_bins + 4


def has_axis(truth: EventTruth, axis: Axis) -> bool:
    """Return whether the truth knows the axis's quantity."""
    if axis.name == "num_points" or axis.name in truth.extra:
        return True
    return axis.name in ("pt", "eta", "phi", "vertex_radius", "vertex_z") and getattr(truth, axis.name) is not None


def binned(
    table: Contingency,
    truth: EventTruth,
    selection: Selection,
    matches: Mapping[str, Match],
    axis: Axis,
    *,
    kinematics: TrackKinematics | None = None,
) -> dict[str, Histograms]:
    """Return matching -> count name -> histogram (H + 4,) of one event.

    Particle counts fall in the bin of the particle; track counts in that of the majority owner; the track-side counts
    (with a fit, on pt, eta and phi) in that of the fitted value.
    """
    rows = rows_of(table, truth, selection, matches, kinematics=kinematics, ignore=axis.name)
    particle_bin = axis.bin_of(quantity(truth, axis.name, table.particle_size))
    owner_bin = np.append(particle_bin, axis.num_bins + 3)[table.owner]
    fitted_bin = None
    if kinematics is not None and axis.name in FITTED_AXES:
        fitted_bin = axis.bin_of(kinematics.of_tracks(table.track_id)[axis.name])
    common = _histograms(rows, "", axis, particle_bin, owner_bin, fitted_bin)
    return {name: common | _histograms(rows, name, axis, particle_bin, owner_bin, fitted_bin) for name in matches}


def _histograms(
    rows: Rows,
    match: str,
    axis: Axis,
    particle_bin: IntArray,
    owner_bin: IntArray,
    fitted_bin: IntArray | None,
) -> Histograms:
    result: Histograms = {}
    for name, values in (rows.by_match[match] if match else rows.common).items():
        if name in PARTICLE_COUNTS:
            where = particle_bin
        elif name in _BY_OWNER:
            where = owner_bin
        elif name in _BY_FIT and fitted_bin is not None:
            where = fitted_bin
        else:
            continue
        result[name] = np.bincount(where, weights=values, minlength=num_entries(axis)).astype(np.int64)
    return result


def binned_parts(histograms: Histograms, rate: str) -> tuple[IntArray, IntArray] | None:
    """Return numerator and denominator (H + 4,) of a rate, or None where its counts are not there."""
    item = RATES[rate]
    if any(name not in histograms for name in (*item.numerator, *item.denominator)):
        return None
    zero = np.zeros_like(next(iter(histograms.values())))
    top = sum((c * histograms[name] for name, c in item.numerator.items()), zero)
    bottom = sum((c * histograms[name] for name, c in item.denominator.items()), zero)
    return np.asarray(top), np.asarray(bottom)


def event_moments(histograms: Histograms, rate: str) -> FloatArray | None:
    """Return (3, H + 4) of one event: 1, value and value squared where the rate is defined, else 0.

    Summed over events they give the event mean of each bin and its standard error.
    """
    sides = binned_parts(histograms, rate)
    if sides is None:
        return None
    value = divide(*sides)
    defined = np.isfinite(value)
    value = np.where(defined, value, 0.0)
    return np.stack([defined.astype(np.float64), value, value * value])


def curve(
    axis: Axis, histograms: Histograms, rate: str, match: str, moments: FloatArray | None = None
) -> dict[str, Any] | None:
    """Return one curve as plain values, or None where its counts are not there.

    ``numerator``, ``denominator``, ``value``, ``low`` and ``high`` list the H bins, pooled over events; ``outside``
    holds the same for underflow, overflow, undefined and (track axes) noise. With ``moments`` (summed over events, see
    :func:`event_moments`) ``event_mean`` and ``event_mean_standard_error`` list the H bins too.
    """
    item = RATES[rate]
    sides = binned_parts(histograms, rate)
    if sides is None:
        return None
    top, bottom = sides
    value = divide(top, bottom)
    if item.proportion:
        low, high = clopper_pearson(top, bottom)
    else:
        low = high = np.full(top.shape, np.nan)
    columns = {"numerator": top, "denominator": bottom, "value": value, "low": low, "high": high}
    outside = {"underflow": 0, "overflow": axis.num_bins + 1, "undefined": axis.num_bins + 2}
    if CURVE_RATES[rate].startswith("majority"):
        outside["noise"] = axis.num_bins + 3
    return {
        "of": CURVE_RATES[rate],
        "definition": DEFINITIONS[f"{rate}.{match}"],
        "interval_kind": "clopper-pearson 68 %" if item.proportion else None,
        **{name: plain(column[1 : axis.num_bins + 1]) for name, column in columns.items()},
        **({} if moments is None else _event_mean(moments[:, 1 : axis.num_bins + 1])),
        "outside": {
            where: {name: plain(column[entry : entry + 1])[0] for name, column in columns.items()}
            for where, entry in outside.items()
        },
    }


def _event_mean(moments: FloatArray) -> dict[str, Any]:
    """Return mean and std / sqrt(events) of each bin over the events in which the bin is not empty."""
    count, first, second = moments
    mean = divide(first, count)
    spread = np.maximum(second - count * np.nan_to_num(mean) ** 2, 0.0)
    error = np.sqrt(divide(spread, np.maximum(count - 1, 0) * count))
    return {"event_mean": plain(mean), "event_mean_standard_error": plain(error)}


def plain(values: ArrayLike) -> list[int | float | None]:
    """Return a list for JSON: integers as int, NaN and infinities as None."""
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        return [int(v) for v in array]
    return [float(v) if np.isfinite(v) else None for v in array]
