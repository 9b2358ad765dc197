"""The metrics JSON as rows for CSV files and for the definition table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.metrics.counts import quotient_parts
from hitloom.metrics.definitions import RATES, rate_keys

Row = dict[str, Any]


def rows_pooled(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per preset, target and rate: the definition table (same predictions, every convention)."""
    rows: list[Row] = []
    score = metrics["trackml_score"]
    for preset, targets in metrics["presets"].items():
        for target, entries in targets.items():
            selection = metrics["choices"]["presets"][preset]["targets"][target]["text"]
            for key, entry in entries.items():
                rows.append(_pooled(preset, target, selection, key, entry))
    if score is not None:
        rows.append(_pooled("trackml", "", ", ".join(score["weights"]), "trackml_score", score))
    version = {name: metrics[name] for name in ("definition_version", "hitloom_version", "data_fingerprint")}
    return [row | version for row in rows]


def _pooled(preset: str, target: str, selection: str, key: str, entry: Mapping[str, Any]) -> Row:
    low, high = entry["interval"] or (None, None)
    return {
        "preset": preset,
        "target": target,
        "selection": selection,
        "rate": key,
        "value": entry["value"],
        "numerator": entry["numerator"],
        "denominator": entry["denominator"],
        "low": low,
        "high": high,
        "interval_kind": entry["interval_kind"],
        "definition": entry["definition"],
    }


def rows_per_event(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per event, preset, target and matching: every count, then every rate of the preset.

    All rows have the same columns; a rate that a preset does not state is None.
    """
    events = metrics["per_event"]
    fitted = metrics["choices"]["track_parameters"] is not None
    rows: list[Row] = []
    for position, event_id in enumerate(events["event_id"]):
        for preset, targets in events["counts"].items():
            stated = metrics["choices"]["presets"][preset]["rates"]
            for target, counts in targets.items():
                for match, by_match in counts["by_match"].items():
                    values = {name: column[position] for name, column in (counts["common"] | by_match).items()}
                    keys = [key for key in rate_keys(stated, [match], fitted=fitted) if key.match in ("", match)]
                    rates: Row = dict.fromkeys(RATES)
                    for key in keys:
                        top, bottom = quotient_parts(key.rate, values)
                        rates[key.rate] = top / bottom if bottom else None
                    rows.append(
                        {"event_id": event_id, "preset": preset, "target": target, "match": match} | values | rates
                    )
    return rows


def rows_binned(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per curve and bin; ``bin`` is the bin number from 0, or underflow, overflow, undefined, noise."""
    rows: list[Row] = []
    fields = ("numerator", "denominator", "value", "low", "high")
    for preset, targets in metrics["curves"].items():
        for target, axes in targets.items():
            for axis, content in axes.items():
                edges = content["edges"]
                for key, curve in content["rates"].items():
                    start: Row = {"preset": preset, "target": target, "axis": axis, "rate": key, "of": curve["of"]}
                    for number in range(len(edges) - 1):
                        place = {"bin": str(number), "bin_low": edges[number], "bin_high": edges[number + 1]}
                        rows.append(start | place | {field: curve[field][number] for field in fields})
                    for name, entry in curve["outside"].items():
                        rows.append(start | {"bin": name, "bin_low": None, "bin_high": None} | dict(entry))
    return rows


def rows_timing(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per event that has times: number of hits and seconds by stage."""
    events = metrics["per_event"]
    columns = zip(events["event_id"], events["num_points"], events["timing"], strict=True)
    return [
        {"event_id": event_id, "num_points": num_points} | timing for event_id, num_points, timing in columns if timing
    ]
