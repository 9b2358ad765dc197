"""Official rates of tracksters: efficiency, purity, duplicate, split, fake and merge, as data and as sums over events.

Objects are the particles of the truth (SimClusters or CaloParticles, as the event says). Each rate is a quotient of two
counts, taken apart for all, signal and pile-up. A trackster belongs to the class of the object with which it shares
most energy; one that shares none is in ``all`` only. Any object, selected or not, keeps a trackster from being fake.

Shape letters: N tracksters, K objects, P overlapping pairs, B events, H bins. Energies and pt in GeV, phi in rad.
Source: the validation code of CMS TICL; ``split`` is hitloom's own, as ``duplicate`` does not see a particle in halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.associations import Associations, Variant, event_associations, merge_memberships
from hitloom.metrics.counts import divide
from hitloom.metrics.curves import Axis, plain
from hitloom.metrics.intervals import (
    clopper_pearson,
    percentile_interval,
    quotient_samples,
    resampling_weights,
)
from hitloom.metrics.summary import bootstrap_text, pair, proportion_entry
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

EFFICIENT_SHARE, SPLIT_SHARE = 0.5, 0.1
PURE_SCORE, FAKE_SCORE = 0.2, 0.6

_OBJECTS = "selected objects"
COUNT_DEFINITIONS: dict[str, str] = {
    "num_objects": "selected objects that left energy in layer clusters",
    "num_efficient": f"{_OBJECTS} of which one trackster holds >= {EFFICIENT_SHARE} of the energy",
    "num_pure": f"{_OBJECTS} with a trackster at simToReco < {PURE_SCORE}",
    "num_duplicate": f"{_OBJECTS} with more than one trackster at simToReco < {PURE_SCORE}",
    "num_split": f"{_OBJECTS} with more than one trackster that holds >= {SPLIT_SHARE} of the energy",
    "num_tracksters": "tracksters",
    "num_fake": f"tracksters without an object at recoToSim < {FAKE_SCORE}",
    "num_merged": f"tracksters with more than one object at recoToSim < {FAKE_SCORE}",
}
TRACKSTER_RATES: dict[str, tuple[str, str]] = {
    "efficiency": ("num_efficient", "num_objects"),
    "purity": ("num_pure", "num_objects"),
    "duplicate": ("num_duplicate", "num_objects"),
    "split": ("num_split", "num_objects"),
    "fake": ("num_fake", "num_tracksters"),
    "merge": ("num_merged", "num_tracksters"),
}
"""Numerator and denominator of each rate, as names of :data:`COUNT_DEFINITIONS`."""
RATE_DEFINITIONS: dict[str, str] = {
    name: f"{COUNT_DEFINITIONS[top]} / {COUNT_DEFINITIONS[bottom]}" for name, (top, bottom) in TRACKSTER_RATES.items()
}
CLASSES: tuple[str, ...] = ("all", "signal", "pileup")


def _steps(low: float, high: float, number: int) -> tuple[float, ...]:
    return tuple(float(edge) for edge in np.linspace(low, high, number + 1))


TRACKSTER_AXES: tuple[Axis, ...] = (
    Axis(name="energy", edges=(0, 1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000), unit="GeV", log=True),
    Axis(name="eta", edges=(*_steps(-3.1, -1.5, 8), *_steps(1.5, 3.1, 8))),
    Axis(name="phi", edges=_steps(-float(np.pi), float(np.pi), 16), unit="rad"),
    Axis(name="pt", edges=(0.5, 1, 2, 5, 10, 20, 50, 100, 200, 300), unit="GeV", log=True),
)


@dataclass(frozen=True, kw_only=True)
class ObjectSelection:
    """Which objects count: generated pt in GeV within both ends, |eta| below the limit.

    Objects that left no energy in layer clusters never count: nothing could find them.
    """

    min_pt: float = 0.5
    max_pt: float = 300.0
    max_abs_eta: float = 3.1

    def describe(self) -> str:
        """Return the selection in words."""
        return f"{self.min_pt:g} <= pt <= {self.max_pt:g} GeV, |eta| < {self.max_abs_eta:g}"


@dataclass(frozen=True, kw_only=True, eq=False)
class TracksterRows:
    """What each object and each trackster of one event counts for.

    Attributes
    ----------
    counts : dict of (K,) or (N,) bool
        By the names of :data:`COUNT_DEFINITIONS`.
    object_signal : (K,) bool
    trackster_class : (N,) int64
        0 pile-up, 1 signal, -1 shares energy with no object.
    objects, tracksters : dict of (K,) and (N,) float
        ``energy``, ``eta``, ``phi`` and ``pt``: generated values of objects, own values of tracksters.
    """

    counts: dict[str, BoolArray]
    object_signal: BoolArray
    trackster_class: IntArray
    objects: dict[str, FloatArray]
    tracksters: dict[str, FloatArray]

    def of_class(self, name: str, kind: str) -> BoolArray:
        """Return the rows of a count that belong to a class."""
        rows = self.counts[name]
        if kind == "all":
            return rows
        wanted = kind == "signal"
        if _counts_objects(name):
            return rows & (self.object_signal == wanted)
        return rows & (self.trackster_class == int(wanted))


def trackster_rows(
    event: Any,
    *,
    labels: ArrayLike | None = None,
    selection: ObjectSelection | None = None,
    variant: Variant = "two_sided",
) -> TracksterRows:
    """Count one event.

    Parameters
    ----------
    event : Event
        With layer clusters, their shares and objects.
    labels : (N,) int or None
        Result of a linking, before whose rates the tracksters are merged; None = tracksters as they are.
    selection : ObjectSelection or None
        None = the default one.
    variant : {"two_sided", "one_sided"}
        Of the scores.

    Raises
    ------
    DataError
        When the event lacks layer clusters, their shares, or pt and eta of its objects.
    """
    found = event_associations(event, labels=labels, variant=variant)
    objects = {name: _column(event, f"object_{name}") for name in ("energy", "eta", "phi", "pt")}
    cut = selection or ObjectSelection()
    selected = (objects["pt"] >= cut.min_pt) & (objects["pt"] <= cut.max_pt)
    selected &= (np.abs(objects["eta"]) < cut.max_abs_eta) & (found.object_energy > 0)
    signal = np.ones(found.num_objects, dtype=np.bool_)
    if "object_is_signal" in event:
        signal = event.object_is_signal.numpy()
    tracksters = _kinematics(event, labels)
    real = np.ones(found.num_tracksters, dtype=np.bool_)
    if labels is not None:
        real = np.bincount(np.asarray(labels)[np.asarray(labels) >= 0], minlength=found.num_tracksters) > 0
    return TracksterRows(
        counts=_counts(found, selected, real),
        object_signal=signal,
        trackster_class=_class_of(found, signal),
        objects=objects,
        tracksters=tracksters,
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
                    table = rows.objects if _counts_objects(name) else rows.tracksters
                    entries = np.bincount(axis.bin_of(table[axis.name])[mask], minlength=axis.num_bins + 3)
                    key = (kind, axis.name, name)
                    self._histograms[key] = self._histograms.get(key, 0) + entries
        return result

    def counts(self, kind: str = "all") -> dict[str, IntArray]:
        """Return the counts of a class, one entry for each event (B,)."""
        return {
            name: np.array([item[name] for item in self._counts[kind]], dtype=np.int64) for name in COUNT_DEFINITIONS
        }

    def result(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return class -> rate -> value, counts, Clopper-Pearson and bootstrap intervals, definition."""
        weights, kind_text = None, None
        if self.num_events > 1:
            weights = resampling_weights(self.num_events, num_resamples=self._num_resamples, seed=self._seed)
            kind_text = bootstrap_text(self.num_events, self._num_resamples, self._seed)
        result: dict[str, dict[str, dict[str, Any]]] = {}
        for kind in CLASSES:
            columns = self.counts(kind)
            result[kind] = {}
            for rate, (top, bottom) in TRACKSTER_RATES.items():
                entry = proportion_entry(int(columns[top].sum()), int(columns[bottom].sum()), RATE_DEFINITIONS[rate])
                if weights is not None:
                    samples = quotient_samples(columns[top], columns[bottom], weights)
                    entry["event_interval"] = pair(*percentile_interval(samples))
                    entry["event_interval_kind"] = kind_text
                result[kind][rate] = entry
        return result

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
            "of": "object" if _counts_objects(TRACKSTER_RATES[rate][1]) else "trackster",
            "definition": RATE_DEFINITIONS[rate],
            "interval_kind": "clopper-pearson 68 %",
            **{name: plain(column[1 : axis.num_bins + 1]) for name, column in columns.items()},
            "outside": {
                where: {name: plain(column[entry : entry + 1])[0] for name, column in columns.items()}
                for where, entry in places.items()
            },
        }


