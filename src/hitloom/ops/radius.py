"""All pairs of points within a radius, exact, within batch elements.

N points, D dimensions, E ordered pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hitloom.errors import ConfigError, DataError, nearest
from hitloom.ops._checks import check_batch, check_points, check_radius, check_rows

RADIUS_METHODS = ("auto", "leaf", "blocked")
MAX_PAIRS = 200_000_000  # 20 bytes each while they are collected


@dataclass(frozen=True, slots=True)
class RadiusGraph:
    """Neighbours within a radius, row by row, nearest first.

    Attributes
    ----------
    indptr
        (N + 1,) int64: the neighbours of point i are at ``indptr[i]:indptr[i + 1]``.
    index
        (E,) int64 row of the neighbour.
    distance
        (E,) float32 Euclidean distance.
    """

    indptr: Tensor
    index: Tensor
    distance: Tensor

    @property
    def degree(self) -> Tensor:
        """(N,) number of neighbours of each point."""
        return self.indptr.diff()

    @property
    def num_edges(self) -> int:
        """Number of pairs."""
        return len(self.index)

    def centre(self) -> Tensor:
        """(E,) row of the point that each entry belongs to."""
        return torch.repeat_interleave(self.degree, output_size=len(self.index))

    def edge_index(self) -> Tensor:
        """(2, E) edges from neighbour (row 0, source) to centre (row 1, target), sorted by target, then distance."""
        return torch.stack([self.index, self.centre()])


def radius_graph(
    x: Tensor,
    r: float,
    *,
    batch: Tensor | None = None,
    max_neighbours: int | None = None,
    once: bool = False,
    max_pairs: int = MAX_PAIRS,
    method: str = "auto",
) -> RadiusGraph:
    """Find all ordered pairs i != j of the same batch element with distance <= ``r``.

    Parameters
    ----------
    x
        (N, D) points, any floating type, finite; distances are float32 and compared with float32(r).
    r
        Radius, inclusive.
    batch
        (N,) batch element of each point, any order.
    max_neighbours
        Keep only the nearest this many of each point (ties by index).
    once
        Keep each unordered pair once, at its lower row; not together with ``max_neighbours``.
    max_pairs
        Refuse a graph with more ordered pairs than this instead of filling the memory.
    method
        ``leaf`` (compiled, CPU) or ``blocked`` (torch, any device); ``auto`` takes the one for the device of ``x``.

    Raises
    ------
    DataError
        On bad points, a bad radius, or more than ``max_pairs`` pairs.
    ConfigError
        On an unknown method or options that exclude each other.

    Examples
    --------
    >>> radius_graph(torch.tensor([[0.0], [1.0], [3.0]]), 2.0).edge_index().tolist()
    [[1, 0, 2, 1], [0, 1, 1, 2]]
    """
    if method not in RADIUS_METHODS:
        raise ConfigError(f"radius_graph: unknown method '{method}'.{nearest(method, RADIUS_METHODS)}")
    if once and max_neighbours is not None:
        raise ConfigError("radius_graph: came with once and max_neighbours, wanted one of them; mend: drop one")
    if max_neighbours is not None and max_neighbours < 0:
        raise ConfigError(f"radius_graph: max_neighbours came as {max_neighbours}, wanted >= 0; mend: raise it")
    x = check_points(x, "x")
    batch = check_rows(batch, len(x), "batch", torch.int64)
    r = check_radius(r, "r")
    if method == "blocked" or (method == "auto" and x.device.type != "cpu"):
        found = _blocked(x, r, batch, max_pairs)
    else:
        found = _leaf(x, r, batch, max_pairs)
    if found is None:
        raise DataError(
            f"radius_graph: r = {r:g} gives more than {max_pairs} pairs among {len(x)} points; "
            "mend: a smaller r, or a larger max_pairs where memory allows"
        )
    graph = RadiusGraph(*found)
    if once:
        return _select(graph, graph.index > graph.centre())
    if max_neighbours is not None:
        rank = torch.arange(graph.num_edges, device=x.device) - graph.indptr[graph.centre()]
        return _select(graph, rank < max_neighbours)
    return graph


def _select(graph: RadiusGraph, keep: Tensor) -> RadiusGraph:
    """Return the graph of the entries ``keep`` (E,)."""
    total = torch.nn.functional.pad(keep.cumsum(0), (1, 0))
    return RadiusGraph(indptr=total[graph.indptr], index=graph.index[keep], distance=graph.distance[keep])


def _leaf(x: Tensor, r: float, batch: Tensor | None, max_pairs: int) -> tuple[Tensor, Tensor, Tensor] | None:
    from hitloom.ops._keys import unpack
    from hitloom.ops._leaf_radius import leaf_pairs
    from hitloom.ops._leaf_tree import build_tree

    element, num_batch = check_batch(batch, len(x))
    tree = build_tree(x.cpu().numpy(), None, element, num_batch)
    found = leaf_pairs(tree, len(x), r, max_pairs)
    if found is None:
        return None
    index, distance = unpack(found[1])
    return tuple(torch.from_numpy(part).to(x.device) for part in (found[0], index, distance))  # type: ignore[return-value]


def _blocked(x: Tensor, r: float, batch: Tensor | None, max_pairs: int) -> tuple[Tensor, Tensor, Tensor] | None:
    from hitloom.ops._blocked import blocked_pairs

    centre, other, square, seen = blocked_pairs(x, r, batch=batch, max_pairs=max_pairs)
    if seen > max_pairs:
        return None
    order = other.argsort(stable=True)
    order = order[square[order].argsort(stable=True)]
    order = order[centre[order].argsort(stable=True)]
    indptr = torch.zeros(len(x) + 1, dtype=torch.int64, device=x.device)
    indptr[1:] = torch.bincount(centre, minlength=len(x)).cumsum(0)
    return indptr, other[order], square[order].sqrt()
