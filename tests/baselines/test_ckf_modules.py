"""Hits on the modules of the generic detector: by number, by position, there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("acts")

from hitloom.baselines.geometry import generic_modules, geometry_ids, module_rows
from hitloom.baselines.measurements import BIAS_U_MM, RESOLUTION_MM, measurements_of
from hitloom.errors import DataError
from hitloom.event import Event


@pytest.fixture(scope="module")
def modules():
    return generic_modules()


@pytest.fixture(scope="module")
def hits(modules):
    """Points inside randomly drawn modules of every volume: rows, local and global coordinates."""
    rng = np.random.default_rng(5)
    rows = np.concatenate([rng.choice(np.flatnonzero(modules.volume == v), 300) for v in RESOLUTION_MM])
    along = rng.uniform(-0.95, 0.95, len(rows))
    width = np.minimum(modules.half_u_low, modules.half_u_high)[rows]
    local = np.stack([rng.uniform(-0.95, 0.95, len(rows)) * width, along * modules.half_v[rows]], axis=1)
    return rows, local, modules.to_global(rows, np.pad(local, ((0, 0), (0, 1))))


def event_of(modules, rows, pos, *, module=None) -> Event:
    fields = {"volume": modules.volume[rows], "layer": modules.layer[rows]}
    fields["module"] = modules.sensitive[rows] if module is None else module
    event = Event(pos=torch.from_numpy(pos.astype(np.float32)))
    for name, values in fields.items():
        event[name] = torch.from_numpy(values)
    return event


def test_identifiers_are_those_of_acts(modules):
    import acts

    rng = np.random.default_rng(0)
    rows = rng.choice(len(modules), 200)
    for row, value in zip(rows, geometry_ids(modules, rows), strict=True):
        identifier = acts.GeometryIdentifier(int(value))
        assert identifier.volume == modules.volume[row]
        assert identifier.layer == modules.layer[row]
        assert identifier.sensitive == modules.sensitive[row]


def test_global_local_global_within_a_micrometre(modules, hits):
    rows, local, pos = hits
    event = event_of(modules, rows, pos)
    measured = measurements_of(event, resolution_mm=RESOLUTION_MM, bias_u_mm={})
    assert np.array_equal(measured.geometry_id, geometry_ids(modules, rows))
    assert np.abs(measured.local - local).max() < 1e-3
    back = modules.to_global(rows, np.pad(measured.local, ((0, 0), (0, 1))))
    assert np.abs(back - event.pos.numpy()).max() < 1e-3


def test_acts_agrees_with_the_local_frame(modules, hits):
    """ACTS' own surfaces, the ones that the filter uses, turn the local coordinates into the hit's position."""
    import acts

    from hitloom.baselines.geometry import generic_detector

    rows, local, pos = hits
    surfaces = generic_detector().trackingGeometry().geoIdSurfaceMap()
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    for index in range(0, len(rows), 40):
        surface = surfaces[acts.GeometryIdentifier(int(geometry_ids(modules, rows[index : index + 1])[0]))]
        point = surface.localToGlobal(context, acts.Vector2(*local[index]), acts.Vector3(0, 0, 1))
        assert np.abs([point[axis] - pos[index, axis] for axis in range(3)]).max() < 1e-6


def test_variances_and_bias_by_volume(modules, hits):
    rows, local, pos = hits
    event = event_of(modules, rows, pos)
    measured = measurements_of(event, resolution_mm=RESOLUTION_MM, bias_u_mm=BIAS_U_MM)
    for index, volume in enumerate(modules.volume[rows].tolist()):
        assert np.sqrt(measured.variance[index]) == pytest.approx(RESOLUTION_MM[volume])
        shift = measured.local[index] - local[index]
        assert shift == pytest.approx([-BIAS_U_MM.get(volume, 0.0), 0.0], abs=1e-3)


def test_module_numbers_are_only_a_hint(modules, hits):
    """Numbers of another scheme, wrong ones and none at all lead to the same modules."""
    rows, _, pos = hits
    rng = np.random.default_rng(1)
    columns = {"volume": modules.volume[rows], "layer": modules.layer[rows], "pos": pos}
    own = modules.sensitive[rows]
    for module in (own, own[rng.permutation(len(own))], np.full_like(own, 999_999), np.zeros_like(own), None):
        assert np.array_equal(module_rows(modules, module=module, **columns), rows)


def test_by_position_equals_brute_force(modules, hits):
    rows, _, pos = hits
    for index in range(0, len(rows), 60):
        members = np.flatnonzero(
            (modules.volume == modules.volume[rows[index]]) & (modules.layer == modules.layer[rows[index]])
        )
        local = modules.to_local(members, np.repeat(pos[index : index + 1], len(members), axis=0))
        on_it = (np.abs(local[:, 2]) < 0.05) & (modules.outside_by(members, local) < 1e-9)
        assert members[on_it].tolist() == [rows[index]]


def test_a_point_on_no_module_is_one_clear_error(modules, hits):
    rows, _, pos = hits
    moved = pos.copy()
    moved[7] += 1.3
    with pytest.raises(DataError, match=r"point 7 at .* is on no module of volume 7") as error:
        measurements_of(event_of(modules, rows, moved), resolution_mm=RESOLUTION_MM, bias_u_mm={})
    assert "\n" not in str(error.value)


def test_missing_fields_and_unknown_volumes_and_layers(modules, hits):
    rows, _, pos = hits
    event = event_of(modules, rows, pos)
    del event.layer
    with pytest.raises(DataError, match="'layer' is missing"):
        measurements_of(event, resolution_mm=RESOLUTION_MM, bias_u_mm={})
    event = event_of(modules, rows, pos)
    event.layer[:3] = 77
    with pytest.raises(DataError, match="3 points lie on volume 7, layer 77"):
        measurements_of(event, resolution_mm=RESOLUTION_MM, bias_u_mm={})
    with pytest.raises(DataError, match="volume 18 has no resolution"):
        measurements_of(event, resolution_mm={v: s for v, s in RESOLUTION_MM.items() if v != 18}, bias_u_mm={})
