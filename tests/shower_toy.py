"""Toy views of a LArTPC event: straight tracks and cones of hits, cut into clusters. Shared by tests of any floor."""

from __future__ import annotations

import json

import numpy as np
import torch

from hitloom.data.shower_layout import CLUSTER_FEATURES, HIT_FEATURES, MIP_MEV_PER_CM, shower_event_id
from hitloom.event import Event

SCALES = {"polar_r": 0.0005044863, "cartesian_x": 0.001378694, "cartesian_z": 0.0007171852}
PITCH = {4: 0.4667, 5: 0.4667, 6: 0.479}


def toy_view(
    num_clusters: int,
    seed: int = 0,
    *,
    view: int = 6,
    num_objects: int = 3,
    gaps: bool = True,
    volumes: bool = False,
    mixed: float = 0.1,
    without_truth: float = 0.05,
) -> Event:
    """Return a view whose clusters of 1 to 40 hits lie along rays from the vertex, one ray for each true object.

    ``mixed``: share of hits of another object than their cluster's; ``without_truth``: share of hits without truth.
    """
    rng = np.random.default_rng([seed, num_clusters, view])
    sizes = np.minimum(rng.geometric(0.2, num_clusters), 40)
    owner = rng.integers(0, num_objects, num_clusters)
    cluster = np.repeat(np.arange(num_clusters), sizes)
    angle = (np.arange(num_objects) * 2.4 + rng.uniform(0, 6.28))[owner] + rng.normal(0, 0.05, num_clusters)
    distance = rng.uniform(1, 80, num_clusters)[cluster] + rng.uniform(0, 3, len(cluster))
    side = rng.normal(0, 0.4, len(cluster))
    cos, sin = np.cos(angle)[cluster], np.sin(angle)[cluster]
    truth = np.where(rng.random(len(cluster)) < mixed, rng.integers(0, num_objects, len(cluster)), owner[cluster])
    truth = np.where(rng.random(len(cluster)) < without_truth, -1, truth)
    x = distance * cos - side * sin
    columns = {
        "x": x,
        "z": distance * sin + side * cos,
        "x_width": rng.uniform(0.25, 1.0, len(cluster)),
        "x_gap": 40.0 - np.abs(x),
        "pitch": np.full(len(cluster), PITCH[view]),
        "energy": rng.exponential(1.5, len(cluster)),
        "tpc_volume": np.zeros(len(cluster)),
        "daughter_volume": rng.integers(0, 2, len(cluster)),
    }
    return view_event(
        columns, cluster, truth, view=view, slice_=seed, pdg=[11, 22, 13, -11, 211][:num_objects], gaps=gaps,
        volumes=volumes,
    )  # fmt: skip


def view_event(
    columns: dict[str, np.ndarray],
    cluster: np.ndarray,
    truth: np.ndarray,
    *,
    view: int = 6,
    slice_: int = 0,
    pdg: list[int],
    gaps: bool = True,
    volumes: bool = False,
) -> Event:
    """Return the event of these hits: raw columns, cluster and true particle (-1 = none) of each.

    Written plainly, cluster by cluster, as an independent statement of the layout.
    """
    absent = {"x_gap": not gaps, "tpc_volume": not volumes, "daughter_volume": not volumes}
    names = [name for name in HIT_FEATURES if not absent.get(name, False)]
    hits = torch.tensor(np.stack([columns[name] for name in names], 1), dtype=torch.float32)
    num_clusters = int(cluster.max()) + 1 if len(cluster) else 0
    there = sorted({int(owner) for owner in truth if owner >= 0})
    shares, centres, owners = [], [], []
    for row in range(num_clusters):
        mine = cluster == row
        weight = columns["energy"][mine] if columns["energy"][mine].sum() > 0 else np.ones(mine.sum())
        centres.append(
            [np.average(columns["x"][mine], weights=weight), 0, np.average(columns["z"][mine], weights=weight)]
        )
        counts = [int((truth[mine] == owner).sum()) for owner in there]
        shares += [(row, which, count / mine.sum()) for which, count in enumerate(counts) if count]
        owners.append(int(np.argmax(counts)) if sum(counts) else -1)
    gev = torch.tensor(columns["energy"] * MIP_MEV_PER_CM * columns["pitch"] / 1000, dtype=torch.float32)
    index = torch.tensor(cluster, dtype=torch.int64)
    matched = torch.tensor(np.flatnonzero(truth >= 0), dtype=torch.int64)
    num_hits = torch.bincount(index, minlength=num_clusters)
    event = Event(
        event_id=shower_event_id(slice_, view),
        source="toy",
        provenance=json.dumps({"detector": "dune-fd-hd", "scales": SCALES}),
        feature_names=list(CLUSTER_FEATURES),
        part_feature_names=names,
        pos=10 * torch.tensor(centres, dtype=torch.float32).reshape(-1, 3),
        x=torch.stack([num_hits.float(), torch.zeros(num_clusters)], 1),
        energy=torch.zeros(num_clusters).index_add_(0, index, gev),
        layer=torch.full((num_clusters,), view),
        point_id=torch.arange(num_clusters),
        part_pos=10 * torch.stack([hits[:, 0], torch.zeros(len(hits)), hits[:, 1]], 1),
        part_x=hits,
        part_energy=gev,
        part_point_index=index,
        part_id=torch.arange(len(hits)),
        part_share_index=torch.stack(
            [matched, torch.tensor([there.index(int(truth[hit])) for hit in matched], dtype=torch.int64)]
        ),
        part_share_fraction=torch.ones(len(matched)),
        share_index=torch.tensor([share[:2] for share in shares], dtype=torch.int64).reshape(-1, 2).T.contiguous(),
        share_fraction=torch.tensor([share[2] for share in shares], dtype=torch.float32),
        object_index=torch.tensor(owners, dtype=torch.int64),
        object_id=torch.tensor(there, dtype=torch.int64),
        object_pdg=torch.tensor([pdg[owner] for owner in there], dtype=torch.int64),
    )
    return event.validate()
