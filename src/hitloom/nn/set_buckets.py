"""Sets of different size in padded blocks: each block holds sets of like size, so that little is padded.

Shape letters: M elements, B sets, b sets of a block, L elements of the largest set of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from hitloom.ops.segments import segment_count

EXACT = 8  # sets of up to so many elements share a block only with sets of the same size
GROWTH = 1.25  # the largest set of a block is at most so many times the smallest
MAX_ROWS = 4096  # elements of a block, unless one set is larger


class SetBlock(NamedTuple):
    """``sets`` (b,) numbers of the sets, ``rows`` (b, L) their elements, ``mask`` (b, L) true = exists, None = all."""

    sets: Tensor
    rows: Tensor
    mask: Tensor | None


def set_blocks(size: Tensor, *, overhead: int = 0) -> Iterator[SetBlock]:
    """Yield the blocks of all sets with elements.

    Parameters
    ----------
    size : (B,) int64
        Elements of each set; they stand one set after the other.
    overhead : int
        Further rows that a network has for each set (inducing points): a block has at most :data:`MAX_ROWS` in all, so
        that what it computes stays in the cache.
    """
    start = size.cumsum(0) - size
    ordered, order = torch.sort(size, stable=True)
    sizes: list[int] = ordered.tolist()
    first = 0
    while first < len(sizes) and not sizes[first]:
        first += 1
    while first < len(sizes):
        smallest = sizes[first]
        largest = smallest if smallest <= EXACT else int(GROWTH * smallest)
        last = first + 1
        while (
            last < len(sizes) and sizes[last] <= largest and (last + 1 - first) * (sizes[last] + overhead) <= MAX_ROWS
        ):
            last += 1
        length, chosen = sizes[last - 1], order[first:last]
        place = torch.arange(length, device=size.device)
        if smallest == length:
            yield SetBlock(chosen, start[chosen, None] + place, None)
        else:
            mask = place < size[chosen, None]
            yield SetBlock(chosen, start[chosen, None] + torch.where(mask, place, 0), mask)
        first = last


def pooled_sets(
    network: Callable[[Tensor, Tensor | None], Tensor],
    x: Tensor,
    index: Tensor,
    num_sets: int,
    width: int,
    *,
    overhead: int = 0,
) -> Tensor:
    """Return the one vector (B, ``width``) that the network (b, L, F), mask (b, L) -> (b, 1, ``width``) gives each set.

    Parameters
    ----------
    x : (M, F)
    index : (M,) int64
        Set of each element, in any order. A set without elements gets zeros.
    overhead : int
        As in :func:`set_blocks`.
    """
    if bool((index[1:] < index[:-1]).any()):
        index, order = torch.sort(index, stable=True)
        x = x.index_select(0, order)
    places, found = [], []
    for block in set_blocks(segment_count(index, num_sets), overhead=overhead):
        found.append(network(x[block.rows], block.mask)[:, 0])
        places.append(block.sets)
    if not found:
        return x.new_zeros((num_sets, width))
    out = torch.cat(found)
    return out.new_zeros((num_sets, width)).index_copy(0, torch.cat(places), out)


def mapped_sets(network: Callable[[Tensor, Tensor | None], Tensor], x: Tensor, size: Tensor, width: int) -> Tensor:
    """Return what the network (b, L, F), mask (b, L) -> (b, L, ``width``) gives each element: (M, ``width``).

    Parameters
    ----------
    x : (M, F)
        Elements of one set after the other.
    size : (B,) int64
    """
    places, found = [], []
    for block in set_blocks(size):
        out = network(x[block.rows], block.mask)
        rows = block.rows.flatten()
        if block.mask is None:
            places.append(rows)
            found.append(out.flatten(0, 1))
        else:
            places.append(rows[block.mask.flatten()])
            found.append(out[block.mask])
    if not found:
        return x.new_zeros((0, width))
    out = torch.cat(found)
    return out.new_zeros((len(x), width)).index_copy(0, torch.cat(places), out)
