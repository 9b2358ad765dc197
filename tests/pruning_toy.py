"""Toy trackster events: random trees, the diamond, the split and the clique. Shared by tests of any floor."""

from __future__ import annotations

import numpy as np
import torch

from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.event import Event

DIAMOND = ((0, 1), (1, 2), (1, 3), (2, 3))
SPLIT = ((0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 5))


def toy_trackster(num_points: int, seed: int = 0, *, labelled: bool = True, share: float = 0.2) -> Event:
    """Return a trackster of layer clusters along a line from the collision, a random tree of links, random labels.

    Node 0 is the root of the tree and the CLUE3D seed. Layer clusters to prune lie to the side.
    """
    rng = np.random.default_rng([seed, num_points])
    label = (rng.random(num_points) < share) & (np.arange(num_points) > 0)
    layer = np.sort(rng.integers(1, 48, num_points))
    z = (320 + 4 * layer) * (1 if seed % 2 else -1)
    eta, phi = rng.uniform(1.7, 2.7), rng.uniform(-np.pi, np.pi)
    radius = np.abs(z) / np.sinh(eta) + rng.normal(0, 0.5, num_points) + 3 * label
    angle = phi + rng.normal(0, 0.005, num_points)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    energy = rng.exponential(2.0, num_points) + 0.05
    time = np.where(rng.random(num_points) < 0.3, -99.0, rng.normal(11, 0.1, num_points))
    high = np.arange(num_points) == 0
    columns = [x, y, z, energy, time, np.arcsinh(z / radius), np.arctan2(y, x), high, np.zeros(num_points)]
    edges = [(int(rng.integers(0, node)), node) for node in range(1, num_points)]
    return as_event(np.stack(columns, 1), edges, label if labelled else None, layer=layer, event_id=seed)


def diamond(seed: int) -> Event:
    """Return one graph of the diamond set: P(none) = 0, P(only 3) = .64, P(0 and 3) = .16, P(only 0) = .2."""
    rng = np.random.default_rng([seed, 77])
    label = np.zeros(4)
    if rng.random() < 0.8:
        label[3] = 1
        label[0] = float(rng.random() < 0.2)
    else:
        label[0] = 1
    return _noise_event(rng, 4, DIAMOND, label, doubled=(0, 3), event_id=seed)


def split(seed: int) -> Event:
    """Return one graph of the split set: {0, 2, 5} or {0, 3, 5} to prune, each half of the time."""
    rng = np.random.default_rng([seed, 78])
    label = np.zeros(6)
    label[[0, 2 if rng.random() < 0.5 else 3, 5]] = 1
    return _noise_event(rng, 6, SPLIT, label, doubled=(), event_id=seed)


def clique(seed: int, *, num_points: int = 6, chosen: tuple[int, ...] = (1, 3, 4), pos: int = 1) -> Event:
    """Return a complete graph; features of ``chosen`` are doubled, the first ``pos`` + 1 of them are to prune."""
    rng = np.random.default_rng([seed, 79])
    label = np.zeros(num_points)
    label[list(chosen[: pos + 1])] = 1
    edges = [(first, second) for first in range(num_points) for second in range(first + 1, num_points)]
    return _noise_event(rng, num_points, edges, label, doubled=chosen, event_id=seed)


def _noise_event(rng: np.random.Generator, num_points: int, edges, label, *, doubled, event_id: int) -> Event:
    features = rng.normal(size=(num_points, len(PRUNING_FEATURES)))
    features[list(doubled)] *= 2
    return as_event(features, edges, label, layer=np.ones(num_points, dtype=int), event_id=event_id)


def as_event(features, edges, label, *, layer, event_id: int) -> Event:
    """Return the event of these columns."""
    x = torch.as_tensor(np.asarray(features), dtype=torch.float32)
    links = torch.tensor(list(edges), dtype=torch.int64).reshape(-1, 2).t().contiguous()
    event = Event(
        pos=10 * x[:, :3], x=x, feature_names=list(PRUNING_FEATURES), energy=x[:, 3].clone(), time=x[:, 4].clone(),
        layer=torch.as_tensor(np.asarray(layer), dtype=torch.int64), point_id=torch.arange(len(x)) + 1000,
        edge_index=links, event_id=event_id, source="toy",
    )  # fmt: skip
    if label is not None:
        event.point_y = torch.as_tensor(np.asarray(label), dtype=torch.float32)
    return event
