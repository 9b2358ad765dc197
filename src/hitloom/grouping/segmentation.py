"""From scored edges to tracks: one configuration and one call for every method.

N points, E edges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import pydantic
import torch
from pydantic import Field
from torch import Tensor

from hitloom.config import Config
from hitloom.grouping.components import components
from hitloom.grouping.junctions import junction_removal
from hitloom.grouping.paths import all_simple_paths, shortest_paths
from hitloom.grouping.walk import walk

Method = Literal["components", "walk", "junction-removal", "simple-paths", "shortest-paths"]
METHODS: tuple[str, ...] = get_args(Method)

_SCORE_CUTS = {"walk": 0.01}
_DEFAULT_CUT = 0.5


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


class JunctionConfig(Config):
    """Second pass of ``junction-removal``; see :func:`hitloom.grouping.junctions.junction_removal`.

    ``random_drop``: share of edges lost at random, drawn anew from ``seed`` for every event.
    """

    junction_cut: float = Field(default=0.1, ge=0, lt=1)
    min_chain_length: int = Field(default=3, ge=2)
    random_drop: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)


class PathsConfig(Config):
    """Paths of ``simple-paths`` along edges scored between ``score_cut_low`` and ``score_cut``.

    See :func:`hitloom.grouping.paths.all_simple_paths`.
    """

    score_cut_low: float = Field(default=0.1, ge=0, lt=1)
    min_points: int = Field(default=8, ge=2)
    max_steps: int = Field(default=25, ge=1, le=61)
    max_paths: int = Field(default=1000, ge=1)


class SegmentationConfig(Config):
    """How scored edges become tracks.

    ``score_cut``: edges scored above it are trusted by themselves; None = the published value of the method (walk 0.01,
    else 0.5). Junction removal and simple paths look at weaker edges in a second pass, with cuts of their own.
    ``min_size``: smallest track; ``walk`` has its own lengths.
    """

    method: Method = "components"
    score_cut: float | None = Field(default=None, ge=0, lt=1)
    min_size: int = Field(default=2, ge=1)
    walk: WalkConfig = WalkConfig()
    junctions: JunctionConfig = JunctionConfig()
    paths: PathsConfig = PathsConfig()

    @pydantic.model_validator(mode="after")
    def _check(self) -> SegmentationConfig:
        if self.method == "simple-paths" and self.paths.score_cut_low > self.cut:
            raise ValueError(f"paths.score_cut_low {self.paths.score_cut_low} is above the score cut {self.cut}")
        return self

    @property
    def cut(self) -> float:
        """The score cut in force."""
        return _SCORE_CUTS.get(self.method, _DEFAULT_CUT) if self.score_cut is None else self.score_cut

    @property
    def loosest_cut(self) -> float:
        """Score up to which no edge can enter a track."""
        if self.method == "junction-removal":
            return min(self.cut, self.junctions.junction_cut)
        return min(self.cut, self.paths.score_cut_low) if self.method == "simple-paths" else self.cut

    def describe(self) -> str:
        """Return method and cuts in one phrase."""
        details = {
            "walk": ", chains only" if self.walk.cc_only else f", min {self.walk.min_score}, add {self.walk.add_score}",
            "junction-removal": f", junctions > {self.junctions.junction_cut}",
            "simple-paths": f", paths > {self.paths.score_cut_low}",
        }
        return f"{self.method} (score > {self.cut}{details.get(self.method, '')})"


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
    >>> edges, order = torch.tensor([[0, 1], [1, 2]]), torch.arange(3.0)
    >>> config = SegmentationConfig(method="walk")
    >>> group_edges(edges, torch.tensor([0.9, 0.2]), num_points=3, order=order, config=config).tolist()
    [0, 0, 0]
    """
    size, cut = config.min_size, config.cut
    if config.method == "components":
        return components(edge_index, score, num_points=num_points, score_cut=cut, min_size=size)
    build: Callable[..., Tensor]
    if config.method == "walk":
        build = partial(walk, score_cut=cut, **config.walk.model_dump())
    elif config.method == "junction-removal":
        settings = config.junctions.model_dump(exclude={"seed"})
        generator = torch.Generator().manual_seed(config.junctions.seed)
        build = partial(junction_removal, score_cut=cut, min_size=size, generator=generator, **settings)
    elif config.method == "simple-paths":
        build = partial(all_simple_paths, score_cut_high=cut, min_size=size, **config.paths.model_dump())
    else:
        build = partial(shortest_paths, score_cut=cut, min_size=size)
    return build(edge_index, score, num_points=num_points, order=order, tie_key=tie_key)
