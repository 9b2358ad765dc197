"""How 2D clusters grow from seeds, by the associations of :mod:`hitloom.baselines.cluster_association`.

Seeds are clusters that touch the vertex or point back at it. All of them grow at once, from cluster to cluster,
breadth first; a candidate that several reach goes to the one with the best association, of equal ones to the one that
reached it in fewer steps, of those to the one with the shortest last step. Then the longest cluster left over is a
seed, and grows alone, until none is left.

Shape letters: N clusters of a view, C those with enough hits. Lengths cm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from hitloom.baselines.cluster_association import NONE, SINGLE, associations, begins_at, points_to_vertex
from hitloom.baselines.cluster_geometry import Bools, ClusterGeometry, Floats, Ints, hit_positions
from hitloom.config import Config
from hitloom.event import Event


class ShowerGrowingConfig(Config):
    """Settings of shower growing by rules; the defaults are those of Pandora. Lengths cm.

    Attributes
    ----------
    min_hits
        Clusters with fewer hits neither seed nor grow.
    nearby_distance, remote_distance
        Of the association of two clusters.
    direction_tan_angle, direction_apex_shift
        Cone at an end in which the vertex lies before it: tangent of its half opening, and how far inside the cluster
        its apex lies, as a share of the length.
    direction_length
        The direction at an end is taken from the hits so near to it.
    vertex_transverse
        Largest distance of the vertex across the direction of a seed.
    vertex_min_longitudinal, vertex_max_longitudinal
        Range of the vertex along it; below 0 the vertex lies inside the cluster.
    vertex_angle
        Widening of the distance across on the way, degrees.
    mop_up_distance
        Clusters with too few hits join the nearest grown cluster closer than this (``shower-growing-mop-up`` only).
    """

    min_hits: int = Field(default=5, ge=1)
    nearby_distance: float = Field(default=2.5, gt=0)
    remote_distance: float = Field(default=10.0, gt=0)
    direction_tan_angle: float = Field(default=1.732, gt=0)
    direction_apex_shift: float = Field(default=0.333, ge=0)
    direction_length: float = Field(default=10.0, gt=0)
    vertex_transverse: float = Field(default=1.5, ge=0)
    vertex_min_longitudinal: float = -2.5
    vertex_max_longitudinal: float = 20.0
    vertex_angle: float = Field(default=3.0, ge=0, lt=90)
    mop_up_distance: float = Field(default=2.5, gt=0)


class TunedShowerGrowingConfig(ShowerGrowingConfig):
    """The settings that serve best on simulated views, where most clusters have one hit or two.

    Found by :func:`hitloom.baselines.shower_growing.tune_shower_growing` on 30 slices of the default simulation.
    """

    min_hits: int = Field(default=1, ge=1)
    nearby_distance: float = Field(default=13.0, gt=0)
    remote_distance: float = Field(default=40.0, gt=0)
    vertex_transverse: float = Field(default=6.0, ge=0)


def small_clusters(event: Event, geometry: ClusterGeometry) -> tuple[Ints, Floats]:
    """Return for each cluster (N,) the nearest one with enough hits, a row of ``geometry``, and its distance.

    Those with enough hits themselves, and all where there is none, have an infinite distance.
    """
    nearest, distance = np.zeros(event.num_points, np.int64), np.full(event.num_points, np.inf)
    place, cluster, _ = hit_positions(event)
    number = np.full(event.num_points, -1)
    number[geometry.row] = np.arange(len(geometry.row))
    owner = number[cluster]
    grown = owner >= 0
    if grown.any() and not grown.all():
        gap, hit = cKDTree(place[grown]).query(place[~grown])
        order = np.lexsort((gap, cluster[~grown]))
        rows, first = np.unique(cluster[~grown][order], return_index=True)
        nearest[rows], distance[rows] = owner[grown][hit][order][first], gap[order][first]
    return nearest, distance


def grow(
    num_clusters: int,
    geometry: ClusterGeometry,
    nearest: tuple[Ints, Floats] | None,
    config: ShowerGrowingConfig,
) -> Ints:
    """Return the group (N,) of each cluster, counted from 0 by its lowest cluster.

    ``nearest`` is that of :func:`small_clusters`; None = no mop-up.
    """
    begins = begins_at(geometry, tan_angle=config.direction_tan_angle, apex_shift=config.direction_apex_shift)
    kinds = associations(geometry, begins, nearby=config.nearby_distance, remote=config.remote_distance)
    seeds = points_to_vertex(
        geometry,
        transverse=config.vertex_transverse,
        low=config.vertex_min_longitudinal,
        high=config.vertex_max_longitudinal,
        allowance=config.vertex_angle,
    )
    owner = np.where(seeds, np.arange(len(seeds)), -1)  # row of the seed
    give_to_best(owner, np.flatnonzero(seeds), kinds, geometry.distance)
    for row in np.lexsort((geometry.num_hits, geometry.length))[::-1]:
        if owner[row] < 0:
            owner[row] = row
            give_to_best(owner, np.array([row]), kinds, geometry.distance)
    labels = np.arange(num_clusters)
    labels[geometry.row] = geometry.row[owner]
    if nearest is not None:
        near = nearest[1] < config.mop_up_distance
        labels[near] = geometry.row[owner[nearest[0][near]]]
    return _numbered(labels)


class Reach(NamedTuple):
    """What a seed reaches: association (``NONE`` = not), steps and length of the last step, (C,) each."""

    kind: NDArray[np.int8]
    order: Ints
    gap: Floats

    def better_than(self, other: Reach) -> Bools:
        """Return where (C,) the association is better, or as good in fewer steps, or those with a shorter last one."""
        nearer = (self.order < other.order) | ((self.order == other.order) & (self.gap < other.gap))
        return (self.kind > other.kind) | ((self.kind == other.kind) & (self.kind > NONE) & nearer)

    def where(self, better: Bools, other: Reach) -> Reach:
        """Return this where ``better`` (C,), else the other."""
        return Reach(
            np.where(better, self.kind, other.kind),
            np.where(better, self.order, other.order),
            np.where(better, self.gap, other.gap),
        )


def give_to_best(owner: Ints, seeds: Ints, kinds: NDArray[np.int8], distance: Floats) -> None:
    """Set the owner of the free clusters (owner -1) that the seeds reach."""
    free = owner < 0
    best: Reach | None = None
    for seed in seeds:
        found = reached(seed, free, kinds, distance)
        better = found.kind > NONE if best is None else found.better_than(best)
        owner[better] = seed
        best = found if best is None else found.where(better, best)


def reached(seed: int, free: Bools, kinds: NDArray[np.int8], distance: Floats) -> Reach:
    """Return what ``seed`` reaches of the ``free`` (C,) clusters, breadth first.

    A cluster is reached by its best association with those of the step before, of equal ones by the shortest.
    """
    number = len(free)
    found = Reach(np.zeros(number, np.int8), np.zeros(number, np.int64), np.full(number, np.inf))
    rest, front, order = free.copy(), np.array([seed]), 1
    while len(front):
        best = kinds[front].max(0)
        row = np.flatnonzero(rest & (best > (NONE if order == 1 else SINGLE)))
        pairs = np.ix_(front, row)
        found.kind[row], found.order[row] = best[row], order
        found.gap[row] = np.where(kinds[pairs] == best[row], distance[pairs], np.inf).min(0)
        rest[row] = False
        front, order = row, order + 1
    return found


def _numbered(labels: Ints) -> Ints:
    """Return groups counted from 0 by their lowest cluster."""
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group]
