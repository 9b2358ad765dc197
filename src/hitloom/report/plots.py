"""Every plot of a report from the metrics alone: file name, title, caption with its four choices, and how to draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.config import EvaluationConfig
from hitloom.report.curve_plots import axis_label, curve_figure
from hitloom.report.headline import MATCH
from hitloom.report.palette import Theme
from hitloom.report.summary_plots import budget_figure, histogram_figure, scan_figure, timing_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTERVAL = "Bars: Clopper-Pearson, 68 %, tracks taken as independent."
# Quantity -> end of the file name.
FILE_NAMES = {"num_points": "hits"}
TITLES = {
    "pt": "transverse momentum",
    "eta": "pseudorapidity",
    "phi": "azimuth",
    "vertex_radius": "vertex radius",
    "num_points": "number of hits",
}
FAKE_AXES = ("pt", "eta")


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot: ``plots/<name>.png``, title and caption in the report, and its drawing in a colour scheme."""

    name: str
    title: str
    caption: str
    draw: Callable[[Theme], Figure]


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
        *_distributions(metrics),
        *_timing(metrics),
    ]


def series_of(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the metrics of this result and of every baseline by the name in the legend."""
    return {"this result": metrics, **metrics.get("baselines", {})}


def sample_text(metrics: Mapping[str, Any]) -> str:
    """Return the sample in words: number of events, which hits."""
    number = metrics["num_events"]
    truth = "; truth-selected input" if metrics["choices"]["truth_selected_input"] else ""
    return f"{number:,} event{'' if number == 1 else 's'}, {metrics['choices']['hit_selection']}{truth}"


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
    own = rates["this result"]
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
        caption=(
            f"{key}: {own['definition'].split(' [')[0]}. Bins: {own['of']}. Sample: {sample_text(metrics)}. "
            f"Cuts: {cuts} (the cut on the quantity of the axis is lifted). Matching: double majority. {INTERVAL}"
            + _outside(own)
        ),
        draw=lambda theme: curve_figure(
            rates,
            edges,
            x_label=label,
            y_label=y_label,
            scale="log" if content["log"] else ("even" if axis == "vertex_radius" else "linear"),
            y_range=config.y_range if is_efficiency else None,
            theme=theme,
        ),
    )


def _outside(curve: Mapping[str, Any]) -> str:
    """Say what is not in any bin."""
    names = {"underflow": "below", "overflow": "above", "undefined": "without a value", "noise": "owned by noise"}
    parts = [
        f"{entry['numerator']:,} of {entry['denominator']:,} {names[where]}"
        for where, entry in curve["outside"].items()
        if entry["denominator"]
    ]
    return f" Not drawn: {', '.join(parts)}." if parts else ""


def scaled_axis(edges: list[float], unit: str, config: EvaluationConfig) -> tuple[list[float], str]:
    """Return edges and unit as the configuration wants pt drawn."""
    if unit == "GeV" and config.pt_unit == "MeV":
        return [1000.0 * edge for edge in edges], "MeV"
    return list(edges), unit


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
    at = f" Best: eps {best['eps']:g}, min_samples {best['min_samples']} ({scan['objective']})." if best else ""
    yield Plot(
        name="track_eff_dbscan_vs_eps",
        title="Working points of the clustering",
        caption=(
            f"Every point groups the same embedding again; efficiency and fakes by double majority, duplicates by "
            f"purity50. Sample: {scan['num_events']:,} events, {metrics['choices']['hit_selection']}. "
            f"Cuts: {scan['selection']}. {INTERVAL}{at}"
        ),
        draw=lambda theme: scan_figure(
            scan["rows"], known, working_point=scan["working_point"], y_range=config.y_range, theme=theme
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
    text = (
        "Share of target particles that could still be found after each stage, were everything after it perfect: a "
        "double majority of the particle's hits is left (graphs: connected; grouping: in one valid track). Pale bars "
        "show graphs along which nothing has to be found: they do not bound what follows. "
        f"Sample: {sample_text(metrics)}. Cuts: {budget['selection']['text']}. {INTERVAL}"
    )
    yield Plot(
        name="loss_budget",
        title="Where particles are lost",
        caption=text,
        draw=lambda theme: budget_figure(stages, theme=theme),
    )
    for axis, content in budget["curves"].items():
        edges, unit = scaled_axis(content["edges"], content["unit"], config)
        yield Plot(
            name=f"loss_budget_{FILE_NAMES.get(axis, axis)}",
            title=f"Where particles are lost, against {TITLES[axis]}",
            caption=(
                f"{content['definition']}. Sample: {sample_text(metrics)}. Cuts: {budget['selection']['text']} (the "
                f"cut on the quantity of the axis is lifted). Matching: double majority. {INTERVAL}"
            ),
            draw=lambda theme, content=content, edges=edges, axis=axis, unit=unit: curve_figure(  # type: ignore[misc]
                content["stages"],
                edges,
                x_label=axis_label(axis, unit),
                y_label="particles that can be found",
                scale="log" if content["log"] else "linear",
                y_range=config.y_range,
                theme=theme,
            ),
        )


def _distributions(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    for name, file_name, title, label, entries in (
        ("track_purity", "track_purity", "Purity of tracks", "largest share of a track's hits from one particle", "tracks"),
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
            caption=(
                f"{content['definition'].capitalize()}. Each outline sums to 1; the number of {entries} is in the "
                f"legend. Dotted line: the majority that matching asks for. Sample: {sample_text(metrics)}. "
                f"Cuts: {metrics['distributions']['selection']}."
            ),
            draw=lambda theme, counts=counts, label=label, entries=entries: histogram_figure(  # type: ignore[misc]
                counts,
                metrics["distributions"]["edges"],
                x_label=label,
                y_label=f"share of {entries}",
                threshold=0.5,
                theme=theme,
            ),
        )


def _timing(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    timing = metrics["timing"]
    if timing is None:
        return
    stages = {
        name: np.array([np.nan if value is None else value for value in values], dtype=float)
        for name, values in timing["seconds"].items()
    }
    yield Plot(
        name="inference_time",
        title="Time against size of the event",
        caption=(
            f"{timing['definition'].capitalize()}. Sample: {timing['num_events']:,} events. "
            f"Hardware: {timing['hardware'] or 'not recorded'}."
        ),
        draw=lambda theme: timing_figure(timing["num_points"], stages, theme=theme),
    )
