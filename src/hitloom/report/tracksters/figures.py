"""Figures of scored edges and of maps: thresholds, ROC, scores, confusion, reliability, energy by place.

All draw by the object-oriented interface of matplotlib, in the style of :mod:`hitloom.report.canvas`.
Shape letters: H bins, G cells along an axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.canvas import FONT, SIZE, canvas, dress, legend, message, name_axes
from hitloom.report.palette import LIGHT, SERIES, STATUS, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUE_FALSE = {"true": STATUS["found"], "false": STATUS["fake"]}


def grid(
    num_rows: int, num_columns: int, *, size: tuple[float, float], theme: Theme = LIGHT
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a grid of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="none")
    axes = figure.subplots(num_rows, num_columns, squeeze=False)
    for one in axes.flat:
        dress(one, theme)
    return figure, [list(row) for row in axes]


def title(axes: Axes, text: str, theme: Theme = LIGHT) -> None:
    """Write a small title above axes."""
    axes.set_title(text, loc="left", fontsize=8, color=theme.text, fontfamily=FONT)


def threshold_figure(
    scan: Mapping[str, Sequence[float | None]], cuts: Sequence[tuple[float, float]], *, theme: Theme = LIGHT
) -> Figure:
    """Return rates against a single cut on the probability; lines mark the cuts of the working point."""
    figure, (axes,) = canvas(theme)
    for colour, name in zip(SERIES, ("f1", "precision", "recall", "accuracy"), strict=False):
        label = "F1" if name == "f1" else name
        axes.plot(floats(scan["threshold"]), floats(scan[name]), color=colour, linewidth=1.6, label=label)
    for number, (limit, cut) in enumerate(cuts):
        axes.axvline(cut, color=theme.muted, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        text = "working point" if len(cuts) == 1 else (f"< {limit:g} GeV" if number + 1 < len(cuts) else "above")
        axes.annotate(text, (cut, 0.02 + 0.06 * number), xytext=(3, 0), textcoords="offset points", fontsize=7.5,
                      color=theme.muted)  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.04)
    name_axes(axes, theme, "cut on the probability of an edge", "rate")
    legend(axes, theme, num_columns=4)
    return figure


def roc_figure(curves: Mapping[str, Mapping[str, Any]], *, theme: Theme = LIGHT) -> Figure:
    """Return ROC curves by name, with their areas."""
    figure, (axes,) = canvas(theme, size=(SIZE[0], 3.6))
    drawn = 0
    for colour, (name, curve) in zip(SERIES * 2, curves.items(), strict=False):
        if curve["auc"] is None:
            continue
        drawn += 1
        dash = "-" if drawn <= len(SERIES) else (0, (4, 2))
        axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], color=colour, linewidth=1.5,
                  linestyle=dash, label=f"{name}: {curve['auc']:.4f}")  # fmt: skip
    if not drawn:
        message(axes, theme, "needs scores of true and of false edges")
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    axes.grid(True, axis="x", color=theme.grid, linewidth=0.8)
    name_axes(axes, theme, "share of false edges that is kept", "share of true edges that is kept")
    legend(axes, theme, num_columns=2)
    return figure


def score_figure(
    edges: Sequence[float],
    counts: Mapping[str, Sequence[float]],
    *,
    log: bool,
    x_label: str,
    y_label: str,
    theme: Theme = LIGHT,
) -> Figure:
    """Return outlines of counts by name, on a linear or logarithmic scale."""
    figure, (axes,) = canvas(theme)
    _outlines(axes, edges, counts, log=log, theme=theme, filled=not log)
    name_axes(axes, theme, x_label, y_label)
    legend(axes, theme)
    return figure


def _outlines(
    axes: Axes, edges: Sequence[float], counts: Mapping[str, Sequence[float]], *, log: bool, theme: Theme, filled: bool
) -> None:
    total = 0.0
    for colour, (name, values) in zip(SERIES, counts.items(), strict=False):
        column = np.asarray(values, dtype=float)
        total += column.sum()
        ink = TRUE_FALSE.get(name, colour)
        axes.stairs(column, edges, color=ink, linewidth=1.5, label=f"{name} ({column.sum():,.0f})")
        if filled:
            axes.stairs(column, edges, color=ink, alpha=0.16, fill=True)
    if not total:
        message(axes, theme, "no entries")
    elif log:
        from matplotlib.ticker import NullLocator

        smallest = min((float(value) for values in counts.values() for value in values if value > 0), default=1.0)
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(bottom=0.5 * smallest)
    axes.set_xlim(edges[0], edges[-1])


def confusion_figure(tables: Mapping[str, Mapping[str, float]], *, theme: Theme = LIGHT) -> Figure:
    """Return confusion matrices side by side: rows truth, columns decision; colours are shares of the row."""
    figure, (row,) = grid(1, len(tables), size=(2.6 * len(tables), 2.7), theme=theme)
    for axes, (name, counts) in zip(row, tables.items(), strict=True):
        values = np.array(
            [
                [counts["true_positive"], counts["false_negative"]],
                [counts["false_positive"], counts["true_negative"]],
            ]
        )
        whole = values.sum(axis=1, keepdims=True)
        share = np.divide(values, whole, out=np.zeros_like(values, dtype=float), where=whole > 0)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        for (y, x), value in np.ndenumerate(values):
            ink = "#ffffff" if share[y, x] > 0.55 else "#1d2733"
            axes.text(x, y, f"{value:,.0f}\n{share[y, x]:.1%}", ha="center", va="center", fontsize=8.5, color=ink)
        axes.set_xticks([0, 1], ["joined", "not joined"])
        axes.set_yticks([0, 1], ["true", "false"])
        axes.grid(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0)
        title(axes, name, theme)
    return figure


def reliability_figure(found: Mapping[str, Any], *, theme: Theme = LIGHT) -> Figure:
    """Return what came true against what was predicted; beneath, the energy in each bin."""
    figure, (upper, lower) = canvas(theme, size=(SIZE[0], SIZE[1] + 0.5), num_rows=2, heights=(3.2, 1.0))
    predicted = floats(found["mean_probability"])
    upper.plot([0, 1], [0, 1], color=theme.muted, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for colour, key, text in (
        (SERIES[0], "mean_target", "mean soft target"),
        (SERIES[1], "true_fraction", "share of true edges"),
    ):
        upper.plot(predicted, floats(found[key]), color=colour, marker="o", markersize=3.6, linewidth=1.2, label=text)
    edges = [*found["low"], found["high"][-1]]
    lower.stairs(floats(found["weight"]), edges, color=theme.muted, linewidth=1.2)
    if sum(found["num_edges"]):
        lower.set_yscale("log")
    else:
        message(upper, theme, "no edge has a score")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    name_axes(upper, theme, "", "what came true")
    name_axes(lower, theme, "mean probability in the bin", "GeV")
    legend(upper, theme)
    figure.align_ylabels([upper, lower])
    return figure


def panels_figure(
    panels: Sequence[tuple[str, Sequence[float], Mapping[str, Sequence[float]]]],
    *,
    num_columns: int = 4,
    log: bool = True,
    theme: Theme = LIGHT,
) -> Figure:
    """Return small histograms in a grid, each (title, edges, name -> counts), one legend for all."""
    num_rows = max(1, -(-len(panels) // num_columns))
    figure, rows = grid(num_rows, num_columns, size=(2.1 * num_columns, 1.65 * num_rows + 0.3), theme=theme)
    flat = [axes for row in rows for axes in row]
    for axes, (name, edges, counts) in zip(flat, panels, strict=False):
        some = {key: values for key, values in counts.items() if sum(values)}
        _outlines(axes, edges, some, log=log and bool(some), theme=theme, filled=False)
        axes.tick_params(labelsize=6.5)
        title(axes, name, theme)
    for axes in flat[len(panels) :]:
        axes.set_visible(False)
    names = list(dict.fromkeys(key for _, _, counts in panels for key in counts))
    from matplotlib.lines import Line2D

    inks = [TRUE_FALSE.get(name, colour) for name, colour in zip(names, SERIES, strict=False)]
    handles = [Line2D([], [], color=ink, linewidth=1.6) for ink in inks]
    figure.legend(handles, names, loc="outside upper left", ncols=max(1, len(names)), frameon=False, fontsize=8,
                  labelcolor=theme.text)  # fmt: skip
    return figure


def map_figure(
    rows: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    eta_edges: Sequence[float],
    phi_edges: Sequence[float],
    *,
    label: str,
    theme: Theme = LIGHT,
) -> Figure:
    """Return maps over |eta| and phi: one row a quantity, one column an endcap; cells without groups stay empty.

    Parameters
    ----------
    rows : mapping
        Title -> endcap -> (G, G) values by |eta| and phi; NaN where there is nothing.
    """
    first = next(iter(rows.values()))
    figure, axes = grid(len(rows), len(first), size=(2.9 * len(first), 2.1 * len(rows) + 0.2), theme=theme)
    for line, (name, sides) in zip(axes, rows.items(), strict=True):
        tables = {side: np.asarray(table, dtype=float) for side, table in sides.items()}
        highest = max((float(np.nanmax(table)) for table in tables.values() if np.isfinite(table).any()), default=1.0)
        mesh = None
        for one, (side, table) in zip(line, tables.items(), strict=True):
            mesh = one.pcolormesh(
                eta_edges, phi_edges, np.ma.masked_invalid(table.T), cmap="viridis", vmin=0, vmax=highest or 1.0,
                rasterized=True,
            )  # fmt: skip
            one.grid(False)
            one.tick_params(labelsize=7)
            title(one, f"{name}, {side}", theme)
            name_axes(one, theme, "|eta|" if line is axes[-1] else "", "phi [rad]" if one is line[0] else "")
            if not np.isfinite(table).any():
                message(one, theme, "no entries")
        if mesh is not None:
            bar = figure.colorbar(mesh, ax=line, fraction=0.05, pad=0.02)
            dress(bar.ax, theme)
            bar.ax.grid(False)
            bar.outline.set_visible(False)
            bar.set_label(label, color=theme.text, fontsize=8)
    return figure


def floats(values: Sequence[float | None]) -> np.ndarray:
    """Return an array with NaN for None."""
    return np.array([np.nan if value is None else float(value) for value in values])
