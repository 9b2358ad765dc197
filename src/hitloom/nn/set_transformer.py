"""Set transformer (arXiv:1810.00825) in the form used for shower growing: attention blocks on sets of any size.

One block of queries Q and keys K: q = Wq Q, k = Wk K, v = Wv K; heads of scaled dot-product attention give a;
h = q + a; out = h + leaky_relu(Wo h). With ``layer_norm`` h and out are normalised. The residual is the projected q and
the scale 1/sqrt(width of a head), as in the published code for shower growing; the paper has relu and the whole width.

Most sets of hits are tiny, and then the inducing points are many against the elements. Two rearrangements of the same
sums save most products there: few queries against many keys are multiplied with Wk^T, and what they take from the keys
with Wv, so that the keys themselves are never projected (:meth:`SetAttention.absorbed`); and with one key
Wo (q + v) = Wo q + Wo v, where q is the same for all sets (:meth:`SetAttention.one_key`).

The bias of the keys adds the same number to all scores of a query, which the softmax takes out again. It is a
parameter, so that published weights fit, and never read.

Shape letters: B sets, L elements of a set, Q queries, m inducing points, F inputs, d width, E outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.nn.fused import is_traced

FEW_QUERIES = 3  # queries of a set up to which its keys are not projected
FEW_KEYS = 4  # keys of a set up to which shared queries take a plain sum over them
MANY = 4  # times as many keys as queries


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
        if not torch.jit.is_scripting():
            quick = self.quick(query, key, mask)
            if quick is not None:
                return quick
        return self.after_query(self.query(query), key, mask)

    def quick(self, query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor | None:
        """Return the output in a way that saves products, None where there is none; exporters see the plain way."""
        if mask is not None or is_traced():
            return None
        num_queries, num_keys = query.shape[1], key.shape[1]
        if query.shape[0] == 1 and key.shape[0] > 1 and num_keys <= FEW_KEYS:
            q = self.query(query)
            return self.one_key(q, key) if num_keys == 1 else self.few_keys(q, key)
        if num_queries <= FEW_QUERIES and num_queries * MANY <= num_keys:
            q = self.query(query)
            return self.after_attention(q, self.absorbed(q, key))
        return None

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

    def one_key(self, q: Tensor, key: Tensor) -> Tensor:
        """Return the output for shared queries (1, Q, d) and one key for each set (B, 1, Dk)."""
        v = self.value(key)
        if not isinstance(self.first_norm, nn.Identity):
            return self.after_attention(q, v)
        rise = F.leaky_relu(self.out(q) + F.linear(v, self.out.weight))
        return self.last_norm(q + v + rise)

    def few_keys(self, q: Tensor, key: Tensor) -> Tensor:
        """Return the output for shared queries (1, Q, d) and few keys (B, L, Dk), as a plain sum over the keys."""
        num_sets, num_keys, num_queries = key.shape[0], key.shape[1], q.shape[1]
        heads = self.num_heads
        k = F.linear(key, self.key.weight).view(num_sets * num_keys, heads, -1).transpose(0, 1)
        q_of_head = self._heads(q)[0].transpose(1, 2) * k.shape[2] ** -0.5  # (heads, d / heads, Q)
        score = torch.bmm(k, q_of_head).view(heads, num_sets, num_keys, num_queries).softmax(2)
        share = score.permute(1, 2, 3, 0).unsqueeze(-1).contiguous()  # (B, L, Q, heads, 1)
        v = self.value(key).view(num_sets, num_keys, 1, heads, -1)
        a = share[:, 0] * v[:, 0]
        for place in range(1, num_keys):
            a = torch.addcmul(a, share[:, place], v[:, place])
        return self.after_attention(q, a.reshape(num_sets, num_queries, -1))

    def absorbed(self, q: Tensor, key: Tensor) -> Tensor:
        """Return what projected queries (B or 1, Q, d) take from keys (B, L, Dk) that are not projected: (B, Q, d)."""
        q = q.expand(key.shape[0], -1, -1)
        num_sets, num_queries, width = q.shape
        heads, num_inputs = self.num_heads, key.shape[2]
        of_head = q.reshape(num_sets * num_queries, heads, -1).transpose(0, 1)  # (heads, B Q, d / heads)
        weight = self.key.weight.view(heads, -1, num_inputs) * of_head.shape[2] ** -0.5
        asked = _by_set(torch.bmm(of_head, weight), num_sets)
        taken = torch.bmm(torch.bmm(asked, key.transpose(1, 2)).softmax(2), key)
        taken = taken.view(num_sets, heads, num_queries, num_inputs).transpose(0, 1).reshape(heads, -1, num_inputs)
        found = torch.bmm(taken, self.value.weight.view(heads, -1, num_inputs).transpose(1, 2))
        return found.transpose(0, 1).reshape(num_sets, num_queries, width) + self.value.bias

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.num_heads, x.shape[2] // self.num_heads).transpose(1, 2)


def _by_set(x: Tensor, num_sets: int) -> Tensor:
    """Return (heads, B Q, D) as (B, heads Q, D)."""
    heads, width = x.shape[0], x.shape[2]
    return x.view(heads, num_sets, -1, width).transpose(0, 1).reshape(num_sets, -1, width)


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
        self.pools, self.num_inducing = pool, num_inducing
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
