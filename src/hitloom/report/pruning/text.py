"""The result of an evaluation of pruning as lines for the terminal, definitions beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.report.numbers import aligned, percent, seconds
from hitloom.report.pruning.headline import SHORT, headline_rates
from hitloom.report.pruning.tables import cell_of, members, side_by_side, trials_of


def summary_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the lines that ``hitloom eval`` prints."""
    lines = _sample(metrics)
    for rate in headline_rates(metrics):
        lines += [f"  {SHORT[rate]}", f"      {metrics['choices']['rates'][rate]}"]
        for name, item in members(metrics).items():
            shown = cell_of(rate, item["rates"]["all"].get(rate), trials_of(item, rate))
            interval = f"  [{shown['interval']}]" if shown["interval"] else ""
            counts = f"  ({shown['counts']})" if shown["counts"] else ""
            lines.append(f"      {name}: {shown['value']}{counts}{interval}")
    for rate, text in metrics["choices"]["probability"].items():
        values = {name: (item["probability"] or {}).get(rate) for name, item in members(metrics).items()}
        if any(entry and entry["value"] is not None for entry in values.values()):
            lines += [f"  {SHORT[rate]}", f"      {text}"]
            lines += [f"      {name}: {cell_of(rate, entry)['value']}" for name, entry in values.items()]
    if metrics["scan"] and metrics["scan"]["best"]:
        best = ", ".join(
            f"{item['threshold']:g} for {SHORT[name]} ({item['value']:.3f})"
            for name, item in metrics["scan"]["best"].items()
        )
        lines.append(f"thresholds that would be best on this very sample: {best}")
    if metrics["timing"] is not None:
        total = metrics["timing"]["stages"]["total"]
        lines.append(
            f"time per trackster: mean {seconds(total['mean'])}, median {seconds(total['median'])} "
            f"({metrics['timing']['hardware'] or 'hardware not recorded'})"
        )
    return lines + _notes(metrics)


def side_by_side_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the methods as a table of text, differences and definitions beneath, then what must be known of it."""
    table = side_by_side(metrics)
    headings = [heading for heading, _ in table["columns"]]
    body = [["", *headings, "median time"]]
    for row in table["rows"]:
        values = [
            f"{item['value']} [{item['interval'].removesuffix(' %')}]" if item["interval"] else item["value"]
            for item in row["cells"]
        ]
        body.append([row["name"], *values, row["time"]])
    lines = [*_sample(metrics), "", *aligned(body)]
    compared = [row for row in table["rows"] if any(row["differences"])]
    if compared:
        name = table["rows"][0]["name"]
        lines += ["", f"{name} minus the other, in units of 0.01, both on the same resampled tracksters:"]
        lines += aligned([["", *headings], *([row["name"], *row["differences"]] for row in compared)])
    lines += ["", *(f"{heading}: {definition}" for heading, definition in table["columns"])]
    return [*lines, f"in brackets: 68 % intervals, {metrics['headline']['interval']}", *_notes(metrics)]


def _sample(metrics: Mapping[str, Any]) -> list[str]:
    head = metrics["headline"]
    sample = head["sample"]
    return [
        f"{sample['num_tracksters']:,} tracksters, {sample['num_layer_clusters']:,} layer clusters, "
        f"{percent(sample['share_to_prune'], 1000)} of them to prune"
        + (f"; {sample['source']}" if sample["source"] else ""),
        f"labels: {head['matching']}; {head['cuts']}",
        f"decisions are {head['decisions']}",
        f"68 % intervals: {head['interval']}",
    ]


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    notes = [*metrics["diagnostics"]]
    notes += [f"{name}: {text}" for name, item in metrics["baselines"].items() for text in item["diagnostics"]]
    return [f"note: {text}" for text in dict.fromkeys(notes)]
