"""Which tracksters of a sample are worth looking at: the same ones whoever asks.

Shape letters: G tracksters.
"""

from __future__ import annotations

import numpy as np

from hitloom.metrics.pruning_counts import Counts, num_points, num_to_prune
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

BEST, WORST, TYPICAL = "largest gain", "largest loss", "typical"


def gains(counts: Counts) -> FloatArray:
    """Return (G,): energy pruned rightly minus energy pruned wrongly."""
    return np.asarray(counts["energy_pruned_right"] - (counts["energy_to_keep"] - counts["energy_kept_right"]))


def chosen_tracksters(counts: Counts, event_id: IntArray, number: int) -> list[tuple[int, str]]:
    """Return rows and reasons: typical tracksters, those that gained most, those that went most wrong.

    Typical: of those with a layer cluster to prune, nearest to the median in size and in the share of energy gained.
    Wrong: most energy decided wrongly. Of equals the lowest event id; none is taken twice.
    """
    gain = gains(counts)
    wrong = counts["energy"] - counts["energy_kept_right"] - counts["energy_pruned_right"]
    size = num_points(counts).astype(np.float64)
    share = gain / np.maximum(counts["energy"], 1e-12)
    some: BoolArray = num_to_prune(counts) > 0
    far = np.full(len(size), np.inf)
    if some.any():
        far[some] = _distance(np.log(size[some])) + _distance(share[some])
    orders = {TYPICAL: far, BEST: -gain, WORST: -wrong}
    ranked = {why: iter(np.lexsort((event_id, value)).tolist()) for why, value in orders.items()}
    taken: list[tuple[int, str]] = []
    rows: set[int] = set()
    while len(taken) < min(number, len(size)):
        why = list(orders)[len(taken) % len(orders)]
        row = next(row for row in ranked[why] if row not in rows)
        rows.add(row)
        taken.append((row, why))
    return sorted(taken, key=lambda item: list(orders).index(item[1]))


def _distance(values: FloatArray) -> FloatArray:
    """Return the distance to the median, in units of its own median."""
    distance = np.abs(values - np.median(values))
    return np.asarray(distance / max(float(np.median(distance)), 1e-9))
