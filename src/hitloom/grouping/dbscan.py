"""DBSCAN from one neighbour graph: many radii for the price of one.

Ester et al., "A density-based algorithm for discovering clusters", KDD 1996. Border points go to the cluster of
their nearest core point, so labels do not depend on the order of the points.

N points, D dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hitloom.errors import ConfigError, DataError
from hitloom.grouping._unions import scan_labels
from hitloom.ops._checks import check_points, check_positive, check_rows
from hitloom.ops._leaf_radius import key_limit, leaf_pairs
from hitloom.ops._leaf_tree import build_tree

MAX_PAIRS = 64_000_000  # 16 bytes each while they are collected


class DBSCANScan:
    """Neighbours within ``eps_max``, kept sorted, from which labels at any smaller radius follow.

    Parameters
    ----------
    x
        (N, D) points, any floating type, finite.
    eps_max
        Largest radius that will be asked for.
    batch
        (N,) batch element of each point; clusters never span elements.

    Raises
    ------
    DataError
        On bad points or a bad radius.
    """

    def __init__(self, x: Tensor, *, eps_max: float, batch: Tensor | None = None) -> None:
        self.device = x.device
        self.eps_max = check_positive(eps_max, "eps_max")
        x = check_points(x, "x").cpu()
        batch = check_rows(batch, len(x), "batch", torch.int64)
        element, num_batch = None, 1
        if batch is not None:
            values, element = np.unique(batch.cpu().numpy(), return_inverse=True)
            num_batch = max(1, len(values))
        self._tree = build_tree(x.numpy(), np.arange(len(x)), element, num_batch)
        found = leaf_pairs(self._tree, len(x), self.eps_max, MAX_PAIRS)
        if found is None:
            raise DataError(f"dbscan: eps = {eps_max} gives too many pairs; mend: a smaller eps")
        self._pairs = found

    def labels(self, eps: float, min_samples: int = 3) -> Tensor:
        """Return the cluster of each point (N,) int64, -1 for noise, numbered by lowest member.

        Parameters
        ----------
        eps
            Radius, inclusive, at most ``eps_max``.
        min_samples
            Points within ``eps`` (itself included) that make a core point.

        Raises
        ------
        ConfigError
            When ``eps`` is above ``eps_max`` or ``min_samples`` below 1.
        """
        eps = check_positive(eps, "eps")
        if eps > self.eps_max:
            raise ConfigError(f"eps: came as {eps}, the graph reaches {self.eps_max}; mend: raise eps_max")
        if int(min_samples) != min_samples or min_samples < 1:
            raise ConfigError(f"min_samples: came as {min_samples!r}, wanted a whole number >= 1; mend: raise it")
        labels = scan_labels(*self._pairs, key_limit(eps), int(min_samples))
        return torch.from_numpy(labels).to(self.device)


def dbscan(x: Tensor, *, eps: float, min_samples: int = 3, batch: Tensor | None = None) -> Tensor:
    """Return DBSCAN labels (N,) int64 of the points ``x`` (N, D), -1 for noise; see :class:`DBSCANScan`.

    Examples
    --------
    >>> dbscan(torch.tensor([[0.0], [0.1], [0.2], [9.0]]), eps=0.15).tolist()
    [0, 0, 0, -1]
    """
    return DBSCANScan(x, eps_max=eps, batch=batch).labels(eps, min_samples)
