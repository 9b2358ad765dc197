"""Whole configurations drawn from a model: how often the true one is among the most frequent, and their mass.

A configuration is the set of layer clusters that are pruned together. A model of single layer clusters spreads its
samples over configurations that never happen; a joint one does not.

Shape letters: S samples, N layer clusters, G tracksters, k ranks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.pruning_counts import GROUPS
from hitloom.metrics.pruning_rates import size_masks
from hitloom.metrics.summary import proportion_entry
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

MAX_RANK = 20
SAMPLE_DEFINITIONS: dict[str, str] = {
    "top_accuracy": "tracksters whose true configuration is among the k most frequent of the samples / tracksters",
    "top_mass": "mean over tracksters of the share of samples that are one of the k most frequent configurations",
}


class SampleRanks(NamedTuple):
    """Rank of the true configuration (G,), from 1, 0 = never drawn; mass of the k most frequent ones (G, 20)."""

    rank: IntArray
    mass: FloatArray


def sample_ranks(*, samples: ArrayLike, to_prune: ArrayLike, trackster: ArrayLike, num_tracksters: int) -> SampleRanks:
    """Rank the configurations of each trackster by how often they were drawn.

    Configurations drawn equally often stand in an order that does not know the truth.

    Parameters
    ----------
    samples : (S, N) bool
        True = pruned.
    to_prune, trackster : (N,)
        Truth and row of the trackster.

    Raises
    ------
    DataError
        When there is no sample, or their length is not that of the truth.

    Examples
    --------
    >>> found = sample_ranks(samples=[[1, 0], [1, 0], [0, 0]], to_prune=[0, 0], trackster=[0, 0], num_tracksters=1)
    >>> found.rank.tolist(), found.mass[0, :2].round(2).tolist()
    ([2], [0.67, 1.0])
    """
    drawn, truth = np.asarray(samples, dtype=np.bool_), np.asarray(to_prune, dtype=np.bool_)
    row = np.asarray(trackster, dtype=np.int64)
    if drawn.ndim != 2 or not len(drawn) or drawn.shape[1] != len(truth) or len(truth) != len(row):
        raise DataError(
            f"samples: {drawn.shape} came for {len(truth)} layer clusters; wanted (samples, layer clusters)"
        )
    # One random number a layer cluster: the sum over those pruned tells configurations apart (Zobrist's hashing).
    keys = np.random.default_rng(0).integers(1, 2**63, size=len(truth), dtype=np.uint64)
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(num_tracksters))
    ends = np.searchsorted(row[order], np.arange(num_tracksters), side="right")

    def hashes(mask: BoolArray) -> Any:
        sums = np.zeros((len(mask), len(truth) + 1), dtype=np.uint64)
        np.cumsum(np.where(mask, keys, np.uint64(0))[:, order], axis=1, out=sums[:, 1:])
        return sums[:, ends] - sums[:, starts]  # wraps around, as it should

    table, true = hashes(drawn), hashes(truth[None])[0]
    rank, mass = np.zeros(num_tracksters, dtype=np.int64), np.zeros((num_tracksters, MAX_RANK))
    for place in range(num_tracksters):
        found, number = np.unique(table[:, place], return_counts=True)
        falling = np.argsort(-number, kind="stable")
        top = np.cumsum(number[falling][:MAX_RANK]) / len(drawn)
        mass[place] = np.pad(top, (0, MAX_RANK - len(top)), mode="edge")
        where = np.flatnonzero(found[falling] == true[place])
        rank[place] = where[0] + 1 if len(where) else 0
    return SampleRanks(rank, mass)


def sample_block(ranks: SampleRanks, *, num_points: IntArray, groups: dict[str, BoolArray]) -> dict[str, Any]:
    """Return ``top_accuracy`` and ``top_mass`` for k = 1 to 20, in groups of tracksters and by size.

    Parameters
    ----------
    num_points : (G,) int
        Layer clusters of each trackster.
    groups : dict of (G,) bool
        By the names of :data:`~hitloom.metrics.pruning_counts.GROUPS`.
    """

    def entry(mask: BoolArray) -> dict[str, Any]:
        rank, total = ranks.rank[mask], int(mask.sum())
        hits = [int(((rank > 0) & (rank <= k)).sum()) for k in range(1, MAX_RANK + 1)]
        mean = ranks.mass[mask].mean(0) if total else np.full(MAX_RANK, np.nan)
        return {
            "num_tracksters": total,
            "top_accuracy": [proportion_entry(hit, total, SAMPLE_DEFINITIONS["top_accuracy"]) for hit in hits],
            "top_mass": [None if np.isnan(value) else float(value) for value in mean],
        }

    return {
        "definitions": SAMPLE_DEFINITIONS,
        "groups": {name: entry(mask) for name, mask in groups.items() if name in GROUPS},
        "by_size": [{"label": text} | entry(mask) for text, _, _, mask in size_masks(num_points)],
    }
