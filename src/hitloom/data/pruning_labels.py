"""Which layer clusters do not belong to their trackster: the label of pruning from lists of simulated tracksters.

The simulated trackster that the layer clusters of a trackster name most often is the one that it stands for; a layer
cluster whose own list lacks it is to prune. N layer clusters of one trackster, k places of a list, A shares.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError, nearest

MAJORITIES = ("count", "energy")
ALL_NOISE = ("keep", "drop")
NONE = -1
Majority = Literal["count", "energy"]
AllNoise = Literal["keep", "drop"]


def majority_object(
    sim_index: ArrayLike, *, energy: ArrayLike | None = None, shares: ArrayLike | None = None, majority: str = "count"
) -> int:
    """Return the simulated trackster that a trackster stands for; -1 when all its lists are empty.

    Parameters
    ----------
    sim_index : (N, k) or (N,) int
        Simulated tracksters of each layer cluster; -1 = none.
    energy : (N,) float or None, GeV
        Of the layer clusters; needed for the majority by energy.
    shares : (N, k) float or None
        Share of the layer cluster that each simulated trackster made; None = 1. Of no meaning for the count.
    majority : {"count", "energy"}
        ``count``: every place of a list counts once. ``energy``: it counts as the energy of its layer cluster times
        the share. Of equals the smallest index wins.

    Raises
    ------
    DataError
        When the majority is unknown, or an argument is missing, of another shape, negative or not finite.

    Examples
    --------
    >>> majority_object([[4, 7], [7, -1], [-1, -1]])
    7
    """
    index = _lists(sim_index)
    weight = _weights(index, energy, shares, majority)
    listed = index != NONE
    names, place = np.unique(index[listed], return_inverse=True)
    if not len(names):
        return NONE
    return int(names[np.argmax(np.bincount(place, weight[listed], len(names)))])


def majority_labels(
    sim_index: ArrayLike,
    *,
    energy: ArrayLike | None = None,
    shares: ArrayLike | None = None,
    majority: str = "count",
    all_noise: str = "keep",
) -> NDArray[np.int64] | None:
    """Return (N,) labels: 1 = the layer cluster's list lacks the trackster's :func:`majority_object`, else 0.

    A layer cluster with an empty list is thus pruned, unless all lists are empty: then there is nothing to prune from.

    Parameters
    ----------
    sim_index, energy, shares, majority
        As in :func:`majority_object`.
    all_noise : {"keep", "drop"}
        What becomes of a trackster whose lists are all empty: all its labels are 0, or None is returned.

    Raises
    ------
    DataError
        As in :func:`majority_object`, or when ``all_noise`` is unknown.

    Examples
    --------
    >>> majority_labels([[4, 7], [7, -1], [-1, -1]]).tolist()
    [0, 0, 1]
    """
    if all_noise not in ALL_NOISE:
        raise DataError(f"unknown all_noise '{all_noise}'.{nearest(all_noise, ALL_NOISE)}")
    index = _lists(sim_index)
    chosen = majority_object(index, energy=energy, shares=shares, majority=majority)
    if chosen == NONE:
        return np.zeros(len(index), dtype=np.int64) if all_noise == "keep" else None
    return 1 - (index == chosen).any(1).astype(np.int64)


def largest_shares(
    share_index: ArrayLike, share_fraction: ArrayLike, *, num_points: int, num_listed: int = 3, min_share: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return lists and shares (N, k), largest share first, of shares that are given one by one; -1 and 0 = none.

    Parameters
    ----------
    share_index : (2, A) int
        Row of the layer cluster above the simulated trackster; each pair once.
    share_fraction : (A,) float
    num_listed : int
        Places k of a list; smaller shares are left out. Of equal shares the smaller index comes first.
    min_share : float
        Shares below are left out, and shares of 0.

    Examples
    --------
    >>> largest_shares([[0, 0, 2], [5, 8, 5]], [0.1, 0.9, 1.0], num_points=3, num_listed=2)[0].tolist()
    [[8, 5], [-1, -1], [5, -1]]
    """
    row, name = np.asarray(share_index, dtype=np.int64).reshape(2, -1)
    fraction = np.asarray(share_fraction, dtype=np.float64)
    kept = (fraction > 0) & (fraction >= min_share)
    row, name, fraction = row[kept], name[kept], fraction[kept]
    order = np.lexsort((name, -fraction, row))
    row, name, fraction = row[order], name[order], fraction[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    lists = np.full((num_points, num_listed), NONE, dtype=np.int64)
    shares = np.zeros((num_points, num_listed))
    listed = rank < num_listed
    lists[row[listed], rank[listed]] = name[listed]
    shares[row[listed], rank[listed]] = fraction[listed]
    return lists, shares


def _lists(sim_index: ArrayLike) -> NDArray[np.int64]:
    index = np.asarray(sim_index)
    if index.dtype.kind not in "iu" and index.size:
        raise DataError(f"sim_index: integers were wanted, not {index.dtype}")
    if index.ndim not in (1, 2):
        raise DataError(f"sim_index: shape (N, k) was wanted, not {index.shape}")
    index = index.astype(np.int64).reshape(len(index), -1) if index.size else np.zeros((len(index), 0), np.int64)
    if (index < NONE).any():
        raise DataError(f"sim_index holds {int(index.min())}; wanted indices from 0, or -1 for none")
    return index


def _weights(
    index: NDArray[np.int64], energy: ArrayLike | None, shares: ArrayLike | None, majority: str
) -> NDArray[np.float64]:
    if majority not in MAJORITIES:
        raise DataError(f"unknown majority '{majority}'.{nearest(majority, MAJORITIES)}")
    weight = np.ones(index.shape)
    if majority == "count":
        return weight
    if energy is None:
        raise DataError("majority by energy: the energies of the layer clusters are needed")
    for name, given, shape in (("energy", energy, (len(index), 1)), ("shares", shares, index.shape)):
        if given is None:
            continue
        values = np.asarray(given, dtype=np.float64)
        if values.size != np.prod(shape) or values.shape[:1] != (len(index),):
            raise DataError(f"{name}: one number for each of {shape} was wanted, not shape {values.shape}")
        if not (np.isfinite(values) & (values >= 0)).all():
            raise DataError(f"{name}: finite numbers from 0 were wanted")
        weight = weight * values.reshape(shape)
    return weight
