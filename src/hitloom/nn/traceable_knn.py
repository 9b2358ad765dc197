"""Nearest neighbours in plain torch operations, for graphs that leave Python: TorchScript, torch.export, ONNX.

Blocks of points ask in turn, so memory grows with N and not with N^2, and the number of points stays free. Squared
distances are expanded in double precision, where the cancellation of the expansion does no harm.

Shape letters: N points, D embedding, k neighbours, C candidates, Q points of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.nn.fused import is_traced

BLOCK = 128


def traceable_knn(z: Tensor, k: int, *, asks: Tensor, chosen: Tensor, r_max: float | None = None) -> Tensor:
    """Return the k nearest others of every point, nearest first: (N, k) int64, -1 where there is none.

    Parameters
    ----------
    z : (N, D)
    k : int
    asks : (N,) bool
        Points that want neighbours; the rows of the others are -1.
    chosen : (N,) bool
        Points that may be neighbours.
    r_max : float or None
        Neighbours farther than this are dropped.
    """
    num = z.shape[0]
    z = z.double()
    # k candidates at infinity, so that there are always enough of them.
    far = torch.full((k,), torch.inf, dtype=torch.float64, device=z.device)
    square = z.square().sum(1)
    offset = torch.cat([torch.where(chosen, square, torch.inf), far])
    columns = torch.cat([z, z.new_zeros(k, z.shape[1])]).T.contiguous().clone()
    limit = torch.inf if r_max is None else r_max * r_max
    if torch.jit.is_tracing():
        index = _script()(z, square, offset, columns, k, BLOCK, float(limit))
    elif is_traced():
        index = _scanned(z, square, offset, columns, k, float(limit))
    else:
        index = blocked_search(z, square, offset, columns, k, BLOCK, float(limit))
    return torch.where(asks[:, None], index[:num], -1)


def blocked_search(
    z: Tensor, square: Tensor, offset: Tensor, columns: Tensor, k: int, block: int, limit: float
) -> Tensor:
    """Search block by block in a loop: eagerly, or compiled by TorchScript.

    Shapes: z (N, D), square (N,), offset (C,), columns (D, C) -> (N, k).
    """
    num = z.shape[0]
    found = torch.full((num, k), -1, dtype=torch.int64, device=z.device)
    candidate = torch.arange(offset.shape[0], device=z.device)
    first = 0
    while first < num:
        last = min(first + block, num)
        row = torch.arange(first, last, device=z.device)
        distance = square[first:last].unsqueeze(1) + offset.unsqueeze(0) - 2.0 * torch.mm(z[first:last], columns)
        distance = distance.masked_fill(row.unsqueeze(1) == candidate.unsqueeze(0), float("inf"))
        value, index = torch.topk(distance, k, dim=1, largest=False)
        found[first:last] = index.masked_fill(torch.isinf(value) | (value > limit), -1)
        first = last
    return found


def _script() -> torch.jit.ScriptFunction:  # type: ignore[type-arg]
    return torch.jit.script(blocked_search)


def _scanned(z: Tensor, square: Tensor, offset: Tensor, columns: Tensor, k: int, limit: float) -> Tensor:
    """Search block by block with the scan operator, which torch.export and ONNX keep as a loop.

    There are always two blocks more than needed, so that no size is special; surplus rows are zeros.
    """
    from torch._higher_order_ops.scan import scan

    num = z.shape[0]
    num_blocks = num // BLOCK + 2
    row = torch.arange(num_blocks * BLOCK, device=z.device)
    asks = row.clamp(max=num)
    z, square = torch.cat([z, z.new_zeros(1, z.shape[1])]), torch.cat([square, square.new_zeros(1)])
    candidate = torch.arange(offset.shape[0], device=z.device)

    def one_block(carry: Tensor, inputs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        point, norm, own = inputs
        distance = norm.unsqueeze(1) + offset.unsqueeze(0) - 2.0 * torch.mm(point, columns)
        distance = torch.where(own.unsqueeze(1) == candidate.unsqueeze(0), torch.inf, distance)
        value, index = torch.topk(distance, k, dim=1, largest=False)
        return carry.clone(), torch.where(torch.isinf(value) | (value > limit), -1, index)

    inputs = (
        z.index_select(0, asks).view(num_blocks, BLOCK, z.shape[1]),
        square.index_select(0, asks).view(num_blocks, BLOCK),
        row.view(num_blocks, BLOCK),
    )
    _, index = scan(one_block, torch.zeros(1, device=z.device), inputs)
    return index.reshape(num_blocks * BLOCK, k)
