"""The result of an evaluation of shower growing as lines: for the terminal, and as the two published text files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.report.numbers import aligned, percent, seconds
from hitloom.report.showers.headline import RATES, SHORT, gain_of
from hitloom.report.showers.tables import MERGING, members, merging_table, number_of, row_meanings, side_by_side

PREFIXES = {"target": "target", "perfect": "perfect", "none": "initial"}
"""Row -> the word that stands for it in ``metrics_test_clustering.txt``."""


def summary_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the lines that ``hitloom eval`` prints."""
    return side_by_side_lines(metrics)


def side_by_side_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the methods as a table of text, differences and definitions beneath, then what must be known of it."""
    table = side_by_side(metrics)
    headings = [heading for heading, _ in table["columns"]]
    body = [["", *headings]]
    body += [[row["name"], *(_bracketed(cell) for cell in row["cells"])] for row in table["rows"]]
    lines = [*_sample(metrics), "", *aligned(body)]
    gain = gain_of(metrics)
    if gain is not None:
        lines.append(f"{metrics['name']}: {100 * gain:.0f} % of the way from 'none' to 'target' in ARI")
    compared = [row for row in table["rows"] if any(row["differences"])]
    if compared:
        lines += ["", f"{metrics['name']} minus the other, in units of 0.01, both on the same resampled slices:"]
        lines += aligned([["", *headings[:-1]], *([row["name"], *row["differences"][:-1]] for row in compared)])
    merging = merging_table(metrics)
    lines += [
        "",
        *aligned(
            [
                ["", *(heading for heading, _ in merging["columns"])],
                *([row["name"], *(cell["value"] for cell in row["cells"])] for row in merging["rows"]),
            ]
        ),
    ]
    lines += ["", *(f"{heading}: {definition}" for heading, definition in table["columns"])]
    lines += [f"{SHORT[key]}: {metrics['choices']['merging'][key]}" for key in MERGING]
    lines += [f"particles: {metrics['choices']['merging']['particles']}"]
    lines += [f"{name}: {meaning}" for name, meaning in row_meanings(metrics)]
    lines.append(f"in brackets: 68 % intervals, {metrics['headline']['interval']}")
    if metrics["timing"] is not None:
        total = metrics["timing"]["stages"]["total"]
        lines.append(
            f"time per view: mean {seconds(total['mean'])}, median {seconds(total['median'])} "
            f"({metrics['timing']['hardware'] or 'hardware not recorded'})"
        )
    return lines + _notes(metrics)  # fmt: skip


def _bracketed(cell: Mapping[str, str]) -> str:
    return f"{cell['value']} [{cell['interval']}]" if cell["interval"] else cell["value"]


def _sample(metrics: Mapping[str, Any]) -> list[str]:
    sample, choices = metrics["headline"]["sample"], metrics["choices"]
    return [
        f"{sample['num_slices']:,} slices, {sample['num_events']:,} views, {sample['num_clusters']:,} clusters, "
        f"{sample['num_hits']:,} hits; detector {sample['detector']}"
        + (f"; {sample['source']}" if sample["source"] else ""),
        f"{choices['hits']}; {percent(metrics['sample']['share_without_truth'], 1000)} of the hits have none; "
        f"{choices['cuts']}",
        f"{choices['threshold']}; {choices['unassigned']}",
    ]


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    notes = [*metrics["diagnostics"]]
    for name, item in metrics["baselines"].items():
        notes += [f"{name}: {text}" for text in item["diagnostics"]]
        compared = metrics["comparisons"][name]
        if item["num_events"] != metrics["num_events"]:
            notes.append(f"{name}: compared on the {compared['num_events']} views that both have")
        if compared["num_events_of_other_hits"]:
            notes.append(f"{name}: another number of hits in {compared['num_events_of_other_hits']} of these views")
    return [f"note: {text}" for text in dict.fromkeys(notes)]


def clustering_text(metrics: Mapping[str, Any]) -> str:
    """Return ``metrics_test_clustering.txt``: lines of a number and its name's value, means over views.

    ``pred`` = this result, ``target``, ``perfect``, ``initial``; other rows by their own names.
    """
    lines = [f"n events {metrics['num_events']}"]
    for place, (name, item) in enumerate(members(metrics).items()):
        word = "pred" if not place else PREFIXES.get(name, name.replace(" ", "_"))
        entries = item["partitions"]["all"]["all"]
        lines += [f"{word} {rate} {_plain(entries[rate]['value'])}" for rate in RATES[:3]]
    return "\n".join(lines) + "\n"


def similarity_text(metrics: Mapping[str, Any], tier: str = "all") -> str:
    """Return ``metrics_test_sim.txt``: lines ``<view> <metric> <value>``; empty where the results keep no pairs."""
    blocks = (metrics["similarity"] or {}).get(tier, {})
    lines = []
    for view, block in blocks.items():
        lines.append(f"{view} n_events {block['n_events']}")
        lines += [f"{view} {name} {_plain(entry['value'])}" for name, entry in block["rates"].items()]
    return "".join(f"{line}\n" for line in lines)


def _plain(value: float | None) -> str:
    return "nan" if value is None else f"{value:.9g}"


def one_line(metrics: Mapping[str, Any]) -> str:
    """Return the three rates in one line."""
    entries = metrics["partitions"]["all"]["all"]
    return ", ".join(f"{SHORT[rate]} {number_of(entries[rate])}" for rate in RATES[:3])
