"""The plots and the table of the edges, from the entries ``edges`` and ``radius_curve`` of the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hitloom.report.config import EvaluationConfig
from hitloom.report.curve_plots import Scale, curve_figure
from hitloom.report.edge_figures import (
    RATE_LABELS,
    map_figure,
    radius_figure,
    rates_figure,
    roc_figure,
    score_figure,
)
from hitloom.report.numbers import UNDEFINED, count
from hitloom.report.plot import Plot, sample_text, scaled_axis
from hitloom.report.report_tables import Row, cell

_INTERVAL = ("bars", "Clopper-Pearson, 68 %, edges taken as independent")
AXES = {
    "pt": "true transverse momentum",
    "eta": "true pseudorapidity",
    "r": "r of the inner hit",
    "z": "z of the inner hit",
    "hit_eta": "pseudorapidity of the inner hit",
}


def edge_plots(metrics: Mapping[str, Any], config: EvaluationConfig) -> list[Plot]:
    """Return the plots that the metrics allow."""
    edges = metrics.get("edges")
    plots = [] if edges is None else [*_scores(metrics), *_binned(metrics, config), *_maps(metrics)]
    return [*plots, *_radius(metrics)]


def _facts(metrics: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    edges = metrics["edges"]
    return (("sample", sample_text(metrics)), ("target particles", edges["selection"]["text"]))


def _judged(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the scores of every graph whose edges are judged, by the name of the graph."""
    return {stage["name"]: stage["scores"] for stage in metrics["edges"]["stages"] if stage["scores"] is not None}


