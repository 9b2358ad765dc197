"""Small events with everything a TrackML event has, and the detector they lie on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import torch

from hitloom.data.features import CELL_FEATURES, POSITION_FEATURES, cell_shape_features, position_features
from hitloom.data.trackml_geometry import TrackMLGeometry
from hitloom.data.truth_edges import module_key, modulewise_edges, vertex_distance
from hitloom.event import Event
from hitloom.metrics import encode_particle_id, hit_weights

LAYERS = ((8, 2), (8, 4), (8, 6), (8, 8), (13, 2), (13, 4))
HEADER = (
    "volume_id,layer_id,module_id,cx,cy,cz,rot_xu,rot_xv,rot_xw,rot_yu,rot_yv,rot_yw,rot_zu,rot_zv,rot_zw,"
    "module_t,module_minhu,module_maxhu,module_hv,pitch_u,pitch_v"
)


def detectors_text() -> str:
    """Four modules a layer, at azimuths 0, 90, 180 and 270 degrees; the normal points outwards."""
    lines = [HEADER]
    for number, (volume, layer) in enumerate(LAYERS):
        pitch = "0.05,0.05625" if volume == 8 else "0.08,1.2"
        for module in range(4):
            radius, phi = 50.0 + 40 * number, np.pi / 2 * module
            c, s = int(np.rint(np.cos(phi))), int(np.rint(np.sin(phi)))
            # u azimuthal, v along z, w outwards
            rotation = [-s, 0, c, c, 0, s, 0, 1, 0]
            size = "0.15,8.4,8.4,36" if volume == 8 else "0.25,24,24,54"
            values = ",".join(str(value) for value in [radius * c, radius * s, 0, *rotation])
            lines.append(f"{volume},{layer},{module + 1},{values},{size},{pitch}")
    return "\n".join(lines) + "\n"


def toy_geometry() -> TrackMLGeometry:
    return TrackMLGeometry.from_bytes(detectors_text().encode(), where="toy detectors")


def toy_event(event_id: int = 7, *, num_objects: int = 5, num_noise: int = 4, weights: bool = True) -> Event:
    """Straight tracks through the layers, ids above 2**53, one object without hits, noise, 1 to 3 cells a hit."""
    rng = np.random.default_rng([event_id, num_objects, num_noise])
    geometry = toy_geometry()
    modules = np.concatenate([np.arange(len(LAYERS)) * 4 + int(rng.integers(4)) for _ in range(num_objects)] or [[]])
    modules = np.concatenate([modules, rng.integers(0, len(geometry), num_noise)]).astype(np.int64)
    owner = np.concatenate([np.repeat(np.arange(num_objects), len(LAYERS)), np.full(num_noise, -1)]).astype(np.int64)
    num_hits = len(modules)
    channels = geometry.num_channels
    ch0 = rng.integers(2, 80, num_hits)
    ch1 = rng.integers(2, channels[1][modules] - 3)
    num_cells = rng.integers(1, 4, num_hits)
    index = np.repeat(np.arange(num_hits), num_cells)
    step = np.arange(index.size) - np.repeat(np.cumsum(num_cells) - num_cells, num_cells)
    cell0, cell1 = ch0[index] + step, ch1[index] + step // 2
    value = rng.uniform(0.05, 0.3, index.size).astype(np.float32)
    total = np.bincount(index, value, num_hits)
    means = [np.bincount(index, value * cell, num_hits) / np.maximum(total, 1e-9) for cell in (cell0, cell1)]
    measured = geometry.to_global(modules, geometry.channel_to_local(modules, *means))
    pos = torch.from_numpy(measured.astype(np.float32).reshape(-1, 3))
    volume, layer, module = (getattr(geometry, name)[modules] for name in ("volume", "layer", "module"))
    event = Event(
        event_id=event_id,
        source=f"TrackML event{event_id:09d}",
        pos=pos,
        point_id=torch.arange(num_hits) * 3 + 2,
        volume=torch.from_numpy(volume),
        layer=torch.from_numpy(layer),
        module=torch.from_numpy(module),
        part_x=torch.from_numpy(np.stack([cell0, cell1, value], 1).astype(np.float32).reshape(-1, 3)),
        part_feature_names=["ch0", "ch1", "value"],
        part_point_index=torch.from_numpy(index),
    )
    cell_features = cell_shape_features(
        point_index=index,
        ch0=cell0,
        ch1=cell1,
        value=value,
        pitch_u=geometry.pitch_u[modules],
        pitch_v=geometry.pitch_v[modules],
        thickness=geometry.thickness[modules],
        rotation=geometry.rotation[modules],
    )
    event.x = torch.from_numpy(np.concatenate([position_features(pos.numpy()), cell_features], 1))
    event.feature_names = [*POSITION_FEATURES, *CELL_FEATURES]
    _add_truth(event, owner, num_objects, rng, weights)
    return event.validate()


def _add_truth(event: Event, owner: np.ndarray, num_objects: int, rng: np.random.Generator, weights: bool) -> None:
    count = num_objects + 1
    momentum = rng.normal(0, 1.5, (count, 3)).astype(np.float32)
    vertex = rng.normal(0, 0.05, (count, 3)).astype(np.float32)
    event.object_id = torch.from_numpy(
        np.sort(encode_particle_id(vertex=2, primary=np.arange(1, count + 1), generation=np.arange(count) % 2))
    )
    pt = np.hypot(momentum[:, 0].astype(float), momentum[:, 1])
    event.object_pdg = torch.full((count,), 211)
    event.object_charge = torch.from_numpy(rng.choice([-1.0, 1.0], count).astype(np.float32))
    event.object_pt = torch.from_numpy(pt.astype(np.float32))
    event.object_eta = torch.from_numpy(np.arcsinh(momentum[:, 2] / pt).astype(np.float32))
    event.object_phi = torch.from_numpy(np.arctan2(momentum[:, 1].astype(float), momentum[:, 0]).astype(np.float32))
    energy = np.sqrt((momentum.astype(float) ** 2).sum(1) + 0.13957039**2)
    event.object_energy = torch.from_numpy(energy.astype(np.float32))
    event.object_momentum, event.object_vertex = torch.from_numpy(momentum), torch.from_numpy(vertex)
    event.object_num_points = torch.bincount(torch.from_numpy(owner[owner >= 0]), minlength=count)
    event.object_index = torch.from_numpy(owner)
    event.truth_pos = event.pos + 0.01
    truth_momentum = momentum[owner] * np.float32(0.9)
    truth_momentum[owner < 0] = 3.5e5  # as in the real files
    event.truth_momentum = torch.from_numpy(truth_momentum)
    index = event.object_index.numpy()
    distance = vertex_distance(event.truth_pos.numpy(), index, vertex)
    key = module_key(event.volume.numpy(), event.layer.numpy(), event.module.numpy())
    event.truth_edge_index = torch.from_numpy(modulewise_edges(index, key, distance))
    record = {"parts": ["hits", "cells", "particles", "truth"], "reader": "trackml", "subset": "all"}
    if weights:
        weight = hit_weights(
            object_index=index,
            object_id=event.object_id.numpy(),
            object_pt=pt,
            object_vertex_z=vertex[:, 2],
            object_num_points=event.object_num_points.numpy(),
            truth_z=event.truth_pos[:, 2].numpy(),
            phase=1,
        )
        event.point_weight = torch.from_numpy(weight.astype(np.float32))
        total = round(float(event.point_weight.double().sum()), 9)
        record |= {"weight_phase": 1 if total else None, "weight_sum": total}
    event.provenance = json.dumps(record, sort_keys=True)


def same_event(first: Event, second: Event) -> None:
    """Assert that two events hold the same fields with the same values."""
    left, right = first.to_dict(), second.to_dict()
    assert set(left) == set(right)
    for name, value in left.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == right[name].dtype, name
            assert torch.equal(value.nan_to_num(-12345), right[name].nan_to_num(-12345)), name
        else:
            assert value == right[name], name


def edit(folder: Path, part: str, change, number: int = 7) -> None:
    """Apply ``change`` (list of lines -> list of lines) to one file of a TrackML folder."""
    path = folder / f"event{number:09d}-{part}.csv"
    if path.exists():
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
        return
    path = path.with_name(path.name + ".gz")
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(("\n".join(change(text.splitlines())) + "\n").encode()))
