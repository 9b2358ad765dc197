"""Shower growing by rules, as in PandoraPFA/LArContent before there was a network; the input is the same.

What is joined says :mod:`hitloom.baselines.cluster_growth`. Left out are the figure of merit of the vertex and the muon
identification of the original. Clusters of few hits never grow; ``shower-growing-mop-up`` gives them to the nearest
cluster that does. In ``shower-growing-tuned`` clusters of one hit grow too, over larger distances.

Shape letters: N clusters of a view.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch

from hitloom.baselines.cluster_geometry import ClusterGeometry, Floats, Ints, cluster_geometry
from hitloom.baselines.cluster_growth import ShowerGrowingConfig, TunedShowerGrowingConfig, grow, small_clusters
from hitloom.baselines.tuning import best_by_coordinates
from hitloom.config import Config
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.hit_partition import hit_table, partition_counts, partition_rates
from hitloom.result import Result

GRIDS: dict[str, tuple[float, ...]] = {
    "min_hits": (1, 2, 3, 5, 8),
    "nearby_distance": (1.5, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0),
    "remote_distance": (5.0, 10.0, 20.0, 40.0),
    "vertex_transverse": (0.75, 1.5, 3.0, 6.0, 12.0),
    "vertex_max_longitudinal": (5.0, 20.0, 60.0),
}
"""Settings that :func:`tune_shower_growing` scans."""
MOP_UP_GRID = {"mop_up_distance": (1.0, 2.5, 5.0, 10.0, 20.0, 40.0)}

_Prepared = tuple[int, ClusterGeometry, "tuple[Ints, Floats] | None"]


class NoMergingConfig(Config):
    """no-merging has no settings."""


def run_no_merging(events: Iterable[Event], config: NoMergingConfig | None = None) -> Iterator[Result]:
    """Yield every cluster by itself, view by view."""
    for event in events:
        yield _result(event, np.arange(event.num_points), time.perf_counter())


def run_shower_growing(events: Iterable[Event], config: ShowerGrowingConfig | None = None) -> Iterator[Result]:
    """Yield the grown clusters of each view; clusters with too few hits stay alone."""
    return _run(events, config or ShowerGrowingConfig(), mop_up=False)


def run_shower_growing_mop_up(events: Iterable[Event], config: ShowerGrowingConfig | None = None) -> Iterator[Result]:
    """Yield the grown clusters of each view with the clusters of few hits near them."""
    return _run(events, config or ShowerGrowingConfig(), mop_up=True)


def run_shower_growing_tuned(events: Iterable[Event], config: ShowerGrowingConfig | None = None) -> Iterator[Result]:
    """Yield the grown clusters of each view, by the settings that serve best on simulated views."""
    return _run(events, config or TunedShowerGrowingConfig(), mop_up=False)


def _run(events: Iterable[Event], config: ShowerGrowingConfig, *, mop_up: bool) -> Iterator[Result]:
    for event in events:
        begin = time.perf_counter()
        yield _result(event, grow(*_prepare(event, config, mop_up=mop_up), config), begin)


def _prepare(event: Event, config: ShowerGrowingConfig, *, mop_up: bool) -> _Prepared:
    geometry = cluster_geometry(event, min_hits=config.min_hits, direction_length=config.direction_length)
    return event.num_points, geometry, small_clusters(event, geometry) if mop_up else None


def _result(event: Event, labels: Ints, begin: float) -> Result:
    return Result(
        event_id=int(event.event_id) if "event_id" in event else 0,
        point_id=event.point_id if "point_id" in event else torch.arange(event.num_points),
        labels=torch.from_numpy(labels.astype(np.int64)),
        timing={"growing": time.perf_counter() - begin},
    )


def tune_shower_growing(events: Iterable[Event]) -> ShowerGrowingConfig:
    """Return the settings with the largest mean adjusted Rand index of hits over views with truth.

    The settings of :data:`GRIDS` are scanned one after the other, until none of them gains.

    Raises
    ------
    DataError
        When a view has no truth, or none has enough hits to count.
    """
    return _tune(events, mop_up=False)


def tune_shower_growing_mop_up(events: Iterable[Event]) -> ShowerGrowingConfig:
    """Return the settings that serve best together with the mop-up; see :func:`tune_shower_growing`."""
    return _tune(events, mop_up=True)


def _tune(events: Iterable[Event], *, mop_up: bool) -> ShowerGrowingConfig:
    chosen = list(events)
    for event in chosen:
        if "share_index" not in event:
            raise DataError(f"{event.describe()}: field 'share_index' is needed to tune and not in the event")
    prepared: dict[float, list[_Prepared]] = {}

    def mean_index(settings: Mapping[str, float]) -> float:
        config = ShowerGrowingConfig.model_validate(dict(settings))
        if config.min_hits not in prepared:
            prepared[config.min_hits] = [_prepare(event, config, mop_up=mop_up) for event in chosen]
        labels = [grow(*parts, config) for parts in prepared[config.min_hits]]
        return _mean_index(chosen, labels)

    start = ShowerGrowingConfig().model_dump()
    if not np.isfinite(mean_index(start)):
        raise DataError(f"shower growing: none of {len(chosen)} views has enough hits with truth to tune on")
    grids = {**GRIDS, **(MOP_UP_GRID if mop_up else {})}
    return ShowerGrowingConfig.model_validate(best_by_coordinates(mean_index, start, grids))


def _mean_index(events: Sequence[Event], labels: Sequence[Ints]) -> float:
    """Return the mean over views of the adjusted Rand index of hits with truth; NaN where no view counts."""
    columns: list[list[Ints]] = [[], [], [], []]
    for place, (event, group) in enumerate(zip(events, labels, strict=True)):
        cluster, particle = event.share_index.numpy()
        share = event.share_fraction.double().numpy()
        hits = np.rint(share * event.columns(["num_hits"])[:, 0].double().numpy()[cluster]).astype(np.int64)
        for column, values in zip(columns, (np.full(len(hits), place), group[cluster], particle, hits), strict=True):
            column.append(values)
    event_, group_, particle_, hits_ = (np.concatenate([np.zeros(0, np.int64), *column]) for column in columns)
    table = hit_table(event=event_, group=group_, particle=particle_, num_hits=hits_, num_events=len(events))
    index = partition_rates(partition_counts(table))["ari"]
    return float(np.mean(index[np.isfinite(index)])) if np.isfinite(index).any() else float("nan")
