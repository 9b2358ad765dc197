"""Layer clusters: CLUE on the cells of every layer, silicon and scintillator apart, and each particle's share.

Letters: C cells, M layer clusters, S shares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hitloom.data.endcap_geometry import EndcapGeometry, get_geometry
from hitloom.data.layer_clusters import NO_TIME, NO_TIME_ERROR, LayerClusters
from hitloom.grouping.clue import clue
from hitloom.simulate.calorimeter_cells import Cells
from hitloom.simulate.calorimeter_config import CalorimeterConfig, ResponseConfig

_SCINTILLATOR = 3
_APART = 100.0  # layers lie this many density radii apart, so that one call clusters all of them
_LOG_WEIGHT = 2.9  # cells below exp(-2.9) of their cluster do not count in its position


@dataclass(frozen=True, kw_only=True)
class ClusteredCells:
    """Layer clusters, cluster of each cell (C,), -1 = none; shares: (2, S) cluster above particle, and (S,)."""

    clusters: LayerClusters
    labels: np.ndarray
    share_index: np.ndarray
    share_fraction: np.ndarray


def make_layer_clusters(cells: Cells, *, config: CalorimeterConfig, seed: tuple[int, int]) -> ClusteredCells:
    """Cluster the cells; clusters are sorted by side, layer and their first cell."""
    geometry = get_geometry(config.geometry)
    labels = _numbered(_clue_labels(cells, geometry, config), cells)
    rng = np.random.default_rng([*seed, 5])
    clusters = _clusters(cells, labels, geometry, config.response, rng)
    index, energy = _shares(cells, labels)
    return ClusteredCells(
        clusters=clusters,
        labels=labels,
        share_index=index,
        share_fraction=np.minimum(energy / clusters.energy[index[0]], 1.0),
    )


def _clue_labels(cells: Cells, geometry: EndcapGeometry, config: CalorimeterConfig) -> np.ndarray:
    """Return (C,) labels of both kinds of sensors, scintillator after silicon."""
    settings, response = config.clusters, config.response
    labels = np.full(len(cells), -1, dtype=np.int64)
    plane = cells.layer * 2 + (cells.side > 0)
    num = 0
    for tiles in (False, True):
        rows = np.flatnonzero((cells.region == _SCINTILLATOR) == tiles)
        if not len(rows):
            continue
        radius = settings.scintillator_radius if tiles else settings.silicon_radius
        places, periods = [cells.x[rows], cells.y[rows]], None
        if tiles:
            z = geometry.z[cells.layer[rows] - 1]
            places = [np.arcsinh(z / np.hypot(*places)), np.arctan2(places[1], places[0])]
            periods = (None, 2 * np.pi, None)
        result = clue(
            np.stack([*places, plane[rows] * _APART * radius], axis=1),
            cells.mips[rows],
            density_radius=radius,
            min_density=settings.min_density * response.noise,
            outlier_distance=settings.outlier_factor * radius,
            seeding_distance=radius,
            periods=periods,
        )
        found = np.asarray(result.labels)
        labels[rows] = np.where(found >= 0, found + num, -1)
        num += int(found.max(initial=-1)) + 1
    return labels


def _numbered(labels: np.ndarray, cells: Cells) -> np.ndarray:
    """Number the clusters by side, layer and first cell, whatever order the clustering gave them."""
    rows = np.flatnonzero(labels >= 0)
    names, first, inverse = np.unique(labels[rows], return_index=True, return_inverse=True)
    head = rows[first]
    order = np.lexsort((head, cells.layer[head], cells.side[head]))
    new = np.empty(len(names), dtype=np.int64)
    new[order] = np.arange(len(names))
    result = np.full(len(labels), -1, dtype=np.int64)
    result[rows] = new[inverse.reshape(-1)]
    return result


def _clusters(
    cells: Cells, labels: np.ndarray, geometry: EndcapGeometry, response: ResponseConfig, rng: np.random.Generator
) -> LayerClusters:
    rows = np.flatnonzero(labels >= 0)
    label = labels[rows]
    num = int(label.max()) + 1 if len(label) else 0

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(label, weights=values, minlength=num)

    energy = total(cells.energy[rows])
    weight = np.maximum(_LOG_WEIGHT + np.log(cells.energy[rows] / energy[label]), 0.0)
    weight = np.where(total(weight)[label] > 0, weight, cells.energy[rows])
    norm = total(weight)
    x, y = total(weight * cells.x[rows]) / norm, total(weight * cells.y[rows]) / norm
    spread = [
        np.sqrt(np.maximum(total(weight * (place[rows] - middle[label]) ** 2) / norm, 0.0))
        for place, middle in ((cells.x, x), (cells.y, y))
    ]
    first = np.zeros(num, dtype=np.int64)
    first[label[::-1]] = rows[::-1]
    layer, side = cells.layer[first], cells.side[first]
    time, error = _times(cells.time[rows], label, num, response, rng)
    return LayerClusters(
        x=x, y=y, z=side * geometry.z[layer - 1], energy=energy, layer=layer,
        num_hits=np.bincount(label, minlength=num), time=time, time_error=error,
        radius=spread[0] + spread[1], scintillator=cells.region[first] == _SCINTILLATOR,
    )  # fmt: skip


def _times(
    time: np.ndarray, label: np.ndarray, num: int, response: ResponseConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean time of the timed cells of each cluster and its error; -99 and -1 where too few, or lost at random."""
    good = np.isfinite(time)
    count = np.bincount(label[good], minlength=num)
    mean = np.bincount(label[good], weights=time[good], minlength=num) / np.maximum(count, 1)
    error = response.time_resolution / np.sqrt(np.maximum(count, 1))
    has = (count >= response.min_time_cells) & (rng.random(num) >= response.missing_time)
    return np.where(has, mean, NO_TIME), np.where(has, error, NO_TIME_ERROR)


def _shares(cells: Cells, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum what particles left in the cells of each cluster: (2, S) cluster above particle, and (S,) GeV."""
    label = labels[cells.owner_cell]
    kept = label >= 0
    num = int(cells.owner.max()) + 1 if len(cells.owner) else 1
    pairs, inverse = np.unique(label[kept] * num + cells.owner[kept], return_inverse=True)
    energy = np.bincount(inverse.reshape(-1), weights=cells.owner_energy[kept], minlength=len(pairs))
    return np.stack([pairs // num, pairs % num]), energy
