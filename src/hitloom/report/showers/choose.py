"""Which slices of a sample are worth looking at: the same ones whoever asks.

Shape letters: B views, S slices.
"""

from __future__ import annotations

import numpy as np

from hitloom.metrics.truth import FloatArray
from hitloom.report.showers.columns import ShowerColumns

TYPICAL, BEST, WORST = "typical", "best", "worst"


def chosen_slices(columns: ShowerColumns, index: FloatArray, number: int) -> list[tuple[int, str]]:
    """Return slices and reasons: nearest to the median index, best, worst, and so on in turn.

    The index of a slice is the mean over its views. Of equals the lowest slice; none is taken twice.

    Parameters
    ----------
    index : (B,) float
        Adjusted Rand index of each view, NaN = too few hits.
    """
    slices, row = np.unique(columns.slice, return_inverse=True)
    known = np.isfinite(index)
    number_of = np.bincount(row[known], minlength=len(slices))
    mean = np.bincount(row[known], index[known], minlength=len(slices)) / np.maximum(number_of, 1)
    there = number_of > 0
    median = np.median(mean[there]) if there.any() else 0.0
    keys = {TYPICAL: np.abs(mean - median), BEST: -mean, WORST: mean}
    ranked = {why: [int(place) for place in np.lexsort((slices, key)) if there[place]] for why, key in keys.items()}
    taken: list[tuple[int, str]] = []
    done: set[int] = set()
    while len(taken) < min(number, int(there.sum())):
        why = list(keys)[len(taken) % len(keys)]
        place = next(place for place in ranked[why] if place not in done)
        done.add(place)
        taken.append((int(slices[place]), why))
    return taken
