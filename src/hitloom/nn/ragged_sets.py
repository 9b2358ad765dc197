"""A set transformer on sets that lie one after the other, without padding and without loops over the data.

The same numbers as :class:`~hitloom.nn.set_transformer.SetTransformer` gives each set; its parameters are shared. Every
step is a gather or a sum over segments, so exporters take it with free numbers of sets and elements. It keeps m numbers
of width d for each element at once: for training and inference inside the library blocks of like size are faster
(:mod:`hitloom.nn.set_buckets`).

Shape letters: M elements, B sets, m inducing points (or learned queries), H heads, F inputs, d width, E outputs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hitloom.nn.set_transformer import SetAttention, SetTransformer
from hitloom.ops.segments import segment_softmax, segment_sum


def ragged_sets(network: SetTransformer, x: Tensor, index: Tensor, num_sets: int) -> Tensor:
    """Return the vector (B, E) of each set from a network that pools.

    Parameters
    ----------
    network : SetTransformer
        With ``pool``.
    x : (M, F)
    index : (M,) int64
        Set of each element, in any order. Every set has an element.
    num_sets : int
        B.

    Raises
    ------
    ValueError
        When the network does not pool.
    """
    if network.pool is None:
        raise ValueError("ragged_sets: a network that pools was wanted")
    block: Any
    for block in network.encoder:
        x = spread(block.spread, x, index, gather(block.gather, block.points, x, index, num_sets))
    pooled = gather(network.pool.attention, network.pool.queries, x, index, num_sets)
    layer: Any
    for layer in network.decoder:
        pooled = layer.after_attention(layer.query(pooled), layer.value(pooled))  # one element reads itself
    vectors: Tensor = network.last(pooled[:, 0])
    return vectors


def gather(block: SetAttention, queries: Tensor, x: Tensor, index: Tensor, num_sets: int) -> Tensor:
    """Return what shared queries (1, m, d) read from the elements of each set: (B, m, d)."""
    q = block.query(queries)
    heads = block.num_heads
    width = q.shape[2] // heads
    k = F.linear(x, block.key.weight).view(-1, 1, heads, width)
    v = block.value(x).view(-1, 1, heads, width)
    score = (q.view(1, -1, heads, width) * k).sum(3) * width**-0.5  # (M, m, H)
    weight = segment_softmax(score, index, num_sets)
    a = segment_sum((weight[:, :, :, None] * v).flatten(2), index, num_sets)
    return block.after_attention(q, a)


def spread(block: SetAttention, x: Tensor, index: Tensor, points: Tensor) -> Tensor:
    """Return what each element (M, F) reads from the points (B, m, d) of its set: (M, d)."""
    q = block.query(x)
    heads = block.num_heads
    width = q.shape[1] // heads
    k = F.linear(points, block.key.weight).index_select(0, index).view(x.shape[0], -1, heads, width)
    v = block.value(points).index_select(0, index).view(x.shape[0], -1, heads, width)
    score = (q.view(-1, 1, heads, width) * k).sum(3) * width**-0.5  # (M, m, H)
    weight = torch.softmax(score, 1)
    return block.after_attention(q, (weight[:, :, :, None] * v).sum(1).flatten(1))