def _counts_objects(name: str) -> bool:
    return name not in ("num_tracksters", "num_fake", "num_merged")


def _counts(found: Associations, selected: BoolArray, real: BoolArray) -> dict[str, BoolArray]:
    track, thing = found.pair_index

    def per_object(good: BoolArray) -> IntArray:
        return np.bincount(thing[good], minlength=found.num_objects)

    share = found.shared_fraction()
    pure = per_object(found.sim_to_reco < PURE_SCORE)
    near = np.bincount(track[found.reco_to_sim < FAKE_SCORE], minlength=found.num_tracksters)
    return {
        "num_objects": selected,
        "num_efficient": selected & (per_object(share >= EFFICIENT_SHARE) > 0),
        "num_pure": selected & (pure > 0),
        "num_duplicate": selected & (pure > 1),
        "num_split": selected & (per_object(share >= SPLIT_SHARE) > 1),
        "num_tracksters": real,
        "num_fake": real & (near == 0),
        "num_merged": real & (near > 1),
    }


def _class_of(found: Associations, signal: BoolArray) -> IntArray:
    """Return (N,): 1 or 0 as the object that shares most energy is signal or not, -1 without any."""
    track, thing = found.pair_index
    some = found.shared_energy > 0
    track, thing, energy = track[some], thing[some], found.shared_energy[some]
    order = np.lexsort((-thing, energy, track))  # the last of each trackster is its best; the lower row on ties
    result = np.full(found.num_tracksters, -1, np.int64)
    result[track[order]] = signal[thing[order]]
    return result


