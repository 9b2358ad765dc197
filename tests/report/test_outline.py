"""Lines through hits and the detector outlined by hits."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.report.outline import outline_3d, outline_rz, outline_xy, polylines, surfaces


def lines_by_loop(position, group, distance):
    """Oracle: the lines one by one, each sorted by distance, groups in rising order."""
    lines = []
    for key in sorted({int(value) for value in group if value >= 0}):
        rows = sorted((row for row in range(len(group)) if group[row] == key), key=lambda row: (distance[row], row))
        if len(rows) > 1:
            lines.append([tuple(position[row]) for row in rows])
    return lines


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 5)), max_size=25))
def test_polylines_equal_a_loop_over_groups(points):
    group = np.array([g for g, _ in points], dtype=np.int64)
    distance = np.array([float(d) for _, d in points])
    position = np.arange(3.0 * len(points)).reshape(-1, 3)
    line, source = polylines(position, group, distance)
    found, current = [], []
    for point, row in zip(line, source, strict=True):
        if row < 0:
            assert np.isnan(point).all()
            found.append(current)
            current = []
        else:
            assert (point == position[row]).all()
            current.append(tuple(point))
    assert current == []
    assert found == lines_by_loop(position, group, distance)


def test_a_layer_is_a_cylinder_or_a_disk_by_its_spread():
    angle = np.linspace(0, 6, 40)
    barrel = np.column_stack([50 * np.cos(angle), 50 * np.sin(angle), np.linspace(-300, 200, 40)])
    disk = np.column_stack([np.linspace(40, 170, 40), np.zeros(40), np.full(40, 700.0)])
    stray = np.array([[1.0, 2.0, 3.0]])
    found = surfaces(np.concatenate([barrel, disk, stray]), np.repeat([3, 1, 7], [40, 40, 1]))
    assert [surface.is_disk for surface in found] == [True, False]
    assert (found[0].r_min, found[0].r_max, found[0].z_min) == (40.0, 170.0, 700.0)
    assert np.isclose(found[1].r_min, 50)
    assert (found[1].z_min, found[1].z_max) == (-300.0, 200.0)
    ring = outline_3d(found)
    radii = np.hypot(ring[:, 0], ring[:, 1])
    assert set(np.round(radii[np.isfinite(radii)], 6)) == {40.0, 170.0, 50.0}
    assert np.isfinite(outline_xy(found)).all(axis=1).sum() == 97
    assert outline_rz(found)[:2].tolist() == [[700.0, 40.0], [700.0, 170.0]]


def test_no_hits_no_outline():
    assert surfaces(np.empty((0, 3)), np.empty(0, dtype=np.int64)) == []
    assert outline_3d([]).shape == (0, 3)
    assert outline_xy([]).shape == outline_rz([]).shape == (0, 2)
