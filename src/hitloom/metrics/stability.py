"""How stable a reconstruction is: results of an event compared with those of slightly changed copies of it.

Every system gives a partition, so partitions are always compared; the decisions on edges are where a system scores
edges. dU and dO are the energy that an object misses and the energy of others that its best candidate holds; without
energies they count points.

Shape letters: N points, E edges, K objects, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics import edge_change, partition_change
from hitloom.metrics.heat_points import HeatPoints
from hitloom.metrics.intervals import percentile_interval, quotient_samples, resampling_weights
from hitloom.metrics.matched_overlap import CLASSES, MatchedOverlap, matched_overlap
from hitloom.metrics.summary import number, pair
from hitloom.result import Result

FloatArray = NDArray[np.float64]
NUM_RESAMPLES, RESAMPLING_SEED = 1000, 0
MM_PER_CM = 10.0
TURN = 2 * np.pi

DEFINITIONS = {
    **edge_change.DEFINITIONS,
    **partition_change.DEFINITIONS,
    "dU": "weight of an object that its best candidate lacks (the one that shares most with it), summed over objects",
    "dO": "weight in that candidate that is not of the object, summed over objects",
    "candidates": "candidates in the perturbed sample / candidates in the event as it is",
}


def scored_edges(result: Result) -> edge_change.ScoredEdges | None:
    """Return the edges of a result with probabilities, None where its system scores no edges."""
    if result.edge_index is None or result.edge_score is None:
        return None
    return edge_change.ScoredEdges(
        edge_index=result.edge_index.numpy(), probability=result.edge_score.double().sigmoid().numpy()
    )


@dataclass(frozen=True, kw_only=True)
class StabilityMaps:
    """Places of a study: edges at the middle of their ends in x and y (cm), objects in \\|eta\\| and phi."""

    edges: HeatPoints
    objects: dict[str, HeatPoints]


class StabilityStudy:
    """Accumulates the stability of one system over events.

    Parameters
    ----------
    threshold : float or None
        The ONE cut that decides the edges of this system, in the event and in its samples; None = no edges.
    num_partition_samples : int
        Partitions are compared for so many of the samples, the first; edges for all.
    """

    def __init__(self, *, threshold: float | None, num_partition_samples: int) -> None:
        self.threshold = threshold
        self.num_partition_samples = num_partition_samples
        self.events: list[dict[str, Any]] = []
        self.maps = StabilityMaps(
            edges=HeatPoints("flip_rate", "shift"),
            objects={name: HeatPoints("dU", "dO", "weight", step=0.01, y_period=TURN) for name in CLASSES},
        )

    def add(self, event: Event, base: Result, samples: Sequence[Result]) -> dict[str, Any]:
        """Count one event: its result as it is, and those of its perturbed samples. Returns what it found.

        Raises
        ------
        DataError
            When a sample has another number of points.
        """
        if not samples:
            raise DataError(f"{event.describe()}: no perturbed sample")
        if any(sample.labels.shape != base.labels.shape for sample in samples):
            raise DataError(f"{event.describe()}: a perturbed sample has another number of points")
        found: dict[str, Any] = {
            "event_id": int(base.event_id),
            "num_points": event.num_points,
            "num_samples": len(samples),
        }
        chosen = samples[: self.num_partition_samples]
        found |= self._partitions(base, chosen)
        if event.has_truth:
            found |= self._objects(event, base, chosen)
        if self.threshold is not None:
            found |= self._edges(event, base, samples)
        self.events.append(found)
        return found

    def _partitions(self, base: Result, samples: Sequence[Result]) -> dict[str, Any]:
        labels = base.labels.numpy()
        changes = [partition_change.partition_change(labels, sample.labels.numpy()) for sample in samples]
        sums = {key: sum(change[key] for change in changes) for key in changes[0] if key.startswith("joined")}
        index = [change["rand_index"] for change in changes]
        return {
            "num_partition_samples": len(samples),
            "num_candidates": base.num_candidates,
            "num_candidates_perturbed": sum(sample.num_candidates for sample in samples) / len(samples),
            "rand_index": sum(index) / len(index),
            "rand_index_lowest": min(index),
            **{key: value / len(samples) for key, value in sums.items()},
        }

    def _objects(self, event: Event, base: Result, samples: Sequence[Result]) -> dict[str, Any]:
        first = matched_overlap(event, base.labels)
        others = [matched_overlap(event, sample.labels) for sample in samples]
        mean = {name: sum(getattr(other, name) for other in others) / len(others) for name in ("missing", "foreign")}
        change = {"dU": first.missing - mean["missing"], "dO": first.foreign - mean["foreign"]}
        spread = {
            "dU": np.mean([np.abs(first.missing - other.missing).sum() for other in others]),
            "dO": np.mean([np.abs(first.foreign - other.foreign).sum() for other in others]),
        }
        result: dict[str, Any] = {"weight": float(first.weight.sum())}
        for name, values in (("dU", "missing"), ("dO", "foreign")):
            result |= {
                name: float(getattr(first, values).sum()),
                f"{name}_perturbed": float(mean[values].sum()),
                f"{name}_moved": float(spread[name]),
            }
        for kind in CLASSES:
            self._place(kind, first, change, result)
        return result

    def _place(
        self, kind: str, first: MatchedOverlap, change: Mapping[str, FloatArray], result: dict[str, Any]
    ) -> None:
        """Put the objects of one class on its map and their sums into the result."""
        mask = first.kind == CLASSES[kind]
        for name, values in change.items():
            result[f"{name}_change_{kind}"] = float(values[mask].sum())
        columns = {name: values[mask] for name, values in change.items()} | {"weight": first.weight[mask]}
        self.maps.objects[kind].add(np.abs(first.eta[mask]), first.phi[mask], columns)

    def _edges(self, event: Event, base: Result, samples: Sequence[Result]) -> dict[str, Any]:
        mine = scored_edges(base)
        theirs = [edges for sample in samples if (edges := scored_edges(sample)) is not None]
        if mine is None or len(theirs) != len(samples):
            raise DataError(f"{event.describe()}: the system scores no edges, so no threshold decides on them")
        assert self.threshold is not None
        change = edge_change.edge_change(mine, theirs, threshold=self.threshold, num_points=event.num_points)
        middle = event.pos.double().numpy()[mine.edge_index].mean(axis=0) / MM_PER_CM
        self.maps.edges.add(middle[:, 0], middle[:, 1], {"flip_rate": change.flip_rate, "shift": change.shift})
        return {
            "num_edges": int(mine.probability.size),
            "num_passed": int((mine.probability > self.threshold).sum()),
            "flips": float(change.flip_rate.sum()),
            "shift": float(change.shift.sum()),
            "appeared": change.appeared,
        }

    def result(self) -> dict[str, Any]:
        """Return sums, means with bootstrap intervals over events, and the numbers of every event."""
        return {
            "threshold": self.threshold,
            "num_events": len(self.events),
            "sums": {
                key: sum(event[key] for event in self.events)
                for key in (self.events[0] if self.events else {})
                if key not in ("event_id", "num_samples", "num_partition_samples", "rand_index", "rand_index_lowest")
            },
            "means": {name: self._entry(name, *sides) for name, sides in self._quotients().items()},
            "per_event": self.events,
        }

    def _quotients(self) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Return numerator and denominator (B,) of every mean."""
        if not self.events:
            return {}
        columns = {key: np.array([event[key] for event in self.events], dtype=np.float64) for key in self.events[0]}
        ones = np.ones(len(self.events))
        sides = {
            "rand_index": (columns["rand_index"], ones),
            "kept_pairs": (columns["joined_pairs_both"], columns["joined_pairs_first"]),
            "gained_pairs": (
                columns["joined_pairs_second"] - columns["joined_pairs_both"],
                columns["joined_pairs_second"],
            ),
            "candidates": (columns["num_candidates_perturbed"], columns["num_candidates"]),
        }
        if "flips" in columns:
            sides["flip_rate"] = (columns["flips"], columns["num_edges"])
            sides["shift"] = (columns["shift"], columns["num_edges"])
            sides["appeared"] = (columns["appeared"], columns["num_edges"])
        for name in ("dU", "dO"):
            if name in columns:
                sides[name] = (columns[name], columns["weight"])
                sides[f"{name}_perturbed"] = (columns[f"{name}_perturbed"], columns["weight"])
                sides[f"{name}_moved"] = (columns[f"{name}_moved"], columns["weight"])
        return sides

    def _entry(self, name: str, top: FloatArray, bottom: FloatArray) -> dict[str, Any]:
        return ratio_entry(top, bottom) | {"definition": MEANS[name]}


