"""The set transformer written plainly, one set at a time, with torch's own multi-head attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hitloom.nn.set_transformer import SetAttention, SetTransformer


def plain_attention(block: SetAttention, query: Tensor, key: Tensor) -> Tensor:
    """Return the output (Q, d) of a block for one set; query (Q, Dq), key (L, Dk)."""
    q, k, v = block.query(query), block.key(key), block.value(key)
    eye, none = torch.eye(q.shape[1]), torch.zeros(q.shape[1])
    a, _ = F.multi_head_attention_forward(
        q[:, None], k[:, None], v[:, None], q.shape[1], block.num_heads, torch.cat([eye] * 3), torch.cat([none] * 3),
        None, None, False, 0.0, eye, none, training=False, need_weights=False,
    )  # fmt: skip
    h = block.first_norm(q + a[:, 0])
    return block.last_norm(h + F.leaky_relu(block.out(h), 0.01))


def plain_transformer(network: SetTransformer, x: Tensor) -> Tensor:
    """Return what the network gives one set (L, F): (1, E) or (L, E)."""
    for block in network.encoder:
        x = plain_attention(block.spread, x, plain_attention(block.gather, block.points[0], x))
    if network.pool is not None:
        x = plain_attention(network.pool.attention, network.pool.queries[0], x)
    for block in network.decoder:
        x = plain_attention(block, x, x)
    return network.last(x)
