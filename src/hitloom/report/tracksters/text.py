"""The result of an evaluation of tracksters as lines for the terminal, definitions beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.metrics.edge_energy import CONFUSION_NAMES
from hitloom.report.numbers import aligned, percent, seconds
from hitloom.report.tracksters.compare import EDGE_F1, JOINED_F1
from hitloom.report.tracksters.headline import lost_energy, rates_of
from hitloom.report.tracksters.tables import (
    EDGE_RATES,
    RATIOS,
    edge_rows,
    energy_rows,
    f1_cell,
    side_by_side,
    with_before,
)


def summary_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the lines that ``hitloom eval`` prints."""
    lines = _sample(metrics)
    lines += ["", f"official rates, {metrics['truth']}, signal:"]
    methods = with_before(metrics)
    for rate, entry in rates_of(metrics, "signal"):
        lines += [f"  {rate}", f"      {entry['definition']}"]
        for name, item in methods.items():
            found = dict(rates_of(item, "signal", metrics["truth"]))[rate]
            low, high = found["interval"] or (None, None)
            interval = f"  [{percent(low)} to {percent(high)}]" if low is not None else ""
            counts = f"{found['numerator']:,} of {found['denominator']:,}"
            lines.append(f"      {name}: {percent(found['value'])}  ({counts}){interval}")
    lost = lost_energy(metrics, "signal")
    lines += ["", "  lost energy, signal", f"      {lost['definition']}; true groups: {lost['groups']}"]
    for name, item in methods.items():
        found = lost_energy(item, "signal", metrics["truth"])
        parts = f"dU {percent(found['missing'])}, dO {percent(found['foreign'])}"
        lines.append(f"      {name}: {percent(found['value'])}  ({parts})")
    for title, which, definition in (
        ("F1 of edges", "decided_edges", EDGE_F1),
        ("F1 of joined edges", "joined_edges", JOINED_F1),
    ):
        lines += ["", f"  {title}", f"      {definition}"]
        lines += [f"      {name}: {f1_cell(item, which)['value']}" for name, item in methods.items()]
    lines += _scores(metrics)
    for truth, kinds in metrics["candidate_graph"]["recall"].items():
        lines += ["", f"candidate graph, {truth}: {percent(kinds['all']['recall'], 1000)} of the energy can be linked"]
    lines.append(f"      {metrics['candidate_graph']['definition']}")
    if metrics["timing"] is not None:
        total = metrics["timing"]["stages"]["total"]
        lines += ["", f"time per event: mean {seconds(total['mean'])}, median {seconds(total['median'])} "
                      f"({metrics['timing']['hardware'] or 'hardware not recorded'})"]  # fmt: skip
    return lines + [f"note: {text}" for text in dict.fromkeys(metrics["diagnostics"])]


def _sample(metrics: Mapping[str, Any]) -> list[str]:
    sample = metrics["headline"]["sample"]
    return [
        f"{sample['num_events']:,} events, {sample['num_tracksters']:,} tracksters",
        f"truth {metrics['truth']} ({metrics['headline']['truth_meaning']}); {metrics['headline']['objects']}",
    ]


def _scores(metrics: Mapping[str, Any]) -> list[str]:
    edges = metrics["edges"]
    if edges is None:
        return []
    point, best, area = edges["working_point"], edges["scan"]["best"], edges["roc"]["all"]["auc"]
    return [
        "",
        f"scores of edges at the working point, {point['text']} ({point['source']}):",
        *edge_lines(metrics["decided_edges"]),
        f"best single threshold: {best['threshold']:g} with F1 {percent(best['f1'])}; area under the ROC "
        + ("undefined" if area is None else f"{area:.4f}")
        + " (energy-weighted)",
    ]


def edge_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the table of the edges as text: classes of pairs, then bins of energy; definitions beneath."""
    head = ["", "edges", *(name.replace("_fraction", "") for name in EDGE_RATES), *RATIOS]
    body = [[row["name"], row["edges"], *row["rates"], *row["ratios"]] for row in edge_rows(found)]
    bins = [[row["name"], row["edges"], *row["rates"], *row["ratios"]] for row in energy_rows(found)]
    texts = [f"{name}: {text}" for name, text in found["definitions"].items() if name in (*EDGE_RATES, *RATIOS)]
    return [
        *aligned([head, *body, *bins]),
        "all weighted by the larger raw energy of the two ends; " + "; ".join(texts),
    ]


def confusion_lines(found: Mapping[str, Any]) -> list[str]:
    """Return counts and energies of true and false, joined and separate edges."""
    head = [
        "",
        *(name.replace("_", " ") for name in CONFUSION_NAMES),
        *(f"{name}, GeV" for name in ("TP", "FP", "FN", "TN")),
    ]
    body = [[row["name"], *row["counts"], *row["sums"]] for row in (*edge_rows(found), *energy_rows(found))]
    return aligned([head, *body])


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
    lines = [*_sample(metrics), "signal; rates are the official ones", "", *aligned(body)]
    compared = [row for row in table["rows"] if any(row["differences"])]
    if compared:
        name = table["rows"][0]["name"]
        lines += ["", f"{name} minus the other, in percentage points, both on the same resampled events:"]
        lines += aligned([["", *headings], *([row["name"], *row["differences"]] for row in compared)])
    lines += ["", *(f"{heading}: {definition}" for heading, definition in table["columns"])]
    lines.append(
        "in brackets: 68 % intervals, Clopper-Pearson for rates, bootstrap over events for F1; differences: paired "
        "bootstrap over events, 68 %"
    )
    notes = [*metrics["diagnostics"]]
    notes += [f"{name}: {text}" for name, item in metrics["baselines"].items() for text in item["diagnostics"]]
    return lines + [f"note: {text}" for text in dict.fromkeys(notes)]