MEANS = {
    "rand_index": DEFINITIONS["rand_index"] + "; mean over samples and events",
    "kept_pairs": DEFINITIONS["kept_pairs"] + "; first = the event as it is; pooled over samples and events",
    "gained_pairs": DEFINITIONS["gained_pairs"] + "; second = the perturbed sample; pooled",
    "candidates": DEFINITIONS["candidates"],
    "flip_rate": DEFINITIONS["flip_rate"] + "; mean over all edges",
    "shift": DEFINITIONS["shift"] + "; mean over all edges",
    "appeared": DEFINITIONS["appeared"] + " / edges of the event as it is",
    "dU": DEFINITIONS["dU"] + " / weight of the objects; event as it is",
    "dU_perturbed": DEFINITIONS["dU"] + " / weight of the objects; mean over the perturbed samples",
    "dU_moved": "mean over samples of |dU of an object as it is - perturbed|, summed over objects / their weight",
    "dO": DEFINITIONS["dO"] + " / weight of the objects; event as it is",
    "dO_perturbed": DEFINITIONS["dO"] + " / weight of the objects; mean over the perturbed samples",
    "dO_moved": "mean over samples of |dO of an object as it is - perturbed|, summed over objects / their weight",
}


def ratio_entry(top: FloatArray, bottom: FloatArray) -> dict[str, Any]:
    """Return pooled quotient, 68 % bootstrap interval over events, and its parts."""
    whole = float(bottom.sum())
    interval = None
    if len(top) > 1:
        weights = resampling_weights(len(top), num_resamples=NUM_RESAMPLES, seed=RESAMPLING_SEED)
        interval = pair(*percentile_interval(quotient_samples(top, bottom, weights)))
    return {
        "value": number(float(top.sum()) / whole) if whole else None,
        "interval": interval,
        "numerator": number(float(top.sum())),
        "denominator": number(whole),
    }


