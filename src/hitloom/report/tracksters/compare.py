"""Two linkings on the same events: differences with a paired bootstrap over events.

Shape letters: B events, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hitloom.metrics.intervals import resampling_weights
from hitloom.metrics.summary import bootstrap_text, quotient_difference
from hitloom.metrics.trackster_counts import RATE_DEFINITIONS, TRACKSTER_RATES
from hitloom.report.tracksters.config import TracksterEvaluationConfig

EDGE_F1 = "2 TP / (2 TP + FP + FN) of the decisions on single candidate edges, weighted by energy"
JOINED_F1 = "the same of the candidate edges whose ends have one label in the end, whatever joined them"
LOST = "(dU + dO) / energy of the true groups"
_Sums = tuple[Any, Any]


def differences(
    first: Mapping[str, Any], second: Mapping[str, Any], config: TracksterEvaluationConfig
) -> dict[str, Any]:
    """Return ``second`` minus ``first``: official rates, missing and foreign energy, and F1 of the edges.

    Both are resampled with the same events, so fluctuations of the events cancel. Events that one side lacks are left
    out of both.

    Returns
    -------
    dict
        ``rates[truth][class][rate]``, ``overlap[truth][groups][class]``, ``edges["f1"]`` and ``edges["joined_f1"]``,
        each with ``first``, ``second``, ``difference``, ``interval`` (68 %, None with one event) and
        ``fraction_above_zero``.
    """
    where = {event_id: row for row, event_id in enumerate(first["per_event"]["event_id"])}
    shared = [(where[name], row) for row, name in enumerate(second["per_event"]["event_id"]) if name in where]
    rows = np.array(shared, dtype=np.int64).reshape(-1, 2).T
    num_events = rows.shape[1]
    weights, kind = None, "none: one event"
    if num_events > 1:
        weights = resampling_weights(num_events, num_resamples=config.num_resamples, seed=config.seed)
        kind = "paired " + bootstrap_text(num_events, config.num_resamples, config.seed)
    result: dict[str, Any] = {
        "num_events": num_events,
        "interval_kind": kind,
        "rates": {},
        "overlap": {},
        "edges": {},
    }
    sides = [list(_quotients(item["per_event"], row)) for item, row in zip((first, second), rows, strict=True)]
    known = [{place: parts for place, _, parts in side} for side in sides]
    for place, definition, own in sides[0]:
        if place not in known[1]:
            continue
        other, branch = known[1][place], result
        for name in place[:-1]:
            branch = branch.setdefault(name, {})
        branch[place[-1]] = quotient_difference((own, other), weights) | {"definition": definition}
    return result


def _quotients(per_event: Mapping[str, Any], rows: Any) -> Iterator[tuple[tuple[str, ...], str, _Sums]]:
    """Yield where a number stands, its definition, and its numerator and denominator in each event (B,)."""
    for truth, classes in per_event["counts"].items():
        for kind, counts in classes.items():
            for rate, (top, bottom) in TRACKSTER_RATES.items():
                parts = (np.asarray(counts[top])[rows], np.asarray(counts[bottom])[rows])
                yield ("rates", truth, kind, rate), RATE_DEFINITIONS[rate], parts
    for truth, groups in per_event["overlap"].items():
        for name, kinds in groups.items():
            for kind, sums in kinds.items():
                columns = {key: np.asarray(values, dtype=np.float64)[rows] for key, values in sums.items()}
                parts = (columns["missing"] + columns["foreign"], columns["energy"])
                yield ("overlap", truth, name, kind), LOST, parts
    for key, definition in (("decisions", EDGE_F1), ("edges", JOINED_F1)):
        if per_event[key] is None:
            continue
        edges = {name: np.asarray(values, dtype=np.float64)[rows] for name, values in per_event[key].items()}
        double = 2 * edges["true_positive"]
        place = ("edges", "f1" if key == "decisions" else "joined_f1")
        yield place, definition, (double, double + edges["false_positive"] + edges["false_negative"])
