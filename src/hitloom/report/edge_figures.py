"""Figures of edges: ROC, rates against a cut or a radius, scores of true and false edges, maps in r and z."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.canvas import SIZE, canvas, dress, legend, message, name_axes
from hitloom.report.palette import LIGHT, SERIES, STATUS, Theme
from hitloom.report.summary_plots import DASHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATE_LABELS = {
    "edge_efficiency.target": "efficiency, target edges",
    "target_purity": "target purity",
    "total_purity": "total purity",
    "masked_purity": "masked purity",
}


def roc_figure(curves: Mapping[str, Mapping[str, Mapping[str, Any]]], *, theme: Theme = LIGHT) -> Figure:
    """Return ROC curves: one colour a stage; solid against all other edges, dashed with other true edges left out.

    Parameters
    ----------
    curves : mapping
        Legend text -> ``full`` and ``masked`` of :meth:`hitloom.metrics.edge_curves.EdgeScores.result`.
    """
    figure, (axes,) = canvas(theme)
    smallest = 1.0
    for colour, (name, kinds) in zip(SERIES, curves.items(), strict=False):
        for dash, (kind, curve) in zip(DASHES, kinds.items(), strict=False):
            x, y = np.array(curve["false_positive_rate"]), np.array(curve["true_positive_rate"])
            if not x.size:
                continue
            smallest = min(smallest, float(x[x > 0].min(initial=1.0)))
            axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.6, label=name if kind == "full" else None)
    if smallest == 1.0:
        message(axes, theme, "no stage has scores of true and of false edges")
    axes.set_xscale("log")
    axes.set_xlim(max(smallest, 1e-6) if smallest < 1 else 1e-3, 1)
    axes.set_ylim(0, 1.04)
    axes.grid(True, axis="x", color=theme.grid, linewidth=0.8)
    name_axes(axes, theme, "share of the other edges that is kept", "share of target edges that is kept")
    legend(axes, theme, num_columns=1)
    return figure


def rates_figure(
    x: Sequence[float],
    rates: Mapping[str, Mapping[str, Any]],
    *,
    x_label: str,
    extra: Mapping[str, Sequence[float | None]] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """Return rates with bands of their intervals against x.

    Parameters
    ----------
    rates : mapping
        Legend text -> ``value``, ``low`` and ``high``.
    extra : mapping or None
        Legend text -> shares without an interval, drawn thin and grey.
    """
    figure, (axes,) = canvas(theme)
    for colour, (name, rate) in zip(SERIES, rates.items(), strict=False):
        low, value, high = (_floats(rate[key]) for key in ("low", "value", "high"))
        axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(x, value, color=colour, linewidth=1.6, label=name)
    for dash, (name, values) in zip(DASHES[1:], (extra or {}).items(), strict=False):
        axes.plot(x, _floats(values), color=theme.muted, linewidth=1.2, linestyle=dash, label=name)
    if not any(np.isfinite(_floats(rate["value"])).any() for rate in rates.values()):
        message(axes, theme, "no true edge, or no edge at all")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(0, 1.04)
    name_axes(axes, theme, x_label, "rate")
    legend(axes, theme, num_columns=2)
    return figure


def radius_figure(
    radius: Sequence[float], curves: Sequence[Mapping[str, Any]], rates: Sequence[str], *, theme: Theme = LIGHT
) -> Figure:
    """Return rates against the radius: one colour a rate, one dash a number of neighbours; below, what saturates.

    Parameters
    ----------
    curves : sequence of mapping
        ``curves`` of :meth:`hitloom.metrics.radius_scan.RadiusScan.result`.
    rates : sequence of str
        Names of proportions in a curve.
    """
    from matplotlib.lines import Line2D

    figure, (upper, lower) = canvas(theme, size=(SIZE[0], SIZE[1] + 0.6), num_rows=2, heights=(3.0, 1.0))
    ordered = sorted(curves, key=lambda curve: -curve["num_neighbours"])
    for dash, curve in zip(DASHES, ordered, strict=False):
        for colour, rate in zip(SERIES, rates, strict=False):
            upper.plot(radius, _floats(curve[rate]["value"]), color=colour, linestyle=dash, linewidth=1.4)
        lower.plot(radius, _floats(curve["saturated"]), color=theme.muted, linestyle=dash, linewidth=1.2)
    handles = [Line2D([], [], color=colour, linewidth=1.6) for colour, _ in zip(SERIES, rates, strict=False)]
    labels = [RATE_LABELS[rate] for rate in rates]
    handles += [Line2D([], [], color=theme.muted, linestyle=dash) for dash, _ in zip(DASHES, ordered, strict=False)]
    labels += [f"k = {curve['num_neighbours']}" for curve, _ in zip(ordered, DASHES, strict=False)]
    upper.set_ylim(0, 1.04)
    upper.set_xlim(0, radius[-1])
    lower.set_ylim(0, 1.04)
    name_axes(upper, theme, "", "rate")
    name_axes(lower, theme, "radius in the embedding", "saturated")
    legend(upper, theme, handles=handles, labels=labels, handlelength=2.2, num_columns=3)
    figure.align_ylabels([upper, lower])
    return figure


def score_figure(histogram: Mapping[str, Any], *, theme: Theme = LIGHT) -> Figure:
    """Return the scores of true and of false edges on a logarithmic scale of counts."""
    figure, (axes,) = canvas(theme)
    names = {"target_true": "true, target", "other_true": "true, other particle", "false": "false"}
    colours = {"target_true": STATUS["found"], "other_true": SERIES[2], "false": STATUS["fake"]}
    total = 0
    for key, text in names.items():
        counts = np.asarray(histogram["counts"][key])
        total += int(counts.sum())
        if counts.any():
            axes.stairs(
                counts, histogram["edges"], color=colours[key], linewidth=1.6, label=f"{text} ({counts.sum():,})"
            )
    if total:
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.5)
    else:
        message(axes, theme, "no edge has a score")
    axes.set_xlim(0, 1)
    name_axes(axes, theme, "score of the edge", "edges per bin")
    legend(axes, theme)
    return figure


def map_figure(
    panels: Mapping[str, Mapping[str, Any]],
    r_edges: Sequence[float],
    z_edges: Sequence[float],
    *,
    label: str,
    theme: Theme = LIGHT,
) -> Figure:
    """Return maps of a rate in r and z, one panel a stage above each other; bins without entries stay empty.

    Parameters
    ----------
    panels : mapping
        Title -> ``numerator`` and ``denominator`` (R, Z).
    """
    figure, rows = canvas(
        theme, size=(SIZE[0], 0.5 + 1.9 * len(panels)), num_rows=len(panels), heights=(1.0,) * len(panels)
    )
    mesh = None
    for axes, (title, panel) in zip(rows, panels.items(), strict=True):
        top, bottom = np.asarray(panel["numerator"], dtype=float), np.asarray(panel["denominator"], dtype=float)
        value = np.ma.masked_invalid(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0))
        mesh = axes.pcolormesh(z_edges, r_edges, value, cmap="viridis", vmin=0, vmax=1, rasterized=True)
        axes.grid(False)
        axes.set_title(title, loc="left", fontsize=8.5, color=theme.text)
        name_axes(axes, theme, "z of the inner hit [mm]" if axes is rows[-1] else "", "r [mm]")
        if not (bottom > 0).any():
            message(axes, theme, "no entries")
    if mesh is not None:
        _colour_bar(figure, mesh, rows, label, theme)
    return figure


def _colour_bar(figure: Figure, mesh: Any, rows: Sequence[Axes], label: str, theme: Theme) -> None:
    bar = figure.colorbar(mesh, ax=list(rows), fraction=0.05, pad=0.02)
    dress(bar.ax, theme)
    bar.ax.grid(False)
    bar.outline.set_visible(False)
    bar.set_label(label, color=theme.text, fontsize=8.5)


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else float(value) for value in values])
