"""The candidate graph of tracksters: pairs close in (eta, phi), from the smaller to the larger |z|.

Each endcap (sign of eta; eta = 0 belongs to none) is covered by tiles in (|eta|, phi): 34 bins over 1.5..3.2 and 126
bins over a full turn; what lies beyond 1.5 or 3.2 counts to the first or last bin. Around each trackster lies a box of
+-0.1 in both, which wraps around in phi. Every trackster in a tile that the box touches is a neighbour, whatever its
distance (below 0.1 plus one bin). The edges lead from each trackster to its neighbours with larger |z|; equal |z| gives
none. So each pair occurs once, and the graph has no cycle. The rule is that of the TICLGraph producer of CMS TICL.

Shape letters: N tracksters, E edges.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError

ETA_MIN, ETA_MAX, NUM_ETA_BINS = 1.5, 3.2, 34
NUM_PHI_BINS = 126
WINDOW = 0.1


def eta_bin(abs_eta: ArrayLike) -> NDArray[np.int64]:
    """Return the bin of |eta|, 0 to 33; values outside 1.5..3.2 go to the nearest bin."""
    place = np.floor((np.asarray(abs_eta, dtype=np.float64) - ETA_MIN) * (NUM_ETA_BINS / (ETA_MAX - ETA_MIN)))
    return np.clip(place, 0, NUM_ETA_BINS - 1).astype(np.int64)


def phi_bin(phi: ArrayLike) -> NDArray[np.int64]:
    """Return the bin of phi, 0 to 125 for -pi..pi, going on below and above: bins count the same modulo 126."""
    return np.floor((np.asarray(phi, dtype=np.float64) + np.pi) * (NUM_PHI_BINS / (2 * np.pi))).astype(np.int64)


def candidate_graph(eta: ArrayLike, phi: ArrayLike, z: ArrayLike) -> NDArray[np.int64]:
    """Return the candidate edges (2, E): inner trackster (smaller |z|) above outer one, sorted by inner, then outer.

    Parameters
    ----------
    eta, phi, z : (N,) float
        Barycentres; z in any unit, signed or not; phi in any turn.

    Raises
    ------
    DataError
        When the three differ in length or hold NaN or infinity.

    Examples
    --------
    >>> candidate_graph([2.0, 2.05, -2.0], [3.14, -3.14, 3.14], [330.0, 380.0, -380.0]).tolist()
    [[0], [1]]
    """
    columns = [np.asarray(values, dtype=np.float64) for values in (eta, phi, z)]
    if any(values.ndim != 1 or values.shape != columns[0].shape for values in columns):
        raise DataError(f"candidate graph: eta, phi and z of one length were wanted, not {[v.shape for v in columns]}")
    for name, values in zip(("eta", "phi", "z"), columns, strict=True):
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise DataError(f"candidate graph: {name} of trackster {row} is {values[row]}; mend or drop the trackster")
    abs_eta, angle, depth = np.abs(columns[0]), columns[1], np.abs(columns[2])
    endcap = np.sign(columns[0]).astype(np.int64)
    tile = np.where(endcap > 0, NUM_ETA_BINS, 0) + eta_bin(abs_eta)
    tile = tile * NUM_PHI_BINS + phi_bin(angle) % NUM_PHI_BINS
    member = np.flatnonzero(endcap != 0)
    member = member[np.argsort(tile[member], kind="stable")]
    start = np.searchsorted(tile[member], np.arange(2 * NUM_ETA_BINS * NUM_PHI_BINS + 1))
    box = np.stack(
        [
            eta_bin(abs_eta - WINDOW),
            eta_bin(abs_eta + WINDOW),
            phi_bin(angle - WINDOW),
            phi_bin(angle + WINDOW),
        ]
    )
    count = np.zeros(len(depth), np.int64)
    _edges(endcap, depth, box, member, start, count, np.zeros((2, 0), np.int64))
    edges = np.empty((2, int(count.sum())), np.int64)
    _edges(endcap, depth, box, member, start, np.cumsum(count) - count, edges)
    return edges


def roots(edge_index: ArrayLike, num_tracksters: int) -> NDArray[np.bool_]:
    """Return (N,): which tracksters have no inner neighbour."""
    first = np.ones(num_tracksters, dtype=np.bool_)
    first[np.asarray(edge_index, dtype=np.int64)[1]] = False
    return first


@njit(cache=True, nogil=True)
def _edges(endcap, depth, box, member, start, count, edges):
    """Fill ``edges`` from the places in ``count`` on; with no room in ``edges``, only add to ``count``."""
    fill = edges.shape[1] > 0
    for i in range(depth.shape[0]):
        if endcap[i] == 0:
            continue
        first = NUM_ETA_BINS if endcap[i] > 0 else 0
        begin = count[i]
        left = box[2, i] % NUM_PHI_BINS
        right = left + box[3, i] - box[2, i]
        for eta in range(box[0, i], box[1, i] + 1):
            row = (first + eta) * NUM_PHI_BINS
            # Bins side by side hold one run of members; a box across phi = +-pi touches two runs.
            for part in range(1 + (right >= NUM_PHI_BINS)):
                begin_tile = row if part else row + left
                end_tile = row + right - NUM_PHI_BINS if part else row + min(right, NUM_PHI_BINS - 1)
                for place in range(start[begin_tile], start[end_tile + 1]):
                    j = member[place]
                    if depth[j] > depth[i]:
                        if fill:
                            edges[0, count[i]] = i
                            edges[1, count[i]] = j
                        count[i] += 1
        if fill:
            _sort(edges[1, begin : count[i]])


@njit(cache=True, nogil=True)
def _sort(values):
    """Sort in place; a few values at a time, for which insertion is fastest."""
    if values.shape[0] > 64:
        values.sort()
        return
    for place in range(1, values.shape[0]):
        value = values[place]
        left = place - 1
        while left >= 0 and values[left] > value:
            values[left + 1] = values[left]
            left -= 1
        values[left + 1] = value