def compare_models(
    first: StabilityStudy,
    second: StabilityStudy,
    pairs: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """Return how two systems differ on the same events and samples: second - first with paired intervals.

    Parameters
    ----------
    pairs : sequence of mapping
        :func:`model_pair` of every event.
    """
    mine, theirs = first._quotients(), second._quotients()
    differences = {}
    for name in mine:
        if name not in theirs:
            continue
        sides = [(float(top.sum()) / float(bottom.sum()) if bottom.sum() else np.nan) for top, bottom in
                 (mine[name], theirs[name])]  # fmt: skip
        interval = None
        if len(first.events) > 1:
            weights = resampling_weights(len(first.events), num_resamples=NUM_RESAMPLES, seed=RESAMPLING_SEED)
            samples = quotient_samples(*theirs[name], weights) - quotient_samples(*mine[name], weights)
            interval = pair(*percentile_interval(samples))
        differences[name] = {"difference": number(sides[1] - sides[0]), "interval": interval}
    agreement: dict[str, Any] = {}
    if pairs:
        columns = {key: np.array([item[key] for item in pairs]) for key in pairs[0]}
        agreement["rand_index"] = ratio_entry(columns["rand_index"], np.ones(len(pairs))) | {
            "definition": DEFINITIONS["rand_index"] + "; between the two models, events as they are"
        }
        for name in ("disagreement", "distance"):
            if name in columns:
                entry = ratio_entry(columns[name], columns["num_edges"])
                agreement[name] = entry | {"definition": DEFINITIONS[name] + "; events as they are"}
    return {"differences": differences, "agreement": agreement}


def model_pair(
    event: Event, first: Result, second: Result, *, thresholds: tuple[float | None, float | None]
) -> dict[str, float]:
    """Return what two systems say differently of one event as it is."""
    found = {"rand_index": partition_change.partition_change(first.labels.numpy(), second.labels.numpy())["rand_index"]}
    mine, theirs = scored_edges(first), scored_edges(second)
    if mine is not None and theirs is not None and thresholds[0] is not None and thresholds[1] is not None:
        cuts = (thresholds[0], thresholds[1])
        found |= edge_change.model_difference(mine, theirs, thresholds=cuts, num_points=event.num_points)
    return found
