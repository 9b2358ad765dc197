"""The headline of several methods on the same events as one table: a row a method, and its difference to the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.report.headline import MATCH
from hitloom.report.numbers import UNDEFINED, aligned, seconds
from hitloom.report.report_tables import Row, cell, difference, names_of

COLUMNS: tuple[tuple[str, str, str, str], ...] = (
    ("efficiency", "headline", "pt>1.0", f"efficiency.{MATCH}"),
    ("fakes", "headline", "pt>1.0", f"fake_per_track.{MATCH}"),
    ("fakes in cuts", "headline", "pt>1.0", f"fake_per_fitted_track.{MATCH}"),
    ("duplicates", "hitloom", "pt>1.0", "duplicate_per_particle.purity50"),
)
"""Heading, and where the number stands: preset, target, rate."""


def side_by_side(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``columns`` (heading, rate, definition) and ``rows``: name, cells, score, time, differences to the first.

    A column that no method has is left out.
    """
    members = dict(zip(names_of(metrics), (metrics, *metrics.get("baselines", {}).values()), strict=True))

    def entry(item: Mapping[str, Any], place: tuple[str, str, str]) -> Mapping[str, Any] | None:
        preset, target, key = place
        return item["presets"].get(preset, {}).get(target, {}).get(key)

    columns = [column for column in COLUMNS if any(entry(item, column[1:]) for item in members.values())]
    rows: list[Row] = []
    for name, item in members.items():
        score, timing = item["trackml_score"], item["timing"]
        comparison = metrics.get("comparisons", {}).get(name)
        rows.append(
            {
                "name": name,
                "cells": [cell(entry(item, column[1:])) for column in columns],
                "score": UNDEFINED if score is None or score["value"] is None else f"{score['value']:.4f}",
                "time": UNDEFINED if timing is None else seconds(timing["stages"]["total"]["median"]),
                "differences": [difference(comparison, *column[1:]) if comparison else "" for column in columns],
            }
        )
    first = members[names_of(metrics)[0]]
    described = []
    for heading, *place in columns:
        found = entry(first, (place[0], place[1], place[2]))
        text = found["definition"].split(" [")[0] if found else ""
        selection = metrics["choices"]["presets"].get(place[0], {}).get("targets", {}).get(place[1], {}).get("text", "")
        if text and selection != metrics["headline"]["cuts"]:
            text += f" (here: {selection})"
        described.append((heading, place[2], text))
    return {"columns": described, "rows": rows}


def side_by_side_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the table as lines of text, differences and definitions beneath, then what must be known of it."""
    table, sample = side_by_side(metrics), metrics["headline"]["sample"]
    headings = [heading for heading, *_ in table["columns"]]
    body = [["", *headings, "TrackML score", "median time"]]
    for row in table["rows"]:
        values = [f"{item['value']} [{item['interval'].removesuffix(' %')}]" if item["interval"] else item["value"]
                  for item in row["cells"]]  # fmt: skip
        body.append([row["name"], *values, row["score"], row["time"]])
    hits = sample["hit_selection"] + ("; truth-selected input" if sample["truth_selected_input"] else "")
    lines = [
        f"{sample['num_events']} events, {sample['num_hits']:,} hits; {hits}",
        f"particles: {metrics['headline']['cuts']}",
    ]
    lines += ["", *aligned(body)]
    compared = [row for row in table["rows"] if any(row["differences"])]
    if compared:
        name = table["rows"][0]["name"]
        lines += ["", f"{name} minus the other, in percentage points, both on the same resampled events:"]
        lines += aligned([["", *headings], *([row["name"], *row["differences"]] for row in compared)])
    lines += ["", *(f"{heading}: {rate} = {definition}" for heading, rate, definition in table["columns"])]
    lines.append("in brackets: 68 % Clopper-Pearson intervals; time per event on the hardware that each result names")
    notes = [*metrics["diagnostics"]]
    notes += [f"{name}: {text}" for name, item in metrics["baselines"].items() for text in item["diagnostics"]]
    return lines + [f"note: {text}" for text in dict.fromkeys(notes)]
