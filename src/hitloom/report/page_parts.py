"""Parts that the reports of all evaluations have in common: drawn plots, provenance, diagnostics, time."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hitloom.config import dump_yaml
from hitloom.report.canvas import for_dark
from hitloom.report.numbers import seconds
from hitloom.report.page import raw
from hitloom.report.plot import Plot
from hitloom.report.summary_plots import timing_figure

PlotGroup = tuple[str, tuple[str, ...], str]
"""Heading, beginnings of the names of its plots, and one sentence."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A plot with its pictures."""

    plot: Plot
    png: bytes
    svg: str


_USUALLY = "another sample of the same size would usually give"
COUNTED_INTERVAL = (
    "68 % interval", f"values of the true rate that are compatible with the counts; {_USUALLY} a number within it"
)  # fmt: skip
RESAMPLED_INTERVAL = ("68 % interval", f"values that are compatible with the sample; {_USUALLY} one within it")
"""What an interval is, in the words of the reports: from counts, and from resampling."""


def plot_groups(drawn: Sequence[Drawn], wanted: Sequence[PlotGroup]) -> list[dict[str, Any]]:
    """Return the groups that have plots; a plot stands in the first group that its name fits."""
    left = {item.plot.name: item for item in drawn}
    groups = []
    for title, prefixes, text in wanted:
        names = [name for name in left if name.startswith(prefixes)]
        plots = [left.pop(name) for name in names]
        if plots:
            groups.append({"title": title, "text": text, "plots": [picture(item) for item in plots]})
    return groups


def picture(item: Drawn) -> dict[str, Any]:
    """Return what the page needs of a plot: its words, and its picture for light and dark."""
    return {
        "name": item.plot.name,
        "title": item.plot.title,
        "lead": item.plot.lead,
        "facts": item.plot.facts,
        "light": raw(data_uri(item.svg)),
        "dark": raw(data_uri(for_dark(item.svg))),
    }


def data_uri(svg: str) -> str:
    """Return an SVG as the address of an image that lies inside the page."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def timing_plot(metrics: Mapping[str, Any], *, lead: str) -> list[Plot]:
    """Return the plot of time against the size of the event; none where the results hold no times."""
    timing = metrics["timing"]
    if timing is None:
        return []
    stages = {
        name: [math.nan if value is None else float(value) for value in values]
        for name, values in timing["seconds"].items()
    }
    return [
        Plot(
            name="inference_time",
            title="Time against size of the event",
            lead=lead,
            facts=(
                ("stages", "as stored with the results; one may contain others; no reading and writing of files"),
                ("sample", f"{timing['num_events']:,} events"),
                ("hardware", timing["hardware"] or "not recorded"),
            ),
            draw=lambda: timing_figure(timing["num_points"], stages),
        )
    ]


def time_tile(
    metrics: Mapping[str, Any], *, of: str, sample: str = "", versus: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the tile of the time of one ``of``, in a list; empty where the results hold no times."""
    timing = metrics["timing"]
    if timing is None:
        return []
    total = timing["stages"]["total"]
    return [
        {
            "label": f"Time per {of}",
            "value": seconds(total["median"]),
            "interval": f"median; mean {seconds(total['mean'])}, longest {seconds(total['max'])}",
            "what": f"{sample}hardware: {timing['hardware'] or 'not recorded'}",
            "versus": list(versus),
        }
    ]


def outside_bins(curve: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say what of a curve is not in any bin."""
    names = {"underflow": "below", "overflow": "above", "undefined": "without a value", "noise": "owned by noise"}
    parts = [
        f"{entry['numerator']:,} of {entry['denominator']:,} {names[where]}"
        for where, entry in curve["outside"].items()
        if entry["denominator"]
    ]
    return [("not drawn", ", ".join(parts))] if parts else []


def lede(metrics: Mapping[str, Any], *, holding: str, what: str = "event") -> str:
    """Return the first sentence of a report; ``holding`` says how many points the events hold, ``what`` they are."""
    others = list(metrics["baselines"])
    beside = f", beside {', '.join(others)}" if others else ""
    number = metrics["headline"]["sample"]["num_events"]
    return (
        f"{number:,} {what}{'' if number == 1 else 's'} with {holding} in all; results of "
        f"{metrics['provenance']['results']}{beside}."
    )


def diagnostics(metrics: Mapping[str, Any]) -> list[str]:
    """Return what the reader must know first, of the results and of those beside them, each text once."""
    texts = list(dict.fromkeys(metrics["diagnostics"]))
    for name, item in metrics["baselines"].items():
        texts += [f"{name}: {text}" for text in dict.fromkeys(item["diagnostics"]) if text not in texts]
        if item["num_events"] != metrics["num_events"]:
            texts.append(f"{name}: evaluated on {item['num_events']} events, this result on {metrics['num_events']}")
    return texts


def provenance_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the evaluation read, and when and with what it ran."""
    made = metrics["provenance"]
    return [
        ("results", made["results"]),
        ("events", made["events"]),
        ("split", made["split"] or "all"),
        ("evaluated at", made["evaluated_at"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in made["versions"].items())),
        ("platform", made["platform"]),
    ]


def baseline_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return where the results of each method beside come from, and its settings where they are recorded."""
    rows = []
    for name, item in metrics["baselines"].items():
        settings = item["provenance"]["meta"].get("settings")
        text = item["provenance"]["results"] + (f", settings {settings}" if settings else "")
        rows.append((f"baseline {name}", text))
    return rows


def bootstrap_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the provenance of an evaluation whose intervals rest on resampling, methods beside it included."""
    return [
        *provenance_rows(metrics),
        ("definitions of the metrics", metrics["definition_version"]),
        ("seed of the bootstrap", str(metrics["provenance"]["seed"])),
        *baseline_rows(metrics),
    ]


def listings(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the configuration of the evaluation and, where there is one, the record of the inference, as YAML."""
    made = metrics["provenance"]
    found = [("Configuration of this evaluation", dump_yaml(made["config"]))]
    if made["results_meta"]:
        found.append(("Record of the inference", dump_yaml(dict(made["results_meta"]))))
    return found
