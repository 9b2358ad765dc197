"""How far two partitions of the same points agree, by counting pairs of points.

A point without a label (-1) is a group of its own: a pair of unassigned points is not joined.
Shape letters: N points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError

IntArray = NDArray[np.int64]

DEFINITIONS = {
    "rand_index": (
        "adjusted Rand index of the two partitions, from pairs of points (1 = the same, 0 = as by chance); an "
        "unassigned point is a group of its own"
    ),
    "kept_pairs": "pairs of points joined in both partitions / pairs joined in the first",
    "gained_pairs": "pairs of points joined in the second partition only / pairs joined in the second",
}


def partition_change(first: ArrayLike, second: ArrayLike) -> dict[str, float]:
    """Compare two labellings (N,) of the same points.

    Returns
    -------
    dict
        ``rand_index``, ``kept_pairs`` and ``gained_pairs`` as in :data:`DEFINITIONS` (NaN where no pair is joined),
        ``joined_pairs_first``, ``joined_pairs_second`` and ``joined_pairs_both``.

    Raises
    ------
    DataError
        When the labellings are of different length.

    Examples
    --------
    >>> partition_change([0, 0, 1, -1], [5, 5, 5, -1])["kept_pairs"]
    1.0
    """
    a, b = _alone(first), _alone(second)
    if a.shape != b.shape:
        raise DataError(f"partitions of {a.size} and of {b.size} points cannot be compared")
    pairs_a, pairs_b = _pairs(np.unique(a, return_counts=True)[1]), _pairs(np.unique(b, return_counts=True)[1])
    width = int(b.max(initial=0)) + 1
    both = _pairs(np.unique(a * width + b, return_counts=True)[1])
    total = a.size * (a.size - 1) // 2
    return {
        "rand_index": _adjusted(both, pairs_a, pairs_b, total),
        "kept_pairs": both / pairs_a if pairs_a else float("nan"),
        "gained_pairs": (pairs_b - both) / pairs_b if pairs_b else float("nan"),
        "joined_pairs_first": float(pairs_a),
        "joined_pairs_second": float(pairs_b),
        "joined_pairs_both": float(both),
    }


def _alone(labels: ArrayLike) -> IntArray:
    """Return labels counted from 0 in which every unassigned point has one of its own."""
    found = np.asarray(labels, dtype=np.int64).copy()
    none = found < 0
    found[none] = int(found.max(initial=-1)) + 1 + np.arange(int(none.sum()))
    return np.unique(found, return_inverse=True)[1].astype(np.int64).reshape(found.shape)


def _pairs(sizes: IntArray) -> int:
    """Return the number of pairs within groups of these sizes."""
    return int((sizes.astype(np.int64) * (sizes - 1) // 2).sum())


def _adjusted(both: int, pairs_a: int, pairs_b: int, total: int) -> float:
    """Return the adjusted Rand index (Hubert and Arabie, J. Classif. 2 (1985) 193) of counts of pairs."""
    if both == pairs_a == pairs_b:
        return 1.0
    expected = pairs_a * pairs_b / total
    return (both - expected) / (0.5 * (pairs_a + pairs_b) - expected)
