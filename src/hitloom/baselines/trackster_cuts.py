"""Pruning without a network: keep every layer cluster, or cut on its distance from the axis and on its energy.

The axis is the line from the collision through the barycentre of the layer clusters, each seen in x/z and y/z and
weighted by its energy, or through the CLUE3D seed. The distance of a layer cluster is taken across, at its own depth.

Shape letters: N layer clusters of one trackster, M of all. Lengths cm, energies GeV. Label 1 = prune.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from hitloom.baselines.tuning import best_by_coordinates, labelled
from hitloom.config import Config
from hitloom.data.pruning_layout import SEED_HIGH, SEED_LOW
from hitloom.event import Event
from hitloom.result import Result

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Axis = Literal["seed", "barycentre"]
SMALLEST = 1e-9  # GeV, so that every energy has a logarithm
GRIDS: dict[str, tuple[Any, ...]] = {
    "axis": ("seed", "barycentre"),
    "energy_slope": tuple(np.arange(-24, 13) / 8),
    "layer_slope": tuple(np.arange(-4, 17) / 20),
    "total_slope": tuple(np.arange(-8, 17) / 8),
    "weak": (0.0, 0.02, 0.05, 0.1, 0.2, 0.3),
}
"""Scanned settings; ``weak`` is the share of the layer clusters below the cut on the energy."""


class KeepAllConfig(Config):
    """keep-all has no settings."""


class EnergyDistanceConfig(Config):
    """Settings of the cut on distance and energy; :func:`tune_energy_distance` finds the best ones.

    The defaults are those that it finds on simulated close-by showers.

    Attributes
    ----------
    axis
        What the axis goes through beside the collision.
    max_distance
        Largest distance from the axis, cm; the next three are added to it.
    energy_slope
        For each e-fold of the energy of the layer cluster over 1 GeV, cm.
    layer_slope
        For each layer, cm.
    total_slope
        For each e-fold of the energy of the trackster over 1 GeV, cm.
    min_energy
        Layer clusters below it are pruned wherever they are, GeV.
    """

    axis: Axis = "seed"
    max_distance: float = -2.3
    energy_slope: float = -1.0
    layer_slope: float = 0.4
    total_slope: float = 0.625
    min_energy: float = Field(default=0.0, ge=0)


def run_keep_all(events: Iterable[Event], config: KeepAllConfig | None = None) -> Iterator[Result]:
    """Yield every trackster as it came."""
    for event in events:
        begin = time.perf_counter()
        yield pruned_result(event, np.zeros(event.num_points, bool), begin)


def run_energy_distance(events: Iterable[Event], config: EnergyDistanceConfig | None = None) -> Iterator[Result]:
    """Yield the tracksters without what is too far from the axis or too weak.

    ``point_score`` is how far a layer cluster is inside the nearer of both cuts: cm for the distance, the logarithm of
    the ratio for the energy; below 0 it is pruned. It is no logit.
    """
    settings = config or EnergyDistanceConfig()
    for event in events:
        begin = time.perf_counter()
        margin = cut_margin(event, settings)
        yield pruned_result(event, margin < 0, begin, score=margin)


def cut_margin(event: Event, config: EnergyDistanceConfig) -> Floats:
    """Return how far each layer cluster (N,) is inside the nearer of both cuts; below 0 it is pruned."""
    columns = _columns([event], config.axis)
    margin = config.max_distance + _allowance(columns, config.model_dump()) - columns["distance"]
    return np.minimum(margin, columns["energy"] - np.log(config.min_energy)) if config.min_energy else margin


def _columns(events: Sequence[Event], axis: Axis) -> dict[str, Floats]:
    """Return ``distance``, ``layer``, and logarithms ``energy`` and ``total`` (M,) of the layer clusters of events."""
    energy = [np.maximum(event.energy.double().numpy(), SMALLEST) for event in events]
    return {
        "distance": np.concatenate([axis_distance(event, axis) for event in events]),
        "layer": np.concatenate([event.layer.double().numpy() for event in events]),
        "energy": np.log(np.concatenate(energy)),
        "total": np.log(np.concatenate([np.full(len(part), max(part.sum(), SMALLEST)) for part in energy])),
    }


def _allowance(columns: Mapping[str, Floats], settings: Mapping[str, Any]) -> Floats:
    """Return what is added to the largest distance (M,), cm."""
    added = np.zeros_like(columns["distance"])
    for name in ("energy", "layer", "total"):
        added += settings[f"{name}_slope"] * columns[name]
    return added


def axis_distance(event: Event, axis: Axis = "seed") -> Floats:
    """Return the distance (N,) of each layer cluster from the axis of its trackster, cm.

    The seed is the layer cluster with a seed flag; of several or none of them, the one of the largest energy.
    """
    x, y, z, *flags = event.columns(["pos_x", "pos_y", "pos_z", SEED_LOW, SEED_HIGH]).double().numpy().T
    energy = event.energy.double().numpy()
    slope = np.stack([x, y], 1) / z[:, None]
    if not len(slope):
        return np.zeros(0)
    if axis == "seed":
        candidate = (flags[0] + flags[1]) > 0
        row = int(np.argmax(np.where(candidate, energy, -1.0) if candidate.any() else energy))
        centre = slope[row]
    else:
        total = energy.sum()
        centre = energy @ slope / total if total > 0 else slope.mean(0)
    return np.hypot(*(slope - centre).T) * np.abs(z)


def tune_energy_distance(events: Iterable[Event]) -> EnergyDistanceConfig:
    """Return the settings with the best F1 of pruning over all layer clusters of (training or validation) events.

    The other settings are searched on :data:`GRIDS`, one after the other; for each of them the best distance is exact.

    Raises
    ------
    DataError
        When an event has no labels, or none of the layer clusters is to be pruned.
    """
    chosen, prune = labelled(events, "energy-distance")
    columns = {axis: _columns(chosen, axis) for axis in get_args(Axis)}
    energy = columns["seed"]["energy"]

    def search(settings: Mapping[str, Any]) -> tuple[float, float]:
        own = columns[settings["axis"]]
        weak = energy < np.quantile(energy, settings["weak"])
        return _best_cut(own["distance"] - _allowance(own, settings), weak, prune)

    start = {"axis": "seed", "energy_slope": 0.0, "layer_slope": 0.0, "total_slope": 0.0, "weak": 0.0}
    best = best_by_coordinates(lambda settings: search(settings)[0], start, GRIDS)
    weak = best.pop("weak")
    least = float(np.exp(np.quantile(energy, weak))) if weak else 0.0
    return EnergyDistanceConfig(max_distance=search(best | {"weak": weak})[1], min_energy=least, **best)


def _best_cut(value: Floats, weak: Bools, prune: Bools) -> tuple[float, float]:
    """Return the best F1, and the cut in ``value`` (M,) above which (and where ``weak``) pruning reaches it."""
    order = np.argsort(-value, kind="stable")
    free = order[~weak[order]]
    above = value[free]
    hits = int(prune[weak].sum()) + np.concatenate([[0], np.cumsum(prune[free])])
    pruned = int(weak.sum()) + np.arange(len(free) + 1)
    f1 = 2 * hits / np.maximum(1, pruned + int(prune.sum()))
    # number k of pruned ones needs a gap: values k - 1 and k differ
    allowed = np.concatenate([[True], above[:-1] > above[1:], [True]]) if len(above) else np.ones(1, bool)
    place = int(np.argmax(np.where(allowed, f1, -1.0)))
    return float(f1[place]), _between(above, place)


def _between(above: Floats, place: int) -> float:
    """Return a cut below the first ``place`` of falling values and above the others."""
    if not len(above):
        return 0.0
    if place == 0:
        return float(above[0]) + 1.0
    if place == len(above):
        return float(above[-1]) - 1.0
    return float(above[place - 1] + above[place]) / 2


def pruned_result(event: Event, prune: Bools, begin: float, *, score: Floats | None = None) -> Result:
    """Return the result of a trackster whose layer clusters ``prune`` (N,) bool are pruned."""
    return Result(
        event_id=int(event.event_id) if "event_id" in event else 0,
        point_id=event.point_id if "point_id" in event else torch.arange(event.num_points),
        labels=torch.from_numpy(np.where(prune, -1, 0).astype(np.int64)),
        point_score=None if score is None else torch.from_numpy(score).float(),
        timing={"pruning": time.perf_counter() - begin},
    )
