"""Every plot of a report of shower growing: file name, title, caption, and how to draw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from hitloom.report.curve_plots import curve_figure, lines_figure
from hitloom.report.page_parts import timing_plot
from hitloom.report.plot import Plot
from hitloom.report.showers.collect import Shown
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.showers.figures import matrix_figure, slice_figure
from hitloom.report.showers.headline import MAIN_RATES, SHORT
from hitloom.report.showers.tables import drawn_members
from hitloom.report.summary_plots import histogram_figure

OWN_PLOTS = ("slice_", "similarity_", "iterations_", "clusters_", "leading_", "shower_", "histogram_", "inference_time")
Facts = tuple[tuple[str, str], ...]
PER_SHOWER = ("completeness", "purity", "kept_whole")


def plots_of(metrics: Mapping[str, Any], shown: Shown, config: ShowerEvaluationConfig) -> list[Plot]:
    """Return the plots that the metrics allow, in the order of the report; none where the settings want none."""
    if not config.plots:
        return []
    methods = drawn_members(metrics, config.max_drawn)
    return [
        *_slices(shown, config),
        *_iterations(metrics),
        *_binned(metrics, methods, "by_clusters", "clusters", "clusters of the view"),
        *_binned(metrics, methods, "by_energy", "leading", "energy of the leading shower [GeV]"),
        *_showers(metrics, methods),
        *_histograms(metrics, methods),
        *timing_plot(metrics, lead="Wall time of each stage of the inference of a view; points: clusters."),
    ]


def _facts(metrics: Mapping[str, Any], methods: Mapping[str, Any] | None = None) -> Facts:
    sample = metrics["headline"]["sample"]
    left = len(metrics["baselines"]) + 1 - len(methods or {})
    drawn = (("drawn", f"{len(methods or {})} rows; {left} more are in the tables"),) if methods and left else ()
    return (
        ("sample", f"{sample['num_slices']:,} slices, {sample['num_events']:,} views; {metrics['choices']['cuts']}"),
        *drawn,
    )


def _slices(shown: Shown, config: ShowerEvaluationConfig) -> Iterator[Plot]:
    for place, (number, found) in enumerate(groupby(shown.views, key=lambda view: view.slice)):
        views = list(found)
        why = f": {views[0].why}" if views[0].why else ""
        lead = "; ".join(view.text() for view in views) + "."
        if place < config.num_pictures:
            yield Plot(
                name=f"slice_{place + 1}_{number}",
                title=f"Slice {number}{why}",
                lead=lead[:1].upper() + lead[1:],
                facts=(
                    (
                        "hits",
                        "rectangles, width along drift by one wire pitch; triangles: electrons, positrons, photons",
                    ),
                    ("colours", "the largest group of a particle has the particle's colour; grey: no true particle"),
                    ("cross", "the vertex; limits from clusters of 4 hits or more"),
                ),
                draw=lambda views=views: slice_figure(views),  # type: ignore[misc]
            )
        known = [view for view in views if view.predicted is not None and view.wanted is not None]
        if place < config.num_matrices and known:
            yield Plot(
                name=f"similarity_{place + 1}_{number}",
                title=f"Similarity of the clusters of slice {number}",
                lead="Predicted, true, and predicted minus true similarity of all pairs of clusters.",
                facts=(("order", "by the particle with most hits of a cluster, then by size"),),
                draw=lambda known=known: matrix_figure(known),  # type: ignore[misc]
            )


def _iterations(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    block = metrics.get("iterations")
    if not block:
        return
    for rate in MAIN_RATES:
        curves = {
            name: ([row["iterations"] for row in rows], [row["rates"][rate]["value"] for row in rows])
            for name, rows in block["models"].items()
        }
        yield Plot(
            name=f"iterations_{rate}",
            title=f"{SHORT[rate][:1].upper()}{SHORT[rate][1:]} against iterations",
            lead=f"{block['definition'][:1].upper()}{block['definition'][1:]}.",
            facts=_facts(metrics),
            draw=lambda curves=curves, rate=rate: lines_figure(  # type: ignore[misc]
                curves, x_label="iterations", y_label=SHORT[rate], markers=True
            ),
        )


def _curve(entries: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> dict[str, list[Any]]:
    return {
        "value": [entry["value"] for entry in entries],
        "low": [(entry["interval"] or (entry["value"],))[0] for entry in entries],
        "high": [(entry["interval"] or (entry["value"],))[-1] for entry in entries],
        "denominator": list(counts),
    }


def _edges(bins: Sequence[Mapping[str, Any]]) -> list[float]:
    return [*(float(item["low"]) for item in bins), 2 * float(bins[-1]["low"])]


def _binned(
    metrics: Mapping[str, Any], methods: Mapping[str, Any], which: str, prefix: str, label: str
) -> Iterator[Plot]:
    places = [place for place, item in enumerate(metrics[which]) if item["low"] is not None]
    for rate in MAIN_RATES:
        curves = {
            name: _curve([item[which][place]["rates"][rate] for place in places],
                         [item[which][place]["num_events"] for place in places])
            for name, item in methods.items()
        }  # fmt: skip
        yield Plot(
            name=f"{prefix}_{rate}",
            title=f"{SHORT[rate][:1].upper()}{SHORT[rate][1:]} against the {label.partition(' [')[0]}",
            lead=f"{metrics['choices']['rates'][rate]}.",
            facts=(("bars", metrics["choices"]["interval"]), ("last bin", "without an upper end"),
                   ("entries", "views in the bin"), *_facts(metrics, methods)),
            draw=lambda curves=curves, rate=rate: curve_figure(  # type: ignore[misc]
                curves, _edges([metrics[which][place] for place in places]), x_label=label, y_label=SHORT[rate],
                scale="even",
            ),
        )  # fmt: skip


def _showers(metrics: Mapping[str, Any], methods: Mapping[str, Any]) -> Iterator[Plot]:
    bins = metrics["particles"]["by_energy"]
    for rate in PER_SHOWER:
        curves = {
            name: _curve([place["shower"][rate] for place in item["particles"]["by_energy"]],
                         [place["shower"]["num_particles"] for place in item["particles"]["by_energy"]])
            for name, item in methods.items()
        }  # fmt: skip
        meaning = metrics["choices"]["matching"].get(rate) or metrics["choices"]["merging"][rate]
        yield Plot(
            name=f"shower_{rate}",
            title=f"{SHORT[rate][:1].upper()}{SHORT[rate][1:]} of showers against their energy",
            lead=f"{meaning[:1].upper()}{meaning[1:]}.",
            facts=(("showers", f"at least {metrics['particles']['min_hits']} hits in the view"),
                   ("energy", metrics["choices"]["energy"]), ("bars", metrics["choices"]["interval"]),
                   ("entries", "showers of all views in the bin; the last bin has no upper end"),
                   *_facts(metrics, methods)),
            draw=lambda curves=curves, rate=rate: curve_figure(  # type: ignore[misc]
                curves, _edges(bins), x_label="energy of the shower [GeV]", y_label=SHORT[rate], scale="even"
            ),
        )  # fmt: skip


def _histograms(metrics: Mapping[str, Any], methods: Mapping[str, Any]) -> Iterator[Plot]:
    for rate in MAIN_RATES:
        series = {name: item["histograms"][rate] for name, item in methods.items()}
        yield Plot(
            name=f"histogram_{rate}",
            title=f"{SHORT[rate][:1].upper()}{SHORT[rate][1:]} of the views",
            lead=f"{metrics['choices']['rates'][rate].partition('; mean')[0]}; 100 bins, below 0 counts in the first.",
            facts=_facts(metrics, methods),
            draw=lambda series=series, rate=rate: histogram_figure(  # type: ignore[misc]
                series, metrics["histograms"]["edges"], x_label=SHORT[rate], y_label="share of views"
            ),
        )
