"""The sample itself, whatever the linking: size, classes, features, and what the candidate graph can hold at best.

Shape letters: N tracksters, E edges, F features, H bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.layer_clusters import NO_TIME
from hitloom.data.trackster_truth import CROSS, PAIR_CLASSES, pair_class
from hitloom.event import Event
from hitloom.metrics.curves import plain
from hitloom.metrics.energy_overlap import OverlapSums, component_sizes, graph_limit, trackster_kind
from hitloom.report.tracksters.config import TracksterEvaluationConfig

KINDS = {"signal": 1, "pileup": 0, "unmatched": -1}
EDGE_KINDS = ("true", "false")
NUM_BINS = 40
CENTRAL = (0.005, 0.995)


class Sample:
    """Collects what does not depend on the linking, over events."""

    def __init__(self, config: TracksterEvaluationConfig) -> None:
        self._nodes = FeatureSample(tuple(KINDS), config.max_feature_rows)
        self._links = FeatureSample(EDGE_KINDS, config.max_feature_rows)
        self._rows: list[dict[str, float]] = []
        self._limits: dict[str, OverlapSums] = {}
        self._sizes: list[dict[str, float]] = []
        self._split_sizes: list[dict[str, float]] = []

    def add(self, truths: Mapping[str, Event]) -> None:
        """Take in one event by each truth, the stored one first."""
        event = next(iter(truths.values()))
        index, edges, true = event.object_index.numpy(), event.edge_index.numpy(), event.edge_y.numpy() > 0
        signal = event.object_is_signal.numpy() if "object_is_signal" in event else None
        kind, pairs = trackster_kind(index, signal), pair_class(event).numpy()
        row: dict[str, float] = {
            "tracksters": len(index),
            "edges": edges.shape[1],
            "true_edges": int(true.sum()),
            "false_edges": int((~true).sum()),
            "layer_clusters": event.num_parts,
            "objects": event.num_objects,
            "raw_energy": float(event.energy.double().sum()),
        }
        row |= {f"{name}_tracksters": int((kind == number).sum()) for name, number in KINDS.items()}
        row |= {f"{name}_edges": int((pairs == number).sum()) for number, name in enumerate(PAIR_CLASSES)}
        self._rows.append(row)
        for truth, seen in truths.items():
            matched = seen.object_index.numpy()
            known = seen.object_is_signal.numpy() if "object_is_signal" in seen else None
            limit = graph_limit(
                edge_index=edges,
                object_index=matched,
                energy=seen.energy.numpy(),
                kind=trackster_kind(matched, known),
            )
            self._limits.setdefault(truth, OverlapSums()).add(limit)
        self._sizes.append(component_sizes(edges, len(index)))
        self._split_sizes.append(component_sizes(edges, len(index), keep=pairs != CROSS))
        classes = np.select([kind == number for number in KINDS.values()], range(len(KINDS)), default=len(KINDS) - 1)
        self._nodes.add(event.column_names(), event.x.numpy(), classes)
        if "edge_attr" in event:
            self._links.add(list(event.edge_feature_names), event.edge_attr.numpy(), (~true).astype(np.int64))

    def result(self) -> dict[str, Any]:
        """Return ``dataset``, ``candidate_graph``, ``features`` and ``edge_features``, ready for JSON."""
        return {
            "dataset": self._dataset(),
            "candidate_graph": self._graph(),
            "features": self._nodes.result(),
            "edge_features": self._links.result(),
        }

    def _dataset(self) -> dict[str, Any]:
        names = self._rows[0] if self._rows else {}
        table = {name: np.array([row[name] for row in self._rows]) for name in names}
        return {
            "num_events": len(self._rows),
            "columns": {
                name: {"total": column.sum().item(), "mean": float(column.mean()), "max": column.max().item()}
                for name, column in table.items()
            },
            "true_edge_fraction": _share(table, "true_edges", "edges"),
            "unmatched_fraction": _share(table, "unmatched_tracksters", "tracksters"),
        }

    def _graph(self) -> dict[str, Any]:
        limits = {}
        for truth, sums in self._limits.items():
            limits[truth] = {
                kind: {
                    "recall": None if item["missing_fraction"] is None else 1.0 - item["missing_fraction"],
                    "lost_energy": item["missing"],
                    "energy": item["energy"],
                }
                for kind, item in sums.result().items()
            }
        return {
            "definition": (
                "recall: share of each object's energy in matched tracksters that its largest part connected by "
                "candidate edges holds; the rest no choice of edges can link"
            ),
            "recall": limits,
            "components": {"all edges": _means(self._sizes), "without cross edges": _means(self._split_sizes)},
            "components_definition": (
                "connected components of the candidate graph, with all its edges and without those between signal and "
                "pile-up"
            ),
        }


class FeatureSample:
    """Keeps the first rows of a table of features and the class of each; gives histograms and correlations.

    Parameters
    ----------
    classes : sequence of str
    max_rows : int
    """

    def __init__(self, classes: Sequence[str], max_rows: int) -> None:
        self._classes, self._left = tuple(classes), max_rows
        self._names: list[str] = []
        self._tables: list[NDArray[Any]] = []
        self._kinds: list[NDArray[Any]] = []

    def add(self, names: Sequence[str], table: NDArray[Any], kind: NDArray[Any]) -> None:
        """Add rows (N, F) and the number of the class of each (N,); tables with other columns are left out."""
        self._names = self._names or list(names)
        if list(names) != self._names or not self._left:
            return
        self._tables.append(table[: self._left].astype(np.float64))
        self._kinds.append(kind[: self._left])
        self._left -= len(self._tables[-1])

    def result(self) -> dict[str, Any] | None:
        """Return histograms by feature and class, and the correlation matrix; None without rows."""
        table = np.concatenate(self._tables) if self._tables else np.zeros((0, 0))
        if not len(table):
            return None
        kinds = np.concatenate(self._kinds)
        table = np.where(np.isfinite(table), table, np.nan)
        for column, name in enumerate(self._names):
            if name in ("time", "delta_time", "time_error"):
                table[:, column] = _without_sentinel(table[:, column], name)
        return {
            "num_rows": len(table),
            "classes": list(self._classes),
            "names": self._names,
            "histograms": [self._histogram(table[:, column], kinds) for column in range(table.shape[1])],
            "correlation": correlation(table),
            "definition": "Pearson correlation over rows where both features exist; None where one does not vary",
        }

    def _histogram(self, values: NDArray[Any], kinds: NDArray[Any]) -> dict[str, Any]:
        known = values[np.isfinite(values)]
        low, high = np.quantile(known, CENTRAL) if known.size else (0.0, 1.0)
        if not low < high:
            low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if not low < high:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, NUM_BINS + 1)
        inside = np.clip(values, low, high)  # what lies beyond the central 99 % counts in the outermost bins
        return {
            "edges": plain(edges),
            "missing": int((~np.isfinite(values)).sum()),
            "counts": {
                name: plain(np.histogram(inside[(kinds == number) & np.isfinite(values)], bins=edges)[0])
                for number, name in enumerate(self._classes)
            },
        }


def correlation(table: NDArray[Any]) -> list[list[float | int | None]]:
    """Return the Pearson correlations (F, F) of the columns, each pair over the rows where both are numbers."""
    known = np.isfinite(table)
    number = known.T.astype(np.float64) @ known
    centre = np.nan_to_num(np.nanmean(np.where(known.any(0), table, 0.0), axis=0))
    value = np.where(known, table - centre, 0.0)  # a shift, so that sums of squares keep their digits
    one = known.astype(np.float64)
    first, square, product = value.T @ one, (value**2).T @ one, value.T @ value
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = product / number - (first / number) * (first.T / number)
        spread = square / number - (first / number) ** 2
        result = covariance / np.sqrt(spread * spread.T)
    # A spread at the level of rounding is none.
    flat = spread <= 1e-12 * np.maximum(square / np.maximum(number, 1), 1e-300)
    result[flat | flat.T] = np.nan
    return [plain(row) for row in np.clip(result, -1, 1)]


def _without_sentinel(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Return times with NaN where there is none: -99, an error of -1, and differences that only the -99 makes."""
    if name == "time":
        missing = values <= NO_TIME + 1e-3
    elif name == "time_error":
        missing = values < 0
    else:
        missing = values > abs(NO_TIME) / 2
    return np.where(missing, np.nan, values)


def _share(table: Mapping[str, NDArray[Any]], top: str, bottom: str) -> float | None:
    whole = table[bottom].sum() if bottom in table else 0
    return float(table[top].sum() / whole) if whole else None


def _means(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Return means over events of number and mean size, and the largest size of all."""
    known = [row for row in rows if row["num_components"]]
    if not known:
        return {"num_components": 0.0, "mean_size": None, "max_size": 0}
    return {
        "num_components": float(np.mean([row["num_components"] for row in known])),
        "mean_size": float(np.mean([row["mean_size"] for row in known])),
        "max_size": int(max(row["max_size"] for row in known)),
    }
