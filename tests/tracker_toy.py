"""Toy events and tiny configurations of the tracking systems, shared by tests of every floor."""

from __future__ import annotations

from typing import Any

import torch

from hitloom.event import Event
from hitloom.registry import get_system
from hitloom.systems.exatrkx.graph import outward_edges

INPUTS = {"features": ["r", "phi", "z"], "scales": [1000, 3.14159, 1000]}
TINY: dict[str, dict[str, Any]] = {
    "exatrkx-embedding": {
        "inputs": INPUTS,
        "hidden": 32,
        "num_layers": 2,
        "embedding_dim": 6,
        "margin": 0.3,
        "pairs": {"radius": 0.3, "num_neighbours": 10},
        "graph": {"radius": 0.5},
    },
    "exatrkx-filter": {
        "inputs": INPUTS,
        "edges": {"geometry": True},
        "shape": "plain",
        "hidden": 16,
        "num_layers": 2,
        "cut": 0.0,
        "sampling": {"method": "all"},
    },
    "exatrkx-gnn": {
        "inputs": INPUTS,
        "edges": {"geometry": True},
        "hidden": 16,
        "num_iterations": 2,
        "num_node_layers": 2,
        "num_edge_layers": 2,
        "segmentation": {"method": "components", "score_cut": 0.5},
    },
    "exatrkx-module-map": {},
}
TINY["exatrkx"] = {
    "embedding": TINY["exatrkx-embedding"],
    "filter": TINY["exatrkx-filter"],
    "gnn": TINY["exatrkx-gnn"] | {"edges": {"geometry": True, "score": True}},
}


def tracker_event(num_points: int, seed: int) -> Event:
    """Straight tracks from the origin through eight layers, in random order, with a few noise points."""
    generator = torch.Generator().manual_seed(seed)
    radii = torch.tensor([32.0, 72.0, 116.0, 172.0, 260.0, 360.0, 500.0, 660.0])
    num_tracks = max(1, num_points // len(radii))
    phi = (torch.rand(num_tracks, generator=generator) * 2 - 1) * torch.pi
    slope = torch.randn(num_tracks, generator=generator)
    track = torch.arange(num_points) // len(radii)
    layer = torch.arange(num_points) % len(radii)
    noise = (track >= num_tracks) | (torch.rand(num_points, generator=generator) < 0.05)
    track = track.clamp(max=num_tracks - 1)
    r = radii[layer]
    pos = torch.stack([r * phi[track].cos(), r * phi[track].sin(), r * slope[track]], 1)
    pos = torch.where(noise[:, None], torch.randn(num_points, 3, generator=generator) * 300, pos)
    order = torch.randperm(num_points, generator=generator)
    pos, noise, track, layer = pos[order], noise[order], track[order], layer[order]
    index = torch.where(noise, torch.full_like(track, -1), track)
    edges = [
        (rows[a], rows[a + 1])
        for t in range(num_tracks)
        for rows in [sorted((index == t).nonzero().flatten().tolist(), key=lambda row: float(layer[row]))]
        for a in range(len(rows) - 1)
    ]
    system_needs = get_system("eggnet").Config().node_features
    features = torch.randn(num_points, len(system_needs), generator=generator).abs()
    columns = {"r": pos[:, :2].norm(dim=1), "phi": torch.atan2(pos[:, 1], pos[:, 0]), "z": pos[:, 2]}
    for name, values in columns.items():
        if name in system_needs:
            features[:, list(system_needs).index(name)] = values
    return Event(
        pos=pos,
        x=features,
        feature_names=list(system_needs),
        object_index=index,
        object_id=torch.arange(num_tracks) + 1,
        object_pt=torch.full((num_tracks,), 2.0),
        object_num_points=torch.bincount(index[index >= 0], minlength=num_tracks),
        truth_edge_index=torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T.contiguous(),
        event_id=seed,
        source="toy",
    ).validate()


def graph_event(num_points: int, seed: int) -> Event:
    """A toy event with the graph that an earlier stage would have made: true edges, and as many random ones."""
    event = tracker_event(num_points, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    pairs = torch.randint(max(1, num_points), (2, 2 * num_points), generator=generator)
    event.edge_index = outward_edges(torch.cat([event.truth_edge_index, pairs], 1), event.pos)
    return event


def module_event(num_points: int, seed: int) -> Event:
    """A toy event whose points lie on modules."""
    event = tracker_event(num_points, seed)
    event.volume = torch.full((num_points,), 8)
    event.layer = event.pos[:, :2].norm(dim=1).div(20).long()
    event.module = torch.atan2(event.pos[:, 1], event.pos[:, 0]).mul(3).long() + 10
    event.object_vertex = torch.zeros(event.num_objects, 3)
    return event


def rich_event(num_points: int, seed: int) -> Event:
    """A toy event with every feature, field of a module and property of a particle that a shipped recipe reads."""
    event = module_event(num_points, seed)
    pos = event.pos
    eta = torch.asinh(pos[:, 2] / pos[:, :2].norm(dim=1).clamp(min=1e-3))
    event.x = torch.cat([event.x, eta[:, None]], 1)
    event.feature_names = [*event.feature_names, "eta"]
    event.object_eta = torch.zeros(event.num_objects)
    event.object_pdg = torch.full((event.num_objects,), 211)
    event.object_charge = torch.ones(event.num_objects)
    event.point_weight = torch.rand(num_points, generator=torch.Generator().manual_seed(seed))
    return event.validate()
