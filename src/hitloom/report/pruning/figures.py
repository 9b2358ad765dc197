"""Figure of pruning: a trackster before and after in three dimensions.

It draws by the object-oriented interface of matplotlib, in the style of :mod:`hitloom.report.canvas`.
Shape letters: N layer clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.canvas import FONT, SIZE
from hitloom.report.palette import GREY, LIGHT, SERIES, STATUS, Theme
from hitloom.report.pruning.view import KINDS, PruningView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"TN": SERIES[0], "TP": STATUS["matched"], "FN": SERIES[1], "FP": STATUS["missed"]}
"""Colour of a layer cluster by truth and decision."""
TRUTH_COLOURS = {"belongs to the trackster": COLOURS["TN"], "does not belong": COLOURS["FN"]}


def trackster_figure(view: PruningView, *, theme: Theme = LIGHT) -> Figure:
    """Return a trackster before and after pruning: axes x, z, y in cm, area of a marker 20 + 10 E."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(2 * SIZE[0], 4.3), layout="constrained", facecolor="none")
    kind = np.array(view.kind())
    truth = np.zeros(len(kind), dtype=bool) if view.to_prune is None else view.to_prune
    before = dict(zip(TRUTH_COLOURS, (~truth, truth), strict=True))
    after = {f"{name}: {text}": kind == name for name, text in KINDS.items()}
    scenes = ((before, TRUTH_COLOURS, ()), (after, dict(zip(after, COLOURS.values(), strict=True)), ("TP", "FP")))
    point, low, high = view.position / 10, (view.position / 10).min(0), (view.position / 10).max(0)
    middle, width = (low + high) / 2, np.maximum(high - low, 1.0)
    width[:2] = width[:2].max()
    for place, ((groups, colours, gone), title) in enumerate(
        zip(scenes, ("before pruning: truth", "after pruning: decisions"), strict=True)
    ):
        axes: Any = figure.add_subplot(1, 2, place + 1, projection="3d")
        axes.set_facecolor("none")
        kept = ~view.pruned if place else np.ones(len(kind), dtype=bool)
        for first, second in view.links.T:
            if kept[first] and kept[second]:
                ends = point[[first, second]]
                axes.plot(ends[:, 0], ends[:, 2], ends[:, 1], color=GREY, linewidth=0.7, alpha=0.7)
        for name, mask in groups.items():
            x, y, z = point[mask].T
            open_ = name.startswith(gone) if gone else False
            axes.scatter(x, z, y, s=20 + 10 * view.energy[mask], c="none" if open_ else colours[name],
                         edgecolors=colours[name], linewidths=0.9, alpha=0.9, depthshade=False)  # fmt: skip
        _frame(axes, middle, width, theme)
        axes.set_title(title, loc="left", fontsize=9, color=theme.text, fontfamily=FONT)
        handles = [
            Line2D([], [], linestyle="", marker="o", markersize=6, markeredgecolor=colours[name],
                   markerfacecolor="none" if gone and name.startswith(gone) else colours[name])
            for name, mask in groups.items() if mask.any()
        ]  # fmt: skip
        names = [f"{name} ({int(mask.sum())})" for name, mask in groups.items() if mask.any()]
        axes.legend(handles, names, loc="upper left", fontsize=8.5, frameon=False, labelcolor=theme.text)
    return figure


def _frame(axes: Any, middle: Any, width: Any, theme: Theme) -> None:
    """Set limits, labels and quiet panes of a plot in three dimensions: x, depth, y."""
    order = (0, 2, 1)
    for axis, place, text in zip((axes.xaxis, axes.yaxis, axes.zaxis), order, ("x [cm]", "z [cm]", "y [cm]"),
                                 strict=True):  # fmt: skip
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis.set_tick_params(labelsize=6.5, labelcolor=theme.muted)
        axis.set_label_text(text, fontsize=7.5, color=theme.text)
        axis.line.set_color(theme.muted)
        axis._axinfo["grid"].update(color=theme.grid, linewidth=0.6)
        axis.set_view_interval(middle[place] - 0.55 * width[place], middle[place] + 0.55 * width[place], ignore=True)
        axis.set_major_locator(_few_ticks())
    axes.set_box_aspect((1.0, 1.6, 1.0), zoom=1.2)
    axes.view_init(elev=18, azim=-62)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)
