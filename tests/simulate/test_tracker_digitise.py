"""Cells and positions: against a brute-force line through the grid, and against the cells of a real event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.simulate.digitise import MAX_SLANT, SMEARING, leaves_hit, make_cells, measured_local, num_channels
from hitloom.simulate.modules import READOUT, ModuleTable

SIZES = {
    8: (8.4, 8.4, 36.0),
    9: (8.4, 8.4, 36.0),
    13: (24.0, 24.0, 54.0),
    12: (16.4, 24.2, 78.0),
    16: (54.0, 64.2, 78.0),
}


def one_module(volume: int) -> ModuleTable:
    low, high, half_v = SIZES[volume]
    number = np.array([volume])
    return ModuleTable(
        volume=number,
        layer=np.array([2]),
        sensitive=np.array([1]),
        module=np.array([1]),
        centre=np.zeros((1, 3)),
        rotation=np.eye(3)[None],
        half_u_low=np.array([low]),
        half_u_high=np.array([high]),
        half_v=np.array([half_v]),
    )


def cells_of(volume: int, local: np.ndarray, direction: np.ndarray, seed: int = 0):
    modules = one_module(volume)
    rows = np.zeros(len(local), dtype=np.int64)
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    cells = make_cells(modules=modules, rows=rows, local=local, direction=direction, rng=np.random.default_rng(seed))
    return modules, rows, cells


def brute_force(volume: int, local, direction, *, num_steps: int) -> dict[tuple[int, int], float]:
    """Path length per cell from many points along the drifted line; cells outside the module are left out."""
    readout, (low, high, half_v) = READOUT[volume], SIZES[volume]
    depth = readout.thickness * readout.depth_factor
    w = ((np.arange(num_steps) + 0.5) / num_steps - 0.5) * depth
    drift = -abs(readout.shift) / depth * w - readout.shift / 2
    u = local[0] + direction[0] / direction[2] * w + drift + max(low, high)
    v = local[1] + direction[1] / direction[2] * w + half_v
    cell = np.stack([np.floor(u / readout.pitch_u), np.floor(v / readout.pitch_v)], axis=1).astype(int)
    num_u, num_v = round(2 * max(low, high) / readout.pitch_u), round(2 * half_v / readout.pitch_v)
    inside = (cell >= 0).all(1) & (cell[:, 0] < num_u) & (cell[:, 1] < num_v)
    found, counts = np.unique(cell[inside], axis=0, return_counts=True)
    slant = np.linalg.norm(direction) / abs(direction[2])
    return {(int(a), int(b)): c / num_steps * depth * slant for (a, b), c in zip(found, counts, strict=True)}


@settings(max_examples=40, deadline=None)
@given(
    volume=st.sampled_from(sorted(SIZES)),
    place=st.tuples(st.floats(-0.99, 0.99), st.floats(-0.99, 0.99)),
    slope=st.tuples(st.floats(-3, 3), st.floats(-9, 9)),
    side=st.sampled_from([-1.0, 1.0]),
)
def test_cells_are_those_that_the_line_touches(volume, place, slope, side):
    low, _, half_v = SIZES[volume]
    local = np.array([[place[0] * low, place[1] * half_v, 0.0]])
    direction = np.array([[slope[0], slope[1], 1.0]]) * side
    _, _, cells = cells_of(volume, local, direction)
    num_steps = 20_000
    wanted = brute_force(volume, local[0], direction[0], num_steps=num_steps)
    got = dict(zip(zip(cells.ch0.tolist(), cells.ch1.tolist(), strict=True), cells.value.tolist(), strict=True))
    assert len(got) == len(cells)
    step = (
        READOUT[volume].thickness
        * READOUT[volume].depth_factor
        * np.sqrt(1 + slope[0] ** 2 + slope[1] ** 2)
        / num_steps
    )
    for key, path in wanted.items():  # a cell that the steps miss is shorter than a step
        assert key in got
        if READOUT[volume].is_pixel:
            assert got[key] == pytest.approx(path, rel=5 * SMEARING, abs=3 * step)
        else:
            assert got[key] == 1.0
    if READOUT[volume].is_pixel and wanted:
        assert all(value < 3 * step for key, value in got.items() if key not in wanted)


def test_signal_is_the_path_smeared_by_ten_percent():
    direction = np.tile([[0.2, 0.0, 1.0]], (20_000, 1))
    local = np.tile([[0.013, 0.017, 0.0]], (20_000, 1))
    _, _, cells = cells_of(9, local, direction, seed=3)
    exact = brute_force(9, local[0], direction[0], num_steps=100_000)
    assert sum(exact.values()) == pytest.approx(0.3 * np.sqrt(1.04), rel=1e-4)
    for (ch0, ch1), path in exact.items():
        values = cells.value[(cells.ch0 == ch0) & (cells.ch1 == ch1)]
        assert len(values) == 20_000
        assert values.mean() == pytest.approx(path, rel=0.005)
        assert values.std() / path == pytest.approx(0.10, rel=0.03)


def test_hits_at_the_edge_keep_a_cell_inside():
    _, rows, cells = cells_of(
        8, np.array([[8.4, 36.0, 0.0], [-8.4, -36.0, 0.0]]), np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    )
    num_u, num_v = num_channels(one_module(8))
    assert set(cells.hit.tolist()) == {0, 1}
    assert cells.ch0.min() >= 0
    assert cells.ch0.max() < num_u[0]
    assert cells.ch1.min() >= 0
    assert cells.ch1.max() < num_v[0]
    assert np.isfinite(measured_local(modules=one_module(8), rows=rows, cells=cells)).all()


def test_flat_tracks_leave_no_hit():
    slants = np.array([1.0, 9.9, 10.1, 1e6])
    direction = np.stack([np.sqrt(1 - slants**-2), np.zeros(4), -1 / slants], axis=1)
    assert leaves_hit(direction).tolist() == [True, True, False, False]


def test_channels_of_the_trackml_modules():
    wanted = {8: (336, 1280), 13: (600, 90), 12: (605, 130), 16: (1070, 15)}
    for volume, counts in wanted.items():
        num_u, num_v = num_channels(one_module(volume))
        assert (num_u[0], num_v[0]) == counts


def test_no_crossings_no_cells():
    _, rows, cells = cells_of(8, np.zeros((0, 3)), np.zeros((0, 3)))
    assert len(cells) == 0
    assert measured_local(modules=one_module(8), rows=rows, cells=cells).shape == (0, 3)


@pytest.mark.real_data
def test_true_crossings_of_a_real_event_give_its_cells(test_data):
    """The oracle is the data: cells and positions of one real event from its true crossings."""
    pandas = pytest.importorskip("pandas")
    folder = test_data / "trackml-thinned"
    hits, truth, cells = (
        pandas.read_csv(folder / f"event000000001-{part}.csv.gz") for part in ("hits", "truth", "cells")
    )
    detectors = pandas.read_csv(folder / "detectors.csv.gz")
    table = hits.merge(truth, on="hit_id").merge(detectors, on=["volume_id", "layer_id", "module_id"])
    table = table[table.particle_id != 0].sort_values("hit_id").reset_index(drop=True)
    axes = [[f"rot_{row}{column}" for column in "uvw"] for row in "xyz"]
    modules = ModuleTable(
        volume=table.volume_id.to_numpy(),
        layer=table.layer_id.to_numpy(),
        sensitive=table.module_id.to_numpy(),
        module=table.module_id.to_numpy(),
        centre=table[["cx", "cy", "cz"]].to_numpy(),
        rotation=np.stack([table[names].to_numpy() for names in axes], axis=1),
        half_u_low=table.module_minhu.to_numpy(),
        half_u_high=table.module_maxhu.to_numpy(),
        half_v=table.module_hv.to_numpy(),
    )
    rows = np.arange(len(table))
    local = modules.to_local(rows, table[["tx", "ty", "tz"]].to_numpy())
    momentum = table[["tpx", "tpy", "tpz"]].to_numpy()
    direction = np.einsum("nij,ni->nj", modules.rotation, momentum / np.linalg.norm(momentum, axis=1, keepdims=True))
    slant = 1 / np.abs(direction[:, 2])
    assert 9.5 < slant.max() < MAX_SLANT
    assert leaves_hit(direction).all()
    ours = make_cells(modules=modules, rows=rows, local=local, direction=direction, rng=np.random.default_rng(0))
    theirs = cells.merge(table[["hit_id"]].assign(row=rows), on="hit_id")

    def sets(row, ch0, ch1):
        result = [set() for _ in rows]
        for r, a, b in zip(row, ch0, ch1, strict=True):
            result[r].add((int(a), int(b)))
        return result

    same = np.array(
        [
            a == b
            for a, b in zip(sets(ours.hit, ours.ch0, ours.ch1), sets(theirs.row, theirs.ch0, theirs.ch1), strict=True)
        ]
    )
    for volume in READOUT:
        assert same[modules.volume == volume].mean() > 0.975, f"volume {volume}"
    # their cells through our formula: the file's positions to its rounding
    from hitloom.simulate.digitise import Cells

    real = Cells(
        hit=theirs.row.to_numpy(), ch0=theirs.ch0.to_numpy(), ch1=theirs.ch1.to_numpy(), value=theirs.value.to_numpy()
    )
    position = modules.to_global(rows, measured_local(modules=modules, rows=rows, cells=real))
    difference = np.abs(position - table[["x", "y", "z"]].to_numpy()).max(1)
    assert np.quantile(difference, 0.99) < 1e-3
    assert difference.max() < 1e-2
