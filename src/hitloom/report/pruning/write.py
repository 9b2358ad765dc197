"""All files of an evaluation of pruning: made completely beside their place first, then moved in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hitloom.report.csv_text import to_csv
from hitloom.report.page import to_json
from hitloom.report.pruning.collect import Shown
from hitloom.report.pruning.config import PruningEvaluationConfig
from hitloom.report.pruning.page import report_page
from hitloom.report.pruning.plots import OWN_PLOTS, plots_of
from hitloom.report.pruning.tables import members
from hitloom.report.report_tables import Row
from hitloom.report.write import REPORT, draw_all, write_folder, write_texts

_FIELDS = ("value", "numerator", "denominator", "low", "high")


def write_outputs(
    metrics: Mapping[str, Any], shown: Shown, output: Path, config: PruningEvaluationConfig
) -> list[Path]:
    """Write ``metrics.json``, three CSV files, ``plots/*.png`` and ``report.html``; return their paths."""

    def make(folder: Path) -> None:
        drawn = draw_all(plots_of(metrics, shown, config), folder / "plots")
        texts = {
            "metrics.json": to_json(metrics) + "\n",
            "metrics_pooled.csv": to_csv(list(rows_pooled(metrics)), empty_header=("result",)),
            "metrics_binned.csv": to_csv(list(rows_binned(metrics)), empty_header=("result",)),
            "metrics_per_event.csv": to_csv(list(rows_per_event(metrics)), empty_header=("result",)),
            REPORT: report_page(metrics, drawn, shown, config),
        }
        write_texts(texts, folder)

    return write_folder(output, make, own_plots=OWN_PLOTS)


def rows_pooled(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row a result, group of tracksters and rate, then those of the probabilities."""
    for result, item in members(metrics).items():
        for group, entries in item["rates"].items():
            for name, entry in entries.items():
                yield (
                    {"result": result, "group": group, "name": name}
                    | _numbers(entry)
                    | {
                        "interval": entry["interval_kind"],
                        "definition": entry["definition"],
                    }
                )
        for name, entry in (item["probability"] or {}).items():
            if "definition" in entry:
                yield (
                    {"result": result, "group": "all", "name": name}
                    | _numbers(entry)
                    | {
                        "interval": entry["interval_kind"],
                        "definition": entry["definition"],
                    }
                )


def rows_binned(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row a result, bin and rate: by size, by what there is to prune, and by the threshold."""
    for result, item in members(metrics).items():
        for axis in ("by_size", "by_share"):
            for place in item[axis]:
                start = {"result": result, "axis": axis.removeprefix("by_"), "bin": place["label"],
                         "bin_low": place["low"], "bin_high": place["high"]}  # fmt: skip
                start["num_tracksters"] = place["num_tracksters"]
                for name, entry in place["rates"].items():
                    yield start | {"name": name} | _numbers(entry)
        scan = item["scan"]
        if scan is None:
            continue
        for name in [key for key in scan if key not in ("threshold", "best")]:
            for cut, value in zip(scan["threshold"], scan[name], strict=True):
                yield {"result": result, "axis": "threshold", "bin": f"{cut:g}", "name": name, "value": value}


def rows_per_event(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row a result and trackster: all counts."""
    for result, item in members(metrics).items():
        events = item["per_event"]
        names = list(events["counts"])
        for event_id, size, *values in zip(
            events["event_id"], events["num_points"], *events["counts"].values(), strict=True
        ):
            yield {"result": result, "event_id": event_id, "num_points": size} | dict(zip(names, values, strict=True))


def _numbers(entry: Mapping[str, Any]) -> Row:
    low, high = entry["interval"] or (None, None)
    return {name: {"low": low, "high": high}.get(name, entry.get(name)) for name in _FIELDS}
