"""Official rates of tracksters over many events: efficiency, purity, duplicate, split, fake and merge, with curves.

Every rate is a quotient of two counts of :mod:`hitloom.metrics.trackster_counts`, taken apart for all, signal and
pile-up, and by species of particle.

Shape letters: N tracksters, B events, H bins. Energies and pt in GeV, phi in rad.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.metrics.associations import Variant
from hitloom.metrics.counts import divide
from hitloom.metrics.curves import Axis, plain
from hitloom.metrics.intervals import (
    clopper_pearson,
    percentile_interval,
    quotient_samples,
    resampling_weights,
)
from hitloom.metrics.summary import bootstrap_text, pair, proportion_entry
from hitloom.metrics.trackster_counts import (
    CLASSES,
    COUNT_DEFINITIONS,
    RATE_DEFINITIONS,
    SPECIES,
    TRACKSTER_RATES,
    ObjectSelection,
    TracksterRows,
    counts_objects,
    trackster_rows,
)
from hitloom.metrics.truth import IntArray

__all__ = [
    "CLASSES",
    "COUNT_DEFINITIONS",
    "RATE_DEFINITIONS",
    "SPECIES",
    "TRACKSTER_AXES",
    "TRACKSTER_RATES",
    "ObjectSelection",
    "TracksterRates",
    "TracksterRows",
    "trackster_rows",
]


def _steps(low: float, high: float, number: int) -> tuple[float, ...]:
    return tuple(float(edge) for edge in np.linspace(low, high, number + 1))


TRACKSTER_AXES: tuple[Axis, ...] = (
    Axis(name="energy", edges=(0, 1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000), unit="GeV", log=True),
    Axis(name="eta", edges=(*_steps(-3.1, -1.5, 8), *_steps(1.5, 3.1, 8))),
    Axis(name="phi", edges=_steps(-float(np.pi), float(np.pi), 16), unit="rad"),
    Axis(name="pt", edges=(0.5, 1, 2, 5, 10, 20, 50, 100, 200, 300), unit="GeV", log=True),
)


class TracksterRates:
    """Sums the counts of many events; gives rates with intervals and curves.

    Parameters
    ----------
    selection : ObjectSelection or None
    variant : {"two_sided", "one_sided"}
    axes : sequence of Axis
    num_resamples, seed : int
        Of the bootstrap over events.

    Examples
    --------
    >>> TracksterRates().result()["all"]["efficiency"]["value"] is None
    True
    """

    def __init__(
        self,
        *,
        selection: ObjectSelection | None = None,
        variant: Variant = "two_sided",
        axes: Sequence[Axis] = TRACKSTER_AXES,
        num_resamples: int = 1000,
        seed: int = 1,
    ) -> None:
        self.selection = selection or ObjectSelection()
        self.variant: Variant = variant
        self._axes = tuple(axes)
        self._num_resamples, self._seed = num_resamples, seed
        self._counts: dict[str, list[dict[str, int]]] = {kind: [] for kind in CLASSES}
        self._species: dict[str, list[dict[str, int]]] = {kind: [] for kind in SPECIES}
        self._histograms: dict[tuple[str, str, str], IntArray] = {}

    @property
    def num_events(self) -> int:
        return len(self._counts["all"])

    def add(self, event: Any, labels: ArrayLike | None = None) -> dict[str, dict[str, int]]:
        """Count an event, merged by ``labels`` (N,) where they are given; return its counts by class."""
        rows = trackster_rows(event, labels=labels, selection=self.selection, variant=self.variant)
        result = {}
        for kind in CLASSES:
            picked = {name: rows.of_class(name, kind) for name in COUNT_DEFINITIONS}
            result[kind] = {name: int(mask.sum()) for name, mask in picked.items()}
            self._counts[kind].append(result[kind])
            for axis in self._axes:
                for name, mask in picked.items():
                    table = rows.objects if counts_objects(name) else rows.tracksters
                    entries = np.bincount(axis.bin_of(table[axis.name])[mask], minlength=axis.num_bins + 3)
                    key = (kind, axis.name, name)
                    self._histograms[key] = self._histograms.get(key, 0) + entries
        for kind in SPECIES:
            picked = {name: rows.of_species(name, kind) for name in COUNT_DEFINITIONS}
            self._species[kind].append({name: int(mask.sum()) for name, mask in picked.items()})
        return result

    def counts(self, kind: str = "all") -> dict[str, IntArray]:
        """Return the counts of a class or species, one entry for each event (B,)."""
        events = (self._counts | self._species)[kind]
        return {name: np.array([item[name] for item in events], dtype=np.int64) for name in COUNT_DEFINITIONS}

    def result(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return class -> rate -> value, counts, Clopper-Pearson and bootstrap intervals, definition."""
        weights = self._weights()
        return {kind: self._entries(kind, weights) for kind in CLASSES}

    def by_species(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return species -> rate -> entries as in :meth:`result`, for species with objects or tracksters."""
        weights = self._weights()
        seen = [kind for kind in SPECIES if any(sum(item.values()) for item in self._species[kind])]
        return {kind: self._entries(kind, weights) for kind in seen}

    def _weights(self) -> NDArray[np.float64] | None:
        if self.num_events < 2:
            return None
        return resampling_weights(self.num_events, num_resamples=self._num_resamples, seed=self._seed)

    def _entries(self, kind: str, weights: NDArray[np.float64] | None) -> dict[str, dict[str, Any]]:
        columns, entries = self.counts(kind), {}
        for rate, (top, bottom) in TRACKSTER_RATES.items():
            entry = proportion_entry(int(columns[top].sum()), int(columns[bottom].sum()), RATE_DEFINITIONS[rate])
            if weights is not None:
                samples = quotient_samples(columns[top], columns[bottom], weights)
                entry["event_interval"] = pair(*percentile_interval(samples))
                entry["event_interval_kind"] = bootstrap_text(self.num_events, self._num_resamples, self._seed)
            entries[rate] = entry
        return entries

    def curves(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return class -> axis -> edges, unit and rates; each rate lists numerator, denominator, value and interval.

        Objects fall in the bin of their generated value, tracksters in that of their own. The selection of objects
        holds on every axis.
        """
        result: dict[str, dict[str, dict[str, Any]]] = {}
        for kind in CLASSES if self.num_events else ():
            result[kind] = {}
            for axis in self._axes:
                rates = {rate: self._curve(kind, axis, rate) for rate in TRACKSTER_RATES}
                result[kind][axis.name] = {
                    "edges": list(axis.edges),
                    "unit": axis.unit,
                    "log": axis.log,
                    "rates": rates,
                }
        return result

    def _curve(self, kind: str, axis: Axis, rate: str) -> dict[str, Any]:
        top, bottom = (self._histograms[kind, axis.name, name] for name in TRACKSTER_RATES[rate])
        low, high = clopper_pearson(top, bottom)
        columns = {"numerator": top, "denominator": bottom, "value": divide(top, bottom), "low": low, "high": high}
        places = {"underflow": 0, "overflow": axis.num_bins + 1, "undefined": axis.num_bins + 2}
        return {
            "of": "object" if counts_objects(TRACKSTER_RATES[rate][1]) else "trackster",
            "definition": RATE_DEFINITIONS[rate],
            "interval_kind": "clopper-pearson 68 %",
            **{name: plain(column[1 : axis.num_bins + 1]) for name, column in columns.items()},
            "outside": {
                where: {name: plain(column[entry : entry + 1])[0] for name, column in columns.items()}
                for where, entry in places.items()
            },
        }
