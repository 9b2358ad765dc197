"""Figures of stability: heat maps with one scale, scatters with one scale, and what a perturbation does to one point.

Shape letters: P points, D draws, G cells along an axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hitloom.report.canvas import FONT, dress, message, name_axes
from hitloom.report.palette import LIGHT, SERIES, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hitloom.metrics.heat_points import HeatMap

FloatArray = NDArray[np.float64]
NUM_BINS = 40
HALF_WIDTH = 4.0
"""Standard deviations that the histograms of a perturbation reach to either side."""


def heat_figure(
    panels: Mapping[str, HeatMap],
    *,
    label: str,
    x: str,
    y: str,
    signed: bool = False,
    nodes: FloatArray | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """Return heat maps side by side with one colour scale; cells far from every place stay empty.

    Parameters
    ----------
    panels : mapping
        Title -> map.
    signed : bool
        Colours on both sides of 0, for differences; otherwise the scale starts at 0.
    nodes : (P, 2) or None
        Points to draw over the maps.
    """
    figure, axes = _row(len(panels), theme)
    largest = max((float(np.nanmax(np.abs(item.values), initial=0.0)) for item in panels.values()), default=0.0) or 1.0
    colours, lowest = ("RdBu_r", -largest) if signed else ("viridis", 0.0)
    mesh = None
    for one, (title, item) in zip(axes, panels.items(), strict=True):
        mesh = one.pcolormesh(
            item.x, item.y, np.ma.masked_invalid(item.values), cmap=colours, vmin=lowest, vmax=largest, rasterized=True
        )
        one.grid(False)
        if signed:
            one.set_facecolor(theme.grid)  # else a cell of 0 looks like one without entries
        _title(one, title, theme)
        name_axes(one, theme, x, y if one is axes[0] else "")
        if not np.isfinite(item.values).any():
            message(one, theme, "no entries")
        elif nodes is not None:
            one.scatter(nodes[:, 0], nodes[:, 1], s=1.5, color=theme.muted, linewidths=0, rasterized=True)
            one.set_xlim(item.x[0], item.x[-1])
            one.set_ylim(item.y[0], item.y[-1])
    if mesh is not None:
        _bar(figure, mesh, axes, label, theme)
    return figure


def scatter_figure(
    panels: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    label: str,
    axis_names: Sequence[str],
    theme: Theme = LIGHT,
) -> Figure:
    """Return points of several graphs side by side, in two or three dimensions, with one colour scale.

    Parameters
    ----------
    panels : mapping
        Title -> places (P, 2 or 3) and values (P,).
    axis_names : sequence of str
        Two or three; says how many dimensions are drawn.
    """
    solid = len(axis_names) == 3
    figure, axes = _row(len(panels), theme, solid=solid)
    values = [value for _, value in panels.values() if value.size]
    low, high = (float(min(v.min() for v in values)), float(max(v.max() for v in values))) if values else (0.0, 1.0)
    drawn = None
    for one, (title, (place, value)) in zip(cast("list[Any]", axes), panels.items(), strict=True):
        columns: Any = [place[:, axis] for axis in range(len(axis_names))]
        drawn = one.scatter(*columns, c=value, s=6, cmap="viridis", vmin=low, vmax=high, linewidths=0)
        _title(one, title, theme)
        _name_all(one, axis_names, theme)
    if drawn is not None:
        _bar(figure, drawn, axes, label, theme)
    return figure


def perturbation_figure(shifts: FloatArray, *, unit: str, theme: Theme = LIGHT) -> Figure:
    """Return what a perturbation does to one point: its draws in space, and histograms of every pair of coordinates.

    Parameters
    ----------
    shifts : (D, 3)
        Shifts of one point, or differences to its place.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 6.4), layout="constrained", facecolor="none")
    space = figure.add_subplot(2, 2, 1, projection="3d")
    space.scatter(*shifts.T, s=1.5, color=SERIES[0], linewidths=0, rasterized=True)
    space.set_box_aspect(None, zoom=0.78)  # room for the labels
    _name_all(space, [f"d{name} [{unit}]" for name in "xyz"], theme)
    _title(space, f"{len(shifts):,} draws", theme)
    reach = np.maximum(HALF_WIDTH * shifts.std(axis=0), 1e-6)
    for place, (first, second) in enumerate(((0, 1), (0, 2), (1, 2)), start=2):
        axes = figure.add_subplot(2, 2, place)
        dress(axes, theme)
        ranges = [(-reach[first], reach[first]), (-reach[second], reach[second])]
        counts, x, y = np.histogram2d(shifts[:, first], shifts[:, second], bins=NUM_BINS, range=ranges)
        axes.pcolormesh(x, y, np.ma.masked_equal(counts.T, 0), cmap="viridis", rasterized=True)
        axes.grid(False)
        name_axes(axes, theme, f"d{'xyz'[first]} [{unit}]", f"d{'xyz'[second]} [{unit}]")
    return figure


def _row(number: int, theme: Theme, *, solid: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(5.4, 3.3 * number + 0.9), 3.3), layout="constrained", facecolor="none")
    axes = [figure.add_subplot(1, number, 1 + i, **({"projection": "3d"} if solid else {})) for i in range(number)]
    if not solid:
        for one in axes:
            dress(one, theme)
    return figure, axes


def _name_all(axes: Any, names: Sequence[str], theme: Theme) -> None:
    name_axes(axes, theme, names[0], names[1])
    if len(names) == 3:
        axes.set_zlabel(names[2], color=theme.text, fontsize=8.5, fontfamily=FONT)
        axes.tick_params(labelsize=7, colors=theme.muted)
        axes.patch.set_alpha(0.0)


def _title(axes: Axes, text: str, theme: Theme) -> None:
    axes.set_title(text, loc="left", fontsize=8.5, color=theme.text, fontfamily=FONT)


def _bar(figure: Figure, mesh: Any, axes: Sequence[Axes], label: str, theme: Theme) -> None:
    bar = figure.colorbar(mesh, ax=list(axes), fraction=0.05, pad=0.02)
    dress(bar.ax, theme)
    bar.ax.grid(False)
    bar.outline.set_visible(False)
    bar.set_label(label, color=theme.text, fontsize=8.5)
