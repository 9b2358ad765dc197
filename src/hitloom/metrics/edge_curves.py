"""Scores of edges: ROC and its area, efficiency and purity against the cut, and the cut for a wanted efficiency.

An edge is kept when its score is above the cut, strictly. Everything is made from the scores themselves, never from
decisions. With one class, or no edge, an area is NaN and a curve is empty.

Shape letters: E edges, T truth edges, C cuts, R points of a ROC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.curves import plain
from hitloom.metrics.edges import EDGE_DEFINITIONS, FALSE, OTHER_TRUE, PARTS, TARGET_TRUE, LabelledEdges, TruthEdges
from hitloom.metrics.intervals import clopper_pearson
from hitloom.metrics.summary import number
from hitloom.metrics.truth import BoolArray, FloatArray

AUC_DEFINITIONS: dict[str, str] = {
    "full": "area under the ROC: true edges of targets against all others",
    "masked": "area under the ROC: true edges of targets against false ones, true edges of others left out",
    "total": "area under the ROC: true edges of any particle against false ones",
}
CUTS: tuple[float, ...] = (
    *(0.0, 1e-4, 1e-3, 2e-3, 5e-3),
    *(step / 100 for step in range(1, 100)),
    *(0.995, 0.998, 0.999, 0.9999),
)
MAX_EDGES = 50_000_000  # nine bytes each


class Choice(NamedTuple):
    """A radius or a cut, the efficiency that it gives, and whether that is the wanted one."""

    value: float
    efficiency: float
    reached: bool


def rank_needed(efficiency: float, num_truth: int) -> int:
    """Return how many of ``num_truth`` truth edges an efficiency needs.

    Raises
    ------
    ConfigError
        When the efficiency is not above 0 and at most 1.

    Examples
    --------
    >>> rank_needed(0.07, 100), rank_needed(0.071, 100)
    (7, 8)
    """
    if not 0 < efficiency <= 1:
        raise ConfigError(f"target efficiency: a number above 0 and at most 1 was wanted, not {efficiency:g}")
    return max(1, int(np.ceil((efficiency - 1e-12) * num_truth)))


def cut_for_efficiency(true_scores: ArrayLike, num_truth: int, efficiency: float) -> Choice:
    """Return the largest float32 cut that keeps at least a share of the truth edges, exactly.

    Parameters
    ----------
    true_scores : (T',) float
        Scores of those truth edges that have one, T' <= num_truth. Any monotone score serves.
    num_truth : int
        Truth edges in all; those without a score are lost whatever the cut.
    efficiency : float
        Wanted share of ``num_truth`` with a score above the cut.

    Returns
    -------
    Choice
        ``reached`` is False where even all scores are too few; the cut then keeps all. Without scores the cut is NaN.

    Raises
    ------
    DataError, ConfigError
        When there are more scores than truth edges, a score is NaN, or the efficiency is impossible.

    Examples
    --------
    >>> cut = cut_for_efficiency([0.9, 0.8, 0.8, 0.1], 4, 0.5)
    >>> round(cut.value, 6), cut.efficiency, cut.reached
    (0.8, 0.75, True)
    """
    scores = np.sort(numbers_of(true_scores, num_truth, "scores of true edges"))[::-1]
    needed = rank_needed(efficiency, num_truth)
    if not scores.size:
        return Choice(float("nan"), 0.0 if num_truth else float("nan"), False)
    # The largest float32 below the last score that must stay, so that a comparison in float32 decides the same.
    last = scores[min(needed, scores.size) - 1]
    cut = np.float32(last)
    if cut >= last:
        cut = np.nextafter(cut, np.float32(-np.inf))
    return Choice(float(cut), int((scores > cut).sum()) / num_truth, needed <= scores.size)


def numbers_of(values: ArrayLike, num_truth: int, name: str) -> FloatArray:
    """Return at most ``num_truth`` numbers as an array; :class:`DataError` otherwise."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size > num_truth or np.isnan(array).any():
        raise DataError(
            f"{name}: numbers in one dimension, at most one for each of {num_truth} truth edges, were wanted; "
            f"shape {array.shape} with {int(np.isnan(array).sum())} NaN came"
        )
    return array


def roc_auc(score: ArrayLike, positive: ArrayLike) -> float:
    """Return the area under the ROC, ties counted half; NaN where a class is empty.

    Examples
    --------
    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    scores, mask = np.asarray(score), np.asarray(positive, dtype=np.bool_)
    true, false = np.sort(scores[mask]), np.sort(scores[~mask])
    if not true.size or not false.size:
        return float("nan")
    below = np.searchsorted(false, true, side="left").astype(np.float64)
    upto = np.searchsorted(false, true, side="right")
    return float((below + upto).sum() / (2.0 * true.size * false.size))


def roc_curve(score: ArrayLike, positive: ArrayLike, *, num_points: int = 400) -> dict[str, list[float]]:
    """Return ``false_positive_rate``, ``true_positive_rate`` and ``score`` (R,) at falling scores.

    Every point is one of the exact curve; at most about ``num_points`` are kept, dense along the curve and at small
    false positive rates. Empty where a class is empty.
    """
    scores, mask = np.asarray(score, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    names = ("false_positive_rate", "true_positive_rate", "score")
    if not mask.any() or mask.all():
        return {name: [] for name in names}
    order = np.argsort(-scores, kind="stable")
    scores, mask = scores[order], mask[order]
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    true = np.cumsum(mask)[ends]
    false = ends + 1 - true
    x = np.append(0.0, false / false[-1])
    y = np.append(0.0, true / true[-1])
    at = np.append(scores[0], scores[ends])
    along = np.searchsorted(x + y, np.linspace(0, 2, num_points // 2))
    small = np.searchsorted(x, np.geomspace(1e-6, 1, num_points // 2))
    kept = np.unique(np.concatenate([[0, x.size - 1], along, small]).clip(0, x.size - 1))
    return {name: values[kept].tolist() for name, values in zip(names, (x, y, at), strict=True)}


class EdgeScores:
    """Pools the scores of the edges that one stage judges, over events.

    Parameters
    ----------
    cuts : sequence of float
        Where the curves are made.
    max_edges : int
        Scores of later events are left out beyond this many edges; ``num_events`` says how many came in.

    Examples
    --------
    >>> pooled = EdgeScores(cuts=(0.5,))
    >>> pooled.result()["auc"]["full"]["value"] is None
    True
    """

    def __init__(self, *, cuts: Sequence[float] = CUTS, max_edges: int = MAX_EDGES) -> None:
        if not cuts:
            raise ConfigError("edge scores: at least one cut was wanted")
        self.cuts = np.asarray(sorted(cuts), dtype=np.float64)
        self._max_edges = max_edges
        self._scores: list[FloatArray] = []
        self._kinds: list[NDArray[np.int8]] = []
        self._num_edges = self._num_truth = self._num_truth_target = 0
        self._num_skipped = 0

    def add(self, edges: LabelledEdges, truth_edges: TruthEdges) -> None:
        """Add the edges of one event.

        Raises
        ------
        DataError
            When the edges have no scores.
        """
        if edges.score is None:
            raise DataError("edge scores: edges with scores were wanted")
        if self._scores and self._num_edges + edges.kind.size > self._max_edges:
            self._num_skipped += 1
            return
        self._scores.append(edges.score)
        self._kinds.append(edges.kind)
        self._num_edges += edges.kind.size
        self._num_truth += truth_edges.key.size
        self._num_truth_target += truth_edges.num_target

    def result(self) -> dict[str, Any]:
        """Return areas, ROC curves, curves against the cut and histograms of the scores, ready for JSON."""
        score = np.concatenate([np.zeros(0), *self._scores])
        kind = np.concatenate([np.zeros(0, dtype=np.int8), *self._kinds])
        not_other = kind != OTHER_TRUE
        samples: dict[str, tuple[FloatArray, BoolArray]] = {
            "full": (score, kind == TARGET_TRUE),
            "masked": (score[not_other], kind[not_other] == TARGET_TRUE),
            "total": (score, kind != FALSE),
        }
        return {
            "num_events": len(self._scores),
            "num_events_left_out": self._num_skipped,
            "num_edges": self._num_edges,
            "auc": {
                name: {"value": number(roc_auc(*sample)), "definition": AUC_DEFINITIONS[name]}
                for name, sample in samples.items()
            },
            "roc": {name: roc_curve(*samples[name]) for name in ("full", "masked")},
            "cut_curve": cut_curve(
                score, kind, num_truth=self._num_truth, num_truth_target=self._num_truth_target, cuts=self.cuts
            ),
            "histogram": score_histogram(score, kind),
        }


def cut_curve(
    score: FloatArray, kind: NDArray[np.int8], *, num_truth: int, num_truth_target: int, cuts: ArrayLike
) -> dict[str, Any]:
    """Return efficiencies and purities of the edges with a score above each cut.

    Parameters
    ----------
    score : (E,) float
    kind : (E,) int8
        Of :func:`~hitloom.metrics.edges.label_edges`.
    num_truth, num_truth_target : int
        Truth edges in all, and those of target particles, with or without a score.
    cuts : (C,) float

    Returns
    -------
    dict
        ``cut`` (C,), ``num_edges`` (C,), and for each proportion ``numerator``, ``denominator``, ``value``, ``low``,
        ``high`` (C,) and its definition.
    """
    levels = np.asarray(cuts, dtype=np.float64)
    above = {}
    for code in (FALSE, OTHER_TRUE, TARGET_TRUE):
        ordered = np.sort(score[kind == code])
        above[code] = ordered.size - np.searchsorted(ordered, levels, side="right")
    counts = {
        "num_edges": above[FALSE] + above[OTHER_TRUE] + above[TARGET_TRUE],
        "num_masked_edges": above[FALSE] + above[TARGET_TRUE],
        "num_true": above[OTHER_TRUE] + above[TARGET_TRUE],
        "num_target_true": above[TARGET_TRUE],
        "num_truth": np.full(levels.shape, num_truth),
        "num_truth_target": np.full(levels.shape, num_truth_target),
    }
    return {"cut": plain(levels), "num_edges": plain(counts["num_edges"]), **proportion_columns(counts)}


def proportion_columns(
    counts: Mapping[str, NDArray[np.int64]], *, names: Sequence[str] = tuple(PARTS)
) -> dict[str, dict[str, Any]]:
    """Return proportions of :data:`~hitloom.metrics.edges.PARTS` for arrays of counts, ready for JSON."""
    columns = {}
    for name in names:
        numerator, denominator = (counts[side] for side in PARTS[name])
        low, high = clopper_pearson(numerator, denominator)
        value = np.divide(numerator, denominator, out=np.full(low.shape, np.nan), where=denominator > 0)
        columns[name] = {
            "definition": EDGE_DEFINITIONS[name],
            "interval_kind": "clopper-pearson 68 %",
            "numerator": plain(numerator),
            "denominator": plain(denominator),
            "value": plain(value),
            "low": plain(low),
            "high": plain(high),
        }
    return columns


def score_histogram(score: FloatArray, kind: NDArray[np.int8], *, num_bins: int = 50) -> dict[str, Any]:
    """Return how many edges of each kind have which score, in even bins of 0 to 1; others go to the end bins."""
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    names = {"false": FALSE, "other_true": OTHER_TRUE, "target_true": TARGET_TRUE}
    counts = {name: np.histogram(score[kind == code].clip(0, 1), bins=edges)[0] for name, code in names.items()}
    return {"edges": plain(edges), "counts": {name: plain(values) for name, values in counts.items()}}
