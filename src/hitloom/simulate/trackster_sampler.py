"""Dummy events of tracksters, drawn from :class:`~hitloom.simulate.trackster_statistics.TracksterStatistics`.

For each cluster of a class: a centre, a covariance and a number of objects; poses of objects; for each object some
tracksters around it. What the numbers must obey is mended afterwards: positions inside the seen ranges, eta and phi of
the position, z_min < z < z_max, a unit axis that points away from the collision, falling eigenvalues and spreads,
energies above 0, probabilities that sum to 1, densities from the counts. Features are otherwise independent: the events
are for tests of formats and code, they are not physics.

Shape letters: N tracksters, K objects, F = 29 features.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from hitloom._version import __version__
from hitloom.data.layer_clusters import NO_TIME, NO_TIME_ERROR
from hitloom.data.tensors import floats
from hitloom.data.trackster_event import MM_PER_CM
from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, TIME_ERROR, edge_features
from hitloom.data.trackster_graph import candidate_graph
from hitloom.data.trackster_quantities import NUM_LAYERS
from hitloom.data.trackster_truth import edge_targets
from hitloom.event import Event
from hitloom.simulate.trackster_statistics import ClassStatistics, TracksterStatistics, mirrored

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_AT = {name: place for place, name in enumerate(NODE_FEATURES)}
_AXIS = slice(_AT["eVector0_x"], _AT["eVector0_z"] + 1)
_PROBABILITIES = slice(_AT["photon_prob"], _AT["neutral_hadron_prob"] + 1)
_ORDERED = (slice(_AT["EV1"], _AT["EV3"] + 1), slice(_AT["sigmaPCA1"], _AT["sigmaPCA3"] + 1))
_MIN_ENERGY, _MIN_GAP, _TIME_ERROR = 1e-3, 0.1, 0.05
_VOLUME = 2 * (3 - 1.5) * (2 * NUM_LAYERS)


def sample_tracksters(
    statistics: TracksterStatistics,
    *,
    num_events: int,
    seed: int,
    first_event_id: int = 0,
    both_endcaps: bool = True,
) -> Iterator[Event]:
    """Draw events; the seed and the event id decide an event alone.

    Parameters
    ----------
    both_endcaps : bool
        Whether half of the objects, by chance, lie at negative z; else all have z > 0.

    Yields
    ------
    Event
        With candidate graph and truth: every trackster is a pure part of one object, so targets are 0 or 1.
    """
    for event_id in range(first_event_id, first_event_id + num_events):
        yield _event(statistics, event_id, seed, both_endcaps)


def _event(statistics: TracksterStatistics, event_id: int, seed: int, both_endcaps: bool) -> Event:
    rng = np.random.default_rng([seed, event_id])
    features, owners = [np.zeros((0, len(NODE_FEATURES)))], [np.zeros(0, np.int64)]
    signal: list[bool] = []
    timed: list[NDArray[np.bool_]] = []
    for kind, one in statistics.classes.items():
        drawn, owner, number = _draw(one, rng)
        features.append(_mended(drawn, one, rng))
        owners.append(owner + len(signal))  # objects count on over clusters and classes
        signal += [kind == "signal"] * number
        timed.append(rng.random(len(drawn)) >= float(one.missing_time))
    x, owner = np.concatenate(features), np.concatenate(owners)
    x[:, _AT["trackster_density"]] = len(x) / _VOLUME
    if both_endcaps:
        x = mirrored(x, (rng.random(len(signal)) < 0.5)[owner])
    has_time = np.concatenate(timed) if timed else np.zeros(0, np.bool_)
    x[:, _AT["time"]] = np.where(has_time, x[:, _AT["time"]], NO_TIME)
    return _assembled(x, np.where(has_time, _TIME_ERROR, NO_TIME_ERROR), owner, signal, event_id, seed)


def _draw(one: ClassStatistics, rng: np.random.Generator) -> tuple[FloatArray, IntArray, int]:
    """Return drawn tracksters (N, F), the object of each (N,), and the number of objects."""
    rows: list[FloatArray] = []
    owners: list[IntArray] = []
    number = 0
    for cluster in range(one.num_clusters):
        count = round(rng.normal(one.per_cluster_count_mean[cluster], one.per_cluster_count_std[cluster]))
        centre = rng.normal(one.poses_mean[cluster], one.poses_std[cluster])
        root = covariance_root(rng.normal(one.cov_mean[cluster], one.cov_std[cluster]))
        for _ in range(max(count, 0)):
            pose = centre + root @ rng.standard_normal(len(centre))
            pieces = max(round(rng.normal(float(one.trackster_count_mean), float(one.trackster_count_std))), 1)
            relative = one.trackster_rel_poses_mean[cluster], one.trackster_rel_poses_std[cluster]
            rows.append(pose + rng.normal(*relative, (pieces, len(pose))))
            owners.append(np.full(pieces, number))
            number += 1
    if not rows:
        return np.zeros((0, len(NODE_FEATURES))), np.zeros(0, np.int64), 0
    return np.concatenate(rows), np.concatenate(owners), number


def covariance_root(matrix: FloatArray) -> FloatArray:
    """Return R with R R^T = the nearest matrix that is symmetric and has no negative eigenvalue."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _mended(drawn: FloatArray, one: ClassStatistics, rng: np.random.Generator) -> FloatArray:
    """Return features at positive z that obey what features of tracksters obey."""
    x = np.clip(drawn, one.low, one.high)
    z = np.abs(x[:, _AT["barycenter_z"]])  # before eta is made of it
    # the direction is drawn as x and y; their size follows from an eta inside the range that was seen
    direction = np.hypot(x[:, 0], x[:, 1])
    eta = np.clip(
        np.arcsinh(z / np.maximum(direction, 1e-6)), one.low[_AT["barycenter_eta"]], one.high[_AT["barycenter_eta"]]
    )
    angle = np.where(direction > 0, np.arctan2(x[:, 1], x[:, 0]), rng.uniform(-np.pi, np.pi, len(x)))
    radius = z / np.sinh(np.maximum(eta, 1e-3))
    x[:, 0], x[:, 1], x[:, 2] = radius * np.cos(angle), radius * np.sin(angle), z
    position = x[:, :3]
    x[:, _AT["barycenter_eta"]] = np.arcsinh(z / np.maximum(radius, 1e-9))
    x[:, _AT["barycenter_phi"]] = np.arctan2(x[:, 1], x[:, 0])
    axis = x[:, _AXIS]
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = np.where(length > 1e-6, axis, position) / np.where(
        length > 1e-6, length, np.maximum(np.linalg.norm(position, axis=1, keepdims=True), 1e-9)
    )
    x[:, _AXIS] = np.where(axis[:, 2:] < 0, -axis, axis)
    for columns in _ORDERED:
        x[:, columns] = -np.sort(-np.abs(x[:, columns]), axis=1)
    x[:, _AT["num_LCs"]] = np.maximum(np.rint(x[:, _AT["num_LCs"]]), 1)
    x[:, _AT["num_hits"]] = np.maximum(np.rint(x[:, _AT["num_hits"]]), x[:, _AT["num_LCs"]])
    x[:, _AT["raw_energy"]] = np.maximum(np.abs(x[:, _AT["raw_energy"]]), _MIN_ENERGY)
    x[:, _AT["raw_em_energy"]] = np.clip(np.abs(x[:, _AT["raw_em_energy"]]), 0, x[:, _AT["raw_energy"]])
    share = np.maximum(x[:, _PROBABILITIES], 0)
    whole = share.sum(1, keepdims=True)
    x[:, _PROBABILITIES] = np.where(whole > 0, share / np.where(whole > 0, whole, 1), 1 / share.shape[1])
    x[:, _AT["z_min"]] = np.minimum(np.abs(x[:, _AT["z_min"]]), z - _MIN_GAP)
    x[:, _AT["z_max"]] = np.maximum(np.abs(x[:, _AT["z_max"]]), z + _MIN_GAP)
    x[:, _AT["LC_density"]] = x[:, _AT["num_LCs"]] / _VOLUME
    return x


