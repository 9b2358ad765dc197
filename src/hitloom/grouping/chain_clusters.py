"""Thin 2D clusters of the hits on wires, after the rules of Pandora's creation of track clusters.

Each hit looks for the nearest hit on the next wires; hits that choose each other form chains. Chains break where a
branch is as good as the first choice, so showers fall into many pieces. The rules follow the published algorithm
(J. S. Marshall and M. A. Thomson, arXiv:1506.05348; detail in the MicroBooNE paper arXiv:1708.03135); joining collinear
chains end to end stands for its later steps.

M hits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hitloom.config import Config
from hitloom.grouping import _chain_kernels as kernels


class ChainConfig(Config):
    """Thin 2D clusters; lengths in cm, multiplied by the pitch of the view over the smallest of the three.

    Parameters
    ----------
    max_gap_layers
        Wires that a link may skip.
    max_separation, min_separation, close_separation
        Longest link; nearer hits of a wire are set aside; longest secondary link.
    min_energy
        MIP; weaker hits do not take part and stay without a cluster.
    min_secondary_steps
        A branch of so many hits breaks the chain.
    merge_back
        Whether hits that were set aside join the cluster beside them; else they stay without one.
    associate
        Whether collinear chains are joined end to end.
    max_association_gap, max_association_angle, max_association_offset
        cm between the ends, rad between the directions there, and cm from each end to the line of the other.
    min_association_hits, num_direction_hits
        Chains with fewer hits have no direction; hits at an end that give its direction.
    associate_short
        Whether, after that, a chain without direction may continue one that has a direction.
    """

    max_gap_layers: int = Field(default=2, ge=0)
    max_separation: float = Field(default=1.3, gt=0.0)
    min_separation: float = Field(default=0.4, ge=0.0)
    close_separation: float = Field(default=0.9, ge=0.0)
    min_energy: float = Field(default=0.0, ge=0.0)
    min_secondary_steps: int = Field(default=5, ge=1)
    merge_back: bool = True
    associate: bool = True
    max_association_gap: float = Field(default=3.0, ge=0.0)
    max_association_angle: float = Field(default=0.2, ge=0.0)
    max_association_offset: float = Field(default=0.5, ge=0.0)
    min_association_hits: int = Field(default=3, ge=2)
    num_direction_hits: int = Field(default=6, ge=2)
    associate_short: bool = True

    @model_validator(mode="after")
    def _check(self) -> ChainConfig:
        if self.num_direction_hits < self.min_association_hits:
            raise ValueError("num_direction_hits must not be below min_association_hits")
        return self


def chain_clusters(
    x: NDArray[np.float64],
    w: NDArray[np.float64],
    layer: NDArray[np.int64],
    energy: NDArray[np.float64],
    *,
    config: ChainConfig | None = None,
    scale: float = 1.0,
) -> NDArray[np.int64]:
    """Return the cluster of each hit, (M,) int64, numbered by first appearance; -1 = none.

    With ``merge_back`` and no ``min_energy`` every hit has a cluster: the strongest of near hits is never set aside.
    The order of the hits does not matter, up to exact ties of distance or energy.

    Parameters
    ----------
    x, w : (M,)
        Drift and wire coordinate, cm.
    layer : (M,) int64
        Number of the wire; ``w`` grows with it and is the same for all hits of a wire.
    energy : (M,)
        MIP.
    config
        Parameters; default :class:`ChainConfig`.
    scale
        Pitch of this view over the smallest of the three.
    """
    config = config or ChainConfig()
    labels = np.full(len(x), -1, np.int64)
    used = np.flatnonzero(energy >= config.min_energy)
    order = used[np.lexsort((energy[used], x[used], layer[used]))]
    x, w, energy = (np.ascontiguousarray(values[order], dtype=np.float64) for values in (x, w, energy))
    layer = layer[order]
    layers, first = np.unique(layer, return_index=True)
    first = np.append(first, len(order))
    near = config.min_separation * scale

    aside = kernels.set_aside(x, energy, first, near)
    kept = ~aside
    ahead, behind = _choices(x, w, kept, first, layers, config=config, scale=scale)
    chain, heads, tails = kernels.chain_numbers(ahead, behind, kept)
    if config.merge_back:
        kernels.attach(x, energy, first, aside, chain, near)
    if config.associate:
        rules = (
            config.min_association_hits, config.num_direction_hits, config.max_association_gap * scale,
            config.max_association_angle, config.max_association_offset * scale,
        )  # fmt: skip
        continued = kernels.continued_by(x, w, ahead, behind, heads, tails, *rules, np.empty(0, np.int64))
        if config.associate_short and len(continued):
            continued = kernels.continued_by(x, w, ahead, behind, heads, tails, *rules, continued)
        kernels.rename(chain, continued)
    labels[order] = chain
    return first_seen(labels)


def _choices(
    x: NDArray[np.float64],
    w: NDArray[np.float64],
    kept: NDArray[np.bool_],
    first: NDArray[np.int64],
    layers: NDArray[np.int64],
    *,
    config: ChainConfig,
    scale: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the next and the previous hit of each in its chain, (M,) each, -1 = none."""
    forward, backward = kernels.primary_links(
        x, w, kept, first, layers, config.max_gap_layers, config.max_separation * scale
    )
    close = config.close_separation * scale
    branch_ahead = kernels.secondary_links(x, w, backward, forward, close)
    branch_behind = kernels.secondary_links(x, w, forward, backward, close)
    ahead = kernels.choices(forward, backward, branch_ahead, config.min_secondary_steps)
    behind = kernels.choices(backward, forward, branch_behind, config.min_secondary_steps)
    return kernels.mutual(ahead, behind), kernels.mutual(behind, ahead)


def first_seen(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return labels (M,) numbered 0, 1, ... in the order of first appearance; -1 stays."""
    there = labels >= 0
    _, row, inverse = np.unique(labels[there], return_index=True, return_inverse=True)
    number = np.empty(len(row), np.int64)
    number[np.argsort(row)] = np.arange(len(row))
    result = np.full(len(labels), -1, np.int64)
    result[there] = number[inverse]
    return result
