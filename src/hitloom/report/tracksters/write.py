"""All files of an evaluation of tracksters: made completely beside their place first, then moved in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hitloom.report.csv_text import to_csv
from hitloom.report.page import to_json
from hitloom.report.report_tables import Row
from hitloom.report.tracksters.collect import Shown
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.report.tracksters.page import report_page
from hitloom.report.tracksters.plots import OWN_PLOTS, plots_of
from hitloom.report.tracksters.tables import with_before
from hitloom.report.tracksters.text import confusion_lines, edge_lines
from hitloom.report.write import REPORT, draw_all, write_folder, write_texts

_FIELDS = ("numerator", "denominator", "value", "low", "high")


def write_outputs(
    metrics: Mapping[str, Any], shown: Shown, output: Path, config: TracksterEvaluationConfig
) -> list[Path]:
    """Write ``metrics.json``, CSV files, ``edges.txt``, ``plots/*.png`` and ``report.html``; return their paths."""

    def make(folder: Path) -> None:
        drawn = draw_all(plots_of(metrics, config), folder / "plots")
        if shown.tables is not None:
            shown.tables.write(folder)
        texts = {
            "metrics.json": to_json(metrics) + "\n",
            "metrics_pooled.csv": to_csv(list(rows_pooled(metrics)), empty_header=("result",)),
            "metrics_binned.csv": to_csv(list(rows_binned(metrics)), empty_header=("result",)),
            "metrics_per_event.csv": to_csv(list(rows_per_event(metrics)), empty_header=("result",)),
            "edges.txt": "\n".join(_edge_text(metrics)) + "\n",
            REPORT: report_page(metrics, drawn, shown.view, config),
        }
        write_texts(texts, folder)

    return write_folder(output, make, own_plots=OWN_PLOTS)


def rows_pooled(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row per result, truth, class and number: official rates, missing and foreign energy, edges."""
    for result, item in with_before(metrics).items():
        for truth, classes in item["rates"].items():
            for kind, rates in classes.items():
                for name, entry in rates.items():
                    low, high = entry["interval"] or (None, None)
                    place = {"result": result, "truth": truth, "class": kind, "of": "official rates", "name": name}
                    yield place | {
                        "value": entry["value"],
                        "numerator": entry["numerator"],
                        "denominator": entry["denominator"],
                        "low": low,
                        "high": high,
                        "definition": entry["definition"],
                    }
        for truth, groups in item["overlap"].items():
            for group, kinds in groups.items():
                for kind, sums in kinds.items():
                    for name in ("missing", "foreign"):
                        yield {
                            "result": result,
                            "truth": truth,
                            "class": kind,
                            "of": group,
                            "name": name,
                            "value": sums[f"{name}_fraction"],
                            "numerator": sums[name],
                            "denominator": sums["energy"],
                            "definition": metrics["choices"]["overlap"][name],
                        }
        for kind, table in item["joined_edges"]["classes"].items():
            for name, definition in metrics["choices"]["edges"]["rates"].items():
                place = {"result": result, "truth": metrics["truth"], "class": kind, "of": "joined edges"}
                yield place | {"name": name, "value": table["weighted"][name], "definition": definition}


def rows_binned(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row per curve and bin; ``bin`` is its number from 0, or underflow, overflow, undefined."""
    for result, item in with_before(metrics).items():
        for truth, classes in item["curves"].items():
            for kind, axes in classes.items():
                for axis, content in axes.items():
                    ends = content["edges"]
                    for rate, curve in content["rates"].items():
                        start = {"result": result, "truth": truth, "class": kind, "axis": axis, "rate": rate}
                        start["of"] = curve["of"]
                        for number in range(len(ends) - 1):
                            place = {"bin": str(number), "bin_low": ends[number], "bin_high": ends[number + 1]}
                            yield start | place | {field: curve[field][number] for field in _FIELDS}
                        for name, entry in curve["outside"].items():
                            yield start | {"bin": name, "bin_low": None, "bin_high": None} | dict(entry)


def rows_per_event(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row per result, event and truth: all counts, missing and foreign energy, and weighted edges."""
    for result, item in {metrics["name"]: metrics, **metrics["baselines"]}.items():
        events = item["per_event"]
        for place, event_id in enumerate(events["event_id"]):
            for truth, groups in events["overlap"].items():
                row: Row = {
                    "result": result,
                    "event_id": event_id,
                    "truth": truth,
                    "num_tracksters": events["num_points"][place],
                    "num_candidates": events["num_candidates"][place],
                }
                for kind, counts in events["counts"].get(truth, {}).items():
                    row |= {f"{kind}.{name}": values[place] for name, values in counts.items()}
                for group, kinds in groups.items():
                    for kind, sums in kinds.items():
                        row |= {f"{group}.{kind}.{name}": values[place] for name, values in sums.items()}
                yield row | {f"edges.{name}": values[place] for name, values in events["edges"].items()}


def _edge_text(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tables of the edges as text, for reading without a browser."""
    if metrics["edges"] is not None:
        point = metrics["edges"]["working_point"]
        yield f"Scores at the working point: {point['text']} ({point['source']})"
        yield from ("", *edge_lines(metrics["decided_edges"]))
        yield from ("", *confusion_lines(metrics["decided_edges"]), "")
    yield f"Joined edges: {metrics['choices']['edges']['joined']}"
    yield from ("", *edge_lines(metrics["joined_edges"]), "", *confusion_lines(metrics["joined_edges"]))
