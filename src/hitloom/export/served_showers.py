"""Exported shower growing as the chain in C++ runs it: features of hits, three parts, groups, again on merged clusters.

The features are built here from the settings of the sidecar and from raw hits, hit by hit as the algorithm in C++ does,
on purpose without the named columns of :mod:`hitloom.data.shower_columns`: so one can be held against the other.

Shape letters: N clusters, M hits, n hits of a cluster, F features, G groups.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.data.shower_layout import HIT_FEATURES, view_code
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.export.contract import text_lines
from hitloom.export.pandora import read_sidecar
from hitloom.export.torchscript import reader
from hitloom.grouping.accessory import compose, connected_accessory, scaled_threshold, two_stage

EVENTS, RESULTS, TEXT_VERSION = "hitloom-shower-events", "hitloom-shower-results", 1


@dataclass(frozen=True, kw_only=True)
class Grown:
    """What became of one view: ``labels`` (N,) int64, groups in the order of their lowest cluster.

    ``similarity`` is the first one (N, N); ``num_merges`` counts the rounds that merged something; ``seconds`` of
    encoder, attention and similarity in the first round.
    """

    event_id: int
    labels: Tensor
    similarity: Tensor | None = None
    num_merges: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


class ServedShowers:
    """The three exported parts of a folder.

    Raises
    ------
    DataError
        When files and sidecar do not belong together.
    """

    def __init__(self, folder: str | Path) -> None:
        self.sidecar = read_sidecar(folder)
        self.settings: dict[str, Any] = self.sidecar["settings"]
        parts = self.sidecar["parts"]
        self._parts = {name: reader(Path(folder) / parts[name]["file"]) for name in parts}

    def grow(self, event: Event) -> Grown:
        """Group the clusters of one view."""
        hits, view = raw_hits(event), view_code(event)
        owner = event.part_point_index.numpy()
        clusters = [np.flatnonzero(owner == row) for row in range(event.num_points)]
        labels, first, merges = torch.arange(event.num_points), torch.zeros(0, 0), 0
        seconds: dict[str, float] = {}
        for iteration in range(1, self.settings["MaxIterations"] + 1):
            if not clusters:
                break
            features = [
                cluster_features(
                    [{name: values[row] for name, values in hits.items()} for row in rows],
                    view,
                    len(clusters),
                    iteration,
                    self.settings,
                )
                for rows in clusters
            ]
            similarity, spent = self.similarity(features)
            if iteration == 1:
                first, seconds = similarity, spent
            found = self.group(similarity, torch.tensor([len(rows) for rows in clusters]))
            if int(found.max()) + 1 == len(found):
                break
            labels, merges = compose(labels, found), merges + 1
            clusters = [
                np.concatenate([clusters[row] for row in np.flatnonzero(found.numpy() == group)])
                for group in range(int(found.max()) + 1)
            ]
        return Grown(event_id=int(event.event_id), labels=labels, similarity=first, num_merges=merges, seconds=seconds)

    def similarity(self, features: Sequence[NDArray[np.float32]]) -> tuple[Tensor, dict[str, float]]:
        """Return the similarity (N, N) of clusters from their features (n, F), and the seconds of each part."""
        clock = [time.perf_counter()]
        with torch.inference_mode():
            vectors = torch.cat([self._parts["encoder"](torch.from_numpy(one)[None])[0] for one in features], 1)
            clock.append(time.perf_counter())
            context = self._parts["attention"](vectors)[0]
            clock.append(time.perf_counter())
            similarity = self._parts["similarity"](context)[0][0]
            clock.append(time.perf_counter())
        spent = [after - before for before, after in pairwise(clock)]
        return similarity, dict(zip(("encoder", "attention", "similarity"), spent, strict=True))

    def group(self, similarity: Tensor, num_hits: Tensor) -> Tensor:
        """Return the group (N,) of each cluster by the settings."""
        threshold, limit = self.settings["SimilarityThreshold"], self.settings["AccessoryClusterMaxHits"]
        beta = self.settings["SimilarityThresholdBeta"]
        if beta >= 1:
            return connected_accessory(similarity, num_hits, threshold=threshold, accessory_max_hits=limit)
        return two_stage(
            similarity, num_hits, threshold=threshold, second_threshold=scaled_threshold(threshold, beta),
            accessory_max_hits=limit,
        )  # fmt: skip


def cluster_features(
    hits: Iterable[Mapping[str, float]], view: int, num_clusters: int, iteration: int, settings: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Return the features (n, F) of the hits of one cluster in the order of the algorithm in C++.

    Energy is not limited from below, as there: no energy gives -inf, which the encoder limits.
    """
    hits = list(hits)
    polar, along_x, along_z = (settings[f"{name}ScaleFactor"] for name in ("PolarR", "CartesianX", "CartesianZ"))
    rows = []
    for hit in hits:
        distance = math.sqrt(hit["x"] ** 2 + hit["z"] ** 2)
        row = [distance * polar, hit["x"] / distance if distance else 0.0, hit["z"] / distance if distance else 0.0]
        row += [hit["x"] * along_x, hit["z"] * along_z, hit["x_width"] * along_x, hit["pitch"] * along_z]
        if settings["IncludeDistToXGapFeature"]:
            row.append(hit["x_gap"] * along_x)
        row.append(math.log(hit["energy"]) if hit["energy"] > 0 else -math.inf)
        row += [float(view == code) for code in (4, 5, 6)]
        for tpc, daughter in zip(settings["EncodeLArTPCVolIDs"], settings["EncodeDaughterVolIDs"], strict=True):
            row.append(float(hit["tpc_volume"] == tpc and hit["daughter_volume"] == daughter))
        if settings["IncludeHitCardinalityFeatures"]:
            row += [math.log(len(hits)), math.log(num_clusters)]
        if settings["IncludeHitNIterationNumFeature"]:
            row.append(math.log(iteration))
        rows.append(row)
    return np.array(rows, np.float32)


