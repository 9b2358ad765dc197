"""All files of an evaluation of shower growing: made completely beside their place first, then moved in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hitloom.report.csv_text import to_csv
from hitloom.report.page import to_json
from hitloom.report.report_tables import Row
from hitloom.report.showers.collect import Shown
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.showers.page import report_page
from hitloom.report.showers.plots import OWN_PLOTS, plots_of
from hitloom.report.showers.tables import members
from hitloom.report.showers.text import clustering_text, similarity_text
from hitloom.report.write import REPORT, draw_all, write_folder, write_texts


def write_outputs(metrics: Mapping[str, Any], shown: Shown, output: Path, config: ShowerEvaluationConfig) -> list[Path]:
    """Write ``metrics.json``, CSV and text files, ``plots/*.png`` and ``report.html``; return their paths."""

    def make(folder: Path) -> None:
        drawn = draw_all(plots_of(metrics, shown, config), folder / "plots")
        texts = {
            "metrics.json": to_json(metrics) + "\n",
            "metrics_pooled.csv": to_csv(list(rows_pooled(metrics)), empty_header=("result",)),
            "metrics_binned.csv": to_csv(list(rows_binned(metrics)), empty_header=("result",)),
            "metrics_per_event.csv": to_csv(list(rows_per_event(metrics)), empty_header=("result",)),
            "metrics_per_particle.csv": to_csv(shown.particles, empty_header=("event_id",)),
            "metrics_test_clustering.txt": clustering_text(metrics),
            REPORT: report_page(metrics, drawn, shown, config),
        }
        tiers = metrics["similarity"] or {}
        for tier in tiers:
            name = "metrics_test_sim.txt" if tier == "all" else f"metrics_test_sim_tier_{tier}.txt"
            texts[name] = similarity_text(metrics, tier)
        write_texts(texts, folder)

    return write_folder(output, make, own_plots=OWN_PLOTS)


def rows_pooled(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row a result, group of hits, plane and rate, then merging, then rates of pairs."""
    for result, item in members(metrics).items():
        for hits, views in item["partitions"].items():
            for view, entries in views.items():
                for name, entry in entries.items():
                    yield _row(result, f"{hits} hits", view, name, entry)
        for view, block in item["merging"].items():
            for name, entry in block["shares"].items():
                yield _row(result, "merging", view, name, entry)
        for tier, views in (item["similarity"] or {}).items():
            for view, block in views.items():
                for name, entry in block["rates"].items():
                    yield _row(result, f"pairs, tier {tier}", view, name, entry)


def rows_binned(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row a result, bin and rate: by clusters, by the leading shower, and particles by energy."""
    for result, item in members(metrics).items():
        for axis in ("by_clusters", "by_energy"):
            for place in item[axis]:
                for name, entry in place["rates"].items():
                    yield (
                        _place(result, axis.removeprefix("by_"), place)
                        | {"number": place["num_events"], "name": name}
                        | (_numbers(entry))
                    )
        for place in item["particles"]["by_energy"]:
            for kind in ("shower", "track"):
                block = place[kind]
                for name in [name for name in block if name != "num_particles"]:
                    yield _place(result, f"energy of {kind}", place) | {
                        "number": block["num_particles"], "name": name} | _numbers(block[name])  # fmt: skip


def rows_per_event(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row a result and view: sizes and all rates."""
    for result, item in members(metrics).items():
        events = item["per_event"]
        for row, event_id in enumerate(events["event_id"]):
            sizes = {name: events[name][row] for name in ("unit", "view", "num_points", "num_hits", "num_groups")}
            rates = {
                f"{name}.{hits}": values[row]
                for hits, columns in events["rates"].items()
                for name, values in columns.items()
            }
            yield {"result": result, "event_id": event_id} | sizes | rates


def _place(result: str, axis: str, place: Mapping[str, Any]) -> Row:
    return {"result": result, "axis": axis, "bin": place["label"], "bin_low": place["low"], "bin_high": place["high"]}


def _row(result: str, group: str, view: str, name: str, entry: Mapping[str, Any]) -> Row:
    return (
        {"result": result, "group": group, "view": view, "name": name}
        | _numbers(entry)
        | {"interval": entry["interval_kind"], "definition": entry["definition"]}
    )


def _numbers(entry: Mapping[str, Any]) -> Row:
    low, high = entry["interval"] or (None, None)
    return {
        "value": entry["value"], "numerator": entry.get("numerator"), "denominator": entry.get("denominator"),
        "low": low, "high": high,
    }  # fmt: skip
