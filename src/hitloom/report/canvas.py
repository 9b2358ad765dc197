"""Matplotlib figures in one quiet style, by the object-oriented interface alone: no pyplot, no global setting touched.

Every colour, size and font is set on the figure's own artists, so two threads may draw and a notebook keeps its style.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hitloom.report.palette import DARK, LIGHT, STATUS, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (5.0, 3.3)
FONT = "DejaVu Sans"


def canvas(
    theme: Theme = LIGHT, *, size: tuple[float, float] = SIZE, num_rows: int = 1, heights: tuple[float, ...] = (1.0,)
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with ``num_rows`` axes above each other that share x."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="none")
    grid = figure.add_gridspec(num_rows, 1, height_ratios=heights, hspace=0.05)
    axes: list[Axes] = []
    for row in range(num_rows):
        axes.append(figure.add_subplot(grid[row], sharex=axes[0] if axes else None))
        axes[row].tick_params(labelbottom=row == num_rows - 1)
    for one in axes:
        dress(one, theme)
    return figure, axes


def dress(axes: Axes, theme: Theme) -> None:
    """Set the colours of frame, ticks and grid."""
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(theme.muted)
        axes.spines[side].set_linewidth(0.8)
    axes.tick_params(which="both", colors=theme.muted, labelsize=8, width=0.8)
    axes.grid(True, axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)


def name_axes(axes: Axes, theme: Theme, x: str, y: str) -> None:
    """Write the labels of both axes."""
    axes.set_xlabel(x, color=theme.text, fontsize=8.5, fontfamily=FONT)
    axes.set_ylabel(y, color=theme.text, fontsize=8.5, fontfamily=FONT)


def legend(
    axes: Axes,
    theme: Theme,
    *,
    handles: Sequence[Any] | None = None,
    labels: Sequence[str] = (),
    num_columns: int | None = None,
    handlelength: float = 1.6,
) -> None:
    """Draw the legend above the axes, in as many columns as fit; the axes' own entries unless others are given."""
    if handles is None:
        handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    widest = max(len(label) for label in labels) + 5
    columns = num_columns or max(1, min(len(handles), 3, 66 // widest))
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.005),
        ncols=columns,
        frameon=False,
        fontsize=8,
        labelcolor=theme.text,
        borderaxespad=0.2,
        handletextpad=0.5,
        handlelength=handlelength,
        columnspacing=1.4,
    )


def message(axes: Axes, theme: Theme, text: str) -> None:
    """Write a text in the middle of empty axes: why there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=theme.muted, fontsize=9)


def notice(figure: Figure, text: str) -> None:
    """Write above everything what a reader of the picture alone must know; the layout makes room for it."""
    figure.suptitle(text, x=0.99, ha="right", color=STATUS["fake"], fontsize=8)


def to_png(figure: Figure, theme: Theme = LIGHT, *, dpi: int | None = None) -> bytes:
    """Return the figure as PNG on the theme's background; large figures get fewer dots an inch unless ``dpi`` says."""
    stream = io.BytesIO()
    dpi = dpi or (200 if figure.get_figwidth() < 2 * SIZE[0] else 120)
    figure.savefig(stream, format="png", dpi=dpi, facecolor=theme.background, metadata={"Software": "hitloom"})
    figure.set_layout_engine("none")
    return stream.getvalue()


def to_svg(figure: Figure) -> str:
    """Return the figure as SVG with a transparent background and no date, text drawn as paths.

    Axes stay where an earlier ``to_png`` of the figure has put them, so that the layout is found once.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", facecolor="none", metadata={"Date": None, "Creator": "hitloom"})
    return stream.getvalue()


def for_dark(svg: str) -> str:
    """Return a light SVG with the inks of the dark theme; the colours of the series stay."""
    for name in ("text", "muted", "grid"):
        svg = svg.replace(getattr(LIGHT, name), getattr(DARK, name))
    return svg
