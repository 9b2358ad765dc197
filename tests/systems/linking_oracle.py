"""The linking networks written down word by word from their definition, on the weights of hitloom's own.

Edges are rows (outer, inner) of an [E, 2] table, pairs are joined with their features, sums are taken by index,
attention writes the table of all pairs: nothing is split, sorted, fused or walked in chunks. Inputs are scaled as
published.

N nodes, E edges, P pairs, A heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.systems.linking import LinkNetwork


def dense(network: nn.Module, x: Tensor, drop: float = 0.0) -> Tensor:
    """Linear layers with LeakyReLU between them, dropout after it, and the network's own last activation."""
    for linear in network.linears[:-1]:
        x = F.dropout(F.leaky_relu(F.linear(x, linear.weight, linear.bias)), drop, drop > 0)
    last = network.linears[-1]
    return network.output_activation(F.linear(x, last.weight, last.bias))


def edge_conv(block: nn.Module, x: Tensor, pairs: Tensor, factor: Tensor, drop: float = 0.0) -> Tensor:
    """ReLU of the shortcut plus the sum of the weighted messages. ``pairs`` (P, 2) are (receiver, other)."""
    receiver, other = pairs[:, 0], pairs[:, 1]
    both = torch.cat([x[receiver], x[other] - x[receiver]], 1)
    hidden = F.dropout(F.relu(block.first(both)), drop, drop > 0)
    message = F.relu(block.second(hidden)) * factor[:, None]
    return F.relu(block.shortcut(x) + torch.zeros_like(x).index_add(0, receiver, message))


def attention(layer: nn.Module, x: Tensor, tau: float | None) -> Tensor:
    """Multi-head attention over all nodes with the table of all pairs written out."""
    num, width = x.shape
    heads = layer.num_heads

    def split(linear: nn.Module) -> Tensor:
        return linear(x).view(num, heads, width // heads).transpose(0, 1)

    q, k, v = split(layer.query), split(layer.key), split(layer.value)
    if tau is None:
        logits = q @ k.transpose(1, 2) / (width // heads) ** 0.5
    else:
        q, k = (t / t.norm(dim=-1, keepdim=True).clamp(min=1e-12) for t in (q, k))
        logits = q @ k.transpose(1, 2) / tau
    weights = torch.exp(logits - logits.max(-1, keepdim=True).values)
    weights = weights / weights.sum(-1, keepdim=True)
    return layer.output((weights @ v).transpose(0, 1).reshape(num, width))


def encoder_layer(layer: nn.Module, x: Tensor, tau: float | None, drop: float = 0.0) -> Tensor:
    """Pre-norm attention and feed-forward, then a last normalisation."""
    x = x + F.dropout(attention(layer.attention, layer.norms[0](x), tau), drop, drop > 0)
    inner = F.relu(layer.inner(layer.norms[1](x)))
    x = x + F.dropout(layer.outer(inner), drop, drop > 0)
    return layer.norms[2](x)


def plain_forward(
    net: LinkNetwork, x: Tensor, edge_index: Tensor, edge_features: Tensor, *, drop: float = 0.0, legacy: bool = False
) -> tuple[Tensor, Tensor]:
    """Return embedding (E, h) and logit (E, 1). ``edge_index`` (E, 2) has the columns (outer, inner)."""
    src, dst = edge_index[:, 0], edge_index[:, 1]
    nodes = dense(net.node_encoder, x / net.inputs.node_scale, drop)
    scaled = (edge_features + 1e-4) / net.inputs.edge_scale
    latent = dense(net.edge_encoder, scaled, drop)
    settings = net.config.attention
    for layer in net.attention:
        nodes = encoder_layer(layer, nodes, settings.temperature if settings.cosine else None, drop)
    forward, backward = (dense(gate, latent, drop)[:, 0] for gate in net.gates)
    own = torch.zeros(len(x), dtype=torch.int64) if legacy else torch.arange(len(x))
    pairs = torch.cat([torch.stack([own, own], 1), torch.stack([src, dst], 1), torch.stack([dst, src], 1)])
    factor = torch.cat([torch.ones(len(x)), forward, backward])
    for block in net.blocks:
        nodes = edge_conv(block, nodes, pairs, factor, drop)
    embedding = dense(net.edge_head, torch.cat([nodes[src], nodes[dst], latent, scaled], 1), drop)
    return embedding, dense(net.output, embedding)
