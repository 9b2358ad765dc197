"""Plots that are not binned rates: the working-point scan, time against size, the loss budget, quality of tracks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.canvas import SIZE, canvas, legend, message, name_axes
from hitloom.report.palette import LIGHT, SERIES, STATUS, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 3)))


def scan_figure(
    rows: Sequence[Mapping[str, Any]],
    rates: Mapping[str, str],
    *,
    working_point: Mapping[str, Any] | None = None,
    y_range: tuple[float, float] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """Return rates against eps: one colour a rate, one dash a min_samples, bars where a binomial interval exists.

    Parameters
    ----------
    rows : sequence of mapping
        ``rows`` of :func:`hitloom.metrics.scan.working_point_scan`.
    rates : mapping
        Key of the rows -> legend text.
    working_point : mapping or None
        ``eps`` and ``min_samples`` of the stored labels, marked by a vertical line.
    """
    figure, (axes,) = canvas(theme)
    samples = sorted({row["min_samples"] for row in rows})
    at = working_point["min_samples"] if working_point else None
    solid = at if at in samples else (samples[len(samples) // 2] if samples else None)
    order = [solid, *(value for value in samples if value != solid)] if samples else []
    for colour, (key, text) in zip(SERIES, rates.items(), strict=False):
        for dash, number in zip(DASHES, order, strict=False):
            chosen = [row for row in rows if row["min_samples"] == number and row[key] is not None]
            eps = [row["eps"] for row in chosen]
            value = np.array([row[key] for row in chosen], dtype=float)
            bars = None
            if number == solid:
                ends = [row[f"{key}.interval"] or (row[key], row[key]) for row in chosen]
                bars = np.abs(np.array(ends, dtype=float).reshape(-1, 2).T - value) if chosen else None
            axes.errorbar(
                eps,
                value,
                yerr=bars,
                color=colour,
                linestyle=dash,
                linewidth=1.6 if number == solid else 1.1,
                marker="o" if number == solid else None,
                markersize=3.8,
                alpha=1.0 if number == solid else 0.75,
                label=text if number == solid else None,
            )
    if not rows:
        message(axes, theme, "no working point was scanned")
    if working_point:
        axes.axvline(working_point["eps"], color=theme.muted, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            "working point",
            (working_point["eps"], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(4, -9),
            textcoords="offset points",
            color=theme.muted,
            fontsize=7.5,
        )
    axes.set_ylim(*(y_range or (0, 1.04)))
    name_axes(axes, theme, "eps of DBSCAN (distance in the embedding)", "rate")
    _scan_legend(axes, theme, order)
    return figure


def _scan_legend(axes: Axes, theme: Theme, order: Sequence[int]) -> None:
    """Draw one legend: a colour for each rate, a dash for each min_samples."""
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    if len(order) > 1:
        handles += [
            Line2D([], [], color=theme.muted, linewidth=1.2, linestyle=dash)
            for _, dash in zip(order, DASHES, strict=False)
        ]
        labels += [f"min_samples {number}" for number, _ in zip(order, DASHES, strict=False)]
    legend(axes, theme, handles=handles, labels=labels, handlelength=2.4)


def timing_figure(num_points: Sequence[int], stages: Mapping[str, Sequence[float]], *, theme: Theme = LIGHT) -> Figure:
    """Return seconds of each stage against the number of points of the event, the total first.

    Parameters
    ----------
    num_points : sequence of int
        Points of each event.
    stages : mapping
        Stage -> seconds of each event (NaN where not measured). Stages that make up the ``total`` almost alone are
        left out: their points would lie under it.
    """
    figure, (axes,) = canvas(theme)
    names = sorted(_distinct(stages), key=lambda name: -float(np.nansum(stages[name])))
    for index, name in enumerate(names[: len(SERIES) + 2]):
        seconds = np.asarray(stages[name], dtype=float)
        here = np.isfinite(seconds)
        axes.scatter(
            np.asarray(num_points)[here],
            seconds[here],
            s=20 if name == "total" else 14,
            color=SERIES[index] if index < len(SERIES) else theme.muted,
            marker="o" if name == "total" else "D",
            linewidths=0,
            alpha=0.85,
            label=f"{name}: mean {_seconds(float(np.mean(seconds[here])))}" if here.any() else name,
        )
    if not names:
        message(axes, theme, "no times were stored with these results")
    elif axes.get_legend_handles_labels()[0]:
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, 1.06 * max([*num_points, 1]))
    name_axes(axes, theme, "points of the event", "wall time [s]")
    legend(axes, theme, num_columns=2)
    return figure


def _distinct(stages: Mapping[str, Sequence[float]]) -> list[str]:
    sums = {name: float(np.nansum(values)) for name, values in stages.items()}
    total = sums.get("total", 0.0)
    return [name for name, seconds in sums.items() if name == "total" or total <= 0 or seconds < 0.97 * total]


def budget_figure(stages: Sequence[Mapping[str, Any]], *, theme: Theme = LIGHT) -> Figure:
    """Return the loss budget as a waterfall: share of target particles that can still be found after each stage.

    Parameters
    ----------
    stages : sequence of mapping
        In order: ``label``, ``value`` and ``interval`` of a proportion, all with the same denominator, and
        ``bounding``: whether what is lost here is lost for good.
    """
    figure, (axes,) = canvas(theme, size=(SIZE[0], max(2.0, 0.5 * len(stages) + 0.8)))
    values = [math.nan if stage["value"] is None else stage["value"] for stage in stages]
    before = 1.0
    for row, (stage, value) in enumerate(zip(stages, values, strict=True)):
        if not math.isfinite(value):
            continue
        bounding, last = stage["bounding"], row == len(stages) - 1
        axes.barh(
            row, value, height=0.62, color=SERIES[0], alpha=1.0 if last else (0.6 if bounding else 0.22), zorder=2
        )
        lost = ""
        if bounding and before > value:
            axes.barh(row, before - value, left=value, height=0.62, color=STATUS["fake"], alpha=0.6, zorder=2)
            lost = f"\nlost here {before - value:.1%}"
        low, high = stage["interval"] or (value, value)
        axes.errorbar(value, row, xerr=[[value - low], [high - value]], color=theme.text, linewidth=1.2, zorder=3)
        axes.text(1.03, row, f"{value:.1%}{lost}", va="center", color=theme.text, fontsize=8)
        before = value if bounding else before
    axes.set_yticks(range(len(stages)), [textwrap.fill(stage["label"], 22) for stage in stages], color=theme.text)
    axes.set_ylim(len(stages) - 0.4, -0.6)
    axes.set_xlim(0, 1.0)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.grid(False, axis="y")
    axes.grid(True, axis="x", color=theme.grid, linewidth=0.8)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if not stages:
        message(axes, theme, "no stage was traced")
    name_axes(axes, theme, "share of target particles that can still be found", "")
    return figure


def histogram_figure(
    series: Mapping[str, Sequence[int]],
    edges: Sequence[float],
    *,
    x_label: str,
    y_label: str,
    threshold: float | None = None,
    log_x: bool = False,
    theme: Theme = LIGHT,
) -> Figure:
    """Return shares of entries per bin, one outline a series; a dotted line marks ``threshold``."""
    figure, (axes,) = canvas(theme)
    total = 0
    for index, (name, counts) in enumerate(series.items()):
        number = int(np.sum(counts))
        total += number
        if number:
            axes.stairs(
                np.asarray(counts) / number,
                edges,
                color=SERIES[index % len(SERIES)],
                linewidth=1.6,
                fill=False,
                label=f"{name} ({number:,})",
            )
            if index == 0:
                axes.stairs(np.asarray(counts) / number, edges, color=SERIES[0], alpha=0.18, fill=True)
    if not total:
        message(axes, theme, "no entries")
    if threshold is not None:
        axes.axvline(threshold, color=theme.muted, linewidth=1.0, linestyle=(0, (2, 2)))
    if log_x:
        axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    name_axes(axes, theme, x_label, y_label)
    legend(axes, theme)
    return figure


def _seconds(value: float) -> str:
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
