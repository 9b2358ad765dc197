"""DBSCAN from one neighbour graph: many radii for the price of one.

Ester et al., "A density-based algorithm for discovering clusters", KDD 1996. Core points and noise are those of the
paper; border points, which the paper gives to whichever cluster finds them first, go to the cluster of their nearest
core point (ties by index), so labels do not depend on the order of the points.

N points, D dimensions, E ordered pairs, L leaves.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.errors import ConfigError
from hitloom.grouping._unions import adopt, join_within, number, scan_labels
from hitloom.ops._checks import check_batch, check_points, check_radius
from hitloom.ops._keys import LARGEST, key_limit, square_limit
from hitloom.ops._leaf_knn import leaf_knn
from hitloom.ops._leaf_radius import leaf_pairs, radius_for
from hitloom.ops._leaf_tree import build_tree

MAX_PAIRS = 32_000_000  # 16 bytes each while they are collected, 8 after


class DBSCANScan:
    """Neighbours within ``eps_max``, kept sorted, from which labels at any smaller radius follow.

    Where the graph at ``eps_max`` would be too large (an embedding that has collapsed has all pairs within reach),
    only the pairs of the largest radius that fits are kept, and larger radii are answered by a search that joins
    points as it meets them and holds no pairs. The labels are the same.

    Parameters
    ----------
    x
        (N, D) points, any floating type, finite; distances are float32 and compared with float32(eps).
    eps_max
        Largest radius that will be asked for.
    batch
        (N,) batch element of each point, any order; clusters never span elements.
    max_pairs
        Ordered pairs to keep at most.
    keep_smaller
        Where there are more at ``eps_max``, keep those of a smaller radius; otherwise none.

    Attributes
    ----------
    eps_stored
        Radius up to which pairs are kept: ``eps_max`` unless there are too many, -1 when none are kept.

    Raises
    ------
    DataError
        On bad points or a bad radius.

    Examples
    --------
    >>> scan = DBSCANScan(torch.tensor([[0.0], [0.1], [0.3], [9.0]]), eps_max=0.5)
    >>> [scan.labels(eps, min_samples=2).tolist() for eps in (0.15, 0.25)]
    [[0, 0, -1, -1], [0, 0, 0, -1]]
    """

    def __init__(
        self,
        x: Tensor,
        *,
        eps_max: float,
        batch: Tensor | None = None,
        max_pairs: int = MAX_PAIRS,
        keep_smaller: bool = True,
    ) -> None:
        self.eps_max = check_radius(eps_max, "eps_max")
        self._device = x.device
        self._x = check_points(x, "x").cpu().numpy()
        self._batch, self._num_batch = check_batch(batch, len(x))
        self._tree = build_tree(self._x, None, self._batch, self._num_batch)
        self._near: NDArray[np.float32] = np.empty((len(x), 0), np.float32)
        reach = radius_for(self._tree, len(x), self.eps_max, max_pairs, num_tries=10 if keep_smaller else 0)
        self._pairs = None if reach is None else leaf_pairs(self._tree, len(x), reach, max_pairs)
        self.eps_stored = -1.0 if reach is None or self._pairs is None else reach

    def labels(self, eps: float, min_samples: int = 3) -> Tensor:
        """Return the cluster of each point (N,) int64, -1 for noise, numbered by lowest member.

        Parameters
        ----------
        eps
            Radius, inclusive, at most ``eps_max``; need not lie on any grid.
        min_samples
            Points within ``eps`` (itself included) that make a core point.

        Raises
        ------
        ConfigError
            When ``eps`` is above ``eps_max`` or ``min_samples`` below 1.
        """
        eps = check_radius(eps, "eps")
        if eps > self.eps_max:
            raise ConfigError(f"eps: came as {eps}, the graph reaches {self.eps_max}; mend: raise eps_max")
        if int(min_samples) != min_samples or min_samples < 1:
            raise ConfigError(f"min_samples: came as {min_samples!r}, wanted a whole number >= 1; mend: raise it")
        if self._pairs is not None and eps <= self.eps_stored:
            labels = scan_labels(*self._pairs, key_limit(eps), int(min_samples))
        else:
            labels = self._search(square_limit(eps), int(min_samples))
        return torch.from_numpy(labels).to(self._device)

    def _search(self, limit: np.float32, min_samples: int) -> NDArray[np.int64]:
        """Return the labels at squared radius ``limit`` without stored pairs."""
        num = len(self._x)
        need = min_samples - 1
        if need > self._near.shape[1]:
            self._near = leaf_knn(
                self._tree, self._tree, need, num_queries=num, exclude_self=True, limit=float(LARGEST)
            )[1]
        core = self._near[:, need - 1] <= limit if need else np.ones(num, np.bool_)
        parent = np.arange(num, dtype=np.int32)
        inner, outer = np.flatnonzero(core), np.flatnonzero(~core)
        tree = self._tree if not len(outer) else build_tree(self._x, inner, self._batch, self._num_batch)
        join_within(tree, limit, parent)
        if len(outer) and len(inner):
            asks = build_tree(self._x, outer, self._batch, self._num_batch)
            owner, _ = leaf_knn(asks, tree, 1, num_queries=num, exclude_self=False, limit=float(limit))
            adopt(parent, outer, owner[outer, 0])
            core = core | (owner[:, 0] >= 0)
        return number(parent, core)


def dbscan(x: Tensor, *, eps: float, min_samples: int = 3, batch: Tensor | None = None) -> Tensor:
    """Return DBSCAN labels (N,) int64 of the points ``x`` (N, D), -1 for noise; see :class:`DBSCANScan`.

    Examples
    --------
    >>> dbscan(torch.tensor([[0.0], [0.1], [0.2], [9.0]]), eps=0.15).tolist()
    [0, 0, 0, -1]
    """
    return DBSCANScan(x, eps_max=eps, batch=batch, keep_smaller=False).labels(eps, min_samples)
