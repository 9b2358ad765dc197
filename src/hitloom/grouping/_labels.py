"""Checks of scored edges, and the numbering of labels.

N points, E edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from hitloom.errors import DataError


def checked_edges(edge_index: Tensor, num_points: int) -> NDArray[np.int64]:
    """Return ``edge_index`` (2, E) as int64.

    Raises
    ------
    DataError
        When the edges are not integers of shape (2, E) within 0..N-1; the message names the first edge out of range.
    """
    if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_index.is_floating_point():
        raise DataError(
            f"edge_index: came as {edge_index.dtype} {tuple(edge_index.shape)}, wanted integer (2, E); mend: transpose"
        )
    edges = edge_index.detach().cpu().to(torch.int64).numpy()
    if edges.size and (edges.min() < 0 or edges.max() >= num_points):
        wrong = int(np.argmax(((edges < 0) | (edges >= num_points)).any(0)))
        raise DataError(
            f"edge_index: edge {wrong} joins rows {edges[0, wrong]} and {edges[1, wrong]}, wanted 0..{num_points - 1}; "
            "mend: give the number of points the edges were made for"
        )
    return edges


def checked_scores(score: Tensor, num_edges: int) -> NDArray[Any]:
    """Return the probabilities (E,) in their own precision (half precision becomes float32).

    Raises
    ------
    DataError
        When the shape or type is wrong, or a score is no number in 0..1; the message names the first such edge.
    """
    if score.shape != (num_edges,) or not score.is_floating_point():
        raise DataError(
            f"score: came as {score.dtype} {tuple(score.shape)}, wanted one float for each of {num_edges} edges"
        )
    values = score.detach().cpu()
    values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
    wrong = ~((values >= 0) & (values <= 1))
    if bool(wrong.any()):
        edge = int(wrong.to(torch.uint8).argmax())
        mend = "mend: train again" if bool(values[edge].isnan()) else "mend: give the sigmoid of the logits"
        raise DataError(f"score: edge {edge} came with {float(values[edge])}, wanted a probability in 0..1; {mend}")
    return values.numpy()


def numbered(labels: Tensor, min_size: int = 1) -> Tensor:
    """Return labels (N,) counted from 0 by the lowest point of each group; groups below ``min_size`` become -1.

    Labels below 0 stay -1; the others may be any numbers of the order of N.
    """
    if not labels.numel():
        return labels
    names = labels.numpy()
    return torch.from_numpy(_numbered(names, int(names.max()) + 1, min_size))


@njit(cache=True, nogil=True)
def _numbered(labels, num_names, min_size):  # type: ignore[no-untyped-def]
    size = np.zeros(max(0, num_names), np.int64)
    for i in range(labels.shape[0]):
        if labels[i] >= 0:
            size[labels[i]] += 1
    name = np.full(max(0, num_names), -1, np.int64)
    result = np.full(labels.shape[0], -1, np.int64)
    count = 0
    for i in range(labels.shape[0]):
        group = labels[i]
        if group >= 0 and size[group] >= min_size:
            if name[group] < 0:
                name[group] = count
                count += 1
            result[i] = name[group]
    return result
