"""Labelled edges: which edges of a graph are true, and the efficiency and the three purities that follow.

An edge is *true* when it is a truth edge of the event, in either direction, and *target* when its particle is a target.
An edge and its reverse are one edge.

Shape letters: N hits, E edges, T truth edges, K particles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError
from hitloom.metrics.graph_quality import undirected_keys
from hitloom.metrics.summary import proportion_entry
from hitloom.metrics.truth import BoolArray, EventTruth, FloatArray, IntArray, as_integers

FALSE, OTHER_TRUE, TARGET_TRUE = 0, 1, 2
"""Kinds of an edge: not true, true of a particle that is no target, true of a target."""

EDGE_DEFINITIONS: dict[str, str] = {
    "edge_efficiency.target": "truth edges of target particles among the edges / truth edges of target particles",
    "edge_efficiency.all": "truth edges among the edges / truth edges",
    "target_purity": "truth edges of target particles / edges",
    "total_purity": "truth edges of any particle / edges",
    "masked_purity": "truth edges of target particles / edges that are no truth edge of another particle",
    "target_f1": "harmonic mean of edge_efficiency.target and target_purity",
    "total_f1": "harmonic mean of edge_efficiency.target and total_purity",
    "masked_f1": "harmonic mean of edge_efficiency.target and masked_purity",
}
PURITIES = ("target_purity", "total_purity", "masked_purity")
PARTS: dict[str, tuple[str, str]] = {
    "edge_efficiency.target": ("num_target_true", "num_truth_target"),
    "edge_efficiency.all": ("num_true", "num_truth"),
    "target_purity": ("num_target_true", "num_edges"),
    "total_purity": ("num_true", "num_edges"),
    "masked_purity": ("num_target_true", "num_masked_edges"),
}
"""Numerator and denominator of each proportion, as names of :func:`edge_counts`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthEdges:
    """Truth edges of one event, each once.

    Attributes
    ----------
    key : (T,) int64
        One integer per edge, ascending, the same for both directions.
    edge_index : (2, T) int64
    is_target : (T,) bool
    owner : (T,) int64
        Row of the particle of its first hit.
    """

    key: IntArray
    edge_index: IntArray
    is_target: BoolArray
    owner: IntArray

    @property
    def num_target(self) -> int:
        """Number of truth edges of target particles."""
        return int(self.is_target.sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledEdges:
    """Edges of one event, each once, ordered by ``key``.

    Attributes
    ----------
    key : (E,) int64
    edge_index : (2, E) int64
        Lower row first.
    kind : (E,) int8
        :data:`FALSE`, :data:`OTHER_TRUE` or :data:`TARGET_TRUE`.
    score : (E,) float64 or None
        Of an edge that came several times, the largest.
    """

    key: IntArray
    edge_index: IntArray
    kind: NDArray[np.int8]
    score: FloatArray | None = None


def truth_edges_of(truth: EventTruth, target: ArrayLike | None = None) -> TruthEdges:
    """Return the truth edges of an event.

    Parameters
    ----------
    target : (K,) bool or None
        Target particles; None = all.

    Raises
    ------
    DataError
        When the truth has no edges, or the mask does not fit.
    """
    if truth.truth_edge_index is None:
        raise DataError("edge metrics: the truth has no 'truth_edge_index'; mend: build truth edges with the reader")
    wanted = np.ones(truth.num_objects, dtype=np.bool_) if target is None else np.asarray(target)
    if wanted.shape != (truth.num_objects,) or wanted.dtype != np.bool_:
        raise DataError(
            f"edge metrics: target as a boolean mask of {truth.num_objects} particles was wanted, "
            f"not {wanted.dtype} {wanted.shape}"
        )
    key, first = np.unique(undirected_keys(truth.truth_edge_index, truth.num_hits), return_index=True)
    edges = truth.truth_edge_index[:, first]
    owner = truth.object_index[edges[0]]
    return TruthEdges(key=key, edge_index=edges, is_target=np.append(wanted, False)[owner], owner=owner)


def label_edges(
    edge_index: ArrayLike, truth_edges: TruthEdges, num_hits: int, *, score: ArrayLike | None = None
) -> LabelledEdges:
    """Say of every edge whether it is true; repeats, reverses and self-loops are left out.

    Parameters
    ----------
    edge_index : (2, E) int
        Rows of hits.
    score : (E,) float or None

    Raises
    ------
    DataError
        When a shape is wrong, an end is no row of the hits, or a score is not a number.
    """
    edges = as_integers(edge_index, "edge_index")
    if edges.ndim != 2 or edges.shape[0] != 2:
        raise DataError(f"edge_index: shape (2, E) was wanted, not {edges.shape}")
    if edges.size and not 0 <= edges.min() <= edges.max() < num_hits:
        bad = int(edges.min() if edges.min() < 0 else edges.max())
        raise DataError(f"edge_index: {bad} is no row of the {num_hits} hits")
    scores = None if score is None else _check_scores(score, edges.shape[1])
    real = edges[0] != edges[1]
    every = undirected_keys(edges[:, real], num_hits)
    if scores is None:
        key = np.unique(every)
    else:
        order = np.lexsort((scores[real], every))
        every = every[order]
        last = np.append(every[1:] != every[:-1], True)[: every.size]
        key, scores = every[last], scores[real][order][last]
    place = np.searchsorted(truth_edges.key, key)
    place[place == truth_edges.key.size] = 0
    kind = np.zeros(key.size, dtype=np.int8)
    if truth_edges.key.size:
        true = truth_edges.key[place] == key
        kind[true] = np.where(truth_edges.is_target[place[true]], TARGET_TRUE, OTHER_TRUE)
    return LabelledEdges(key=key, edge_index=np.stack(np.divmod(key, max(num_hits, 1))), kind=kind, score=scores)


def edge_counts(edges: LabelledEdges, truth_edges: TruthEdges) -> dict[str, int]:
    """Count one graph; sums over events go to :func:`edge_quality`."""
    kinds = np.bincount(edges.kind, minlength=3)
    return {
        "num_edges": int(kinds.sum()),
        "num_masked_edges": int(kinds[FALSE] + kinds[TARGET_TRUE]),
        "num_true": int(kinds[OTHER_TRUE] + kinds[TARGET_TRUE]),
        "num_target_true": int(kinds[TARGET_TRUE]),
        "num_truth": int(truth_edges.key.size),
        "num_truth_target": truth_edges.num_target,
    }


def edge_quality(counts: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return the entries of :data:`EDGE_DEFINITIONS` from (summed) counts; 0/0 is None."""
    result = {
        name: proportion_entry(counts[top], counts[bottom], EDGE_DEFINITIONS[name])
        for name, (top, bottom) in PARTS.items()
    }
    for purity in PURITIES:
        name = purity.replace("purity", "f1")
        value = harmonic_mean(result["edge_efficiency.target"]["value"], result[purity]["value"])
        result[name] = {"value": value, "definition": EDGE_DEFINITIONS[name]}
    return result


def harmonic_mean(first: float | None, second: float | None) -> float | None:
    """Return the harmonic mean of two proportions; None where one is undefined, 0 where both are 0."""
    if first is None or second is None:
        return None
    return 2 * first * second / (first + second) if first + second > 0 else 0.0


def _check_scores(score: ArrayLike, num_edges: int) -> FloatArray:
    if hasattr(score, "detach"):
        score = score.detach().cpu().numpy()
    scores = np.asarray(score)
    if scores.shape != (num_edges,) or scores.dtype.kind not in "fiu":
        raise DataError(f"edge scores: {num_edges} numbers were wanted, not {scores.dtype} {scores.shape}")
    if np.isnan(scores).any():
        raise DataError(f"edge scores: {int(np.isnan(scores).sum())} of {num_edges} are not numbers (NaN)")
    return scores.astype(np.float64)
