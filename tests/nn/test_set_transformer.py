"""Set transformer: equal to torch's attention, set by set; padding never leaks; order of elements does not matter."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from set_oracle import plain_transformer

from hitloom.nn.set_buckets import MAX_ROWS, mapped_sets, pooled_sets, set_blocks
from hitloom.nn.set_transformer import SetTransformer

SIZES = (1, 1, 2, 3, 1, 4, 5, 9, 12, 12, 40, 2, 33, 130)
CLOSE = {"atol": 1e-6, "rtol": 1e-5}


def network(*, pool: bool, layer_norm: bool = False) -> SetTransformer:
    torch.manual_seed(0)
    made = SetTransformer(
        num_inputs=5, width=24, num_outputs=7, num_heads=3, num_inducing=16, depth=2, pool=pool, layer_norm=layer_norm
    )
    return made.eval()


def sets(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    size = torch.tensor(SIZES)
    return torch.randn(int(size.sum()), 5, generator=torch.Generator().manual_seed(seed)), size


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("pool", [False, True])
@torch.no_grad()
def test_sets_of_any_size_in_blocks_equal_torch_attention_on_each(pool: bool, layer_norm: bool):
    made, (x, size) = network(pool=pool, layer_norm=layer_norm), sets()
    wanted = torch.cat([plain_transformer(made, part) for part in x.split(size.tolist())])
    index = torch.repeat_interleave(torch.arange(len(size)), size)
    found = pooled_sets(made, x, index, len(size), 7) if pool else mapped_sets(made, x, size, 7)
    torch.testing.assert_close(found, wanted, **CLOSE)
    alone = torch.cat([made(part[None])[0] for part in x.split(size.tolist())])
    torch.testing.assert_close(alone, wanted, **CLOSE)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_gradients_equal_those_of_torch_attention(layer_norm: bool):
    made, (x, size) = network(pool=True, layer_norm=layer_norm), sets()
    index = torch.repeat_interleave(torch.arange(len(size)), size)
    weight = torch.randn(len(size), 7, generator=torch.Generator().manual_seed(1))

    def gradients(output: torch.Tensor) -> dict[str, torch.Tensor]:
        made.zero_grad()
        (output * weight).sum().backward()
        return {name: p.grad for name, p in made.named_parameters() if p.grad is not None}

    found = gradients(pooled_sets(made, x, index, len(size), 7))
    wanted = gradients(torch.cat([plain_transformer(made, part) for part in x.split(size.tolist())]))
    idle = made.idle_parameters()
    for name, value in wanted.items():
        if name in idle:
            assert name not in found or not found[name].any()
            torch.testing.assert_close(value, torch.zeros_like(value), atol=1e-5, rtol=0)
        else:
            torch.testing.assert_close(found[name], value, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_elements_of_sets_may_come_in_any_order():
    made, (x, size) = network(pool=True), sets()
    index = torch.repeat_interleave(torch.arange(len(size)), size)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(2))
    first = pooled_sets(made, x, index, len(size), 7)
    torch.testing.assert_close(pooled_sets(made, x[order], index[order], len(size), 7), first, **CLOSE)


@torch.no_grad()
def test_attention_among_elements_follows_their_permutation():
    made = network(pool=False)
    x = torch.randn(20, 5)
    order = torch.randperm(20)
    size = torch.tensor([20])
    torch.testing.assert_close(mapped_sets(made, x[order], size, 7), mapped_sets(made, x, size, 7)[order], **CLOSE)


@pytest.mark.parametrize("pool", [False, True])
@torch.no_grad()
def test_padding_never_leaks_into_a_set(pool: bool):
    made = network(pool=pool)
    x = torch.randn(3, 6, 5)
    mask = torch.arange(6) < torch.tensor([[1], [4], [6]])
    wild = torch.where(mask[..., None], x, 1e6)
    first, second = made(x, mask), made(wild, mask)
    seen = slice(None) if pool else mask
    assert torch.equal(first[seen], second[seen])
    alone = made(x[1:2, :4])[0]
    torch.testing.assert_close(first[1] if pool else first[1, :4], alone, **CLOSE)


@torch.no_grad()
def test_a_set_without_elements_gets_zeros_and_no_sets_give_nothing():
    made = network(pool=True)
    found = pooled_sets(made, torch.randn(2, 5), torch.tensor([2, 2]), 4, 7)
    assert not found[[0, 1, 3]].any()
    assert found[2].any()
    assert pooled_sets(made, torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64), 0, 7).shape == (0, 7)
    assert mapped_sets(network(pool=False), torch.zeros(0, 5), torch.zeros(3, dtype=torch.int64), 7).shape == (0, 7)


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_blocks_hold_every_element_of_every_set_once(sizes: list[int], overhead: int):
    size = torch.tensor(sizes, dtype=torch.int64)
    rows, numbers = [], []
    for block in set_blocks(size, overhead=overhead):
        there = torch.ones_like(block.rows, dtype=torch.bool) if block.mask is None else block.mask
        rows.append(block.rows[there])
        numbers.append(block.sets)
        assert len(block.sets) == 1 or len(block.sets) * (block.rows.shape[1] + overhead) <= MAX_ROWS
        assert torch.equal(there.sum(1), size[block.sets])
    found = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64)
    assert torch.equal(found.sort().values, torch.arange(int(size.sum())))
    assert sorted(torch.cat(numbers).tolist() if numbers else []) == [i for i, n in enumerate(sizes) if n]


def test_the_form_for_torchscript_gives_the_same():
    made = network(pool=True)
    scripted = torch.jit.script(made)
    for num in (1, 2, 5, 30):
        x = torch.randn(1, num, 5)
        torch.testing.assert_close(scripted(x), made(x), **CLOSE)
