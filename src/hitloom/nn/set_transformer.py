"""Set transformer (arXiv:1810.00825) in the form used for shower growing: attention blocks on sets of any size.

One block of queries Q and keys K: q = Wq Q, k = Wk K, v = Wv K; heads of scaled dot-product attention give a;
h = q + a; out = h + leaky_relu(Wo h). With ``layer_norm`` h and out are normalised. The residual is the projected q and
the scale 1/sqrt(width of a head), as in the published code for shower growing; the paper has relu and the whole width.

The bias of the keys adds the same number to all scores of a query, which the softmax takes out again. It is a
parameter, so that published weights fit, and never read.

Shape letters: B sets, L elements of a set, Q queries, m inducing points, F inputs, d width, E outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SetAttention(nn.Module):
    """One attention block. Shapes: query (B, Q, Dq), key (B, L, Dk), mask (B, L) bool or None -> (B, Q, d).

    Parameters
    ----------
    num_queries_in, num_keys_in : int
        Widths Dq and Dk.
    width, num_heads : int
    layer_norm : bool
    """

    def __init__(
        self, *, num_queries_in: int, num_keys_in: int, width: int, num_heads: int, layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(num_queries_in, width)
        self.key = nn.Linear(num_keys_in, width)
        self.value = nn.Linear(num_keys_in, width)
        self.out = nn.Linear(width, width)
        self.first_norm = nn.LayerNorm(width) if layer_norm else nn.Identity()
        self.last_norm = nn.LayerNorm(width) if layer_norm else nn.Identity()

    def forward(self, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what the queries take from the keys; keys where ``mask`` is false do not count."""
        return self.after_query(self.query(query), key, mask)

    def after_query(self, q: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
        """Go on from projected queries (B, Q, d), or (1, Q, d) for those that all sets share."""
        q = q.expand(key.shape[0], -1, -1)
        if key.shape[1] == 1 and mask is None:
            return self.after_attention(q, self.value(key))  # all weight is on the one key
        k, v = self._heads(F.linear(key, self.key.weight)), self._heads(self.value(key))
        allowed = None if mask is None else mask[:, None, None, :]
        a = F.scaled_dot_product_attention(self._heads(q), k, v, attn_mask=allowed)
        return self.after_attention(q, a.transpose(1, 2).reshape(q.shape))

    def after_attention(self, q: Tensor, a: Tensor) -> Tensor:
        """Go on from projected queries and what attention gave them, to the output."""
        h = self.first_norm(q + a)
        return self.last_norm(h + F.leaky_relu(self.out(h)))

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.num_heads, x.shape[2] // self.num_heads).transpose(1, 2)


class InducedAttention(nn.Module):
    """m learned points read the set, the set reads them (ISAB). Shapes: (B, L, F), mask (B, L) -> (B, L, d)."""

    def __init__(self, *, num_inputs: int, width: int, num_heads: int, num_inducing: int, layer_norm: bool) -> None:
        super().__init__()
        self.points = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, num_inducing, width)))
        self.gather = SetAttention(
            num_queries_in=width, num_keys_in=num_inputs, width=width, num_heads=num_heads, layer_norm=layer_norm
        )
        self.spread = SetAttention(
            num_queries_in=num_inputs, num_keys_in=width, width=width, num_heads=num_heads, layer_norm=layer_norm
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.spread(x, self.gather(self.points, x, mask))


class SetPooling(nn.Module):
    """Learned queries read the set (PMA). Shapes: (B, L, d), mask (B, L) -> (B, ``num_queries``, d)."""

    def __init__(self, *, width: int, num_heads: int, num_queries: int = 1, layer_norm: bool = False) -> None:
        super().__init__()
        self.queries = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, num_queries, width)))
        self.attention = SetAttention(
            num_queries_in=width, num_keys_in=width, width=width, num_heads=num_heads, layer_norm=layer_norm
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.attention(self.queries, x, mask)


class SetTransformer(nn.Module):
    """``depth`` induced blocks, pooling to one element where asked, ``depth`` full blocks (SAB), a Linear.

    Shapes: (B, L, F), mask (B, L) bool with true = exists -> (B, 1, E) with ``pool``, else (B, L, E). What comes out
    for elements that do not exist means nothing.

    Parameters
    ----------
    num_inputs, width, num_outputs : int
        F, d and E.
    num_heads, num_inducing, depth : int
    pool, layer_norm : bool
    """

    def __init__(
        self,
        *,
        num_inputs: int,
        width: int,
        num_outputs: int,
        num_heads: int,
        num_inducing: int,
        depth: int,
        pool: bool,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            InducedAttention(
                num_inputs=width if place else num_inputs, width=width, num_heads=num_heads,
                num_inducing=num_inducing, layer_norm=layer_norm,
            )
            for place in range(depth)
        )  # fmt: skip
        self.pools = pool
        self.pool = SetPooling(width=width, num_heads=num_heads, layer_norm=layer_norm) if pool else None
        self.decoder = nn.ModuleList(
            SetAttention(
                num_queries_in=width, num_keys_in=width, width=width, num_heads=num_heads, layer_norm=layer_norm
            )
            for _ in range(depth)
        )
        self.last = nn.Linear(width, num_outputs)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.encoder:
            x = block(x, mask)
        if self.pool is not None:
            x, mask = self.pool(x, mask), None
        for block in self.decoder:
            x = block(x, x, mask)
        return self.last(x)

    def idle_parameters(self) -> set[str]:
        """Return the names of parameters that never get a gradient: see the notes on biases of keys.

        After pooling a full block reads one element: all weight is on it, whatever its key is.
        """
        names = {name for name, _ in self.named_parameters() if name.endswith("key.bias")}
        if self.pools:
            names |= {f"decoder.{place}.key.weight" for place in range(len(self.decoder))}
        return names
