"""From scored edges to tracks: one configuration and one call for every method.

N points, E edges.
"""

from __future__ import annotations

from typing import Literal, get_args

import pydantic
from pydantic import Field
from torch import Tensor

from hitloom.config import Config
from hitloom.grouping.components import components
from hitloom.grouping.walk import walk

Method = Literal["components", "walk"]
METHODS: tuple[str, ...] = get_args(Method)

_SCORE_CUTS = {"components": 0.5, "walk": 0.01}


class WalkConfig(Config):
    """Roads of ``walk``; see :func:`hitloom.grouping.walk.walk`.

    A road steps to the best neighbour scored above ``min_score`` and branches to all others above ``add_score``.
    """

    min_score: float = Field(default=0.1, ge=0, lt=1)
    add_score: float = Field(default=0.6, ge=0, le=1)
    min_chain: int = Field(default=3, ge=2)
    min_road: int = Field(default=2, ge=2)
    prefer: Literal["last", "first"] = "last"
    cc_only: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> WalkConfig:
        if self.add_score < self.min_score:
            raise ValueError(f"add_score {self.add_score} is below min_score {self.min_score}; mend: raise add_score")
        return self


class SegmentationConfig(Config):
    """How scored edges become tracks.

    ``score_cut``: edges must be scored above it to take part; None = the published value of the method (components
    0.5, walk 0.01). ``min_size``: smallest track of ``components``.
    """

    method: Method = "components"
    score_cut: float | None = Field(default=None, ge=0, lt=1)
    min_size: int = Field(default=2, ge=1)
    walk: WalkConfig = WalkConfig()

    @property
    def cut(self) -> float:
        """The score cut in force."""
        return _SCORE_CUTS[self.method] if self.score_cut is None else self.score_cut

    @property
    def loosest_cut(self) -> float:
        """Score up to which no edge can enter a track."""
        return self.cut

    def describe(self) -> str:
        """Return method and cuts in one phrase."""
        if self.method == "walk":
            roads = ", chains only" if self.walk.cc_only else f", min {self.walk.min_score}, add {self.walk.add_score}"
            return f"walk (score > {self.cut}{roads})"
        return f"{self.method} (score > {self.cut})"


def group_edges(
    edge_index: Tensor,
    score: Tensor,
    *,
    num_points: int,
    order: Tensor,
    config: SegmentationConfig,
    tie_key: Tensor | None = None,
) -> Tensor:
    """Return the track (N,) of each point, -1 = none, by the method of ``config``.

    Parameters
    ----------
    edge_index : (2, E) int
    score : (E,) float
        Probability of each edge.
    num_points : int
    order : (N,)
        Grows outwards: r^2 + z^2. Components do not look at it.
    tie_key : (N,) or (N, K) or None
        Tells points of equal order apart; without it their rows decide.

    Raises
    ------
    DataError
        When an edge leaves 0..N-1, a score is no probability, or an order is not finite.

    Examples
    --------
    >>> import torch
    >>> edges, order = torch.tensor([[0, 1], [1, 2]]), torch.arange(3.0)
    >>> config = SegmentationConfig(method="walk")
    >>> group_edges(edges, torch.tensor([0.9, 0.2]), num_points=3, order=order, config=config).tolist()
    [0, 0, 0]
    """
    if config.method == "components":
        return components(edge_index, score, num_points=num_points, score_cut=config.cut, min_size=config.min_size)
    settings = config.walk.model_dump()
    return walk(
        edge_index, score, num_points=num_points, order=order, tie_key=tie_key, score_cut=config.cut, **settings
    )
