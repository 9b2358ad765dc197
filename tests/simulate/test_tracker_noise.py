"""Noise hits: their number, where they lie, and whose cells they carry."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitloom.simulate.digitise import Cells, num_channels
from hitloom.simulate.modules import READOUT, ModuleTable
from hitloom.simulate.noise import VOLUME_SHARE, make_noise, num_noise


def all_volumes() -> ModuleTable:
    """Three modules per volume; trapezoids in the strip endcaps, of two widths."""
    volume = np.repeat(np.array(sorted(READOUT)), 3)
    strip_endcap = np.isin(volume, (12, 14, 16, 18))
    pixel = np.isin(volume, (7, 8, 9))
    low = np.where(pixel, 8.4, np.where(strip_endcap, np.tile([16.4, 24.2, 32.2], 9), 24.0))
    return ModuleTable(
        volume=volume,
        layer=np.full(27, 2),
        sensitive=np.tile([1, 2, 3], 9),
        module=np.tile([1, 2, 3], 9),
        centre=np.zeros((27, 3)),
        rotation=np.tile(np.eye(3), (27, 1, 1)),
        half_u_low=low,
        half_u_high=np.where(strip_endcap, low + 8.0, low),
        half_v=np.where(pixel, 36.0, np.where(strip_endcap, 78.0, 54.0)),
    )


@given(num_hits=st.integers(0, 10**6), fraction=st.floats(0, 0.9))
def test_share_of_all_hits(num_hits, fraction):
    num = num_noise(num_hits=num_hits, fraction=fraction)
    assert num >= 0
    if num_hits:
        assert num / (num + num_hits) == pytest.approx(fraction, abs=1.0 / num_hits)


def noise(num: int):
    modules = all_volumes()
    rng = np.random.default_rng(2)
    donor_rows = np.repeat(np.arange(27), 4)
    sizes = rng.integers(1, 6, size=len(donor_rows))
    hit = np.repeat(np.arange(len(donor_rows)), sizes)
    step = np.arange(len(hit)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    donors = Cells(hit=hit, ch0=100 + step, ch1=5 + step // 2, value=rng.random(len(hit)))
    rows, cells = make_noise(modules=modules, donor_rows=donor_rows, donors=donors, num=num, rng=rng)
    return modules, donor_rows, donors, rows, cells


def test_volumes_follow_the_shares():
    modules, _, _, rows, _ = noise(40_000)
    total = sum(VOLUME_SHARE.values())
    for volume, share in VOLUME_SHARE.items():
        assert (modules.volume[rows] == volume).mean() == pytest.approx(share / total, abs=0.01)
    assert min(Counter(rows.tolist()).values()) > 0.8 * 40_000 * min(VOLUME_SHARE.values()) / total / 3


def test_cells_are_those_of_a_hit_of_the_same_volume_moved():
    modules, donor_rows, donors, rows, cells = noise(2000)
    assert (np.diff(cells.hit) >= 0).all()
    assert set(cells.hit.tolist()) == set(range(2000))
    num_u, num_v = num_channels(modules)
    assert (cells.ch0 >= 0).all()
    assert (cells.ch0 < num_u[rows[cells.hit]]).all()
    assert (cells.ch1 >= 0).all()
    assert (cells.ch1 < num_v[rows[cells.hit]]).all()

    def shape(ch0, ch1, value):
        return tuple(zip((ch0 - ch0.min()).tolist(), (ch1 - ch1.min()).tolist(), value.tolist(), strict=True))

    known = {
        (int(modules.volume[donor_rows[i]]), shape(donors.ch0[m], donors.ch1[m], donors.value[m]))
        for i in range(len(donor_rows))
        for m in [donors.hit == i]
    }
    for i in range(0, 2000, 7):
        m = cells.hit == i
        assert (int(modules.volume[rows[i]]), shape(cells.ch0[m], cells.ch1[m], cells.value[m])) in known


def test_places_are_uniform_on_rectangles_and_inside_trapezoids():
    modules, _, _, rows, cells = noise(60_000)
    first = np.searchsorted(cells.hit, np.arange(60_000))
    num_u, num_v = num_channels(modules)
    barrel = modules.volume[rows] == 17
    for channel, num in ((cells.ch0[first], num_u), (cells.ch1[first], num_v)):
        share = (channel[barrel] + 0.5) / num[rows[barrel]]
        assert share.mean() == pytest.approx(0.5, abs=0.03)
    trapezoid = np.flatnonzero(modules.volume[rows] == 14)
    u = np.abs((cells.ch0[first[trapezoid]] + 0.5) * 0.08 - modules.half_u[rows[trapezoid]])
    along = (cells.ch1[first[trapezoid]] + 0.5) / num_v[rows[trapezoid]]
    low, high = modules.half_u_low[rows[trapezoid]], modules.half_u_high[rows[trapezoid]]
    assert (u <= low + (high - low) * along + 0.6).all()  # clusters reach a few channels beyond their middle
    assert along.mean() > 0.5  # more area where it is wide


def test_without_particle_hits_one_cell_each():
    nothing = Cells(hit=np.zeros(0, int), ch0=np.zeros(0, int), ch1=np.zeros(0, int), value=np.zeros(0))
    rows, cells = make_noise(
        modules=all_volumes(), donor_rows=np.zeros(0, int), donors=nothing, num=500, rng=np.random.default_rng(0)
    )
    assert len(rows) == len(cells) == 500
    assert set(np.round(cells.value, 6).tolist()) == {0.15, 0.3, 1.0}
    rows, cells = make_noise(
        modules=all_volumes(), donor_rows=np.zeros(0, int), donors=nothing, num=0, rng=np.random.default_rng(0)
    )
    assert len(rows) == len(cells) == 0
