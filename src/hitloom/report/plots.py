"""Every plot of a report from the metrics alone: file name, title, caption, and how to draw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hitloom.report.config import EvaluationConfig
from hitloom.report.curve_plots import Scale, axis_label, curve_figure
from hitloom.report.edge_plots import edge_plots
from hitloom.report.headline import MATCH
from hitloom.report.page_parts import outside_bins, timing_plot
from hitloom.report.plot import INTERVAL, Plot, sample_text, scaled_axis
from hitloom.report.summary_plots import budget_figure, histogram_figure, scan_figure

# Quantity -> end of the file name.
FILE_NAMES = {"num_points": "hits"}
TITLES = {
    "pt": "transverse momentum",
    "eta": "pseudorapidity",
    "phi": "azimuth",
    "vertex_radius": "vertex radius",
    "vertex_z": "vertex z",
    "num_points": "number of hits",
}
FAKE_AXES = ("pt", "eta")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Preset and target whose curves are drawn."""

    preset: str
    target: str


def plots_of(metrics: Mapping[str, Any], config: EvaluationConfig, chosen: Chosen) -> list[Plot]:
    """Return the plots that the metrics allow, in the order of the report."""
    return [
        *_curves(metrics, config, chosen),
        *_scan(metrics, config),
        *_budget(metrics, config),
        *edge_plots(metrics, config),
        *_distributions(metrics),
        *timing_plot(metrics, lead="Wall time of each stage of the inference of an event."),
    ]


