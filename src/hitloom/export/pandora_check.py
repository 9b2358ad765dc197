"""Validation of exported shower growing on events: the files against the system, and what each part costs.

The files get features that were built as the algorithm in C++ builds them, all columns, from hits and clusters in a
random order. The system gets the event as it is. Similarity is compared for each pair, groups for each view.

Shape letters: N clusters of a view, V views.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitloom.data.shower_columns import LOG_FLOOR, column
from hitloom.data.shower_layout import view_code
from hitloom.event import Event
from hitloom.export.served_showers import ServedShowers, cluster_features, raw_hits
from hitloom.grouping._labels import numbered
from hitloom.result import Scores
from hitloom.systems.showers.grouping import group_clusters
from hitloom.systems.showers.objective import num_hits
from hitloom.systems.showers.system import Showers

NUM_BINS, LIMIT = 1000, 1e-4
PARTS = ("encoder", "attention", "similarity")


@dataclass
class Validation:
    """What was found. ``counts`` (1000,) of differences between -1e-4 and 1e-4; ``timing`` has one row for each view.

    ``timing`` holds ``hits``, ``clusters`` and milliseconds of ``encoder``, ``attention``, ``similarity``, ``total``.
    """

    num_views: int = 0
    num_pairs: int = 0
    num_outside: int = 0
    num_equal_groups: int = 0
    largest: float = 0.0
    largest_feature: float = 0.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    timing: list[dict[str, float]] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "num_views": self.num_views,
            "num_views_with_equal_groups": self.num_equal_groups,
            "num_pairs": self.num_pairs,
            "num_pairs_outside": self.num_outside,
            "largest_difference": self.largest,
            "largest_difference_of_features": self.largest_feature,
            "histogram": {"low": -LIMIT, "high": LIMIT, "counts": self.counts.tolist()},
            "milliseconds": self.timing,
        }


def validate(system: Showers, folder: str | Path, events: Iterable[Event], *, seed: int = 0) -> Validation:
    """Compare the exported parts with the system on views, with one thread: the encoder is called for every cluster.

    Parameters
    ----------
    seed : int
        Of the orders of hits and clusters. With an ordered similarity the clusters keep their order.

    Raises
    ------
    DataError
        When files and sidecar do not belong together, or a view lacks what the system reads.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _validate(system, ServedShowers(folder), events, seed)
    finally:
        torch.set_num_threads(num_threads)


def _validate(system: Showers, served: ServedShowers, events: Iterable[Event], seed: int) -> Validation:
    generator = torch.Generator().manual_seed(seed)
    shuffles = system.config.similarity.form == "symmetric"
    found = Validation()
    system.eval()
    for event in events:
        system.needs.check(event)
        other, order = reordered(event, generator, clusters=shuffles)
        grown = served.grow(other)
        with torch.inference_mode():
            scores = system(event)
        found.num_views += 1
        found.largest_feature = max(found.largest_feature, feature_difference(system, event, served.settings))
        groups = system_groups(system, event, scores, served.settings["MaxIterations"])
        found.num_equal_groups += int(torch.equal(grown.labels, numbered(groups[order])))
        if not event.num_points:
            continue
        similarity = scores.own["similarity"].view(event.num_points, -1)
        gap = (similarity[order][:, order] - grown.similarity).numpy()
        found.num_pairs += gap.size
        found.num_outside += int((np.abs(gap) > LIMIT).sum())
        found.largest = max(found.largest, float(np.abs(gap).max()))
        found.counts += np.histogram(gap, NUM_BINS, (-LIMIT, LIMIT))[0]
        spent = {part: 1e3 * grown.seconds[part] for part in PARTS}
        found.timing.append(
            {"hits": len(event.part_x), "clusters": event.num_points, **spent, "total": sum(spent.values())}
        )
    return found


def system_groups(system: Showers, event: Event, scores: Scores, max_iterations: int) -> torch.Tensor:
    """Return the groups (N,) of one view by the system itself, in so many rounds at most."""
    if max_iterations > 1:
        return system.iterate(event, max_iterations, scores=scores).labels
    similarity = scores.own["similarity"].view(event.num_points, event.num_points)
    return group_clusters(similarity, num_hits(event), system.config.grouping)


def reordered(event: Event, generator: torch.Generator, *, clusters: bool = True) -> tuple[Event, torch.Tensor]:
    """Return a view without truth whose hits, and clusters if asked, stand in a random order, and the old rows (N,)."""
    num = event.num_points
    order = torch.randperm(num, generator=generator) if clusters else torch.arange(num)
    hits = torch.randperm(len(event.part_x), generator=generator)
    place = torch.empty_like(order)
    place[order] = torch.arange(num)
    other = Event(
        event_id=event.event_id, feature_names=event.feature_names, part_feature_names=event.part_feature_names,
        pos=event.pos[order], x=event.x[order], layer=event.layer[order], part_x=event.part_x[hits],
        part_pos=event.part_pos[hits], part_point_index=place[event.part_point_index[hits]],
    )  # fmt: skip
    return other, order


def feature_difference(system: Showers, event: Event, settings: dict[str, Any]) -> float:
    """Return the largest difference between the features that the system reads and those built as in C++."""
    rows, _ = system.inputs(event)
    raw, owner = raw_hits(event), event.part_point_index.numpy()
    logs = np.array([column(name).log for name in system.inputs.names])
    largest = 0.0
    for cluster in range(event.num_points):
        mine = np.flatnonzero(owner == cluster)
        hits = [{name: raw[name][hit] for name in raw} for hit in mine]
        built = cluster_features(hits, view_code(event), event.num_points, 1, settings)
        built[:, logs] = np.maximum(built[:, logs], np.float32(np.log(LOG_FLOOR)))
        largest = max(largest, float(np.abs(built - rows[torch.from_numpy(mine)].numpy()).max()))
    return largest
