"""Figures of shower growing: a slice in three views, hits as rectangles, and matrices of similarity.

All draw by the object-oriented interface of matplotlib, in the style of :mod:`hitloom.report.canvas`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.metrics.truth import FloatArray, IntArray
from hitloom.report.canvas import FONT
from hitloom.report.palette import GREY, LIGHT, SERIES, Theme, candidate_colour
from hitloom.report.showers.view import PANELS, ShowerView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADS = {"initial": "initial", "predicted": "predicted", "true": "true", "target": "target"}
_CORNERS = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
MATRICES = ("predicted", "target", "predicted - target")


def colours_of(view: ShowerView, panel: str) -> list[str]:
    """Return the colour of each hit (M,): largest numbers first get the palette; truth and groups agree.

    The largest group of a particle has the particle's colour; other groups have colours of their own. Hits without a
    number are grey.
    """
    labels = view.labels[panel]
    truth = view.labels.get("true")
    if panel == "initial" or truth is None:
        return _by_size(labels, 0)
    particle = _ranks(truth)
    if panel == "true":
        return [GREY if owner < 0 else _colour(particle[owner]) for owner in truth.tolist()]
    names: dict[int, str] = {}
    taken: set[int] = set()
    groups = list(_ranks(labels))
    for number in groups:
        owners = truth[(labels == number) & (truth >= 0)]
        owner = int(np.bincount(owners).argmax()) if len(owners) else -1
        if owner >= 0 and owner not in taken:
            taken.add(owner)
            names[number] = _colour(particle[owner])
        else:
            names[number] = candidate_colour(len(particle) + len(names) + 7)
    return [GREY if number < 0 else names[number] for number in labels.tolist()]


def _by_size(labels: IntArray, start: int) -> list[str]:
    ranks = _ranks(labels)
    return [GREY if number < 0 else _colour(start + ranks[number]) for number in labels.tolist()]


def _ranks(labels: IntArray) -> dict[int, int]:
    """Return number -> rank by hits, the largest first; -1 has none."""
    found, hits = np.unique(labels[labels >= 0], return_counts=True)
    return {int(found[place]): rank for rank, place in enumerate(np.lexsort((found, -hits)))}


def _colour(rank: int) -> str:
    return SERIES[rank] if rank < len(SERIES) else candidate_colour(rank)


def slice_figure(views: Sequence[ShowerView], *, theme: Theme = LIGHT) -> Figure:
    """Return the views of one slice below each other: initial, predicted, true, target.

    Hits are rectangles, x_width along drift and one pitch along the wires; triangles mark hits of electrons, positrons
    and photons; the cross is the vertex.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    panels = [name for name in PANELS if name in views[0].labels]
    figure = Figure(figsize=(3.1 * len(panels), 2.9 * len(views)), layout="constrained", facecolor="none", dpi=140)
    for row, view in enumerate(views):
        shower, (x_range, z_range) = view.is_shower(), view.limits()
        for column, name in enumerate(panels):
            axes: Any = figure.add_subplot(len(views), len(panels), row * len(panels) + column + 1)
            colours = colours_of(view, name)
            corners = view.position[:, None] + view.size[:, None] * _CORNERS
            drawn = PolyCollection(list(corners), facecolors=colours, edgecolors=colours, linewidths=0.9)
            drawn.set_rasterized(True)  # thousands of outlines would make a file that no browser likes
            axes.add_collection(drawn)
            inks = [colour for colour, inside in zip(colours, shower, strict=True) if inside]
            axes.scatter(
                *view.position[shower].T, marker="^", s=11, c=inks, linewidths=0.3, edgecolors=theme.background,
                rasterized=True,
            )  # fmt: skip
            axes.plot(0, 0, marker="+", color=theme.text, markersize=9, markeredgewidth=1.4, zorder=5)
            axes.set_xlim(*x_range)
            axes.set_ylim(*z_range)
            _quiet(axes, theme)
            index = f", ARI {view.ari[name]:.2f}" if name in view.ari else ""
            number = len(np.unique(view.labels[name][view.labels[name] >= 0]))
            axes.set_title(f"{view.view}: {HEADS[name]}, {number}{index}", loc="left", fontsize=8.5, color=theme.text,
                           fontfamily=FONT)  # fmt: skip
            if row == len(views) - 1:
                axes.set_xlabel("drift x [cm]", fontsize=8, color=theme.text)
            if column == 0:
                axes.set_ylabel("wires z [cm]", fontsize=8, color=theme.text)
    return figure


def matrix_figure(views: Sequence[ShowerView], *, theme: Theme = LIGHT) -> Figure:
    """Return the similarities of one slice: predicted, target, difference; clusters ordered by particle and size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3 * len(MATRICES), 3.0 * len(views)), layout="constrained", facecolor="none")
    for row, view in enumerate(views):
        assert view.predicted is not None
        assert view.wanted is not None
        order = cluster_order(view)
        found, wanted = (matrix[np.ix_(order, order)].astype(np.float64) for matrix in (view.predicted, view.wanted))
        np.fill_diagonal(found, np.nan)  # results hold pairs only
        np.fill_diagonal(wanted, np.nan)
        for column, (name, matrix) in enumerate(zip(MATRICES, (found, wanted, found - wanted), strict=True)):
            axes: Any = figure.add_subplot(len(views), len(MATRICES), row * len(MATRICES) + column + 1)
            last = column == len(MATRICES) - 1
            shown = axes.imshow(matrix, vmin=-1 if last else 0, vmax=1, cmap="RdBu_r" if last else "viridis",
                                interpolation="nearest", origin="upper")  # fmt: skip
            _quiet(axes, theme)
            axes.set_title(f"{view.view}: {name}", loc="left", fontsize=8.5, color=theme.text, fontfamily=FONT)
            bar = figure.colorbar(shown, ax=axes, shrink=0.85)
            bar.ax.tick_params(labelsize=7, colors=theme.muted)
            bar.outline.set_visible(False)
            if row == len(views) - 1:
                axes.set_xlabel("clusters", fontsize=8, color=theme.text)
            if column == 0:
                axes.set_ylabel("clusters", fontsize=8, color=theme.text)
    return figure


def cluster_order(view: ShowerView) -> IntArray:
    """Return the clusters (N,) ordered by their main particle, largest first, then by size."""
    number = int(view.cluster.max(initial=-1)) + 1
    size = np.bincount(view.cluster, minlength=number)
    truth = view.labels["true"]
    there = truth >= 0
    counts: FloatArray = np.zeros((number, max(1, len(view.pdg))))
    np.add.at(counts, (view.cluster[there], truth[there]), 1)
    rank = np.argsort(np.argsort(-counts.sum(0), kind="stable"), kind="stable")
    owner = np.where(counts.any(1), rank[counts.argmax(1)], len(rank))
    return np.lexsort((-size, owner))


def _quiet(axes: Any, theme: Theme) -> None:
    axes.set_facecolor("none")
    axes.tick_params(labelsize=7, colors=theme.muted, width=0.6)
    for spine in axes.spines.values():
        spine.set_color(theme.grid)
