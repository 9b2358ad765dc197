"""All rates of all presets for a stream of events: the metrics JSON.

Only counts are kept, so a thousand full events fit in memory. The layout of the result is in ``docs/metrics.md``.
Shape letters: N hits, B events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom._version import __version__
from hitloom.errors import ConfigError, DataError
from hitloom.metrics.counts import COUNT_NAMES, FRACTIONAL, Counts, rows_of, totals
from hitloom.metrics.curves import (
    CURVE_RATES,
    DEFAULT_AXES,
    Axis,
    Histograms,
    binned,
    curve,
    event_moments,
    has_axis,
)
from hitloom.metrics.definitions import COMMON_COUNTS, DEFINITION_VERSION, MATCH_COUNTS, RateKey, rate_keys
from hitloom.metrics.diagnostics import TRUTH_SELECTED, label_findings, label_sentences, target_sentences
from hitloom.metrics.intervals import resampling_weights
from hitloom.metrics.matching import Contingency, Match, contingency, match_tracks
from hitloom.metrics.presets import PRESETS, Preset, get_preset
from hitloom.metrics.score import trackml_score
from hitloom.metrics.selection import Selection
from hitloom.metrics.summary import bootstrap_text, rate_entry, score_entry
from hitloom.metrics.track_kinematics import TrackKinematics
from hitloom.metrics.truth import EventTruth, FloatArray

_Key = tuple[str, str, str]


class _Tables:
    """Contingencies and matches of one event, made once for all selections that share them."""

    def __init__(self, labels: ArrayLike, truth: EventTruth, in_input: ArrayLike | None) -> None:
        self._labels, self._truth, self._in_input = labels, truth, in_input
        self._tables: dict[tuple[str, str], Contingency] = {}
        self._matches: dict[tuple[str, str, int, str], Match] = {}

    def table(self, selection: Selection) -> Contingency:
        key = (selection.universe, selection.particles_from)
        if key not in self._tables:
            self._tables[key] = contingency(
                self._labels,
                self._truth,
                universe=selection.universe,
                particles_from=selection.particles_from,
                in_input=self._in_input,
            )
        return self._tables[key]

    def matches(self, selection: Selection, names: Sequence[str]) -> dict[str, Match]:
        result = {}
        for name in names:
            key = (selection.universe, selection.particles_from, selection.min_track_hits, name)
            if key not in self._matches:
                self._matches[key] = match_tracks(self.table(selection), name, min_track_hits=selection.min_track_hits)
            result[name] = self._matches[key]
        return result


class Evaluator:
    """Accumulates events one by one.

    Parameters
    ----------
    presets : sequence of str or Preset
        Conventions to count by; a name from :data:`~hitloom.metrics.PRESETS` or an own :class:`Preset`.
    curves : sequence of str
        Presets that get binned curves.
    axes : sequence of Axis
        Axes of the curves; those whose quantity the truth does not know are left out.
    num_resamples, seed : int
        Bootstrap over events; both are stored.
    hit_selection : str
        Which hits the events hold, in words ("all volumes, noise kept"); stored and printed.
    truth_selected_input : bool
        Whether hits were removed from the input by truth.

    Examples
    --------
    >>> evaluator = Evaluator(presets=("headline",), curves=())
    >>> truth = EventTruth(object_index=[0, 0, 0], object_id=[7], pt=[2.0], eta=[0.1])
    >>> evaluator.add(1, [4, 4, 4], truth)
    >>> evaluator.result()["presets"]["headline"]["pt>1.0"]["efficiency.double_majority"]["value"]
    1.0
    """

    def __init__(
        self,
        *,
        presets: Sequence[str | Preset] = tuple(PRESETS),
        curves: Sequence[str] = ("hitloom", "headline"),
        axes: Sequence[Axis] = DEFAULT_AXES,
        num_resamples: int = 1000,
        seed: int = 1,
        hit_selection: str = "all hits of the event",
        truth_selected_input: bool = False,
    ) -> None:
        self.presets = {preset.name: preset for preset in map(get_preset, presets)}
        if len(self.presets) != len(presets):
            raise ConfigError("presets: a name came twice; mend: give each preset its own name")
        self._curves = tuple(name for name in curves if name in self.presets)
        self._axes = tuple(axes)
        self._num_resamples, self._seed = num_resamples, seed
        self._hit_selection, self._truth_selected_input = hit_selection, truth_selected_input
        self._event_ids: list[str] = []
        self._known: set[str] = set()
        self._fingerprints: list[str] = []
        self._counts: dict[_Key, list[Counts]] = {}
        self._histograms: dict[tuple[str, str, str], dict[str, Histograms]] = {}
        self._moments: dict[tuple[str, str, str, str], FloatArray] = {}
        self._scores: list[tuple[float, float, str]] = []
        self._findings: dict[str, list[str]] = {}
        self._timing: list[dict[str, float]] = []
        self._num_points: list[int] = []
        self._fitted: bool | None = None

    @property
    def num_events(self) -> int:
        """Number of events added."""
        return len(self._event_ids)

    def add(
        self,
        event_id: int | str,
        labels: ArrayLike,
        truth: EventTruth,
        *,
        in_input: ArrayLike | None = None,
        kinematics: TrackKinematics | None = None,
        timing: Mapping[str, float] | None = None,
    ) -> None:
        """Count one event; an event that raises leaves the evaluator as it was.

        Parameters
        ----------
        event_id : int or str
            Unique in this evaluation: particles are the same only within an event.
        labels : (N,) int
            Track of each hit, -1 = unassigned.
        in_input : (N,) bool or None
            Hits that the network saw; None = all.
        kinematics : TrackKinematics or None
            Fitted parameters of the tracks (:func:`~hitloom.metrics.track_kinematics`); for all events or for none.
        timing : mapping or None
            Seconds by stage, stored beside the number of hits.

        Raises
        ------
        DataError
            For a repeated event id, impossible labels, or a fit for some events only.
        """
        name = str(event_id)
        if name in self._known:
            raise DataError(f"event {name} came twice; mend: give each event its own id, for example source/number")
        fitted = kinematics is not None
        if self._fitted is not None and fitted != self._fitted:
            raise DataError(f"event {name}: fitted track parameters were given for some events and not for others")
        try:
            self._add(name, _Tables(labels, truth, in_input), labels, truth, kinematics)
        except DataError as error:
            raise DataError(f"event {name}: {error}") from None
        self._known.add(name)
        self._fitted = fitted
        self._fingerprints.append(truth.fingerprint())
        self._num_points.append(truth.num_hits)
        self._timing.append(dict(timing or {}))

    def _add(
        self,
        name: str,
        tables: _Tables,
        labels: ArrayLike,
        truth: EventTruth,
        kinematics: TrackKinematics | None,
    ) -> None:
        if not self._event_ids:
            self._axes = tuple(axis for axis in self._axes if has_axis(truth, axis))
        counts: dict[_Key, Counts] = {}
        histograms: dict[tuple[str, str, str], dict[str, Histograms]] = {}
        for preset in self.presets.values():
            for target, selection in preset.selections.items():
                table = tables.table(selection)
                matches = tables.matches(selection, preset.matches)
                rows = rows_of(table, truth, selection, matches, kinematics=kinematics)
                for match, item in totals(table, rows).items():
                    counts[preset.name, target, match] = item
                for axis in self._axes if preset.name in self._curves else ():
                    key = (preset.name, target, axis.name)
                    histograms[key] = binned(table, truth, selection, matches, axis, kinematics=kinematics)
        score = (np.nan, np.nan, "")
        if truth.weight is not None:
            value = trackml_score(labels, truth, table=tables.table(Selection()))
            score = (value.earned, value.total, truth.weight_name)
        self._event_ids.append(name)
        self._scores.append(score)
        for key3, item in counts.items():
            self._counts.setdefault(key3, []).append(item)
        for key3, by_match in histograms.items():
            for item3 in self._curve_keys(key3[0], fitted=kinematics is not None):
                moments = event_moments(by_match[item3.match], item3.rate)
                if moments is not None:
                    key4 = (*key3, item3.key)
                    self._moments[key4] = self._moments[key4] + moments if key4 in self._moments else moments
            stored = self._histograms.setdefault(key3, {})
            for match, hists in by_match.items():
                sums = stored.setdefault(match, {})
                for field, values in hists.items():
                    sums[field] = sums[field] + values if field in sums else values
        first = next(iter(next(iter(self.presets.values())).selections.values()))
        for kind in label_findings(tables.table(first), min_track_hits=first.min_track_hits):
            self._findings.setdefault(kind, []).append(name)

    def result(self) -> dict[str, Any]:
        """Return the metrics of all events so far, ready for JSON (layout: ``docs/metrics.md``).

        Raises
        ------
        DataError
            When no event was added.
        """
        if not self._event_ids:
            raise DataError("no event was evaluated; mend: add at least one event before asking for the result")
        weights, kind = None, None
        if self.num_events > 1:
            weights = resampling_weights(self.num_events, num_resamples=self._num_resamples, seed=self._seed)
            kind = bootstrap_text(self.num_events, self._num_resamples, self._seed)
        loud = [TRUTH_SELECTED] if self._truth_selected_input else []
        loud += label_sentences(self._findings, self.num_events)
        presets: dict[str, Any] = {}
        counted: dict[str, Any] = {}
        for preset in self.presets.values():
            keys = rate_keys(preset.rates, preset.matches, fitted=bool(self._fitted))
            for target in preset.selections:
                columns = {match: self._columns((preset.name, target, match)) for match in preset.matches}
                presets.setdefault(preset.name, {})[target] = {
                    key.key: rate_entry(key, columns[key.match or preset.matches[0]], weights, kind) for key in keys
                }
                counted.setdefault(preset.name, {})[target] = _split(columns)
                found = {match: int(item["num_found"].sum()) for match, item in columns.items()}
                num_target = int(columns[preset.matches[0]]["num_target"].sum())
                loud += target_sentences(preset.name, target, num_target, found)
        digest = hashlib.sha256("".join(sorted(self._fingerprints)).encode()).hexdigest()
        return {
            "definition_version": DEFINITION_VERSION,
            "hitloom_version": __version__,
            "data_fingerprint": digest[:16],
            "num_events": self.num_events,
            "choices": {
                "hit_selection": self._hit_selection,
                "truth_selected_input": self._truth_selected_input,
                "track_parameters": "fitted from the track's hits" if self._fitted else None,
                "presets": {preset.name: preset.describe() for preset in self.presets.values()},
            },
            "diagnostics": loud,
            "presets": presets,
            "trackml_score": self._score(weights, kind),
            "curves": self._curve_result(),
            "per_event": {
                "event_id": list(self._event_ids),
                "truth_fingerprint": list(self._fingerprints),
                "num_points": list(self._num_points),
                "trackml_score": [[_finite(earned), _finite(total)] for earned, total, _ in self._scores],
                "timing": [dict(item) for item in self._timing],
                "counts": counted,
            },
        }

    def _columns(self, key: _Key) -> dict[str, Any]:
        return {
            name: np.array([item[name] for item in self._counts[key]], dtype=float if name in FRACTIONAL else np.int64)
            for name in COUNT_NAMES
        }

    def _score(self, weights: Any, kind: str | None) -> dict[str, Any] | None:
        if all(np.isnan(total) for _, total, _ in self._scores):
            return None
        earned = np.array([item[0] for item in self._scores])
        total = np.array([item[1] for item in self._scores])
        names = [item[2] for item in self._scores if item[2]]
        return score_entry(np.nan_to_num(earned), np.nan_to_num(total), names, weights, kind)

    def _curve_keys(self, preset: str, *, fitted: bool) -> list[RateKey]:
        wanted = [rate for rate in self.presets[preset].rates if rate in CURVE_RATES]
        return rate_keys(wanted, self.presets[preset].matches, fitted=fitted)

    def _curve_result(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for (preset, target, axis_name), by_match in self._histograms.items():
            axis = next(axis for axis in self._axes if axis.name == axis_name)
            rates: dict[str, Any] = {}
            for key in self._curve_keys(preset, fitted=bool(self._fitted)):
                moments = self._moments.get((preset, target, axis_name, key.key))
                item = curve(axis, by_match[key.match], key.rate, key.match, moments)
                if item is not None:
                    rates[key.key] = item
            result.setdefault(preset, {}).setdefault(target, {})[axis_name] = {
                "edges": list(axis.edges),
                "unit": axis.unit,
                "log": axis.log,
                "rates": rates,
            }
        return result


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _split(columns: dict[str, dict[str, Any]]) -> dict[str, Any]:
    first = next(iter(columns.values()))
    return {
        "common": {name: first[name].tolist() for name in COMMON_COUNTS},
        "by_match": {match: {name: item[name].tolist() for name in MATCH_COUNTS} for match, item in columns.items()},
    }


def evaluate(
    events: Iterable[tuple[int | str, ArrayLike, EventTruth]],
    *,
    presets: Sequence[str | Preset] = tuple(PRESETS),
    curves: Sequence[str] = ("hitloom", "headline"),
    axes: Sequence[Axis] = DEFAULT_AXES,
    num_resamples: int = 1000,
    seed: int = 1,
    hit_selection: str = "all hits of the event",
    truth_selected_input: bool = False,
) -> dict[str, Any]:
    """Evaluate a stream of (event id, labels, truth); see :class:`Evaluator` for the parameters and for more inputs."""
    evaluator = Evaluator(
        presets=presets,
        curves=curves,
        axes=axes,
        num_resamples=num_resamples,
        seed=seed,
        hit_selection=hit_selection,
        truth_selected_input=truth_selected_input,
    )
    for event_id, labels, truth in events:
        evaluator.add(event_id, labels, truth)
    return evaluator.result()