def _scores(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    judged = _judged(metrics)
    if not judged:
        return

    def legend_text(name: str, scores: Mapping[str, Any]) -> str:
        full, masked = (scores["auc"][kind]["value"] for kind in ("full", "masked"))
        return f"edges of '{name}': area {_area(full)}, masked {_area(masked)}"

    curves = {legend_text(name, scores): scores["roc"] for name, scores in judged.items()}
    yield Plot(
        name="edge_roc",
        title="ROC of the edges",
        lead="Target edges that are kept against other edges that are kept, at every cut on the score.",
        facts=(
            ("solid", "against all other edges"),
            ("dashed", "masked: true edges of particles that are no target are left out"),
            ("area", "under the curve on linear axes, from the scores, ties counted half"),
            *_facts(metrics),
        ),
        draw=lambda: roc_figure(curves),
    )
    for name, scores in judged.items():
        curve = scores["cut_curve"]
        yield Plot(
            name=f"edge_cut_{_file_name(name)}",
            title=f"Cut on the score of the edges of '{name}'",
            lead="Efficiency and the three purities of the edges with a score above the cut.",
            facts=(
                ("efficiency", "of all truth edges of target particles, so losses of earlier stages count"),
                *((RATE_LABELS[rate], curve[rate]["definition"]) for rate in RATE_LABELS if "purity" in rate),
                *_facts(metrics),
                ("bands", "Clopper-Pearson, 68 %"),
            ),
            draw=lambda curve=curve: rates_figure(  # type: ignore[misc]
                curve["cut"], {text: curve[rate] for rate, text in RATE_LABELS.items()}, x_label="cut on the score"
            ),
        )
        yield Plot(
            name=f"edge_scores_{_file_name(name)}",
            title=f"Scores of the edges of '{name}'",
            lead="Scores of true and of false edges, in brackets how many there are.",
            facts=_facts(metrics),
            draw=lambda scores=scores: score_figure(scores["histogram"]),  # type: ignore[misc]
        )


def _binned(metrics: Mapping[str, Any], config: EvaluationConfig) -> Iterator[Plot]:
    for rate in ("edge_efficiency.target", "masked_purity"):
        for axis, content in metrics["edges"]["curves"].items():
            # The pseudorapidity of the hit says nothing new of the efficiency, which is known against the particle's.
            if rate in content["rates"] and (axis, rate) != ("hit_eta", "edge_efficiency.target"):
                yield _curve(metrics, config, rate, axis, content)


def _curve(
    metrics: Mapping[str, Any], config: EvaluationConfig, rate: str, axis: str, content: Mapping[str, Any]
) -> Plot:
    efficiency = rate == "edge_efficiency.target"
    edges, unit = scaled_axis(content["edges"], content["unit"], config)
    scale: Scale = "log" if content["log"] else "linear"
    stages = content["rates"][rate]
    return Plot(
        name=f"{'edge_efficiency' if efficiency else 'edge_purity'}_{axis}",
        title=f"{'Edge efficiency' if efficiency else 'Edge purity'} against {AXES[axis]}",
        lead=f"{rate}: {next(iter(stages.values()))['definition']}.",
        facts=(("binned by", content["of"]), *_facts(metrics), _INTERVAL),
        draw=lambda: curve_figure(
            stages,
            edges,
            x_label=AXES[axis] + (f" [{unit}]" if unit else ""),
            y_label="edge efficiency" if efficiency else "masked edge purity",
            scale=scale,
            y_range=config.y_range if efficiency else None,
        ),
    )


def _maps(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    maps = metrics["edges"]["maps"]
    for rate, text in RATE_LABELS.items():
        panels = {stage: rates[rate] for stage, rates in maps["stages"].items()}
        yield Plot(
            name=f"edge_map_{rate.removeprefix('edge_').split('.')[0]}",
            title=f"{text[:1].upper()}{text[1:]} in r and z",
            lead=f"{rate}: {next(iter(panels.values()))['definition']}.",
            facts=(("bins", "by the inner hit of the edge, the one nearer to the origin"), *_facts(metrics)),
            draw=lambda panels=panels, text=text: map_figure(  # type: ignore[misc]
                panels, maps["r_edges"], maps["z_edges"], label=text
            ),
        )


def _radius(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    scan = metrics.get("radius_curve")
    if scan is None:
        return
    yield Plot(
        name="edge_radius",
        title="Radius graph on the embedding",
        lead="Efficiency and purity of a graph that joins each hit to its k nearest within a radius.",
        facts=(
            ("total purity", scan["curves"][0]["total_purity"]["definition"]),
            ("masked purity", scan["curves"][0]["masked_purity"]["definition"]),
            ("saturated", scan["saturated_definition"]),
            ("sample", f"the first {scan['num_events']:,} events, {sample_text(metrics).partition(', ')[2]}"),
            ("target particles", scan["selection"]),
        ),
        draw=lambda: radius_figure(
            scan["radius"], scan["curves"], ("edge_efficiency.target", "total_purity", "masked_purity")
        ),
    )


def edge_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per graph: edges, efficiency of the stage and of all so far, three purities, area of the ROC."""
    edges = metrics.get("edges")
    if edges is None:
        return []
    return [
        {
            "name": stage["name"],
            "edges": count(round(stage["edges_per_event"]["value"])),
            "cells": [
                cell(stage[name])
                for name in (
                    "stage_efficiency",
                    "edge_efficiency.target",
                    "target_purity",
                    "total_purity",
                    "masked_purity",
                )
            ],
            "f1": _area(stage["masked_f1"]["value"]),
            "auc": UNDEFINED if stage["scores"] is None else _area(stage["scores"]["auc"]["full"]["value"]),
            "masked_auc": UNDEFINED if stage["scores"] is None else _area(stage["scores"]["auc"]["masked"]["value"]),
        }
        for stage in edges["stages"]
    ]


def edge_definitions(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and definition of every column of :func:`edge_rows`."""
    edges = metrics.get("edges")
    if edges is None:
        return []
    stage = edges["stages"][0]
    names = (
        "stage_efficiency",
        "edge_efficiency.target",
        "target_purity",
        "total_purity",
        "masked_purity",
        "masked_f1",
    )
    return [("edges per event", stage["edges_per_event"]["definition"])] + [
        (name, stage[name]["definition"]) for name in names
    ]


def _area(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.4f}"


def _file_name(stage: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in stage).strip("_").lower() or "graph"
