"""What the edges that end at a node tell it: sums, means, maxima, minima, standard deviations, side by side.

Shape letters: N nodes, E edges, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hitloom.errors import ConfigError, nearest
from hitloom.ops.segments import segment_count, segment_mean, segment_sum

_LEAST_VARIANCE = 1e-5


def check_aggregation(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as a tuple.

    Raises
    ------
    ConfigError
        When there is none, or one is unknown; the message gives the nearest one.
    """
    if isinstance(names, str) or not names:
        raise ConfigError(f"aggregation came as {names!r}, wanted a list of names; mend: for instance ['max', 'sum']")
    for name in names:
        if name not in AGGREGATIONS:
            raise ConfigError(f"aggregation: unknown name '{name}'.{nearest(name, AGGREGATIONS)}")
    return tuple(names)


def aggregate(edges: Tensor, target: Tensor, num_nodes: int, names: Sequence[str]) -> Tensor:
    """Aggregate ``edges`` (E, C) by ``target`` (E,) in every named way, joined in this order: (N, C * names).

    A node where no edge ends gets 0. The standard deviation is that of the edges at hand (divided by their number);
    below a variance of 1e-5 it is 0, as is its gradient. Tied maxima share the gradient evenly.
    """
    return torch.cat([AGGREGATIONS[name](edges, target, num_nodes) for name in names], 1)


def _extreme(edges: Tensor, target: Tensor, num_nodes: int, which: str, start: float) -> Tensor:
    # starting from an infinity instead of leaving the start out: the ONNX operator has no other way
    place = target[:, None].expand_as(edges)
    found = edges.new_full((num_nodes, edges.shape[1]), start).scatter_reduce(0, place, edges, which)
    return torch.where(found == start, 0.0, found)


def _max(edges: Tensor, target: Tensor, num_nodes: int) -> Tensor:
    return _extreme(edges, target, num_nodes, "amax", -torch.inf)


def _min(edges: Tensor, target: Tensor, num_nodes: int) -> Tensor:
    return _extreme(edges, target, num_nodes, "amin", torch.inf)


def _std(edges: Tensor, target: Tensor, num_nodes: int) -> Tensor:
    count = segment_count(target, num_nodes).clamp(min=1).to(edges.dtype)[:, None]
    gap = edges - (segment_sum(edges, target, num_nodes) / count).index_select(0, target)
    variance = segment_sum(gap.square(), target, num_nodes) / count
    spread = variance > _LEAST_VARIANCE
    return torch.where(spread, torch.where(spread, variance, 1.0).sqrt(), 0.0)


AGGREGATIONS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "sum": segment_sum,
    "mean": segment_mean,
    "max": _max,
    "min": _min,
    "std": _std,
}
