"""Tracksters from layer clusters by CLUE3D, in one iteration or several. M layer clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hitloom.data.layer_clusters import LayerClusters, Tracksters
from hitloom.errors import ConfigError, nearest
from hitloom.grouping.clue3d import CLUE3D_PRESETS, Clue3dResult, Clue3dSettings, clue3d


def make_tracksters(clusters: LayerClusters, *, preset: str = "recent") -> Tracksters:
    """Return the tracksters of the layer clusters of both endcaps, by a preset of CLUE3D.

    Raises
    ------
    ConfigError
        When there is no such preset.
    DataError
        When a layer cluster is not usable; see :func:`hitloom.grouping.clue3d.clue3d`.
    """
    return join_iterations(iterate(clusters, [get_preset(preset)]))


def get_preset(name: str) -> Clue3dSettings:
    """Return the settings called ``name``; raises ConfigError naming the nearest where there are none."""
    if name not in CLUE3D_PRESETS:
        raise ConfigError(f"unknown preset of CLUE3D '{name}'.{nearest(name, CLUE3D_PRESETS)}")
    return CLUE3D_PRESETS[name]


def iterate(clusters: LayerClusters, settings: Sequence[Clue3dSettings]) -> list[Clue3dResult]:
    """Run CLUE3D once for each of ``settings``, every time on the layer clusters that no trackster holds yet.

    The results keep the flags and followers of each iteration, all columns over all layer clusters (M,).
    """
    taken = np.zeros(len(clusters), dtype=bool)
    results = []
    for one in settings:
        result = clue3d(
            x=clusters.x,
            y=clusters.y,
            z=clusters.z,
            energy=clusters.energy,
            layer=clusters.layer,
            num_hits=clusters.num_hits,
            radius=clusters.radius,
            scintillator=clusters.scintillator,
            settings=one,
            masked=taken,
        )
        results.append(result)
        taken |= result.labels >= 0
    return results


def join_iterations(results: Sequence[Clue3dResult]) -> Tracksters:
    """Return the tracksters of all iterations, the first ones first; no layer cluster is in two of them."""
    labels = np.full(len(results[0].labels), -1, dtype=np.int64)
    count = 0
    for result in results:
        held = result.labels >= 0
        labels[held] = result.labels[held] + count
        count += result.num_tracksters
    return Tracksters.from_labels(labels)
