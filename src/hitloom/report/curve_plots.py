"""Plots of several methods on the same axes: a rate against a quantity with 68 % bars, and plain lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hitloom.report.canvas import SIZE, canvas, legend, message, name_axes
from hitloom.report.palette import LIGHT, SERIES, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXIS_LABELS = {
    "pt": "true transverse momentum",
    "eta": "true pseudorapidity",
    "phi": "true azimuth",
    "vertex_radius": "radius of the production vertex",
    "vertex_z": "z of the production vertex",
    "num_points": "hits of the particle",
}
Scale = Literal["linear", "log", "even", "whole"]
Curve = tuple[Sequence[float | None], Sequence[float | None]]
"""x and y; None breaks a line."""
MARKERS = ("o", "s", "D", "^", "v", "P")


def curve_figure(
    series: Mapping[str, Mapping[str, Any]],
    edges: Sequence[float],
    *,
    x_label: str,
    y_label: str,
    scale: Scale = "linear",
    y_range: tuple[float, float] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """Return a plot of binned rates, entries of each bin below it.

    Parameters
    ----------
    series : mapping
        Legend text -> curve of :func:`hitloom.metrics.curves.curve`.
    edges : sequence of float
        Bin edges; a bin is drawn at its middle (geometric on a log axis).
    scale : str
        ``linear``; ``log``; ``even``: every bin equally wide, its edges written below (for edges that start at 0 and
        span decades); ``whole``: whole numbers, each in the middle of its bin.
    y_range : (low, high) or None
        None = 0 to 1.04, or above the highest bar for small rates.
    """
    figure, (upper, lower) = canvas(theme, size=(SIZE[0], SIZE[1] + 0.35), num_rows=2, heights=(3.6, 1.0))
    drawn = [float(edge) for edge in edges]
    if scale == "even":
        drawn = [float(number) for number in range(len(edges))]
    elif scale == "whole":
        drawn = [edge - 0.5 for edge in drawn]
    low, high = np.array(drawn[:-1]), np.array(drawn[1:])
    by_geometry = scale == "log"
    middle = np.sqrt(low * high) if by_geometry else (low + high) / 2
    num_drawn = 0
    entries = [tuple(curve["denominator"]) for curve in series.values()]
    for index, (name, curve) in enumerate(series.items()):
        value, bottom, top = (_floats(curve[key]) for key in ("value", "low", "high"))
        here = np.isfinite(value)
        num_drawn += int(here.sum())
        # Series stand beside each other inside the bin, so that bars do not hide bars.
        shift = (index - (len(series) - 1) / 2) * 0.16
        place = middle * (high / low) ** (shift / 2) if by_geometry else middle + shift * (high - low) / 2
        colour = SERIES[index % len(SERIES)]
        bars = np.nan_to_num(np.stack([value - bottom, top - value]).clip(min=0))
        upper.errorbar(
            place[here],
            value[here],
            yerr=bars[:, here],
            xerr=np.stack([place - low, high - place])[:, here] if len(series) == 1 else None,
            fmt=MARKERS[index % len(MARKERS)],
            markersize=3.8,
            color=colour,
            linewidth=1.2,
            label=name,
            zorder=4 - index * 0.1,
        )
        if entries.count(entries[index]) == 1 or entries.index(entries[index]) == index:
            ink = colour if entries.count(entries[index]) == 1 else theme.muted
            lower.stairs(_floats(curve["denominator"]), drawn, color=ink, linewidth=1.2, fill=False)
    if not num_drawn:
        message(upper, theme, "no entries in any bin")
    _frame(upper, series, y_range)
    if scale == "log":
        lower.set_xscale("log")
        _plain_log_ticks(lower, edges)
    elif scale == "even":
        lower.set_xticks(drawn, [f"{edge:g}" for edge in edges])
    elif scale == "whole":
        lower.locator_params(axis="x", integer=True)
    lower.set_xlim(drawn[0], drawn[-1])
    lower.set_ylim(bottom=0)
    lower.locator_params(axis="y", nbins=3, integer=True)
    name_axes(upper, theme, "", y_label)
    name_axes(lower, theme, x_label, "entries")
    legend(upper, theme)
    figure.align_ylabels([upper, lower])
    return figure


def lines_figure(
    curves: Mapping[str, Curve],
    *,
    x_label: str,
    y_label: str,
    diagonal: bool = False,
    markers: bool = False,
    mark: tuple[float, str] | None = None,
    places: Sequence[int] | None = None,
    y_range: tuple[float, float] | None = (0.0, 1.03),
    empty: str = "the results hold no scores",
    theme: Theme = LIGHT,
) -> Figure:
    """Return one line for each curve (x, y) by name; None breaks a line.

    Parameters
    ----------
    diagonal : bool
        Draw y = x as a dotted line.
    mark : (x, text) or None
        A vertical line.
    places : sequence of int or None
        Place in the palette of each curve, so that a method has one colour in all plots; None = in order.
    """
    figure, (axes,) = canvas(theme, size=(SIZE[0], 3.6))
    for number, (name, (x, y)) in zip(places or range(len(curves)), curves.items(), strict=True):
        colour, dash = SERIES[number % len(SERIES)], "-" if number < len(SERIES) else (0, (4, 2))
        axes.plot(_floats(x), _floats(y), color=colour, linewidth=1.5, linestyle=dash, label=name,
                  marker="o" if markers else None, markersize=3.4)  # fmt: skip
    if not any(len(x) for x, _ in curves.values()):
        message(axes, theme, empty)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    if mark is not None:
        axes.axvline(mark[0], color=theme.muted, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(mark[1], (mark[0], 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0),
                      textcoords="offset points", fontsize=7.5, color=theme.muted)  # fmt: skip
    if y_range is not None:
        axes.set_ylim(*y_range)
    axes.grid(True, axis="x", color=theme.grid, linewidth=0.8)
    name_axes(axes, theme, x_label, y_label)
    legend(axes, theme, num_columns=2)
    return figure


def axis_label(name: str, unit: str) -> str:
    """Return the text of an x axis, unit in brackets."""
    text = AXIS_LABELS.get(name, name.replace("_", " "))
    return f"{text} [{unit}]" if unit else text


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else float(value) for value in values])


def _frame(axes: Axes, series: Mapping[str, Mapping[str, Any]], y_range: tuple[float, float] | None) -> None:
    if y_range is not None:
        axes.set_ylim(*y_range)
        return
    tops = [number for curve in series.values() for number in _floats(curve["high"]) if math.isfinite(number)]
    values = [number for curve in series.values() for number in _floats(curve["value"]) if math.isfinite(number)]
    highest = max([*values, 0.0])
    if highest > 0.5 or not values:
        axes.set_ylim(0, 1.04)
    else:
        axes.set_ylim(0, max(0.05, min(1.04, 1.15 * max(highest, float(np.median(tops)) if tops else 0.0))))


def _plain_log_ticks(axes: Axes, edges: Sequence[float]) -> None:
    """Write 1, 2, 5, 10 ... instead of powers of ten."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    ticks = [
        mantissa * 10.0**power
        for power in range(-4, 7)
        for mantissa in (1, 2, 5)
        if edges[0] <= mantissa * 10.0**power <= edges[-1] * 1.0001
    ]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
