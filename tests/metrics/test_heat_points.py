"""Heat maps: sums and means at rounded places, the nearest place for every cell, both endcaps on one map."""

from __future__ import annotations

import numpy as np
import pytest

from hitloom.errors import DataError
from hitloom.metrics.heat_points import HeatPoints


def random_points(num: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-3, 3, num), rng.uniform(-2, 2, num), rng.normal(size=num)


def test_sums_and_means_of_rounded_places():
    x, y, value = random_points(3000, 1)
    points = HeatPoints("value", "other", step=0.1)
    for start in range(0, 3000, 700):  # in several events
        part = slice(start, start + 700)
        points.add(x[part], y[part], {"value": value[part], "other": np.ones_like(value[part])})
    oracle: dict[tuple[int, int], list[float]] = {}
    for a, b, v in zip(x, y, value, strict=True):
        oracle.setdefault((round(a / 0.1), round(b / 0.1)), []).append(v)
    keys = [(round(a / 0.1), round(b / 0.1)) for a, b in points.places]
    assert sorted(keys) == sorted(oracle)
    np.testing.assert_allclose(points.values("value"), [np.mean(oracle[key]) for key in keys])
    np.testing.assert_allclose(points.values("value", "sum"), [np.sum(oracle[key]) for key in keys])
    assert points.num_entries == points.counts.sum() == points.values("other", "sum").sum() == 3000


@pytest.mark.parametrize("period", [None, 4.0])
def test_each_cell_holds_the_nearest_place(period: float | None):
    x, y, value = random_points(40, 2)
    points = HeatPoints("value", step=1e-6, y_period=period)
    points.add(x, y, {"value": value})
    found = points.grid("value", num_cells=23, x_range=(-4, 4), y_range=(-2, 2), max_distance=0.8)
    for row, b in enumerate(found.y):
        for column, a in enumerate(found.x):
            away = np.abs(y - b)
            if period is not None:
                away = np.minimum(away, period - away)
            distance = np.hypot(x - a, away)
            if distance.min() > 0.8:
                assert np.isnan(found.values[row, column])
            else:
                assert found.values[row, column] == pytest.approx(value[distance.argmin()])
    assert 0 < np.isnan(found.values).sum() < found.values.size


def test_a_difference_of_maps():
    x, y, value = random_points(50, 3)
    first, second = HeatPoints("value"), HeatPoints("value")
    first.add(x, y, {"value": value})
    second.add(x, y, {"value": value + 1})
    ranges = {"x_range": (-3.0, 3.0), "y_range": (-2.0, 2.0)}
    gap = second.grid("value", mode="sum", **ranges).minus(first.grid("value", mode="sum", **ranges)).values
    counts = first.grid("value", **ranges)
    assert np.nanmin(gap) >= 1 - 1e-9
    assert np.array_equal(np.isnan(gap), np.isnan(counts.values))
    with pytest.raises(DataError, match="different grids"):
        first.grid("value").minus(second.grid("value", x_range=(0.0, 1.0)))


def test_an_empty_map_and_a_bad_place():
    points = HeatPoints("value")
    assert np.isnan(points.grid("value", num_cells=4).values).all()
    points.add([], [], {"value": []})
    assert points.num_entries == 0
    with pytest.raises(DataError, match="not a number"):
        points.add([np.nan], [0.0], {"value": [1.0]})
