"""Attention by cosine against the table of all pairs, against torch's own module, and its laws."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hitloom.errors import ConfigError
from hitloom.nn.cosine_attention import CosineAttention, CosineEncoderLayer


def make(temperature: float | None, *, width: int = 12, heads: int = 3) -> CosineAttention:
    torch.manual_seed(0)
    return CosineAttention(width=width, num_heads=heads, temperature=temperature)


def by_table(layer: CosineAttention, x: Tensor, allowed: Tensor) -> Tensor:
    """All pairs written out in double precision; ``allowed`` (N, N) says who may look at whom."""
    layer, x = layer.double(), x.double()
    d = x.shape[1] // layer.num_heads
    out = []
    for head in range(layer.num_heads):
        part = slice(head * d, (head + 1) * d)
        q, k, v = (linear(x)[:, part] for linear in (layer.query, layer.key, layer.value))
        if layer.temperature is None:
            logit = q @ k.T / d**0.5
        else:
            logit = torch.nn.functional.cosine_similarity(q[:, None], k[None], dim=-1) / layer.temperature
        weight = torch.softmax(logit.masked_fill(~allowed, -torch.inf), 1)
        out.append(weight @ v)
    return layer.output(torch.cat(out, 1)).float()


@pytest.mark.parametrize("temperature", [0.5, 0.05, None])
def test_attention_equals_the_table_of_all_pairs(temperature: float | None):
    layer, x = make(temperature), torch.randn(30, 12)
    own = layer(x, None)
    torch.testing.assert_close(own, by_table(layer, x, torch.ones(30, 30, dtype=torch.bool)), atol=1e-5, rtol=1e-5)


def test_the_plain_form_equals_torchs_own_module():
    layer, x = make(None), torch.randn(30, 12)
    own = layer(x, None)
    peer = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
        peer.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key.bias, layer.value.bias]))
        peer.out_proj.load_state_dict(layer.output.state_dict())
    torch.testing.assert_close(own, peer(x[None], x[None], x[None], need_weights=False)[0][0], atol=1e-5, rtol=1e-5)


def test_nodes_of_other_events_are_not_seen():
    layer, x, sizes = make(0.5), torch.randn(30, 12), [7, 0, 1, 22]
    event = torch.arange(4).repeat_interleave(torch.tensor(sizes))
    own = layer(x, sizes)
    torch.testing.assert_close(own, by_table(layer, x, event[:, None] == event), atol=1e-5, rtol=1e-5)


def test_attention_to_some_rows():
    layer, x = make(0.5), torch.randn(30, 12)
    allowed = (torch.rand(30, 30) < 0.2) | torch.eye(30, dtype=torch.bool)
    rows = [row.nonzero()[:, 0] for row in allowed]
    table = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
    own = layer(x, None, table)
    torch.testing.assert_close(own, by_table(layer, x, allowed), atol=1e-5, rtol=1e-5)


def test_a_row_that_looks_at_nobody_gathers_nothing():
    layer, x = make(0.5), torch.randn(3, 12)
    table = torch.tensor([[1, 2], [-1, -1], [0, -1]])
    torch.testing.assert_close(layer(x, None, table)[1], layer.output.bias)


def test_permuting_nodes_permutes_the_outcome():
    torch.manual_seed(0)
    layer = CosineEncoderLayer(width=12, num_heads=3, temperature=0.5, dropout=0.3).eval()
    x, order = torch.randn(20, 12), torch.randperm(20)
    torch.testing.assert_close(layer(x[order], None), layer(x, None)[order], atol=1e-5, rtol=1e-5)


def test_no_nodes_and_one():
    layer = CosineEncoderLayer(width=12, num_heads=3, temperature=0.5, dropout=0.3).eval()
    assert layer(torch.zeros(0, 12), None).shape == (0, 12)
    assert layer(torch.zeros(0, 12), [0, 0]).shape == (0, 12)
    one = torch.randn(1, 12)
    inner = layer.attention.output(layer.attention.value(layer.norms[0](one)))
    x = one + inner
    x = x + layer.outer(torch.relu(layer.inner(layer.norms[1](x))))
    torch.testing.assert_close(layer(one, None), layer.norms[2](x), atol=1e-5, rtol=1e-5)


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="12 heads do not divide the width 16"):
        CosineAttention(width=16, num_heads=12, temperature=0.5)
