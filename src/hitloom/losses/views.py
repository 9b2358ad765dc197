"""Contrast between the embeddings of two views: the same edge seen twice comes together, different edges come apart.

With u, v of unit length and d = |u - v|: mean of (1-l) d^2 + l max(0, margin - d)^2, l = 0 for the same edge, 1 for
different ones (the margin loss of Hadsell, Chopra and LeCun, CVPR 2006).

Shape letters: E edges, D embedding, B events.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def view_contrast(first: Tensor, second: Tensor, different: Tensor, *, margin: float) -> Tensor:
    """Return the mean contrast, () float32; 0 (attached to the graph) without edges.

    Parameters
    ----------
    first, second : (E, D)
        Any length; compared in float32 as unit vectors, whose distances are 0 to 2.
    different : (E,) bool
        Whether row j of ``second`` is another edge than row j of ``first``.
    margin : float
    """
    u, v = normalize(first.float(), dim=1), normalize(second.float(), dim=1)
    distance = torch.sqrt((u - v).square().sum(1) + 1e-12)
    value = torch.where(different, (margin - distance).clamp(min=0).square(), distance.square())
    return value.sum() / max(1, value.shape[0])


def shuffled_within(event: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return (E,) int64: a random permutation of the rows that leaves each in its event.

    Parameters
    ----------
    event : (E,) int64
        Event of each row, in rising order.
    """
    draw = torch.rand(len(event), generator=generator, dtype=torch.float64).to(event.device)
    order = torch.argsort(draw)
    return order[torch.argsort(event[order], stable=True)]
