"""Figures of the sample and of the network: correlations, attributions, loss curves, rates by energy.

Shape letters: F features, H bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.canvas import SIZE, canvas, dress, legend, message, name_axes
from hitloom.report.palette import LIGHT, SERIES, Theme
from hitloom.report.tracksters.figures import floats, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def correlation_figure(
    names: Sequence[str], table: Sequence[Sequence[float | None]], *, theme: Theme = LIGHT
) -> Figure:
    """Return the correlation matrix (F, F); what is undefined stays empty."""
    side = 1.6 + 0.17 * len(names)
    figure, ((axes,),) = grid(1, 1, size=(side + 0.6, side), theme=theme)
    values = np.ma.masked_invalid(np.array([floats(row) for row in table]))
    mesh = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6.5)
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    axes.tick_params(length=0)
    axes.grid(False)
    bar = figure.colorbar(mesh, ax=axes, fraction=0.046, pad=0.02)
    dress(bar.ax, theme)
    bar.ax.grid(False)
    bar.outline.set_visible(False)
    return figure


def bars_figure(values: Mapping[str, float], *, x_label: str, theme: Theme = LIGHT) -> Figure:
    """Return horizontal bars, the largest on top."""
    ordered = sorted(values.items(), key=lambda item: abs(item[1]))
    figure, (axes,) = canvas(theme, size=(SIZE[0], 0.8 + 0.17 * max(len(ordered), 3)))
    if not ordered:
        message(axes, theme, "no values")
    axes.barh(range(len(ordered)), [value for _, value in ordered], color=SERIES[0], height=0.7)
    axes.set_yticks(range(len(ordered)), [name for name, _ in ordered], fontsize=6.5)
    axes.grid(False, axis="y")
    axes.grid(True, axis="x", color=theme.grid, linewidth=0.8)
    name_axes(axes, theme, x_label, "")
    return figure


def moving_average(values: Sequence[float], width: int) -> np.ndarray:
    """Return the mean of each value and the ``width - 1`` before it; of fewer at the beginning.

    Examples
    --------
    >>> moving_average([2.0, 4.0, 6.0], 2).tolist()
    [2.0, 3.0, 5.0]
    """
    array = np.asarray(values, dtype=float)
    sums = np.cumsum(np.append(0.0, array))
    number = np.minimum(np.arange(1, array.size + 1), width)
    ends = np.arange(1, array.size + 1)
    return np.asarray((sums[ends] - sums[ends - number]) / number)


def loss_figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, width: int, theme: Theme = LIGHT
) -> Figure:
    """Return losses against epochs, pale as they are and strong as moving average over ``width`` epochs.

    Parameters
    ----------
    curves : mapping
        Legend text -> (epochs, values).
    """
    figure, (axes,) = canvas(theme)
    for colour, (name, (epochs, values)) in zip(SERIES, curves.items(), strict=False):
        axes.plot(epochs, values, color=colour, linewidth=1.0, alpha=0.35)
        axes.plot(epochs, moving_average(values, width), color=colour, linewidth=1.6, label=name)
    if not curves:
        message(axes, theme, "no epoch was recorded")
    name_axes(axes, theme, "epoch", "loss")
    legend(axes, theme)
    return figure


def by_bin_figure(
    labels: Sequence[str], rates: Mapping[str, Sequence[float | None]], *, theme: Theme = LIGHT
) -> Figure:
    """Return rates by bin, the bins as wide as each other and named beneath."""
    figure, (axes,) = canvas(theme)
    places = np.arange(len(labels))
    for colour, marker, (name, values) in zip(SERIES, "osD^vP", rates.items(), strict=False):
        axes.plot(places, floats(values), color=colour, marker=marker, markersize=4.5, linewidth=1.2, label=name)
    axes.set_xticks(places, [str(label) for label in labels], fontsize=6.5)
    axes.set_ylim(0, 1.04)
    name_axes(axes, theme, "larger raw energy of the two ends", "rate")
    legend(axes, theme, num_columns=4)
    return figure


def history_curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Return name -> (epochs, values) of every column of losses in the rows of a training."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        if "loss" not in name or "/" in name:
            continue
        points = [
            (float(row.get("epoch", place)), float(row[name]))
            for place, row in enumerate(rows)
            if row.get(name) not in (None, "")
        ]
        if points:
            curves[name.replace("_", " ")] = tuple(map(list, zip(*points, strict=True)))  # type: ignore[assignment]
    return curves
