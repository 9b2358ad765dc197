"""Two results on the same events: differences of pooled rates with a paired bootstrap over events.

Shape letters: B events that both results share, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hitloom.errors import DataError
from hitloom.metrics.counts import divide
from hitloom.metrics.definitions import RATES, rate_keys
from hitloom.metrics.intervals import resampling_weights
from hitloom.metrics.summary import bootstrap_text, parts, quotient_difference


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], *, num_resamples: int = 1000, seed: int = 1
) -> dict[str, Any]:
    """Compare two metrics JSONs: every rate that both state, ``second`` minus ``first``.

    Both are resampled with the same events, so fluctuations of the events cancel.

    Returns
    -------
    dict
        ``presets[preset][target][rate]`` holds ``first``, ``second``, ``difference``, ``interval`` (68 %, None with one
        event) and ``fraction_above_zero``, the share of resamples with a positive difference; plus ``num_events``,
        ``interval_kind``, ``trackml_score`` and ``only_in_first`` / ``only_in_second`` (event ids left out).

    Raises
    ------
    DataError
        When definition versions differ, no event is shared, a shared event has another truth, or a target of the same
        name is another selection.
    """
    if first["definition_version"] != second["definition_version"]:
        versions = f"{first['definition_version']} and {second['definition_version']}"
        raise DataError(f"compare: definitions of versions {versions} cannot be compared; mend: evaluate both again")
    rows, only_first, only_second = _shared_events(first["per_event"], second["per_event"])
    num_events = rows.shape[1]
    weights, kind = None, "none: one event"
    if num_events > 1:
        weights = resampling_weights(num_events, num_resamples=num_resamples, seed=seed)
        kind = "paired " + bootstrap_text(num_events, num_resamples, seed)
    presets: dict[str, Any] = {}
    for preset, targets in first["presets"].items():
        for target in targets:
            if target not in second["presets"].get(preset, {}):
                continue
            choices = [item["choices"]["presets"][preset] for item in (first, second)]
            if choices[0]["targets"][target] != choices[1]["targets"][target]:
                raise DataError(f"compare: '{preset}' '{target}' is not the same selection in both results")
            shared = [rate for rate in choices[0]["rates"] if rate in choices[1]["rates"]]
            matches = [match for match in choices[0]["matches"] if match in choices[1]["matches"]]
            fitted = all(item["choices"]["track_parameters"] is not None for item in (first, second))
            entries = {}
            for key in rate_keys(shared, matches, fitted=fitted) if matches else []:
                match = key.match or matches[0]
                sides = [
                    parts(key.rate, _columns(item["per_event"]["counts"][preset][target], match, rows[side]))
                    for side, item in enumerate((first, second))
                ]
                entries[key.key] = quotient_difference(sides, weights) | {"definition": RATES[key.rate].definition}
            presets.setdefault(preset, {})[target] = entries
    return {
        "definition_version": first["definition_version"],
        "num_events": num_events,
        "only_in_first": only_first,
        "only_in_second": only_second,
        "interval_kind": kind,
        "presets": presets,
        "trackml_score": _score_difference(first["per_event"], second["per_event"], rows, weights),
    }


def _shared_events(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Any, list[str], list[str]]:
    """Return (2, B) positions of the shared events and the ids that one side lacks."""
    where = {event_id: position for position, event_id in enumerate(second["event_id"])}
    pairs = [(i, where[event_id]) for i, event_id in enumerate(first["event_id"]) if event_id in where]
    if not pairs:
        raise DataError("compare: the two results share no event; mend: evaluate both on the same events")
    for i, j in pairs:
        if first["truth_fingerprint"][i] != second["truth_fingerprint"][j]:
            raise DataError(f"compare: event {first['event_id'][i]} has another truth in the second result")
    known = set(first["event_id"])
    return (
        np.array(pairs, dtype=np.int64).T,
        [event_id for event_id in first["event_id"] if event_id not in where],
        [event_id for event_id in second["event_id"] if event_id not in known],
    )


def _columns(counts: Mapping[str, Any], match: str, rows: Any) -> dict[str, Any]:
    return {name: np.asarray(column)[rows] for name, column in (counts["common"] | counts["by_match"][match]).items()}


def _score_difference(
    first: Mapping[str, Any], second: Mapping[str, Any], rows: Any, weights: Any
) -> dict[str, Any] | None:
    scores = []
    for side, item in enumerate((first, second)):
        earned, total = np.array(item["trackml_score"], dtype=np.float64)[rows[side]].T
        scores.append(divide(np.nan_to_num(earned), np.nan_to_num(total)))
    defined = np.isfinite(scores[0]) & np.isfinite(scores[1])
    if not defined.any():
        return None
    return quotient_difference(
        [(np.where(defined, score, 0.0), defined.astype(np.float64)) for score in scores], weights
    )
