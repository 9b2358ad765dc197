"""Pictures of the validation of exported shower growing: differences of similarities, and time against sizes.

V views.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.canvas import canvas, dress, name_axes, to_png
from hitloom.report.palette import LIGHT, SERIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = ("encoder", "attention", "similarity", "total")


def difference_figure(numbers: Mapping[str, Any]) -> Figure:
    """Return the histogram of the differences between system and files."""
    histogram = numbers["histogram"]
    counts = np.array(histogram["counts"])
    edges = np.linspace(histogram["low"], histogram["high"], len(counts) + 1)
    figure, (axes,) = canvas()
    axes.stairs(counts, edges, color=SERIES[0], fill=True)
    if counts.any():
        axes.set_yscale("log")
    name_axes(axes, LIGHT, "similarity of the system - of the files", "pairs")
    axes.set_title(
        f"{numbers['num_views']} views, {numbers['num_pairs']:,} pairs, {numbers['num_pairs_outside']} outside",
        fontsize=8.5, color=LIGHT.muted,
    )  # fmt: skip
    return figure


def timing_figure(numbers: Mapping[str, Any]) -> Figure:
    """Return milliseconds of each part against hits and clusters of a view."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 5.0), layout="constrained", facecolor="none")
    grid = figure.subplots(2, len(PARTS), squeeze=False)
    for row, size in enumerate(("hits", "clusters")):
        sizes = [view[size] for view in numbers["milliseconds"]]
        for axes, part in zip(grid[row], PARTS, strict=True):
            dress(axes, LIGHT)
            axes.scatter(sizes, [view[part] for view in numbers["milliseconds"]], s=6, color=SERIES[0], alpha=0.5)
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
            name_axes(axes, LIGHT, f"{size} of the view", f"{part}, ms")
    return figure


def write_validation(numbers: Mapping[str, Any], folder: Path) -> None:
    """Write ``validation_difference.png`` and ``validation_timing.png``."""
    for name, figure in (("difference", difference_figure(numbers)), ("timing", timing_figure(numbers))):
        (folder / f"validation_{name}.png").write_bytes(to_png(figure))
