"""A toy of helices in a barrel and disks, with a toy reconstruction that merges, splits, loses and invents tracks.

Shape letters: N points, K true objects, D embedding.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hitloom.event import Event
from hitloom.result import Result

FIELD_TESLA = 2.0
BARREL = [(32.0, 600), (72.0, 600), (116.0, 600), (172.0, 600), (260.0, 1200), (360.0, 1200), (500.0, 1200)]
BARREL += [(660.0, 1200), (820.0, 1200), (1020.0, 1200)]
DISKS = [(z, 35.0, 175.0) for z in (650.0, 760.0, 900.0, 1080.0)] + [(z, 240.0, 1030.0) for z in (1300.0, 1550, 1850)]


def toy_events(num_events: int, *, num_particles: int = 120, seed: int = 1) -> list[Event]:
    """Return events of helices from near the beam line, 8 % of them displaced, with 10 % noise."""
    return [
        _event(event_id, num_particles, np.random.default_rng([seed, event_id]))
        for event_id in range(11, 11 + num_events)
    ]


def toy_result(event: Event, *, quality: float = 1.0, dimensions: int = 6, in_input: bool = False) -> Result:
    """Return an embedding with one blurred unit vector a particle, and the clusters of a fixed radius in it.

    Small pt blurs more (splits and losses); some particles share a direction (merges); noise lies anywhere (fakes).
    """
    from sklearn.cluster import DBSCAN

    rng = np.random.default_rng([5, int(event.event_id)])
    truth, num_objects = event.object_index.numpy(), event.num_objects
    directions = rng.normal(size=(num_objects + 1, dimensions))
    merged = rng.random(num_objects) < 0.06
    directions[:num_objects][merged] = directions[np.roll(np.arange(num_objects), 1)][merged]
    spread = np.append(0.03 + 0.03 / np.maximum(event.object_pt.numpy(), 0.3), 0.0) / quality
    points = directions[truth] / np.linalg.norm(directions[truth], axis=1, keepdims=True)
    points = points + rng.normal(size=points.shape) * spread[truth][:, None]
    noise = truth < 0
    points[noise] = rng.normal(size=(int(noise.sum()), dimensions))
    pairs = np.flatnonzero(noise)[: (noise.sum() // 24) * 4].reshape(-1, 4)
    points[pairs[:, 1:]] = points[pairs[:, :1]] + rng.normal(size=(len(pairs), 3, dimensions)) * 0.02
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = DBSCAN(eps=0.15, min_samples=3).fit_predict(points)
    return Result(
        event_id=int(event.event_id),
        point_id=event.point_id.clone(),
        labels=torch.as_tensor(labels, dtype=torch.int64),
        embedding=torch.as_tensor(points, dtype=torch.float32),
        in_input=torch.ones(event.num_points, dtype=torch.bool) if in_input else None,
        timing={
            "knn": 2e-5 * event.num_points,
            "gnn": 5e-5 * event.num_points * float(rng.uniform(0.9, 1.1)),
            "dbscan": 1e-9 * event.num_points**2,
        },
    )


def _event(event_id: int, num_particles: int, rng: np.random.Generator) -> Event:
    pt = np.minimum(0.25 + rng.exponential(0.8, num_particles) * rng.choice([1.0, 4.0], num_particles), 45.0)
    eta, phi = rng.uniform(-3, 3, num_particles), rng.uniform(-np.pi, np.pi, num_particles)
    charge = rng.choice([-1.0, 1.0], num_particles)
    vertex = np.stack([rng.normal(0, 0.02, num_particles), rng.normal(0, 0.02, num_particles)], 1)
    displaced = rng.random(num_particles) < 0.08
    vertex[displaced] += rng.normal(0, 20, (int(displaced.sum()), 2))
    vertex = np.column_stack([vertex, rng.normal(0, 45, num_particles)])
    hits, owners, layers = [], [], []
    for row in range(num_particles):
        crossings, layer = _crossings(pt[row], eta[row], phi[row], charge[row], vertex[row])
        keep = rng.random(len(crossings)) > 0.03
        hits.append(crossings[keep])
        layers.append(layer[keep])
        owners.append(np.full(int(keep.sum()), row))
    num_noise = sum(map(len, hits)) // 10
    noise_layer = rng.integers(0, len(BARREL), num_noise)
    radius = np.array([r for r, _ in BARREL])[noise_layer]
    half = np.array([half for _, half in BARREL])[noise_layer]
    angle = rng.uniform(-np.pi, np.pi, num_noise)
    noise = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(-half, half)])
    position = np.concatenate([*hits, noise])
    owner = np.concatenate([*owners, np.full(num_noise, -1)])
    layer = np.concatenate([*layers, noise_layer])
    order = rng.permutation(len(position))
    counts = np.bincount(owner[owner >= 0], minlength=num_particles)
    object_id = 4503737066323968 + (np.arange(num_particles, dtype=np.int64) << 40) + 2**53 + 1
    return Event(
        pos=_float(position[order]),
        point_id=torch.as_tensor(rng.permutation(len(position)) * 3 + 1),
        volume=torch.as_tensor(np.where(layer[order] < len(BARREL), 8, np.where(position[order, 2] > 0, 9, 7))),
        layer=torch.as_tensor(layer[order]),
        object_index=torch.as_tensor(owner[order]),
        object_id=torch.as_tensor(object_id),
        object_pt=_float(pt),
        object_eta=_float(eta),
        object_phi=_float(phi),
        object_charge=_float(charge),
        object_vertex=_float(vertex),
        object_num_points=torch.as_tensor(counts),
        event_id=event_id,
        source="toy",
        provenance='{"made_by": "tests"}',
    ).validate()


def _crossings(
    pt: float, eta: float, phi: float, charge: float, vertex: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return where one helix crosses the surfaces, in order of path length."""
    radius = pt / (0.299792458e-3 * FIELD_TESLA)
    path = np.linspace(0, min(np.pi * radius, 2500.0), 1200)
    turn = phi - charge * path / radius
    x = vertex[0] + charge * radius * (np.sin(phi) - np.sin(turn))
    y = vertex[1] - charge * radius * (np.cos(phi) - np.cos(turn))
    z = vertex[2] + path * np.sinh(eta)
    line, r = np.stack([x, y, z], 1), np.hypot(x, y)
    found = []
    for index, (wanted, half) in enumerate(BARREL):
        found += [(step, index, point) for step, point in _cross(r, line, wanted) if abs(point[2]) < half]
    for index, (wanted, inner, outer) in enumerate(DISKS):
        for sign in (-1.0, 1.0):
            crossed = _cross(z, line, sign * wanted)
            inside = [(step, p) for step, p in crossed if inner < np.hypot(p[0], p[1]) < outer]
            found += [(step, len(BARREL) + index, point) for step, point in inside]
    found.sort(key=lambda entry: entry[0])
    points = np.array([point for _, _, point in found]).reshape(-1, 3)
    return points, np.array([layer for _, layer, _ in found], dtype=np.int64)


def _cross(value: NDArray[np.float64], line: NDArray[np.float64], wanted: float) -> list:
    steps = np.flatnonzero((value[:-1] - wanted) * (value[1:] - wanted) < 0)[:1]
    share = [(wanted - value[s]) / (value[s + 1] - value[s]) for s in steps]
    return [(int(s), line[s] + f * (line[s + 1] - line[s])) for s, f in zip(steps, share, strict=True)]


def _float(array: NDArray) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float32)
