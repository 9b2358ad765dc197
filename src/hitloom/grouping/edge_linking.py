"""From edge scores to linked tracksters: a cut that depends on the energy of the pair, then connected components.

N points, E edges. Energies GeV.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pydantic
import torch
from torch import Tensor

from hitloom.config import Config
from hitloom.errors import ConfigError, DataError, nearest
from hitloom.grouping._labels import checked_edges, checked_scores
from hitloom.grouping.components import union_find


class Thresholds(Config):
    """Cuts on the probability of an edge, by the larger raw energy of its two ends.

    ``cuts``: pairs (largest energy, cut), ascending; the first pair whose energy is above that of the edge holds, so an
    edge at exactly that energy belongs to the next one. The last energy must be infinite. An edge joins its ends when
    its probability is above the cut.

    Examples
    --------
    >>> Thresholds.named("05_08").cuts
    ((50.0, 0.5), (inf, 0.8))
    >>> Thresholds.flat(0.6).cuts
    ((inf, 0.6),)
    """

    cuts: tuple[tuple[float, float], ...] = ((50.0, 0.5), (math.inf, 0.8))

    @pydantic.model_validator(mode="after")
    def _check(self) -> Thresholds:
        energies = [energy for energy, _ in self.cuts]
        if not self.cuts or any(b <= a for a, b in itertools.pairwise(energies)) or energies[0] <= 0:
            raise ValueError(f"cuts {self.cuts}: ascending energies above 0 were wanted, for example ((50, 0.5), ...)")
        if energies[-1] != math.inf:
            raise ValueError(f"cuts {self.cuts}: the last energy must be .inf, so that every edge has a cut")
        if not all(0 <= cut <= 1 for _, cut in self.cuts):
            raise ValueError(f"cuts {self.cuts}: probabilities in 0..1 were wanted")
        return self

    @classmethod
    def flat(cls, cut: float) -> Thresholds:
        """Return one cut for every energy; 0.6 is that of the published network."""
        return cls(cuts=((math.inf, cut),))

    @classmethod
    def named(cls, name: str) -> Thresholds:
        """Return the thresholds "05_08" (0.5 below 50 GeV, 0.8 from there on) or "06" (0.6 everywhere).

        Raises
        ------
        ConfigError
            When there are none of this name.
        """
        known = {"05_08": cls(), "06": cls.flat(0.6)}
        if name not in known:
            raise ConfigError(f"unknown thresholds '{name}'.{nearest(name, known)}")
        return known[name]

    def cut_of(self, largest: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the cut (E,) of edges whose larger end has the energy ``largest`` (E,)."""
        energies = np.array([energy for energy, _ in self.cuts[:-1]], dtype=largest.dtype)
        return np.array([cut for _, cut in self.cuts])[np.searchsorted(energies, largest, side="right")]


def kept_edges(edge_index: Tensor, probability: Tensor, energy: Tensor, thresholds: Thresholds) -> Tensor:
    """Return which edges (E,) bool join their ends; arguments as in :func:`link_edges`."""
    num_points = len(energy)
    edges = checked_edges(edge_index, num_points)
    scores = checked_scores(probability, edges.shape[1])
    raw = energy.detach().cpu().numpy()
    bad = ~np.isfinite(raw)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"energy: point {row} came with {raw[row]}, wanted a finite number")
    cuts = thresholds.cut_of(np.maximum(raw[edges[0]], raw[edges[1]]))
    return torch.from_numpy(scores > cuts.astype(scores.dtype))


def link_edges(
    edge_index: Tensor,
    probability: Tensor,
    energy: Tensor,
    num_points: int,
    thresholds: Thresholds | None = None,
) -> Tensor:
    """Return the partition of the points that the scored edges make.

    Parameters
    ----------
    edge_index : (2, E) int
        Direction and order do not matter.
    probability : (E,) float
        Compared with the cut in its own precision.
    energy : (N,) float
        Raw energy of the points.
    num_points : int
        N.
    thresholds : Thresholds, optional
        None = "05_08".

    Returns
    -------
    (N,) int64
        Labels numbered by the lowest point of each group; every point has one, a single one its own.

    Raises
    ------
    DataError
        When an edge leaves 0..N-1, a probability is none, or an energy is not finite; the message names it.

    Examples
    --------
    >>> edges, p = torch.tensor([[0, 1], [1, 2]]), torch.tensor([0.7, 0.7])
    >>> link_edges(edges, p, torch.tensor([10.0, 20.0, 90.0]), 3).tolist()
    [0, 0, 1]
    """
    if energy.shape != (num_points,):
        raise DataError(f"energy: came with shape {tuple(energy.shape)}, wanted ({num_points},)")
    keep = kept_edges(edge_index, probability, energy, thresholds or Thresholds())
    return union_find(edge_index.detach().cpu()[:, keep], num_points).to(edge_index.device)


def constituents(labels: Tensor) -> list[list[int]]:
    """Return for each group the rows of its points, ascending; points with -1 are in none.

    Examples
    --------
    >>> constituents(torch.tensor([0, 1, 0, -1]))
    [[0, 2], [1]]
    """
    rows = torch.nonzero(labels >= 0).flatten()
    order = rows[torch.argsort(labels[rows], stable=True)]
    sizes = torch.bincount(labels[rows]) if len(rows) else torch.zeros(0, dtype=torch.int64)
    return [part.tolist() for part in torch.split(order, sizes.tolist())] if len(rows) else []
