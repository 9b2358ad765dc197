"""What plots draw: bars where the intervals are, bins where the edges are, a word where there is nothing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from hitloom.metrics import clopper_pearson
from hitloom.report.canvas import for_dark, to_png, to_svg
from hitloom.report.config import EvaluationConfig
from hitloom.report.curve_plots import curve_figure
from hitloom.report.numbers import count, percent, percent_range, seconds
from hitloom.report.page import to_json
from hitloom.report.palette import DARK, LIGHT, SERIES, candidate_colour
from hitloom.report.plots import scaled_axis
from hitloom.report.summary_plots import budget_figure, histogram_figure, scan_figure, timing_figure

EDGES = [1.0, 2.0, 5.0, 10.0]


def a_curve(numerator: list[int], denominator: list[int]) -> dict:
    low, high = clopper_pearson(numerator, denominator)
    plain = [[None if math.isnan(end) else float(end) for end in ends] for ends in (low, high)]
    value = [k / n if n else None for k, n in zip(numerator, denominator, strict=True)]
    return {"numerator": numerator, "denominator": denominator, "value": value, "low": plain[0], "high": plain[1]}


def bars_of(container) -> np.ndarray:
    """Return (points, 2) ends of the vertical bars."""
    vertical = container.lines[2][-1]
    return np.array([segment[:, 1] for segment in vertical.get_segments()])


def texts_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("scale", ["linear", "log", "even", "whole"])
def test_bars_are_the_intervals_and_empty_bins_are_not_drawn(scale):
    one, two = a_curve([9, 0, 0], [10, 4, 0]), a_curve([1, 2, 3], [10, 4, 3])
    figure = curve_figure({"ours": one, "other": two}, EDGES, x_label="x", y_label="y", scale=scale)
    upper, lower = figure.axes
    first, second = upper.containers
    for container, curve in ((first, one), (second, two)):
        drawn = np.array([value is not None for value in curve["value"]])
        assert container.lines[0].get_ydata() == pytest.approx([v for v in curve["value"] if v is not None])
        expected = np.array([curve["low"], curve["high"]], dtype=float).T[drawn]
        assert bars_of(container) == pytest.approx(expected)
    assert len(first.lines[0].get_xdata()) == 2
    assert (first.lines[0].get_xdata()[:2] < second.lines[0].get_xdata()[:2]).all()
    counts = [patch.get_data().values.tolist() for patch in lower.patches]
    assert counts == [[10, 4, 0], [10, 4, 3]]
    assert upper.get_legend_handles_labels()[1] == ["ours", "other"]


def test_points_stay_inside_their_bins():
    curves = {f"model {number}": a_curve([1, 1, 1], [2, 2, 2]) for number in range(5)}
    for scale in ("linear", "log"):
        figure = curve_figure(curves, EDGES, x_label="x", y_label="y", scale=scale)
        for container in figure.axes[0].containers:
            x = container.lines[0].get_xdata()
            assert ((x > EDGES[:-1]) & (x < EDGES[1:])).all()


def test_ranges_follow_the_configuration_or_the_values():
    high = curve_figure({"a": a_curve([9], [10])}, [0, 1], x_label="", y_label="")
    assert high.axes[0].get_ylim() == (0, 1.04)
    chosen = curve_figure({"a": a_curve([9], [10])}, [0, 1], x_label="", y_label="", y_range=(0.8, 1.0))
    assert chosen.axes[0].get_ylim() == (0.8, 1.0)
    small = curve_figure({"a": a_curve([3], [1000])}, [0, 1], x_label="", y_label="")
    assert small.axes[0].get_ylim()[1] < 0.1


def test_pt_is_drawn_in_the_unit_asked_for():
    in_mev = EvaluationConfig(pt_unit="MeV")
    assert scaled_axis([1.0, 50.0], "GeV", in_mev) == ([1000.0, 50000.0], "MeV")
    assert scaled_axis([1.0, 50.0], "GeV", EvaluationConfig()) == ([1.0, 50.0], "GeV")
    assert scaled_axis([-1.0, 1.0], "rad", in_mev) == ([-1.0, 1.0], "rad")


def test_nothing_to_draw_is_said():
    empty = a_curve([0, 0, 0], [0, 0, 0])
    assert texts_of(curve_figure({"a": empty}, EDGES, x_label="", y_label="").axes[0]) == ["no entries in any bin"]
    assert "no working point was scanned" in texts_of(scan_figure([], {}).axes[0])
    assert "no entries" in texts_of(histogram_figure({"a": [0]}, [0, 1], x_label="", y_label="").axes[0])
    assert "no stage was traced" in texts_of(budget_figure([]).axes[0])
    assert "no times were stored with these results" in texts_of(timing_figure([], {}).axes[0])
    for figure in (scan_figure([], {}), budget_figure([]), timing_figure([], {})):
        assert to_png(figure, dpi=40)


def test_scan_marks_the_working_point_and_keeps_every_row():
    rows = [
        {"eps": eps, "min_samples": number, "e": 0.9 - eps, "e.interval": [0.8 - eps, 1 - eps]}
        for eps in (0.1, 0.2)
        for number in (2, 3)
    ]
    rows[0]["e"] = None
    figure = scan_figure(rows, {"e": "efficiency"}, working_point={"eps": 0.15, "min_samples": 3})
    axes = figure.axes[0]
    points = {len(container.lines[0].get_xdata()) for container in axes.containers}
    assert points == {1, 2}
    assert any(np.allclose(line.get_xdata(), 0.15) for line in axes.lines)
    assert "working point" in texts_of(axes)
    assert to_png(figure, dpi=40)


def test_budget_writes_what_is_lost_where():
    stages = [
        {"label": "input", "value": 1.0, "interval": [0.9, 1.0], "bounding": True},
        {"label": "graph", "value": 0.5, "interval": [0.4, 0.6], "bounding": False},
        {"label": "grouping", "value": 0.9, "interval": [0.85, 0.93], "bounding": True},
        {"label": "undefined", "value": None, "interval": None, "bounding": True},
    ]
    axes = budget_figure(stages).axes[0]
    assert texts_of(axes) == ["100.0%", "50.0%", "90.0%\nlost here 10.0%"]
    assert [patch.get_width() for patch in axes.patches] == pytest.approx([1.0, 0.5, 0.9, 0.1])


def test_histograms_are_shares():
    figure = histogram_figure({"a": [1, 3], "b": [10, 10]}, [0, 0.5, 1], x_label="", y_label="", threshold=0.5)
    heights = [patch.get_data().values.tolist() for patch in figure.axes[0].patches]
    assert heights == [[0.25, 0.75], [0.25, 0.75], [0.5, 0.5]]


def test_timing_says_the_mean_of_each_stage():
    figure = timing_figure([100, 200], {"total": [0.1, 0.3], "network": [0.099, 0.3], "knn": [0.05, math.nan]})
    assert figure.axes[0].get_legend_handles_labels()[1] == ["total: mean 200 ms", "knn: mean 50 ms"]


def test_dark_pictures_differ_in_ink_only():
    svg = to_svg(curve_figure({"a": a_curve([1], [2])}, [0, 1], x_label="x", y_label="y"))
    dark = for_dark(svg)
    assert LIGHT.text in svg
    assert LIGHT.text not in dark
    assert DARK.text in dark
    assert svg.count(SERIES[0]) == dark.count(SERIES[0]) > 0
    assert not {LIGHT.text, LIGHT.muted, LIGHT.grid} & set(SERIES)


def test_candidates_have_readable_colours_that_differ_from_their_neighbours():
    colours = [candidate_colour(index) for index in range(300)]
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in colours)
    assert all(a != b for a, b in itertools.pairwise(colours))


def test_numbers_as_text():
    assert [percent(0.92543, n) for n in (228, 5000, 200_000)] == ["92.5 %", "92.54 %", "92.543 %"]
    assert (percent(None), percent(math.nan), percent_range(None)) == ("–", "–", "–")
    assert percent_range([0.9038, 0.9428], 228) == "90.4 to 94.3 %"
    assert (count(12345), count(207.4388), count(None)) == ("12,345", "207.44", "–")
    assert (seconds(0.0771), seconds(2.5), seconds(None)) == ("77.1 ms", "2.5 s", "–")


def test_json_is_strict_and_short():
    text = to_json({"a": [1.0, math.nan, math.inf], "b": [{"c": np.float32(0.5)}], "d": np.arange(2), 5: None, "e": {}})
    assert text.splitlines()[1] == ' "a": [1.0, null, null],'
    import json

    assert json.loads(text) == {"a": [1.0, None, None], "b": [{"c": 0.5}], "d": [0, 1], "5": None, "e": {}}