def series_of(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the metrics of this result and of every baseline by the name in the legend."""
    return {metrics.get("name", "this result"): metrics, **metrics.get("baselines", {})}


def _curves(metrics: Mapping[str, Any], config: EvaluationConfig, chosen: Chosen) -> Iterator[Plot]:
    axes = metrics["curves"].get(chosen.preset, {}).get(chosen.target, {})
    cuts = metrics["choices"]["presets"][chosen.preset]["targets"][chosen.target]["text"]
    for axis in axes:
        yield _curve(metrics, config, chosen, axis, f"efficiency.{MATCH}", cuts)
    for axis in FAKE_AXES:
        if axis in axes:
            fitted = f"fake_per_fitted_track.{MATCH}"
            everywhere = all(fitted in rates for rates in _rates(metrics, chosen, axis).values())
            yield _curve(metrics, config, chosen, axis, fitted if everywhere else f"fake_per_track.{MATCH}", cuts)


def _rates(metrics: Mapping[str, Any], chosen: Chosen, axis: str) -> dict[str, Mapping[str, Any]]:
    return {
        name: item["curves"][chosen.preset][chosen.target][axis]["rates"]
        for name, item in series_of(metrics).items()
        if axis in item["curves"].get(chosen.preset, {}).get(chosen.target, {})
    }


def _curve(
    metrics: Mapping[str, Any], config: EvaluationConfig, chosen: Chosen, axis: str, key: str, cuts: str
) -> Plot:
    content = metrics["curves"][chosen.preset][chosen.target][axis]
    rates = {name: item[key] for name, item in _rates(metrics, chosen, axis).items() if key in item}
    own = rates[next(iter(series_of(metrics)))]
    edges, unit = scaled_axis(content["edges"], content["unit"], config)
    is_efficiency = key.startswith("efficiency")
    label = axis_label(axis, unit)
    if own["of"].startswith("fitted"):
        label = label.replace("true", "fitted")
    name = f"{'track_efficiency' if is_efficiency else 'fake_rate'}_{FILE_NAMES.get(axis, axis)}"
    y_label = "track efficiency" if is_efficiency else "fake tracks / tracks"
    return Plot(
        name=name,
        title=f"{'Efficiency' if is_efficiency else 'Fake tracks'} against {TITLES[axis]}",
        lead=f"{_capital(own['definition'].split(' [')[0])}.",
        facts=(
            ("rate", f"{key}, binned by the {own['of']}"),
            ("sample", sample_text(metrics)),
            ("cuts", f"{cuts}; no cut on the quantity of the axis"),
            ("matching", "double majority"),
            INTERVAL,
            *outside_bins(own),
        ),
        draw=lambda: curve_figure(
            rates,
            edges,
            x_label=label,
            y_label=y_label,
            scale=_scale(axis, content["log"]),
            y_range=config.y_range if is_efficiency else None,
        ),
    )


def _scale(axis: str, log: bool) -> Scale:
    by_name: dict[str, Scale] = {"vertex_radius": "even", "vertex_z": "even", "num_points": "whole"}
    return "log" if log else by_name.get(axis, "linear")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _scan(metrics: Mapping[str, Any], config: EvaluationConfig) -> Iterator[Plot]:
    scan = metrics["scan"]
    if scan is None:
        return
    rates = {
        f"efficiency.{MATCH}": "efficiency",
        f"fake_per_track.{MATCH}": "fakes per track",
        "duplicate_per_particle.purity50": "duplicates per particle",
    }
    known = {key: text for key, text in rates.items() if scan["rows"] and key in scan["rows"][0]}
    best = scan["best"]
    text = f"eps {best['eps']:g}, min_samples {best['min_samples']}, by {scan['objective']}" if best else "none"
    yield Plot(
        name="track_eff_dbscan_vs_eps",
        title="Working points of the clustering",
        lead="The same embedding grouped again at every point.",
        facts=(
            ("rates", "efficiency and fake_per_track by double majority, duplicate_per_particle by purity50"),
            ("sample", f"{scan['num_events']:,} events, {metrics['choices']['hit_selection']}"),
            ("cuts", scan["selection"]),
            INTERVAL,
            ("best", text),
        ),
        draw=lambda: scan_figure(
            scan["rows"],
            known,
            working_point=scan["working_point"],
            y_range=config.y_range,
        ),
    )


def _budget(metrics: Mapping[str, Any], config: EvaluationConfig) -> Iterator[Plot]:
    budget = metrics["loss_budget"]
    stages = [
        {
            "label": stage["name"],
            "bounding": stage["bounding"],
            **{key: stage["cumulative" if stage["bounding"] else "findable"][key] for key in ("value", "interval")},
        }
        for stage in budget["stages"]
    ]
    facts = (("sample", sample_text(metrics)), ("cuts", budget["selection"]["text"]))
    yield Plot(
        name="loss_budget",
        title="Where particles are lost",
        lead="Particles that could still be found after each stage, were everything after it perfect.",
        facts=(
            ("can be found", "a double majority of the hits is left (graph: connected; grouping: in one valid track)"),
            ("pale bars", "graphs along which nothing has to be found: they do not bound what follows"),
            *facts,
            INTERVAL,
        ),
        draw=lambda: budget_figure(stages),
    )
    for axis, content in budget["curves"].items():
        edges, unit = scaled_axis(content["edges"], content["unit"], config)
        yield Plot(
            name=f"loss_budget_{FILE_NAMES.get(axis, axis)}",
            title=f"Where particles are lost, against {TITLES[axis]}",
            lead="Particles that could still be found after each stage.",
            facts=(
                ("rate", content["definition"]),
                *facts[:1],
                ("cuts", f"{budget['selection']['text']}; no cut on the quantity of the axis"),
                INTERVAL,
            ),
            draw=lambda content=content, edges=edges, axis=axis, unit=unit: curve_figure(  # type: ignore[misc]
                content["stages"],
                edges,
                x_label=axis_label(axis, unit),
                y_label="particles that can be found",
                scale="log" if content["log"] else "linear",
                y_range=config.y_range,
            ),
        )


def _distributions(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    for name, file_name, title, label, entries in (
        (
            "track_purity",
            "track_purity",
            "Purity of tracks",
            "largest share of a track's hits from one particle",
            "tracks",
        ),
        (
            "track_efficiency",
            "track_hit_efficiency",
            "Completeness of particles",
            "largest share of a particle's hits in one track",
            "target particles",
        ),
    ):
        content = metrics["distributions"][name]
        counts = {key: item["distributions"][name]["counts"] for key, item in series_of(metrics).items()}
        yield Plot(
            name=file_name,
            title=title,
            lead=f"{_capital(content['definition'])}.",
            facts=(
                ("outlines", f"each sums to 1; in brackets the number of {entries}"),
                ("dotted line", "the majority that matching asks for"),
                ("sample", sample_text(metrics)),
                ("cuts", metrics["distributions"]["selection"]),
            ),
            draw=lambda counts=counts, label=label, entries=entries: histogram_figure(  # type: ignore[misc]
                counts,
                metrics["distributions"]["edges"],
                x_label=label,
                y_label=f"share of {entries}",
                threshold=0.5,
            ),
        )
