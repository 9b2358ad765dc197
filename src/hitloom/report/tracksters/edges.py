"""Scored edges of a linking: at the working point, against the threshold, as ROC, as distributions, by energy.

Shape letters: N tracksters, E edges, H bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitloom.data.trackster_truth import edge_targets, pair_class
from hitloom.event import Event
from hitloom.metrics.edge_energy import CONFUSION_NAMES, PAIR_CLASSES, EdgeEnergy, confusion, energy_bin
from hitloom.metrics.edge_probability import reliability, threshold_scan, weighted_roc
from hitloom.report.join import Joined
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.report.tracksters.counts import edge_weight
from hitloom.report.tracksters.working_point import WorkingPoint
from hitloom.result import Result

_Array = NDArray[Any]


class ScoredEdges:
    """Pools edges with their scores over events.

    Parameters
    ----------
    point : WorkingPoint
        Where tables are made.
    config : TracksterEvaluationConfig
    """

    def __init__(self, point: WorkingPoint, config: TracksterEvaluationConfig) -> None:
        self._point, self._config = point, config
        self._scored = EdgeEnergy(seed=config.seed)
        self._decided = EdgeEnergy(num_resamples=config.num_resamples, seed=config.seed)
        self._confusion: list[dict[str, float]] = []
        self.num_without_score = 0

    def add(self, event: Event, result: Result, joined: Joined) -> None:
        """Add the edges of one event; an event whose result holds no scores is only counted."""
        if result.edge_index is None or result.edge_score is None:
            self.num_without_score += 1
            self._confusion.append(dict.fromkeys(CONFUSION_NAMES, 0.0))
            return
        scored = event.clone()
        scored.edge_index = torch.as_tensor(joined.rows)[result.edge_index]
        weight = edge_weight(scored)
        probability = result.edge_score.double().sigmoid().numpy()
        target, kind = edge_targets(scored).numpy(), pair_class(scored).numpy()
        decision = self._point.passed(result.edge_score.float().sigmoid().numpy(), weight).astype(np.float64)
        if self._scored.add(probability=probability, target=target, weight=weight, pair_class=kind):
            self._decided.add(probability=decision, target=target, weight=weight, pair_class=kind)
        self._confusion.append(confusion(decision > 0, target > 0, weight))

    def per_event(self) -> dict[str, list[float]] | None:
        """Return the energy-weighted confusion at the working point, one entry an event; None without any scores."""
        if not self._scored.num_events:
            return None
        return {name: [row[name] for row in self._confusion] for name in CONFUSION_NAMES}

    def decisions(self) -> dict[str, Any] | None:
        """Return the tables at the working point; None where no result holds scores."""
        if not self._scored.num_events:
            return None
        table = self._decided.result(0.5)
        del table["threshold"]
        return table

    def result(self) -> dict[str, Any] | None:
        """Return everything about the scores but the tables of :meth:`decisions`; None where no result holds any."""
        if not self._scored.num_events:
            return None
        edges = self._scored.pooled()
        score, target, weight = (edges[name] for name in ("probability", "target", "weight"))
        scan = threshold_scan(probability=score, target=target, weight=weight, step=self._config.scan_step)
        plain = threshold_scan(probability=score, target=target, step=self._config.scan_step)
        table = self.decisions() or {}
        return {
            "working_point": {
                "cuts": [list(pair) for pair in self._point.cuts],
                "text": self._point.describe(),
                "source": self._point.source,
            },
            "num_events_without_scores": self.num_without_score,
            "scan": {
                "best": {"threshold": scan.threshold, "f1": scan.f1},
                "weighted": scan.curves,
                "plain": plain.curves,
                "definition": "one cut for all energies; energy-weighted, and every edge counted once",
            },
            "roc": {
                name: weighted_roc(probability=score[rows], target=target[rows], weight=weight[rows])
                for name, rows in self._groups(edges).items()
            }
            | {"unweighted": weighted_roc(probability=score, target=target)},
            "histograms": self._histograms(score, target, weight),
            "reliability": reliability(
                probability=score, target=target, weight=weight, num_bins=self._config.num_score_bins
            ),
            "by_energy": self._by_energy(score, target, weight, table["energy_bins"]),
        }

    def _groups(self, edges: dict[str, _Array]) -> dict[str, _Array]:
        """Return all edges, and each class of pairs that holds true and false ones."""
        groups = {"all": np.ones(len(edges["target"]), dtype=np.bool_)}
        for number, name in enumerate(PAIR_CLASSES):
            rows = edges["pair_class"] == number
            if (edges["target"][rows] > 0).any() and (edges["target"][rows] <= 0).any():
                groups[name] = rows
        return groups

    def _histograms(self, score: _Array, target: _Array, weight: _Array) -> dict[str, Any]:
        edges = np.linspace(0, 1, self._config.num_score_bins + 1)
        true = target > 0

        def counts(values: _Array, weights: _Array | None = None) -> list[float]:
            return [float(number) for number in np.histogram(values, bins=edges, weights=weights)[0]]

        return {
            "edges": edges.tolist(),
            "score": {"true": counts(score[true]), "false": counts(score[~true])},
            "score_weighted": {"true": counts(score[true], weight[true]), "false": counts(score[~true], weight[~true])},
            "target": {"target": counts(target), "score": counts(score)},
        }

    def _by_energy(self, score: _Array, target: _Array, weight: _Array, tables: list[dict[str, Any]]) -> list[Any]:
        place = energy_bin(weight)
        bins = []
        for number, table in enumerate(tables):
            rows = place == number
            roc = weighted_roc(probability=score[rows], target=target[rows], weight=weight[rows])
            scan = threshold_scan(
                probability=score[rows], target=target[rows], weight=weight[rows], step=self._config.scan_step
            )
            bins.append(
                {"low": table["low"], "high": table["high"], "num_edges": table["num_edges"], "auc": roc["auc"]}
                | {"best_threshold": scan.threshold if rows.any() else None}
                | {"histograms": self._histograms(score[rows], target[rows], weight[rows]), "roc": roc}
                | {"scan": scan.curves}
            )
        return bins
