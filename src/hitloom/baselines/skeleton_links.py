"""Skeleton linking of tracksters, the geometric rule of TICLv5 (CMS, ``TracksterLinkingbySkeletons``).

The skeleton of a trackster is three points on its main axis: where 10 % and 90 % of its energy are passed, counted by
rising |z|, and the barycentre. Where the first two are less than four layers apart, the trackster is round and all
three are the barycentre. A trackster is good when it is long, strong and slim (:class:`SkeletonConfig`). From the
strongest down, every good trackster looks at the others within a window in eta and phi; one that is compatible and has
received no link yet gets one. Linked tracksters are merged. With d the distance across in the plane of the first, the
tests of a good trackster i with j are, in this order:

1. j is good: if the barycentres are closer than the projective limit, the axes must be aligned; else the pair of
   skeleton points nearest in z must be closer than the limit in z and than the projective limit.
2. j is not good: a link if the barycentres are closer than the projective limit.
3. Else a link if the pair of points nearest in z, the inner point of i left out, is closer than both limits of closest
   points.
4. Else a link if the inner point of j lies in a cylinder around the barycentre of i, between its outer points.

Limits differ between the sections (barycentre of i before or behind the electromagnetic part); those of distances
change linearly with the energy of i. Differences of azimuth are wrapped, and inner and outer go by |z|, so both
endcaps and all azimuths are treated alike.

Shape letters: N tracksters, V memberships. Lengths cm, energies GeV.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from hitloom.baselines.candidate_links import candidates, joined, projective_square
from hitloom.config import Config
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping.components import union_find
from hitloom.result import Result

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pair = tuple[float, float]
MM_PER_CM = 10.0


class SkeletonConfig(Config):
    """Settings of skeleton linking; pairs are for barycentres in the electromagnetic part and behind it.

    Attributes
    ----------
    border_z
        End of the electromagnetic part, cm.
    min_layer_clusters, min_energy, min_slimness
        A good trackster has at least so many layer clusters and so much energy, and more than this share of its
        variance along the main axis.
    min_layers
        Layers between the outer points of a skeleton, below which a trackster is round.
    low_fraction, high_fraction
        Shares of the energy at the outer points.
    window
        Largest difference in eta and in phi.
    min_alignment
        Least scalar product of two skeletons.
    low_energy, high_energy
        Energies between which the limits of distances change, GeV.
    projective_low, projective_high
        Squared projective limit at low and at high energy, cm2.
    closest_low, closest_high
        Squared limit of closest points at low and at high energy, cm2.
    max_distance_z, closest_distance_z
        Limit in z of the nearest points, of two good ones and else, cm.
    cylinder
        Squared radius, cm2.
    """

    border_z: float = Field(default=361.97, gt=0)
    min_layer_clusters: int = Field(default=15, ge=1)
    min_energy: float = Field(default=20.0, ge=0)
    min_slimness: float = Field(default=0.85, ge=0, le=1)
    min_layers: int = Field(default=4, ge=1)
    low_fraction: float = Field(default=0.1, ge=0, le=1)
    high_fraction: float = Field(default=0.9, ge=0, le=1)
    window: float = Field(default=0.036, gt=0)
    min_alignment: float = Field(default=0.97, ge=-1, le=1)
    low_energy: Pair = (20.0, 10.0)
    high_energy: Pair = (150.0, 100.0)
    projective_low: Pair = (4.0, 60.0)
    projective_high: Pair = (4.0, 60.0)
    closest_low: Pair = (10.0, 50.0)
    closest_high: Pair = (5.0, 30.0)
    max_distance_z: Pair = (35.0, 35.0)
    closest_distance_z: Pair = (35.0, 35.0)
    cylinder: Pair = (9.0, 15.0)


def run_skeleton(events: Iterable[Event], config: SkeletonConfig | None = None) -> Iterator[Result]:
    """Yield the linked tracksters of each event, in order.

    Raises
    ------
    DataError
        When an event holds no layer clusters of its tracksters.
    """
    settings = config or SkeletonConfig()
    for event in events:
        begin = time.perf_counter()
        links = skeleton_links(event, settings)
        labels = union_find(torch.from_numpy(links), event.num_points)
        edges = candidates(event)
        yield joined(event, labels[edges[0]] == labels[edges[1]], begin, labels=labels)


def skeleton_links(event: Event, config: SkeletonConfig) -> Ints:
    """Return the links (2, L): trackster that gives above the one that receives; nobody receives two."""
    names = ("barycenter_eta", "barycenter_phi", "EV1", "EV2", "EV3", "num_LCs", "raw_energy")
    eta, phi, *spread, size, energy = event.columns(names).double().numpy().T
    points = skeletons(event, config)
    slim = spread[0] > config.min_slimness * np.sum(spread, axis=0)
    long = (points[:, 0] != points[:, 2]).any(1)
    good = (size >= config.min_layer_clusters) & (energy >= config.min_energy) & slim & long
    received = np.zeros(len(eta), dtype=bool)
    giver = np.full(len(eta), -1)
    links: list[Ints] = []
    for i in np.lexsort((np.arange(len(eta)), -energy)):
        if not good[i]:
            continue
        near = (np.abs(eta - eta[i]) <= config.window) & (_turn(phi, phi[i]) <= config.window) & (eta * eta[i] > 0)
        near &= ~received
        near[i] = False
        near[giver[i]] &= giver[i] < 0  # not back to the one that linked it
        rows = np.flatnonzero(near)
        taken = rows[compatible(points[i], points[rows], good[rows], float(energy[i]), config)]
        received[taken] = True
        giver[taken] = i
        links.append(np.stack([np.full(len(taken), i), taken]))
    return np.concatenate(links, 1).astype(np.int64) if links else np.zeros((2, 0), np.int64)


def skeletons(event: Event, config: SkeletonConfig) -> Floats:
    """Return the skeletons (N, 3, 3): inner point, barycentre, outer point by coordinates, cm."""
    for name in ("member_index", "part_layer", "part_pos", "part_energy"):
        if name not in event:
            raise DataError(
                f"{event.describe()}: field '{name}' is needed for skeletons and not in the event; "
                "mend: read a file with layer clusters (layout B)"
            )
    names = ("barycenter_x", "barycenter_y", "barycenter_z", "eVector0_x", "eVector0_y", "eVector0_z")
    columns = event.columns(names).double().numpy()
    centre, axis = columns[:, :3], columns[:, 3:]
    row, owner = event.member_index.numpy()
    energy = event.member_fraction.double().numpy() * event.part_energy.double().numpy()[row]
    depth, layer = event.part_pos[:, 2].double().numpy()[row] / MM_PER_CM, event.part_layer.numpy()[row]
    order = np.lexsort((row, np.abs(depth), owner))
    row, owner, energy, depth, layer = row[order], owner[order], energy[order], depth[order], layer[order]
    result = np.repeat(centre[:, None], 3, 1)
    if not len(row):
        return result
    inner, low = _passed(owner, energy, config.low_fraction, len(centre))
    outer, high = _passed(owner, energy, config.high_fraction, len(centre))
    slope = axis[:, 2]
    straight = low & high & (layer[outer] - layer[inner] >= config.min_layers) & (slope != 0)
    for place, where in ((0, inner), (2, outer)):
        step = (depth[where] - centre[:, 2]) / np.where(slope == 0, 1.0, slope)
        result[straight, place] = (centre + step[:, None] * axis)[straight]
    turned = straight & (np.abs(result[:, 0, 2]) > np.abs(result[:, 1, 2]))
    turned |= straight & (np.abs(result[:, 1, 2]) > np.abs(result[:, 2, 2]))
    depths = np.abs(result[turned][:, :, 2])  # a barycentre outside of both ends: by |z| all the same
    result[turned] = np.take_along_axis(result[turned], np.argsort(depths, axis=1)[:, :, None], axis=1)
    return result


def compatible(mine: Floats, others: Floats, good: Bools, energy: float, config: SkeletonConfig) -> Bools:
    """Return which of the skeletons ``others`` (R, 3, 3), ``good`` (R,) or not, a good trackster links (R,)."""
    section = int(abs(mine[1, 2]) > config.border_z)
    limit = _limit(energy, section, config, config.projective_low, config.projective_high)
    near = projective_square(mine[1], others[:, 1]) < limit
    direction = mine[2] - mine[0]
    theirs = others[:, 2] - others[:, 0]
    length = np.linalg.norm(theirs, axis=1) * np.linalg.norm(direction)
    aligned = theirs @ direction > config.min_alignment * np.where(length > 0, length, np.inf)
    d, z = _closest(mine, others)
    both = np.where(near, aligned, (z < config.max_distance_z[section]) & (d < limit))
    d, z = _closest(mine[1:], others)
    limit = _limit(energy, section, config, config.closest_low, config.closest_high)
    beside = (d < limit) & (z < config.closest_distance_z[section])
    across = ((others[:, 0, :2] - mine[1, :2]) ** 2).sum(1)
    depth = np.abs(others[:, 0, 2])
    inside = (across <= config.cylinder[section]) & (depth >= abs(mine[0, 2])) & (depth <= abs(mine[2, 2]))
    return np.where(good, both, near | beside | inside)


def _closest(mine: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Return squared distance across (R,) and distance in z (R,) of the two points that are nearest in z."""
    gaps = np.abs(mine[None, :, None, 2] - others[:, None, :, 2])
    best = gaps.reshape(len(others), gaps.shape[1] * gaps.shape[2]).argmin(1)
    one, other = np.divmod(best, others.shape[1])
    rows = np.arange(len(others))
    return projective_square(mine[one], others[rows, other]), gaps[rows, one, other]


def _limit(energy: float, section: int, config: SkeletonConfig, low: Pair, high: Pair) -> float:
    ends = (config.low_energy[section], config.high_energy[section])
    return float(np.interp(energy, ends, (low[section], high[section])))


def _passed(owner: Ints, energy: Floats, fraction: float, number: int) -> tuple[Ints, Bools]:
    """Return the membership (N,) at which each owner passes the share of its energy, and whether there is one (N,)."""
    start = np.searchsorted(owner, np.arange(number + 1))
    whole = np.bincount(owner, energy, minlength=number)
    running = np.cumsum(energy)
    before = np.concatenate([[0.0], running])[start[:-1]]
    reached = running - before[owner] >= (fraction * whole * (1 - 1e-12))[owner]
    rows = np.where(reached, np.arange(len(owner)), len(owner))
    first = np.full(number, len(owner))
    np.minimum.at(first, owner, rows)
    there = (first < len(owner)) & (whole > 0)
    return np.where(there, first, 0), there


def _turn(one: Floats, other: float) -> Floats:
    """Return the angle between azimuths, 0 to pi."""
    return np.abs((one - other + np.pi) % (2 * np.pi) - np.pi)