def raw_hits(event: Event) -> dict[str, NDArray[np.float64]]:
    """Return the raw columns (M,) of hits by name, as files have them (cm, MIP)."""
    return {name: event.part_x[:, place].double().numpy() for place, name in enumerate(event.part_feature_names)}


def write_views(events: Iterable[Event], path: str | Path) -> int:
    """Write views as the C++ program reads them, floats with nine digits so that they come back the same.

    First line: ``hitloom-shower-events 1``; then ``hit_columns`` with their names. Of every view one line
    ``event ID view CODE clusters N hits M``, then M lines with the cluster of a hit and its columns.

    Raises
    ------
    DataError
        When the views have different columns.
    """
    lines: list[str] = []
    names: list[str] | None = None
    count = 0
    for event in events:
        found = list(event.part_feature_names)
        if names is not None and found != names:
            raise DataError(f"{event.describe()}: columns of hits {found}, the views before have {names}")
        names = found
        lines.append(
            f"event {int(event.event_id)} view {view_code(event)} clusters {event.num_points} hits {len(event.part_x)}"
        )
        pairs = zip(event.part_point_index.tolist(), event.part_x.tolist(), strict=True)
        lines += [f"{cluster} {' '.join(f'{value:.9g}' for value in row)}" for cluster, row in pairs]
        count += 1
    head = [f"{EVENTS} {TEXT_VERSION}", " ".join(["hit_columns", *(HIT_FEATURES if names is None else names)])]
    Path(path).write_text("\n".join([*head, *lines]) + "\n", encoding="ascii")
    return count


def read_groups(path: str | Path) -> Iterator[Grown]:
    """Read what the C++ program wrote.

    Raises
    ------
    DataError
        When the file is of another kind.
    """
    lines = text_lines(path, kind=RESULTS, version=TEXT_VERSION)
    for number, line in enumerate(lines):
        if line.startswith("event "):
            words = line.split()
            labels = torch.tensor([int(value) for value in lines[number + 1].split()[1:]], dtype=torch.int64)
            more = lines[number + 2].split() if number + 2 < len(lines) else []
            similarity = None
            if more and more[0] == "similarity":
                values = torch.tensor([float(value) for value in more[1:]], dtype=torch.float32)
                similarity = values.view(len(labels), len(labels))
            yield Grown(event_id=int(words[1]), labels=labels, similarity=similarity, num_merges=int(words[-1]))