def _kinematics(event: Any, labels: ArrayLike | None) -> dict[str, FloatArray]:
    """Return energy, eta, phi and pt of the tracksters, merged by labels, from their layer clusters."""
    index, fraction = event.member_index.numpy(), event.member_fraction.numpy().astype(np.float64)
    number = int(event.num_points)
    if labels is not None:
        index, fraction = merge_memberships(index, fraction, labels)
        number = int(np.max(np.asarray(labels), initial=-1)) + 1
    energy = fraction * event.part_energy.numpy().astype(np.float64)[index[0]]
    point = event.part_pos.numpy().astype(np.float64)[index[0]]
    x, y, z = (np.bincount(index[1], energy * point[:, k], minlength=number) for k in range(3))
    whole, radius = np.bincount(index[1], energy, minlength=number), np.hypot(x, y)
    length = np.sqrt(radius**2 + z**2)
    return {
        "energy": whole,
        "eta": np.arcsinh(np.divide(z, radius, out=np.full(number, np.nan), where=radius > 0)),
        "phi": np.arctan2(y, x),
        "pt": np.divide(whole * radius, length, out=np.zeros(number), where=length > 0),
    }


def _column(event: Any, name: str) -> FloatArray:
    if name not in event:
        raise DataError(f"{event.describe()}: field '{name}' is needed for the official rates and not in the event")
    return event[name].numpy().astype(np.float64)
