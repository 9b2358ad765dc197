"""Plots of the sample and of the network: features, correlations, attributions, loss curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hitloom.report.plot import Plot
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.report.tracksters.figures import panels_figure
from hitloom.report.tracksters.sample_figures import bars_figure, correlation_figure, history_curves, loss_figure

TARGETS = {"score": "score of edges", "encoder": "node encoder"}


def sample_plots(metrics: Mapping[str, Any], config: TracksterEvaluationConfig) -> list[Plot]:
    """Return the plots that the metrics allow."""
    return [
        *_features(metrics["features"], "feature_nodes", "tracksters", "Features of tracksters"),
        *_features(metrics["edge_features"], "feature_edges", "edges", "Features of candidate edges"),
        *_attributions(metrics["attributions"]),
        *_history(metrics["history"], config),
    ]


def _features(found: Mapping[str, Any] | None, name: str, what: str, title: str) -> Iterator[Plot]:
    if found is None:
        return
    panels = [
        (
            feature + (f" ({item['missing']:,} missing)" if item["missing"] else ""),
            item["edges"],
            item["counts"],
        )
        for feature, item in zip(found["names"], found["histograms"], strict=True)
    ]
    rows = ("rows", f"the first {found['num_rows']:,} {what}")
    yield Plot(
        name=name,
        title=title,
        lead="Distribution of every input, by class; what lies beyond the central 99 % counts in the outermost bins.",
        facts=(rows, ("units", "cm, GeV, ns; logarithmic counts")),
        draw=lambda: panels_figure(panels, num_columns=5),
    )
    yield Plot(
        name=f"{name}_correlation",
        title=f"{title}: correlations",
        lead=f"{found['definition']}.",
        facts=(rows,),
        draw=lambda: correlation_figure(found["names"], found["correlation"]),
    )


def _attributions(found: Mapping[str, Any] | None) -> Iterator[Plot]:
    for target, values in (found["values"] if found is not None else {}).items():
        yield Plot(
            name=f"network_attributions_{target}",
            title=f"What the {TARGETS.get(target, target)} rests on",
            lead=f"{found['definition'][:1].upper()}{found['definition'][1:]}.",  # type: ignore[index]
            facts=(("sample", f"{found['num_events']} events"),),  # type: ignore[index]
            draw=lambda values=values: bars_figure(values, x_label="mean |attribution|"),  # type: ignore[misc]
        )


def _history(rows: list[dict[str, Any]], config: TracksterEvaluationConfig) -> Iterator[Plot]:
    curves = history_curves(rows)
    if not curves:
        return
    yield Plot(
        name="network_losses",
        title="Losses of the training",
        lead=f"Pale: each epoch. Strong: moving average over {config.average_epochs} epochs.",
        facts=(("epochs", f"{len(rows)}"),),
        draw=lambda: loss_figure(curves, width=config.average_epochs),
    )
