"""Connected accessory clustering: from similarities of pairs to groups, small clusters never joining two of them.

What the shower growing of Pandora does with the similarity of 2D clusters. Clusters with many hits (core) are joined
where they are similar, directly or through other core clusters. Clusters with few hits (accessories) then follow the
group that they resemble most: a wrong one cannot bridge two particles.

Shape letters: N clusters, G groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.errors import DataError
from hitloom.grouping._accessory import join_accessories, join_connected, least_between
from hitloom.grouping._labels import numbered

Matrix = Tensor | NDArray[Any]
Thing = TypeVar("Thing")


def connected_accessory(
    similarity: Matrix, num_hits: Matrix, *, threshold: float, accessory_max_hits: int = 2
) -> Tensor:
    """Group clusters by connected accessory clustering.

    A pair is joined when its similarity is above the threshold, strictly, compared in the precision of the matrix.

    1. Core clusters (more than ``accessory_max_hits`` hits) that are joined, directly or through others, are groups.
    2. Every accessory looks for the largest similarity to any member of a group, and joins that group when it is above
       the threshold; of equal values the group with the lowest core cluster wins. All join at once; then the next
       round begins, in which those that joined are members too, until nothing joins.
    3. Accessories left over form groups among themselves; single ones stay alone.

    The groups do not depend on the order of the clusters, but for exactly equal similarities.

    Parameters
    ----------
    similarity : (N, N) float
        Symmetric. The diagonal is not read.
    num_hits : (N,) int
        All hits of each cluster.
    threshold : float
    accessory_max_hits : int

    Returns
    -------
    (N,) int64
        Group of each cluster, counted from 0 by the lowest cluster of each group.

    Raises
    ------
    DataError
        When the shapes do not fit or the similarity is not a number.

    Examples
    --------
    A cluster of one hit resembles both others, which differ: it follows one and joins not both.

    >>> similarity = torch.tensor([[1.0, 0.1, 0.8], [0.1, 1.0, 0.9], [0.8, 0.9, 1.0]])
    >>> connected_accessory(similarity, torch.tensor([9, 9, 1]), threshold=0.6).tolist()
    [0, 1, 1]
    """
    values, hits = checked_similarity(similarity, num_hits)
    cut = values.dtype.type(threshold)
    labels = np.full(len(hits), -1, np.int64)
    core = np.flatnonzero(hits > accessory_max_hits)
    count = join_connected(values, cut, core, labels, 0)
    left = join_accessories(values, cut, core, np.flatnonzero(hits <= accessory_max_hits), labels)
    join_connected(values, cut, left, labels, count)
    return numbered(torch.from_numpy(labels))


def two_stage(
    similarity: Matrix, num_hits: Matrix, *, threshold: float, second_threshold: float, accessory_max_hits: int = 2
) -> Tensor:
    """Group clusters, then group the groups at a lower threshold.

    Two groups are as similar as the least similar pair of their members, and have the hits of all members. With a
    second threshold that is not below the first one, the second stage changes nothing. Pandora gives the second
    threshold as a multiple of the first: :func:`scaled_threshold`.

    Parameters, result and errors are those of :func:`connected_accessory`.
    """
    first = connected_accessory(similarity, num_hits, threshold=threshold, accessory_max_hits=accessory_max_hits)
    if second_threshold >= threshold or not len(first):
        return first
    values, hits = checked_similarity(similarity, num_hits)
    num_groups = int(first.max()) + 1
    least = least_between(values, first.numpy(), num_groups)
    total = np.zeros(num_groups, np.int64)
    np.add.at(total, first.numpy(), hits)
    second = connected_accessory(least, total, threshold=second_threshold, accessory_max_hits=accessory_max_hits)
    return compose(first, second)


def scaled_threshold(threshold: float, beta: float) -> float:
    """Return the threshold of the second stage, ``beta`` times the first; from 1 on the second stage does nothing."""
    return threshold if beta >= 1 else threshold * beta


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Return the group (N,) of each cluster after the groups ``first`` (N,) were grouped by ``second`` (G,).

    Raises
    ------
    DataError
        When ``first`` names groups that ``second`` does not hold.

    Examples
    --------
    >>> compose(torch.tensor([0, 1, 2, 1]), torch.tensor([0, 1, 0])).tolist()
    [0, 1, 0, 1]
    """
    num_groups = int(first.max()) + 1 if len(first) else 0
    if num_groups != len(second):
        raise DataError(f"labels: {num_groups} groups came, and {len(second)} labels of groups")
    return numbered(second[first].cpu()) if num_groups else first


@dataclass(frozen=True)
class Iterated:
    """Groups of clusters after repeated grouping and merging.

    Attributes
    ----------
    labels : (N,) int64
        Group of each of the first clusters.
    history : list of (N,) int64
        The groups after each iteration that merged something.
    converged : bool
        Whether the last grouping merged nothing; False = stopped by the number of iterations.
    """

    labels: Tensor
    history: list[Tensor]
    converged: bool


def iterate_groups(
    event: Thing,
    *,
    group: Callable[[Thing], Tensor],
    merge: Callable[[Thing, Tensor], Thing],
    max_iterations: int,
) -> Iterated:
    """Group clusters, merge them, and group the merged ones again until nothing merges.

    Parameters
    ----------
    event
        One wire view (or anything that ``group`` and ``merge`` understand).
    group
        Returns the group (N,) of each cluster: prediction and grouping.
    merge
        Returns the event whose clusters are those groups, in the order of their numbers.
    max_iterations
        Largest number of groupings.
    """
    history: list[Tensor] = []
    for _ in range(max(1, max_iterations)):
        labels = numbered(group(event).cpu())
        total = compose(history[-1], labels) if history else labels
        if len(torch.unique(labels)) == len(labels):
            return Iterated(total, history, converged=True)
        history.append(total)
        event = merge(event, labels)
    return Iterated(history[-1], history, converged=False)


def checked_similarity(similarity: Matrix, num_hits: Matrix) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the matrix (N, N), float32 or float64 without a copy where it can be, and the numbers of hits (N,).

    Raises
    ------
    DataError
        When the shapes do not fit or the similarity is not a number.
    """
    matrix = torch.as_tensor(similarity).detach().cpu()
    hits = torch.as_tensor(num_hits).detach().cpu()
    if hits.ndim != 1 or hits.is_floating_point() or matrix.shape != (len(hits), len(hits)):
        raise DataError(
            f"similarity {tuple(matrix.shape)} and num_hits {hits.dtype} {tuple(hits.shape)}: "
            "float (N, N) and integer (N,) were wanted"
        )
    if matrix.dtype not in (torch.float32, torch.float64):
        matrix = matrix.float()
    if not bool(matrix.sum().isfinite()) and not bool(matrix.isfinite().all()):
        row = int((~matrix.isfinite()).any(1).to(torch.uint8).argmax())
        raise DataError(f"similarity: row {row} came with nan or infinity; mend: train with a lower rate")
    return matrix.contiguous().numpy(), hits.to(torch.int64).numpy()
