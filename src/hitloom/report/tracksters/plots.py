"""Every plot of a report of tracksters from the metrics alone: file name, title, caption, and how to draw it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hitloom.report.curve_plots import Scale, curve_figure
from hitloom.report.page_parts import outside_bins, timing_plot
from hitloom.report.plot import Plot
from hitloom.report.summary_plots import histogram_figure
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.report.tracksters.edge_plots import edge_plots
from hitloom.report.tracksters.figures import map_figure
from hitloom.report.tracksters.headline import groups_of
from hitloom.report.tracksters.sample_plots import sample_plots
from hitloom.report.tracksters.tables import BEFORE, has_pileup, members, with_before

AXES = {
    "energy": ("energy", "even"),
    "pt": ("transverse momentum", "log"),
    "eta": ("pseudorapidity", "linear"),
    "phi": ("azimuth", "linear"),
}
RATE_TITLES = {
    "efficiency": "Efficiency",
    "purity": "Purity",
    "split": "Split",
    "duplicate": "Duplicates",
    "merge": "Merged",
    "fake": "Fakes",
}
DRAWN = ("efficiency", "purity", "split", "merge", "fake")
CLASS_NAMES = {"signal": "signal", "pileup": "pile-up"}
OWN_PLOTS = ("rate_", "overlap_", "edge_", "feature_", "network_", "inference_time")


def plots_of(metrics: Mapping[str, Any], config: TracksterEvaluationConfig) -> list[Plot]:
    """Return the plots that the metrics allow, in the order of the report; none where the settings want none."""
    if not config.plots:
        return []
    return [
        *_rates(metrics, config),
        *_overlap_per_event(metrics),
        *_maps(metrics),
        *edge_plots(metrics),
        *sample_plots(metrics, config),
        *timing_plot(metrics, lead="Wall time of each stage of the inference of an event; points are tracksters."),
    ]


def sample_text(metrics: Mapping[str, Any]) -> str:
    """Return the sample in words."""
    sample = metrics["headline"]["sample"]
    return f"{sample['num_events']:,} events, {sample['num_tracksters']:,} tracksters before linking"


def _rates(metrics: Mapping[str, Any], config: TracksterEvaluationConfig) -> Iterator[Plot]:
    """Yield signal by the stored truth against everything; by others, and pile-up, against what matters most."""
    stored = metrics["truth"]
    for truth in metrics["curves"]:
        axes = [axis for axis in config.axes if truth == stored or axis in ("energy", "eta")]
        for rate in DRAWN if truth == stored else DRAWN[:4]:
            for axis in axes:
                yield _rate(metrics, truth, "signal", rate, axis)
    if has_pileup(metrics) and stored in metrics["curves"]:
        for rate in DRAWN:
            yield _rate(metrics, stored, "pileup", rate, "energy")


def _rate(metrics: Mapping[str, Any], truth: str, kind: str, rate: str, axis: str) -> Plot:
    content = metrics["curves"][truth][kind][axis]
    curves = {name: item["curves"][truth][kind][axis]["rates"][rate] for name, item in with_before(metrics).items()}
    own = next(iter(curves.values()))
    whose = "true" if own["of"] == "object" else "trackster's own"
    text, scale = AXES[axis]
    unit = f" [{content['unit']}]" if content["unit"] else ""
    drawn_scale: Scale = scale  # type: ignore[assignment]
    prefix = f"{truth.lower()}_" if truth != metrics["truth"] else ""
    return Plot(
        name=f"rate_{prefix}{'' if kind == 'signal' else 'pileup_'}{rate}_{axis}",
        title=f"{RATE_TITLES[rate]} against {text}" + ("" if kind == "signal" else ", pile-up"),
        lead=f"{own['definition'][:1].upper()}{own['definition'][1:]}.",
        facts=(
            ("objects", f"{truth}, {CLASS_NAMES[kind]}; {metrics['choices']['objects']}"),
            ("sample", sample_text(metrics)),
            ("bars", "Clopper-Pearson, 68 %"),
            *outside_bins(own),
        ),
        draw=lambda: curve_figure(
            curves, content["edges"], x_label=f"{whose} {text}{unit}", y_label=f"{rate} rate", scale=drawn_scale
        ),
    )


def _overlap_per_event(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    truth, group = metrics["truth"], groups_of(metrics)
    for key, name in (("missing", "Missing energy (dU)"), ("foreign", "Foreign energy (dO)")):
        values = {}
        for method, item in members(metrics).items():
            sums = item["per_event"]["overlap"][truth][group]["signal"]
            top, bottom = (np.array(sums[column], dtype=float) for column in (key, "energy"))
            values[BEFORE if method == "merge_none" else method] = (top[bottom > 0] / bottom[bottom > 0]).clip(0, 1.5)
        highest = max([float(column.max()) for column in values.values() if column.size] + [0.05])
        edges = np.linspace(0, math.ceil(20 * highest) / 20, 26)
        counts = {method: np.histogram(column, bins=edges)[0].tolist() for method, column in values.items()}
        yield Plot(
            name=f"overlap_{key}_per_event",
            title=f"{name} in each event",
            lead=f"{metrics['choices']['overlap'][key]}, over the energy of the true groups of the event.",
            facts=(
                ("true groups", f"{truth}, {group}, signal: {metrics['choices']['groups'][group]}"),
                ("outlines", "each sums to 1; in brackets the number of events; values above 1.5 count as 1.5"),
                ("sample", sample_text(metrics)),
            ),
            draw=lambda counts=counts, edges=edges, name=name: histogram_figure(  # type: ignore[misc]
                counts, edges.tolist(), x_label=f"{name} / energy of the event's groups", y_label="share of events"
            ),
        )


def _maps(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    for state, found in metrics["maps"].items():
        for kind, name in CLASS_NAMES.items():
            if kind == "pileup" and not has_pileup(metrics):
                continue
            rows = {
                text: {side: _where_groups(kinds[kind], key) for side, kinds in found["sides"].items()}
                for key, text in (("missing", "dU"), ("foreign", "dO"))
            }
            yield Plot(
                name=f"overlap_map_{state}_{kind}",
                title=f"Missing and foreign energy by place, {name}, {state} linking",
                lead=f"{found['definition'][:1].upper()}{found['definition'][1:]}.",
                facts=(
                    ("endcaps", "forward: eta > 0, backward: eta < 0, both against |eta|"),
                    ("truth", metrics["truth"]),
                    ("sample", sample_text(metrics)),
                ),
                draw=lambda rows=rows, found=found: map_figure(  # type: ignore[misc]
                    rows, found["eta_edges"], found["phi_edges"], label="GeV per cell"
                ),
            )


def _where_groups(tables: Mapping[str, Any], key: str) -> Any:
    values, number = np.array(tables[key], dtype=float), np.array(tables["num_groups"])
    return np.where(number > 0, values, np.nan)
