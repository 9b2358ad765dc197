"""Labels and weights of edges from truth: exact matches of integer keys, on any device.

An edge is true when it or its reverse is a truth edge. Noise never matches anything.
Shape letters: N points, E edges, T truth edges.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.errors import DataError
from hitloom.event import Event


def edge_truth(edge_index: Tensor, truth_edge_index: Tensor, num_points: int) -> Tensor:
    """Return (E,) bool: whether each edge (2, E) is among the truth edges (2, T), in either direction.

    Raises
    ------
    DataError
        When an index is not an integer row of the ``num_points`` points.

    Examples
    --------
    >>> edge_truth(torch.tensor([[0, 1, 2], [1, 0, 2]]), torch.tensor([[1], [0]]), 3).tolist()
    [True, True, False]
    """
    found, _, _ = _match(edge_index, truth_edge_index, num_points)
    return found


def truth_to_edge(edge_index: Tensor, truth_edge_index: Tensor, num_points: int) -> Tensor:
    """Return (T,) int64: the first edge that is each truth edge, in either direction; -1 where there is none.

    Raises
    ------
    DataError
        When an index is not an integer row of the ``num_points`` points.

    Examples
    --------
    >>> truth_to_edge(torch.tensor([[2, 1], [0, 0]]), torch.tensor([[0, 1], [1, 2]]), 3).tolist()
    [1, -1]
    """
    found, place, inverse = _match(edge_index, truth_edge_index, num_points)
    num_edges, num_keys = edge_index.shape[1], int(inverse.max()) + 1 if inverse.numel() else 0
    first = torch.full((num_keys,), num_edges, dtype=torch.int64, device=edge_index.device)
    row = torch.arange(num_edges, device=edge_index.device)[found]
    first.scatter_reduce_(0, place[found], row, "amin")
    return torch.where(first < num_edges, first, -1)[inverse]


def same_object(edge_index: Tensor, event: Event) -> Tensor:
    """Return (E,) bool: whether both ends belong to the same true object; false where either is noise."""
    key = Event.object_key(event)
    source, target = key[edge_index[0]], key[edge_index[1]]
    return (source == target) & (source >= 0)


def truth_edge_weights(event: Event, truth_edge_index: Tensor) -> Tensor:
    """Return (T,) float32: the mean ``point_weight`` of the two points, divided by the mean over the event's edges.

    The weights of an event average to 1; where all points weigh 0 they are 0.

    Raises
    ------
    DataError
        When the points carry no weight.
    """
    if "point_weight" not in event:
        raise DataError(f"{event.describe()}: 'point_weight' is not in the data; weights of truth edges need it")
    raw = event.point_weight.double()[truth_edge_index].mean(dim=0)
    batch = event.batch if "batch" in event else None
    own = torch.zeros_like(truth_edge_index[0]) if batch is None else batch[truth_edge_index[0]]
    size = int(own.max()) + 1 if own.numel() else 0
    total = raw.new_zeros(size).index_add(0, own, raw)
    count = raw.new_zeros(size).index_add(0, own, torch.ones_like(raw))
    mean = (total / count.clamp(min=1))[own]
    return torch.where(mean > 0, raw / mean.clamp(min=1e-300), 0.0).float()


def edge_keys(edge_index: Tensor, num_points: int) -> Tensor:
    """Return (E,) int64, equal for two edges exactly when they join the same two points.

    Raises
    ------
    DataError
        When the edges are not integer rows of the ``num_points`` points in shape (2, E).
    """
    if edge_index.dim() != 2 or edge_index.shape[0] != 2 or edge_index.dtype != torch.int64:
        shape, dtype = tuple(edge_index.shape), edge_index.dtype
        raise DataError(f"edges: shape (2, E) of int64 was wanted, not {shape} of {dtype}")
    low, high = torch.minimum(edge_index[0], edge_index[1]), torch.maximum(edge_index[0], edge_index[1])
    if edge_index.numel() and (int(low.min()) < 0 or int(high.max()) >= num_points):
        wrong = int(low.min()) if int(low.min()) < 0 else int(high.max())
        raise DataError(f"edges: {wrong} is no row of the {num_points} points")
    return low * num_points + high


def _match(edge_index: Tensor, truth_edge_index: Tensor, num_points: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return (E,) found, (E,) place among the distinct truth keys, (T,) place of each truth edge among them."""
    keys = edge_keys(edge_index, num_points)
    wanted, inverse = torch.unique(edge_keys(truth_edge_index, num_points), return_inverse=True)
    if not wanted.numel():
        return torch.zeros_like(keys, dtype=torch.bool), torch.zeros_like(keys), inverse
    place = torch.searchsorted(wanted, keys).clamp(max=wanted.numel() - 1)
    return wanted[place] == keys, place, inverse
