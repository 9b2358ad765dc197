"""The edges of one graph as a network walks over them: sorted by target, each once or in both directions.

Shape letters: N nodes, E edges as given, D as fed (E, or 2E in both directions), F node features, G edge features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hitloom.errors import DataError
from hitloom.nn.fused import is_traced


@dataclass(frozen=True)
class EdgeGraph:
    """Edges as fed: ``source`` and ``target`` (D,), and ``place`` (D,), where each given edge is among them.

    Given edge j is fed edge ``place[j]``; its reverse, in both directions, is ``place[E + j]``. ``place`` None: the
    edges are fed as given.
    """

    source: Tensor
    target: Tensor
    num_nodes: int
    both_directions: bool
    place: Tensor | None

    @cached_property
    def degree(self) -> Tensor:
        """Number of edges (N,) that end at each node."""
        return torch.bincount(self.target, minlength=self.num_nodes)

    @cached_property
    def out_degree(self) -> Tensor:
        """Number of edges (N,) that start at each node."""
        return torch.bincount(self.source, minlength=self.num_nodes)

    def feed(self, edge_attr: Tensor) -> Tensor:
        """Return the attributes (D, G) of the edges as fed, from (E, G); both directions have the same."""
        if self.both_directions:
            edge_attr = torch.cat([edge_attr, edge_attr])
        if self.place is None:
            return edge_attr
        return torch.empty_like(edge_attr).index_copy(0, self.place, edge_attr)

    def attributes(self, edge_attr: Tensor | None) -> list[Tensor]:
        """Return the attributes of the edges as fed, as a list of one or none."""
        return [] if edge_attr is None else [self.feed(edge_attr)]

    def collect(self, logit: Tensor) -> Tensor:
        """Return the logit (E,) of each given edge from (D,): the mean of its two directions if both were fed."""
        if self.place is not None:
            logit = logit.index_select(0, self.place)
        if not self.both_directions:
            return logit
        num_edges = logit.shape[0] // 2
        return (logit[:num_edges] + logit[num_edges:]) * 0.5


def unsorted_graph(edge_index: Tensor, num_nodes: int, *, both_directions: bool) -> EdgeGraph:
    """Return the edges of ``edge_index`` (2, E) in their own order, then the reversed ones if both are fed."""
    source, target = edge_index[0], edge_index[1]
    if both_directions:
        source, target = torch.cat([source, target]), torch.cat([target, source])
    return EdgeGraph(source, target, num_nodes, both_directions, None)


def make_graph(edge_index: Tensor, num_nodes: int, *, both_directions: bool) -> EdgeGraph:
    """Return the edges of ``edge_index`` (2, E), sorted by target unless a graph is being traced."""
    graph = unsorted_graph(edge_index, num_nodes, both_directions=both_directions)
    if is_traced():
        return graph
    order, place = _order(graph.target.detach(), num_nodes)
    return EdgeGraph(graph.source[order], graph.target[order], num_nodes, both_directions, place)


def _order(target: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Return the edges sorted by target (D,), and the place (D,) of each among them."""
    if target.device.type == "cpu":
        from hitloom.nn._edge_kernels import sort_by_target

        order, place = sort_by_target(target.contiguous().numpy(), num_nodes)
        return torch.from_numpy(order), torch.from_numpy(place)
    order = torch.argsort(target, stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    return order, place


def check_inputs(
    x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, num_node_features: int, num_edge_features: int
) -> None:
    """Raise :class:`DataError` naming the first input of an edge network that is not what it should be."""
    if is_traced():
        return
    if x.ndim != 2 or x.shape[1] != num_node_features or not x.is_floating_point():
        raise DataError(
            f"x: came as {x.dtype} {tuple(x.shape)}, wanted float32 (N, {num_node_features}); mend: the features that "
            "the network was made for"
        )
    if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_index.dtype != torch.int64:
        raise DataError(
            f"edge_index: came as {edge_index.dtype} {tuple(edge_index.shape)}, wanted int64 (2, E); mend: one column "
            "for each edge"
        )
    num_edges = edge_index.shape[1]
    given = "None" if edge_attr is None else f"{edge_attr.dtype} {tuple(edge_attr.shape)}"
    if (edge_attr is None) != (num_edge_features == 0) or (
        edge_attr is not None and edge_attr.shape != (num_edges, num_edge_features)
    ):
        wanted = f"float32 ({num_edges}, {num_edge_features})" if num_edge_features else "None"
        raise DataError(
            f"edge_attr: came as {given}, wanted {wanted}; mend: the edge features that the network was made for"
        )
    if num_edges:
        low, high = int(edge_index.min()), int(edge_index.max())
        if low < 0 or high >= x.shape[0]:
            raise DataError(
                f"edge_index: holds {low if low < 0 else high}, wanted a row of x (from 0 to {x.shape[0] - 1}); mend: "
                "edges between the nodes given"
            )
