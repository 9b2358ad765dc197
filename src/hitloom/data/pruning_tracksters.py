"""From layer clusters and the tracksters of CLUE3D to one small event for each trackster.

What the events hold: :mod:`hitloom.data.pruning_layout`. Lengths are cm in the tables and in ``x``, mm in ``pos``.

Shape letters: M layer clusters of the collision, N those of one trackster, E links, K objects, S shares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hitloom.data.layer_clusters import CaloTruth, LayerClusters
from hitloom.data.pruning_labels import AllNoise, Majority, largest_shares, majority_labels
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.data.tensors import floats, integers
from hitloom.data.trackster_event import MM_PER_CM, object_columns
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping.clue3d import Clue3dResult

TRACKSTERS_PER_COLLISION = 100_000
"""Event id of a trackster = number of the collision * this + row of the trackster in the collision."""


def pruning_events(
    clusters: LayerClusters,
    results: Sequence[Clue3dResult],
    truth: CaloTruth | None = None,
    *,
    event_id: int,
    source: str,
    provenance: Mapping[str, Any] | None = None,
    majority: Majority = "count",
    all_noise: AllNoise = "keep",
    min_share: float = 0.1,
    max_sims: int = 3,
    min_size: int = 1,
) -> list[Event]:
    """Return one event for each trackster of a collision, the first iteration of CLUE3D first.

    Parameters
    ----------
    clusters, truth
        The tables of the collision; without truth the events have no labels.
    results
        One or two iterations of CLUE3D (:func:`hitloom.data.clue3d_tracksters.iterate`). Seeds of the first get the
        flag ``isSeedCLUE3DHigh``, those of the second ``isSeedCLUE3DLow``; a seed of the first that was left over may
        be a member, or the seed, of a trackster of the second.
    event_id
        Number of the collision. Rows of tracksters count on whether ``min_size`` leaves some out or not.
    source, provenance
        Where the events come from; ``provenance`` is stored as JSON.
    majority, all_noise
        As in :func:`hitloom.data.pruning_labels.majority_labels`.
    min_share, max_sims
        A particle is in the list of a layer cluster when it made at least this share, at most so many of the largest.
    min_size
        Tracksters of fewer layer clusters are left out.

    Raises
    ------
    DataError
        When there are no or more than two iterations, results of another number of layer clusters, too many
        tracksters, or what the labels refuse.
    """
    where = f"{source}[event {event_id}]"
    _check(clusters, results, where)
    features = _features(clusters, results)
    known = None if truth is None else _Known.of(clusters, truth, min_share=min_share, max_sims=max_sims)
    text = json.dumps(dict(provenance or {}))
    events: list[Event] = []
    for row, (members, leader) in enumerate(_tracksters(results)):
        if len(members) < min_size:
            continue
        labels = None
        if known is not None:
            labels = known.labels(members, majority=majority, all_noise=all_noise)
            if labels is None:
                continue
        event = Event(
            pos=floats(features[members, :3] * MM_PER_CM),
            x=floats(features[members]),
            feature_names=list(PRUNING_FEATURES),
            energy=floats(clusters.energy[members]),
            time=floats(clusters.time[members]),
            layer=integers(clusters.layer[members]),
            point_id=integers(members),
            edge_index=_links(members, leader),
            event_id=event_id * TRACKSTERS_PER_COLLISION + row,
            source=source,
            provenance=text,
        )
        if known is not None and labels is not None:
            event.point_y = floats(labels)
            for name, values in known.fields(members).items():
                event[name] = values
        events.append(event.validate())
    return events


def _check(clusters: LayerClusters, results: Sequence[Clue3dResult], where: str) -> None:
    if not 1 <= len(results) <= 2:
        raise DataError(f"{where}: one or two iterations of CLUE3D have a flag for their seeds, not {len(results)}")
    for result in results:
        if len(result.labels) != len(clusters):
            raise DataError(f"{where}: CLUE3D saw {len(result.labels)} layer clusters, but there are {len(clusters)}")
    count = sum(result.num_tracksters for result in results)
    if count > TRACKSTERS_PER_COLLISION:
        raise DataError(f"{where}: {count} tracksters; event ids have room for {TRACKSTERS_PER_COLLISION}")


def _features(clusters: LayerClusters, results: Sequence[Clue3dResult]) -> NDArray[np.float64]:
    """Return (M, 9), the columns of :data:`~hitloom.data.pruning_layout.PRUNING_FEATURES`."""
    high = results[0].is_seed
    low = results[1].is_seed if len(results) > 1 else np.zeros(len(clusters), dtype=bool)
    eta = np.arcsinh(clusters.z / np.hypot(clusters.x, clusters.y))
    phi = np.arctan2(clusters.y, clusters.x)
    columns = [clusters.x, clusters.y, clusters.z, clusters.energy, clusters.time, eta, phi, high, low]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def _tracksters(results: Sequence[Clue3dResult]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return rows of the members, ascending, and leaders (M,) of the iteration, for each trackster."""
    found = []
    for result in results:
        order = np.argsort(result.labels, kind="stable")
        borders = np.searchsorted(result.labels[order], np.arange(result.num_tracksters + 1))
        found += [(order[first:last], result.leader) for first, last in pairwise(borders.tolist())]
    return found


