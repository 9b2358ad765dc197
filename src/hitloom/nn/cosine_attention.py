"""Transformer encoder over the nodes of an event, with attention by the cosine of queries and keys.

weights = softmax(q^ k^T / tau) with q^ and k^ of unit length for each head; or plain softmax(q k^T / sqrt(d)).
Layers are pre-norm: x += drop(MHA(LN x)); x += drop(FF(LN x)); x = LN(x). No positional encoding.

The fused attention of torch never writes the table of all pairs, so memory grows with the number of nodes, not with its
square. ``neighbours`` limits each node to some others, at a cost that grows with their number alone.

Shape letters: N nodes, B events, h width, A heads, d width of a head, k neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.errors import ConfigError
from hitloom.nn.dropout import dropout
from hitloom.nn.fused import is_traced

LAYERNORM_EPS = 1e-4


class CosineAttention(nn.Module):
    """Multi-head attention among the nodes of each event.

    Shapes: x (N, h) -> (N, h).

    Parameters
    ----------
    width, num_heads : int
    temperature : float or None
        tau of the cosine form; None = the plain form.
    output_gain : float
        Factor of the initial output weights.
    """

    def __init__(self, *, width: int, num_heads: int, temperature: float | None, output_gain: float = 1.0) -> None:
        super().__init__()
        if width % num_heads:
            raise ConfigError(f"attention: {num_heads} heads do not divide the width {width}; mend: another number")
        self.num_heads, self.temperature = num_heads, temperature
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        with torch.no_grad():
            self.output.weight.mul_(output_gain)

    def forward(self, x: Tensor, sizes: Sequence[int] | None, neighbours: Tensor | None = None) -> Tensor:
        """Return what each node gathers.

        Parameters
        ----------
        x : (N, h)
        sizes : sequence of int or None
            Number of nodes of each event, in order; None = all nodes are of one event.
        neighbours : (N, k) int64 or None
            Rows that each node looks at, -1 = none; None = all of its event.
        """
        heads = [
            layer(x).view(x.shape[0], self.num_heads, x.shape[1] // self.num_heads)
            for layer in (self.query, self.key, self.value)
        ]
        query, key, value = (tensor.float() for tensor in heads)
        scale = query.shape[-1] ** -0.5
        if self.temperature is not None:
            query, key, scale = F.normalize(query, dim=-1), F.normalize(key, dim=-1), 1 / self.temperature
        if neighbours is not None:
            gathered = _among_neighbours(query, key, value, neighbours, scale)
        elif sizes is None:
            gathered = _among_all(query, key, value, scale)
        else:
            events = zip(*(tensor.split(list(sizes)) for tensor in (query, key, value)), strict=True)
            gathered = torch.cat([_among_all(q, k, v, scale) for q, k, v in events])
        return self.output(gathered.reshape(x.shape).to(x.dtype))


def _among_all(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attention among the nodes of one event. Shapes: (N, A, d) each -> (N, A, d).

    Programs of torch.export, and so ONNX, hold it written out: what the fused form becomes there fails without nodes.
    """
    query, key, value = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
    if is_traced() and not torch.jit.is_tracing():
        return (torch.softmax(query @ key.transpose(2, 3) * scale, -1) @ value)[0].transpose(0, 1)
    return F.scaled_dot_product_attention(query, key, value, scale=scale)[0].transpose(0, 1)


def _among_neighbours(query: Tensor, key: Tensor, value: Tensor, neighbours: Tensor, scale: float) -> Tensor:
    """Attention of each node to the rows named. Shapes: (N, A, d) each, (N, k) -> (N, A, d).

    Programs of torch.export, and so ONNX, hold one row more: not every runtime broadcasts over no rows at all.
    """
    num = query.shape[0]
    if is_traced() and not torch.jit.is_tracing():
        query, key, value = (torch.cat([rows, rows.new_zeros(1, *rows.shape[1:])]) for rows in (query, key, value))
        neighbours = torch.cat([neighbours, neighbours.new_full((1, neighbours.shape[1]), -1)])
    missing = neighbours < 0
    rows = neighbours.clamp(min=0)
    logit = (query[:, None] * key[rows]).sum(-1).transpose(1, 2) * scale
    logit = logit.masked_fill(missing[:, None], torch.finfo(logit.dtype).min)
    weight = torch.softmax(logit, -1) * ~missing[:, None]
    return (weight.transpose(1, 2)[..., None] * value[rows]).sum(1)[:num]


class CosineEncoderLayer(nn.Module):
    """One layer. Shapes: x (N, h) -> (N, h)."""

    def __init__(
        self, *, width: int, num_heads: int, temperature: float | None, dropout: float, output_gain: float = 1.0
    ) -> None:
        super().__init__()
        self.attention = CosineAttention(
            width=width, num_heads=num_heads, temperature=temperature, output_gain=output_gain
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=LAYERNORM_EPS) for _ in range(3))
        self.inner, self.outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = dropout

    def forward(self, x: Tensor, sizes: Sequence[int] | None, neighbours: Tensor | None = None) -> Tensor:
        x = x + dropout(self.attention(self.norms[0](x), sizes, neighbours), self.dropout, self.training)
        x = x + dropout(self.outer(F.relu(self.inner(self.norms[1](x)))), self.dropout, self.training)
        return self.norms[2](x)


def init_xavier(module: nn.Module) -> None:
    """Give every Linear xavier-uniform weights and no bias."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
