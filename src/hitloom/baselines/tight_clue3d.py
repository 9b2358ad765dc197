"""Pruning by CLUE3D itself: once more on the layer clusters of each trackster, with a tighter critical distance.

What then is no longer in the part of the largest energy is pruned, outliers too.

Shape letters: N layer clusters of one trackster, M of all. Lengths cm, energies GeV. Label 1 = prune.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hitloom.baselines.trackster_cuts import Bools, pruned_result
from hitloom.baselines.tuning import best_by_coordinates, labelled
from hitloom.config import Config
from hitloom.event import Event
from hitloom.grouping.clue3d import Clue3dSettings, clue3d
from hitloom.result import Result

Ints = NDArray[np.int64]
GRIDS: dict[str, tuple[Any, ...]] = {
    "critical_distance": (0.6, 0.8, 1.0, 1.2, 1.5, 1.8, 2.1, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0),
    "critical_density": (0.0, 0.1, 0.2, 0.4, 0.6, 0.9, 1.3, 2.0, 3.0, 5.0),
    "density_distance": (0.9, 1.3, 1.8, 2.5, 4.0),
    "sibling_layers": (2, 3, 4, 5),
    "outlier_multiplier": (0.5, 1.0, 1.5, 2.0, 3.0, 5.0),
    "same_layer": (True, False),
}
"""Scanned settings."""
_FAR = 1000  # layers between two tracksters, so that none sees the other


class TightClue3dConfig(Config):
    """Settings of the second CLUE3D; :func:`tune_tight_clue3d` finds the best ones of a grid.

    The defaults are those that it finds on simulated close-by showers.

    Attributes
    ----------
    critical_distance
        A layer cluster whose nearest higher one is farther across than this is a seed of its own or an outlier, cm.
    critical_density
        Least density of a seed, GeV.
    outlier_multiplier
        Layer clusters below that density are outliers when they are farther than so many critical distances.
    density_distance, sibling_layers
        Reach of the density, cm, and layers before and behind that are looked at.
    same_layer
        Whether the nearest higher layer cluster may lie on the same layer.
    """

    critical_distance: float = Field(default=3.5, gt=0)
    critical_density: float = Field(default=0.6, ge=0)
    outlier_multiplier: float = Field(default=2.0, gt=0)
    density_distance: float = Field(default=0.9, gt=0)
    sibling_layers: int = Field(default=5, ge=1, lt=_FAR // 2)
    same_layer: bool = True

    def settings(self) -> Clue3dSettings:
        """Return all parameters of CLUE3D."""
        return Clue3dSettings(
            critical_density=self.critical_density, critical_xy_distance=self.critical_distance, own_radius="none",
            outlier_multiplier=self.outlier_multiplier, density_sibling_layers=self.sibling_layers,
            density_xy_distance_sqr=self.density_distance**2, nearest_higher_on_same_layer=self.same_layer,
            min_num_layer_clusters=1, min_num_hits=1,
        )  # fmt: skip


def run_tight_clue3d(events: Iterable[Event], config: TightClue3dConfig | None = None) -> Iterator[Result]:
    """Yield the tracksters without what the second CLUE3D takes away."""
    chosen = config or TightClue3dConfig()
    for event in events:
        begin = time.perf_counter()
        yield pruned_result(event, taken_away([event], chosen), begin)


def taken_away(events: Sequence[Event], config: TightClue3dConfig) -> Bools:
    """Return which layer clusters (M,) of all tracksters are pruned.

    One run serves all: their layers are numbered so far apart that no trackster sees another.
    """
    size = [event.num_points for event in events]
    x, y, z = np.concatenate([event.columns(["pos_x", "pos_y", "pos_z"]).double().numpy() for event in events]).T
    energy = np.concatenate([event.energy.double().numpy() for event in events])
    layer = np.concatenate([event.layer.numpy() for event in events])
    trackster = np.repeat(np.arange(len(events)), size)
    if not len(energy):
        return np.zeros(0, bool)
    one = np.ones(len(energy))
    found = clue3d(
        x=x, y=y, z=z, energy=energy, layer=layer + _FAR * trackster, num_hits=one, radius=0 * one,
        scintillator=one < 0, settings=config.settings(),
    )  # fmt: skip
    sums = np.bincount(found.labels[found.labels >= 0], weights=energy[found.labels >= 0])
    start = np.concatenate([[0], np.cumsum(size)])
    keep = np.zeros(len(energy), bool)
    for first, last in pairwise(start):
        inside = found.labels[first:last]
        if inside.max(initial=-1) < 0:
            keep[first:last] = True  # nothing dense enough to found a part: there is no main one to stay in
            continue
        present = np.unique(inside[inside >= 0])
        keep[first:last] = inside == present[np.argmax(sums[present])]
    return ~keep


def tune_tight_clue3d(events: Iterable[Event]) -> TightClue3dConfig:
    """Return the settings of :data:`GRIDS` with the best F1 of pruning over all layer clusters of events.

    They are searched one after the other.

    Raises
    ------
    DataError
        When an event has no labels, or none of the layer clusters is to be pruned.
    """
    chosen, prune = labelled(events, "tight-clue3d")

    def f1(settings: Mapping[str, Any]) -> float:
        away = taken_away(chosen, TightClue3dConfig(**settings))
        return 2 * float((away & prune).sum()) / float(away.sum() + prune.sum())

    return TightClue3dConfig(**best_by_coordinates(f1, TightClue3dConfig().model_dump(), GRIDS))
