"""Tables of the report as plain rows: text ready to print, definitions beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hitloom.report.headline import MATCH
from hitloom.report.numbers import UNDEFINED, count, of, percent, percent_range, points, seconds
from hitloom.report.page_parts import time_tile

Row = dict[str, Any]


def names_of(metrics: Mapping[str, Any]) -> list[str]:
    """Return the column heads: this result by its name, then the baselines."""
    return [metrics.get("name", "this result"), *metrics.get("baselines", {})]


def _members(metrics: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [metrics, *metrics.get("baselines", {}).values()]


def cell(entry: Mapping[str, Any] | None) -> Row:
    """Return value, interval and counts of one number as text."""
    if entry is None:
        return {"value": UNDEFINED, "interval": "", "counts": "", "kind": ""}
    trials = entry["denominator"]
    interval = percent_range(entry["interval"], trials) if entry["interval"] else ""
    return {
        "value": percent(entry["value"], trials),
        "interval": interval,
        "counts": of(entry),
        "kind": entry["interval_kind"] or "",
    }


def rate_rows(metrics: Mapping[str, Any], preset: str, target: str) -> list[Row]:
    """Return every rate of one preset and target: name, definition, one cell a result, difference to each baseline."""
    rows = []
    for key, entry in metrics["presets"][preset][target].items():
        others = [item["presets"].get(preset, {}).get(target, {}).get(key) for item in _members(metrics)]
        rows.append(
            {
                "key": key,
                "definition": entry["definition"].split(" [")[0],
                "cells": [cell(other) for other in others],
                "differences": [difference(item, preset, target, key) for item in metrics["comparisons"].values()],
                "strong": key in metrics["headline"]["rates"],
            }
        )
    return rows


def difference(comparison: Mapping[str, Any], preset: str, target: str, key: str) -> str:
    """Return the difference of a rate in percentage points with its paired interval; empty where there is none."""
    return points(comparison["presets"].get(preset, {}).get(target, {}).get(key))


def convention_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per preset, target and matching: efficiency, the preset's fake and duplicate rates."""
    rows: list[Row] = []
    for preset, targets in metrics["presets"].items():
        described = metrics["choices"]["presets"][preset]
        for target, entries in targets.items():
            for match in described["matches"]:
                own = {
                    key.removesuffix("." + match): entry for key, entry in entries.items() if key.endswith("." + match)
                }
                fake = next((name for name in own if name.startswith("fake")), None)
                duplicate = next((name for name in own if name.startswith("duplicate")), None)
                rows.append(
                    {
                        "preset": preset,
                        "first": not rows or rows[-1]["preset"] != preset,
                        "first_target": match == described["matches"][0],
                        "source": described["source"],
                        "selection": described["targets"][target]["text"],
                        "match": match,
                        "efficiency": cell(own.get("efficiency")),
                        "fake": cell(own.get(fake)) | {"name": fake} if fake else None,
                        "duplicate": cell(own.get(duplicate)) | {"name": duplicate} if duplicate else None,
                    }
                )
    return rows


def budget_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per stage of the loss budget."""
    rows = []
    for stage in metrics["loss_budget"]["stages"]:
        graph = stage["graph"] or {}
        rows.append(
            {
                "name": stage["name"],
                "kind": stage["kind"] + ("" if stage["bounding"] else ", does not bound"),
                "hits": cell(stage["hits_present"]),
                "edges": cell(stage["truth_edges_present"]),
                "findable": cell(stage["findable"]),
                "lost": count(stage["lost_here"]) if stage["bounding"] else UNDEFINED,
                "purity": cell(graph.get("edge_purity")),
                "neighbours": cell(graph.get("neighbour_efficiency.target")),
            }
        )
    return rows


def timing_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per stage: mean, median and largest time of each result."""
    stages: list[str] = []
    for item in _members(metrics):
        stages += [name for name in (item["timing"] or {"stages": {}})["stages"] if name not in stages]
    if "total" in stages:
        stages.append(stages.pop(stages.index("total")))
    rows = []
    for name in stages:
        cells = []
        for item in _members(metrics):
            stage = (item["timing"] or {"stages": {}})["stages"].get(name)
            cells.append(
                {
                    "value": seconds(stage["mean"]),
                    "counts": f"median {seconds(stage['median'])}, max {seconds(stage['max'])}",
                }
                if stage
                else {"value": UNDEFINED, "counts": ""}
            )
        rows.append({"name": name, "cells": cells})
    return rows


def tiles(metrics: Mapping[str, Any]) -> list[Row]:
    """Return the headline numbers, baselines beneath."""
    headline = metrics["headline"]
    names = {
        f"efficiency.{MATCH}": ("Track efficiency", "of the target particles were found: {}"),
        f"fake_per_track.{MATCH}": ("Fake tracks", "of all valid tracks, of any pt, match no particle: {}"),
        f"fake_per_fitted_track.{MATCH}": (
            "Fake tracks within the cuts",
            "of the valid tracks whose own fitted pt and eta pass the cuts match no particle: {}",
        ),
    }
    result = []
    for key, (title, sentence) in names.items():
        if key not in headline["rates"]:
            continue
        entry = headline["rates"][key]
        shown = cell(entry)
        by_event = ""
        if entry["event_interval"]:
            by_event = f"resampling whole events: {percent_range(entry['event_interval'], entry['denominator'])}"
        others = [
            f"{name}: {cell(item['headline']['rates'].get(key))['value']}"
            for name, item in metrics["baselines"].items()
        ]
        result.append(
            {
                "label": title,
                "value": shown["value"],
                "interval": f"68 % interval {shown['interval']} (Clopper-Pearson)" if shown["interval"] else "",
                "by_event": by_event,
                "what": sentence.format(shown["counts"]),
                "versus": others,
            }
        )
    return [*result, *_more_tiles(metrics)]


def _more_tiles(metrics: Mapping[str, Any]) -> Sequence[Row]:
    result: list[Row] = []
    score = metrics["trackml_score"]
    if score is not None:
        error = f" ± {score['standard_error']:.4f} (standard error over events)" if score["standard_error"] else ""
        result.append(
            {
                "label": "TrackML score",
                "value": UNDEFINED if score["value"] is None else f"{score['value']:.3f}",
                "interval": f"mean of {score['num_events']} events{error}",
                "by_event": "",
                "what": "of the weight of the hits lies in good tracks; weights: " + ", ".join(score["weights"]),
                "versus": [
                    f"{name}: {item['trackml_score']['value']:.3f}"
                    for name, item in metrics["baselines"].items()
                    if item["trackml_score"] and item["trackml_score"]["value"] is not None
                ],
            }
        )
    timing = metrics["timing"]
    sample = ""
    if timing is not None:
        sample = f"{timing['num_events']} events of {count(_mean(timing['num_points']))} hits on average; "
    versus = [
        f"{name}: {seconds(item['timing']['stages']['total']['median'])}"
        for name, item in metrics["baselines"].items()
        if item["timing"]
    ]
    return [*result, *time_tile(metrics, of="event", sample=sample, versus=versus)]


def _mean(values: Sequence[int]) -> float:
    return float(round(sum(values) / len(values))) if values else 0.0
