"""Rooted forests as tensors: the nodes sorted by depth, so that one operation treats a whole level of many trees.

Shape letters: N nodes, E links, G graphs, L levels (depth 0 = roots), W nodes of one level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from hitloom.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Level:
    """The nodes of one depth.

    Attributes
    ----------
    nodes : (W,) int64
        Rows of the nodes.
    links : (W,) int64
        Rows of the links to their parents; empty for the roots.
    place : (W,) int64
        Place of the parent of each node among the nodes of the level above; empty for the roots.
    """

    nodes: Tensor
    links: Tensor
    place: Tensor


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Trees over N nodes, of one graph or of the disjoint union of many.

    Attributes
    ----------
    edge_index : (2, E) int64
        Links, parent above child; E = N - number of roots.
    levels : list of Level
        By rising depth; without nodes there is none.
    graph : (N,) int64
        Graph of each node. A graph may have several roots.
    num_graphs : int
    """

    edge_index: Tensor
    levels: list[Level]
    graph: Tensor
    num_graphs: int

    @property
    def num_nodes(self) -> int:
        return int(self.graph.shape[0])

    @classmethod
    def from_links(
        cls,
        edge_index: Tensor,
        num_nodes: int,
        *,
        graph: Tensor | None = None,
        num_graphs: int = 1,
        describe: Callable[[int], str] = lambda graph: f"graph {graph}",
    ) -> Forest:
        """Sort links (2, E), parent above child, into levels; ``graph`` (N,) int64 says which graph a node is of.

        Raises
        ------
        DataError
            When a link leads outside, a node has two links from above, or links make a circle. The message names the
            graph by ``describe`` of its number.

        Examples
        --------
        >>> forest = Forest.from_links(torch.tensor([[0, 0, 2], [1, 2, 3]]), 5)
        >>> [level.nodes.tolist() for level in forest.levels]
        [[0, 4], [1, 2], [3]]
        """
        if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_index.dtype != torch.int64:
            raise DataError(
                f"forest: links came as {edge_index.dtype} {tuple(edge_index.shape)}, wanted int64 of shape (2, E)"
            )
        if graph is None:
            graph = edge_index.new_zeros(num_nodes)
        parent, child = edge_index
        _check_ends(edge_index, num_nodes)
        number = torch.bincount(child, minlength=num_nodes)
        if bool((number > 1).any()):
            node = int(number.argmax())
            raise DataError(
                f"{describe(int(graph[node]))}: the links are no forest: node {_local(node, graph)} has "
                f"{int(number[node])} links from above, at most one was wanted; mend: another mode, or links as CLUE3D "
                "makes them"
            )
        above = torch.full((num_nodes,), -1, dtype=torch.int64, device=edge_index.device)
        above[child] = parent
        link = torch.zeros_like(above)
        link[child] = torch.arange(child.shape[0], device=child.device)
        depth = _depth(above, graph, describe)
        levels = _sorted_levels(above, link, depth)
        return cls(edge_index=edge_index, levels=levels, graph=graph, num_graphs=num_graphs)


def _check_ends(edge_index: Tensor, num_nodes: int) -> None:
    outside = (edge_index < 0) | (edge_index >= num_nodes)
    if bool(outside.any()):
        raise DataError(f"forest: a link leads to node {int(edge_index[outside][0])}, and there are {num_nodes} nodes")


def _local(node: int, graph: Tensor) -> int:
    """Return the row of a node in its own graph."""
    return int((graph[:node] == graph[node]).sum())


def _depth(above: Tensor, graph: Tensor, describe: Callable[[int], str]) -> Tensor:
    """Return the number of links (N,) from each node up to its root, by jumps of doubled length."""
    num_nodes = above.shape[0]
    end = above.new_full((1,), num_nodes)
    jump = torch.cat([torch.where(above < 0, end, above), end])
    depth = torch.cat([(above >= 0).to(torch.int64), end.new_zeros(1)])
    for _ in range(num_nodes.bit_length()):
        if bool((jump == num_nodes).all()):
            return depth[:-1]
        depth = depth + depth[jump]
        jump = jump[jump]
    circle = jump[:-1] != num_nodes
    if bool(circle.any()):
        node = int(circle.nonzero()[0])
        raise DataError(
            f"{describe(int(graph[node]))}: the links are no forest: node {_local(node, graph)} comes back to a circle "
            "on the way up; mend: another mode, or links as CLUE3D makes them"
        )
    return depth[:-1]


def _sorted_levels(above: Tensor, link: Tensor, depth: Tensor) -> list[Level]:
    order = torch.argsort(depth, stable=True)
    sizes = torch.bincount(depth).tolist()
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    levels, before = [], 0
    for number, (first, last) in enumerate(pairwise(starts)):
        nodes = order[first:last]
        inner = nodes if number else nodes[:0]
        levels.append(Level(nodes=nodes, links=link[inner], place=rank[above[inner]] - before))
        before = first
    return levels