def _links(members: NDArray[np.int64], leader: NDArray[np.int64]) -> Tensor:
    """Return the links (2, E) among rows of the trackster, leader above follower."""
    followers = np.flatnonzero(leader[members] >= 0)
    return integers(np.stack([np.searchsorted(members, leader[members[followers]]), followers]))


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Truth of a collision by layer cluster: shares sorted by it and the place where those of each begin (M + 1,)."""

    objects: dict[str, Tensor]
    energy: NDArray[np.float64]
    lists: NDArray[np.int64]
    listed_shares: NDArray[np.float64]
    share_object: NDArray[np.int64]
    share_fraction: NDArray[np.float64]
    start: NDArray[np.int64]
    raw_energy: NDArray[np.float64]

    @classmethod
    def of(cls, clusters: LayerClusters, truth: CaloTruth, *, min_share: float, max_sims: int) -> _Known:
        num = len(clusters)
        lists, listed = largest_shares(
            truth.share_index, truth.share_fraction, num_points=num, num_listed=max_sims, min_share=min_share
        )
        row, thing = truth.share_index
        order = np.lexsort((thing, row))
        energy = truth.share_fraction * clusters.energy[row]
        return cls(
            objects=object_columns(truth),
            energy=clusters.energy,
            lists=lists,
            listed_shares=listed,
            share_object=thing[order],
            share_fraction=truth.share_fraction[order],
            start=np.searchsorted(row[order], np.arange(num + 1)),
            raw_energy=np.bincount(thing, weights=energy, minlength=truth.num_objects).astype(np.float64),
        )

    def labels(
        self, members: NDArray[np.int64], *, majority: Majority, all_noise: AllNoise
    ) -> NDArray[np.int64] | None:
        return majority_labels(
            self.lists[members],
            energy=self.energy[members],
            shares=self.listed_shares[members],
            majority=majority,
            all_noise=all_noise,
        )

    def fields(self, members: NDArray[np.int64]) -> dict[str, Tensor]:
        """Return objects and shares of one trackster: the particles that left energy in it, in their order."""
        count = self.start[members + 1] - self.start[members]
        point = np.repeat(np.arange(len(members)), count)
        place = np.arange(len(point)) + np.repeat(self.start[members] - (np.cumsum(count) - count), count)
        rows, thing = np.unique(self.share_object[place], return_inverse=True)
        fraction = self.share_fraction[place]
        owner = np.full(len(members), -1, dtype=np.int64)
        smallest_first = np.lexsort((-thing, fraction))
        owner[point[smallest_first]] = thing[smallest_first]
        objects = {name: column[rows] for name, column in self.objects.items()}
        return objects | {
            "object_raw_energy": floats(self.raw_energy[rows]),
            "object_index": integers(owner),
            "share_index": integers(np.stack([point, thing])),
            "share_fraction": floats(fraction),
        }
