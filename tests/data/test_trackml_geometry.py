"""The detector as an object: places, channels, layers, regions; the formulas checked on the real event."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from data_toy import detectors_text, toy_geometry

from hitloom.data.trackml_geometry import LAYERS, TrackMLGeometry, layer_index, region
from hitloom.data.trackml_layout import LAYOUT, check_layout
from hitloom.errors import DataError


@pytest.fixture(scope="module")
def geometry(test_data) -> TrackMLGeometry:
    return TrackMLGeometry.read(test_data / "trackml-thinned" / "detectors.csv.gz")


@pytest.mark.real_data
class TestRealDetector:
    def test_the_table_is_that_of_the_detector(self, geometry):
        assert len(geometry) == 18_728
        assert check_layout(geometry) == []
        assert sum(sum(layout.modules) for layout in LAYOUT.values()) == 18_728

    def test_another_table_is_told(self, geometry):
        moved = replace(geometry, centre=geometry.centre + np.where(geometry.volume == 13, 9.0, 0.0)[:, None])
        pitch = replace(geometry, pitch_u=np.where(geometry.volume == 8, 0.1, geometry.pitch_u))
        turned = replace(geometry, centre=geometry.centre * np.array([1, 1, -1]))
        for wrong, volumes in ((moved, {13}), (pitch, {8}), (turned, {7, 9, 12, 14, 16, 18})):
            assert {int(text.split(":")[0].split()[1]) for text in check_layout(wrong)} == volumes
        assert any("modules" in text for text in check_layout(toy_geometry()))

    def test_cells_give_the_positions_of_every_hit(self, geometry, thinned):
        rows = geometry.rows_of(thinned.volume.numpy(), thinned.layer.numpy(), thinned.module.numpy())
        index = thinned.part_point_index.numpy()
        ch0, ch1, value = thinned.part_x.double().numpy().T
        total = np.bincount(index, value)
        uvw = geometry.channel_to_local(
            rows, np.bincount(index, value * ch0) / total, np.bincount(index, value * ch1) / total
        )
        error = np.linalg.norm(geometry.to_global(rows, uvw) - thinned.pos.double().numpy(), axis=1)
        assert np.quantile(error, 0.99) < 1.2e-3
        assert error.max() < 10e-3
        assert geometry.inside(rows, uvw[:, 0], uvw[:, 1], tolerance=0.05).all()
        num_u, num_v = geometry.num_channels
        assert (ch0 < num_u[rows][index]).all()
        assert (ch1 < num_v[rows][index]).all()

    def test_pixel_signal_over_slant(self, geometry, thinned):
        rows = geometry.rows_of(thinned.volume.numpy(), thinned.layer.numpy(), thinned.module.numpy())
        momentum = thinned.truth_momentum.double().numpy()
        along = np.abs(np.einsum("nij,ni->nj", geometry.rotation[rows], momentum)[:, 2])
        slant = np.linalg.norm(momentum, axis=1) / along
        signal = np.bincount(thinned.part_point_index.numpy(), thinned.part_x[:, 2].double().numpy())
        own = thinned.object_index.numpy() >= 0
        volume = thinned.volume.numpy()
        for volumes, wanted in (((8,), 0.150), ((7, 9), 0.30)):
            chosen = own & np.isin(volume, volumes)
            assert np.median((signal / slant)[chosen]) == pytest.approx(wanted, rel=0.03)

    def test_neighbours_are_near_and_of_the_same_layer(self, geometry):
        rows = np.arange(0, len(geometry), 997)
        near = geometry.neighbours(rows, 4)
        assert near.shape == (len(rows), 4)
        assert (near != rows[:, None]).all()
        assert (geometry.volume[near] == geometry.volume[rows, None]).all()
        assert (geometry.layer[near] == geometry.layer[rows, None]).all()
        distance = np.linalg.norm(geometry.centre[near] - geometry.centre[rows, None], axis=2)
        for place, row in enumerate(rows):
            same = (geometry.volume == geometry.volume[row]) & (geometry.layer == geometry.layer[row])
            every = np.sort(np.linalg.norm(geometry.centre[same] - geometry.centre[row], axis=1))
            np.testing.assert_allclose(distance[place], every[1:5])


def test_local_and_global_are_inverse():
    geometry = toy_geometry()
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(geometry), 50)
    uvw = rng.normal(0, 5, (50, 3))
    np.testing.assert_allclose(geometry.to_local(rows, geometry.to_global(rows, uvw)), uvw, atol=1e-12)
    channels = geometry.local_to_channel(rows, uvw[:, 0], uvw[:, 1])
    back = geometry.channel_to_local(rows, channels[:, 0], channels[:, 1])
    np.testing.assert_allclose(back[:, :2], uvw[:, :2], atol=1e-12)


def test_channel_0_by_hand_with_the_shift_of_the_volume():
    geometry = toy_geometry()
    pixel, strip = geometry.rows_of([8, 13], [2, 4], [1, 3])
    np.testing.assert_allclose(geometry.channel_to_local(np.array([pixel]), [0], [0]), [[-8.357, -35.971875, 0]])
    np.testing.assert_allclose(geometry.channel_to_local(np.array([strip]), [0], [0]), [[-23.99, -53.4, 0]])


def test_inside_a_trapezoid():
    geometry = toy_geometry()
    rows = np.zeros(5, dtype=np.int64)
    narrow = replace(geometry, half_u_low=np.full(len(geometry), 4.2))
    u, v = np.array([4.1, 4.3, 6.2, 6.4, 0.0]), np.array([-36.0, -36.0, 0.0, 0.0, 36.1])
    assert narrow.inside(rows, u, v).tolist() == [True, False, True, False, False]
    assert narrow.inside(rows, u, v, tolerance=0.2).tolist() == [True, True, True, True, True]


def test_layers_and_regions():
    assert len(LAYERS) == 48
    volume, layer = zip(*LAYERS, strict=True)
    assert layer_index(volume, layer).tolist() == list(range(48))
    assert region([7, 12, 16, 8, 13, 17, 9, 14, 18]).tolist() == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    with pytest.raises(DataError, match="volume 8, layer 10"):
        layer_index([8, 8], [2, 10])
    with pytest.raises(DataError, match="volume 10"):
        region([10])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda text: text.replace("pitch_u", "pitch_x"), "column 'pitch_u' is missing"),
        (lambda text: text + text.splitlines()[1] + "\n", r"\[8, 2, 1\] is there twice"),
        (lambda text: text.replace("0,1,0,0.15", "0,9,0,0.15"), "rotation matrix is not orthogonal"),
        (lambda text: text.replace("8,2,1,", "8,2,x,"), "column 'module_id'"),
    ],
)
def test_a_broken_table_is_refused(change, match):
    with pytest.raises(DataError, match=match):
        TrackMLGeometry.from_bytes(change(detectors_text()).encode(), where="detectors")