def _assembled(
    x: FloatArray, time_error: FloatArray, owner: IntArray, signal: list[bool], event_id: int, seed: int
) -> Event:
    nodes = x.astype(np.float32)
    energy = nodes[:, _AT["raw_energy"]].astype(np.float64)
    edges = candidate_graph(
        nodes[:, _AT["barycenter_eta"]], nodes[:, _AT["barycenter_phi"]], nodes[:, _AT["barycenter_z"]]
    )
    number = len(signal)
    whole = np.bincount(owner, energy, minlength=number)
    event = Event(
        pos=floats(nodes[:, :3].astype(np.float64) * MM_PER_CM),
        x=floats(np.concatenate([nodes, time_error[:, None]], 1)),
        feature_names=[*NODE_FEATURES, TIME_ERROR],
        energy=floats(energy),
        time=floats(nodes[:, _AT["time"]]),
        edge_index=torch.from_numpy(edges),
        edge_attr=floats(edge_features(nodes, edges)),
        edge_feature_names=list(EDGE_FEATURES),
        object_index=torch.from_numpy(owner),
        match_score=torch.zeros(len(x)),
        match_energy=floats(energy),
        share_index=torch.from_numpy(np.stack([np.arange(len(x)), owner])),
        share_fraction=torch.ones(len(x)),
        object_id=torch.arange(number),
        object_parent=torch.arange(number),
        object_pdg=torch.zeros(number, dtype=torch.int64),
        object_energy=floats(whole),
        object_raw_energy=floats(whole),
        object_is_signal=torch.tensor(signal, dtype=torch.bool),
        event_id=event_id,
        source="statistics of tracksters",
        provenance=json.dumps(
            {
                "simulation": "dummy tracksters drawn from statistics, features independent: not physics",
                "seed": seed,
                "truth": "SC",
                "hitloom": __version__,
            }
        ),
    )
    event.edge_y = edge_targets(event, hard=True)
    return event.validate()
