"""How 2D clusters grow from seeds, by the associations of :mod:`hitloom.baselines.cluster_association`.

Seeds are clusters that touch the vertex or point back at it. All of them grow at once, from cluster to cluster,
breadth first; a candidate that several reach goes to the one with the best association, of equal ones to the one that
reached it in fewer steps, of those to the one with the shortest last step. Then the longest cluster left over is a
seed, and grows alone, until none is left.

Shape letters: N clusters of a view, C those with enough hits. Lengths cm.
"""

from __future__ import annotations

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


def give_to_best(owner: Ints, seeds: Ints, kinds: NDArray[np.int8], distance: Floats) -> None:
    """Set the owner of the free clusters that the seeds reach."""
    free = owner < 0
    best: dict[int, tuple[int, int, float, int]] = {}
    for seed in seeds.tolist():
        for row, (kind, order, gap) in reached(seed, free, kinds, distance).items():
            rank = (-kind, order, gap, seed)
            best[row] = min(best.get(row, rank), rank)
    for row, rank in best.items():
        owner[row] = rank[-1]


def reached(seed: int, free: Bools, kinds: NDArray[np.int8], distance: Floats) -> dict[int, tuple[int, int, float]]:
    """Return by cluster that ``seed`` reaches among the ``free`` (C,): association, steps, length of the last step.

    A cluster is reached by its best association with those of the step before, of equal ones by the shortest.
    """
    found: dict[int, tuple[int, int, float]] = {}
    rest, front, order = np.flatnonzero(free), np.array([seed]), 1
    while len(front) and len(rest):
        kind, gap = kinds[np.ix_(front, rest)], distance[np.ix_(front, rest)]
        if order > 1:
            kind = np.where(kind == SINGLE, NONE, kind)
        top = kind.max(0)
        shortest = np.where(kind == top, gap, np.inf).min(0)
        there = top > NONE
        found.update(
            (int(row), (int(best), order, float(length)))
            for row, best, length in zip(rest[there], top[there], shortest[there], strict=True)
        )
        front, rest, order = rest[there], rest[~there], order + 1
    return found


def _numbered(labels: Ints) -> Ints:
    """Return groups counted from 0 by their lowest cluster."""
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group]
