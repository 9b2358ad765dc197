"""Rates against the working point of a grouping: rows over (eps, min_samples), and which point is best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.counts import Counts, match_event, quotient_parts
from hitloom.metrics.definitions import DEFINITION_VERSION, DEFINITIONS, RATES, rate_keys
from hitloom.metrics.intervals import clopper_pearson
from hitloom.metrics.presets import Preset, get_preset
from hitloom.metrics.summary import pair
from hitloom.metrics.truth import EventTruth


class WorkingPoint(NamedTuple):
    """Settings of a density clustering. Points are told apart as given: 0.15 read twice from one list is one point."""

    eps: float
    min_samples: int


def working_point_scan(
    events: Iterable[tuple[int | str, Mapping[WorkingPoint, ArrayLike], EventTruth]],
    *,
    preset: str | Preset = "headline",
    target: str | None = None,
) -> dict[str, Any]:
    """Pool the rates of a preset at every working point.

    Parameters
    ----------
    events : iterable of (event id, {working point: labels (N,)}, truth)
        The same working points in every event.
    preset : str or Preset
    target : str or None
        Key of the preset's selection; None = its first.

    Returns
    -------
    dict
        ``rows``: one per working point, ordered: eps, min_samples, and for each rate ``<rate>``, ``<rate>.numerator``,
        ``<rate>.denominator``, ``<rate>.interval``; ``best``: the row with the largest ``objective``; ``diagnostics``.

    Raises
    ------
    ConfigError
        When the preset has no such target.
    DataError
        When events have different working points, an event comes twice, or nothing came.
    """
    chosen = get_preset(preset)
    target = next(iter(chosen.selections)) if target is None else target
    if target not in chosen.selections:
        raise ConfigError(f"preset '{chosen.name}' has no target '{target}'; valid: {', '.join(chosen.selections)}")
    selection = chosen.selections[target]
    pooled: dict[WorkingPoint, dict[str, Counts]] = {}
    seen: set[str] = set()
    for event_id, labels_at, truth in events:
        if str(event_id) in seen:
            raise DataError(f"event {event_id} came twice in the scan")
        points = {WorkingPoint(float(eps), int(num)): labels for (eps, num), labels in labels_at.items()}
        if not points or (seen and points.keys() != pooled.keys()):
            raise DataError(f"event {event_id}: every event must have the same, non-empty set of working points")
        seen.add(str(event_id))
        for point, labels in points.items():
            counts = match_event(labels, truth, selection, matches=chosen.matches)
            stored = pooled.setdefault(point, {})
            for match, item in counts.items():
                before = stored.get(match, {})
                stored[match] = {name: before.get(name, 0) + value for name, value in item.items()}
    if not pooled:
        raise DataError("working_point_scan: no event came")
    keys = rate_keys(chosen.rates, chosen.matches)
    rows: list[dict[str, Any]] = []
    for point in sorted(pooled):
        row: dict[str, Any] = {"eps": point.eps, "min_samples": point.min_samples}
        for key in keys:
            top, bottom = quotient_parts(key.rate, pooled[point][key.match or chosen.matches[0]])
            row[key.key] = top / bottom if bottom else None
            row[f"{key.key}.numerator"], row[f"{key.key}.denominator"] = top, bottom
            if RATES[key.rate].proportion:
                low, high = clopper_pearson(top, bottom)
                row[f"{key.key}.interval"] = pair(float(low), float(high))
            else:
                row[f"{key.key}.interval"] = None
        rows.append(row)
    match = chosen.matches[0]
    for row, point in zip(rows, sorted(pooled), strict=True):
        counts_here = pooled[point][match]
        efficiency, fake = (quotient_parts(name, counts_here) for name in ("efficiency", "fake_per_track"))
        lost = fake[0] / fake[1] if fake[1] else 0.0
        row["objective"] = efficiency[0] / efficiency[1] - lost if efficiency[1] else None
    defined = [row for row in rows if row["objective"] is not None]
    best = max(defined, key=lambda row: row["objective"]) if defined else None
    return {
        "definition_version": DEFINITION_VERSION,
        "preset": chosen.name,
        "target": target,
        "selection": selection.text(),
        "num_events": len(seen),
        "objective": f"efficiency.{match} - fake_per_track.{match}, the first of equals",
        "definitions": {key.key: DEFINITIONS[key.key] for key in keys},
        "rows": rows,
        "best": best,
        "diagnostics": _edge_warnings(best, rows),
    }


def _edge_warnings(best: Mapping[str, Any] | None, rows: list[dict[str, Any]]) -> list[str]:
    if best is None:
        return ["no target particles: no working point can be chosen"]
    warnings = []
    for name in ("eps", "min_samples"):
        values = sorted({row[name] for row in rows})
        if len(values) > 1 and best[name] in (values[0], values[-1]):
            warnings.append(
                f"best value at an edge: {name} = {best[name]:g} is the "
                f"{'smallest' if best[name] == values[0] else 'largest'} scanned; widen the scan"
            )
    return warnings
