"""Object condensation by hand, against the double sum of the paper, and its subsampling."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hitloom.losses import condensation_loss, condensation_points, seeded_generator


def double_sum(x: Tensor, beta: Tensor, key: Tensor, q_min: float, batch: Tensor | None = None) -> dict[str, float]:
    q = torch.arctanh(beta) ** 2 + q_min
    attractive = repulsive = 0.0
    coward = []
    for k in sorted(set(key[key >= 0].tolist())):
        alpha = max((i for i in range(len(x)) if key[i] == k), key=lambda i: (float(beta[i]), -i))
        coward.append(1 - float(beta[alpha]))
        for j in range(len(x)):
            d = float((x[j] - x[alpha]).norm())
            if key[j] == k:
                attractive += d * d * float(q[j] * q[alpha])
            elif batch is None or batch[j] == batch[alpha]:
                repulsive += max(0.0, 1 - d) * float(q[j] * q[alpha])
    noise = beta[key < 0]
    return {
        "attractive": attractive / len(x),
        "repulsive": repulsive / len(x),
        "coward": sum(coward) / max(1, len(coward)),
        "noise": float(noise.mean()) if len(noise) else 0.0,
    }


def sample(num: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return (
        torch.rand(num, 3, generator=g),
        torch.rand(num, generator=g) * 0.95,
        torch.randint(-1, 5, (num,), generator=g),
    )


def test_four_points_by_hand():
    x = torch.tensor([[0.0], [0.5], [0.75], [5.0]])
    beta = torch.tensor([0.8, 0.2, 0.6, 0.4])
    key = torch.tensor([3, 3, 9, -1])
    loss = condensation_loss(x, beta, key, generator=seeded_generator(0), q_min=0.5, noise_weight=2.0)
    q = [math.atanh(b) ** 2 + 0.5 for b in (0.8, 0.2, 0.6, 0.4)]
    parts = {name: float(part) for name, part in loss.parts.items()}
    # condensation points: 0 of object 3, 2 of object 9
    assert parts["attractive"] == pytest.approx(q[1] * q[0] * 0.25 / 4, rel=1e-5)
    assert parts["repulsive"] == pytest.approx(
        (q[2] * q[0] * 0.25 + q[0] * q[2] * 0.25 + q[1] * q[2] * 0.75) / 4, rel=1e-5
    )
    assert parts["coward"] == pytest.approx((0.2 + 0.4) / 2, rel=1e-5)
    assert parts["noise"] == pytest.approx(0.4)
    assert float(loss.total) == pytest.approx(sum(parts.values()) + 0.4, rel=1e-5)
    assert loss.counts == {"attractive": 3, "repulsive": 3, "coward": 2, "noise": 1}


@pytest.mark.parametrize("batched", [False, True])
def test_equals_the_double_sum(batched: bool):
    x, beta, key = sample(60, 1)
    batch = None
    if batched:
        batch = (torch.arange(60) >= 25).long()
        key = torch.where(key >= 0, key + 10 * batch, key)
    loss = condensation_loss(x, beta, key, generator=seeded_generator(0), q_min=0.3, batch=batch)
    for name, value in double_sum(x, beta, key, 0.3, batch).items():
        assert float(loss.parts[name]) == pytest.approx(value, rel=1e-4), name


def test_subsampled_repulsion_has_the_right_mean():
    x, beta, key = sample(80, 2)
    full = condensation_loss(x, beta, key, generator=seeded_generator(0))
    assert full.counts["repulsive"] > 150
    draws = [
        float(condensation_loss(x, beta, key, generator=seeded_generator(i), max_repulsive_pairs=30).parts["repulsive"])
        for i in range(400)
    ]
    mean = sum(draws) / 400
    error = (sum((d - mean) ** 2 for d in draws) / 399 / 400) ** 0.5
    assert abs(mean - float(full.parts["repulsive"])) < 4 * error
    assert error < 0.05 * mean


def test_blocks_of_objects_do_not_matter(monkeypatch: pytest.MonkeyPatch):
    x, beta, key = sample(50, 3)
    whole = condensation_loss(x, beta, key, generator=seeded_generator(0))
    monkeypatch.setattr("hitloom.losses.condensation._BLOCK", 100)
    parts = condensation_loss(x, beta, key, generator=seeded_generator(0))
    assert float(parts.total) == pytest.approx(float(whole.total), rel=1e-5)


def test_defect_27_a_logit_is_refused():
    with pytest.raises(ValueError, match="apply the sigmoid"):
        condensation_loss(
            torch.zeros(2, 1), torch.tensor([2.0, -1.0]), torch.tensor([0, 0]), generator=seeded_generator(0)
        )


@pytest.mark.parametrize("key", [[], [-1, -1, -1], [4, 4, 4]])
def test_defect_18_nothing_or_noise_alone_is_finite(key: list[int]):
    x = torch.rand(len(key), 2, requires_grad=True)
    beta = torch.full((len(key),), 1.0, requires_grad=True)  # saturated sigmoid
    loss = condensation_loss(x, beta, torch.tensor(key, dtype=torch.int64), generator=seeded_generator(0))
    assert bool(loss.total.isfinite())
    loss.total.backward()
    assert x.grad.isfinite().all()


def test_condensation_points_take_the_lowest_row_among_equals():
    alpha, own = condensation_points(torch.tensor([0.5, 0.9, 0.9, 0.1]), torch.tensor([-1, 30, 30, 20]))
    assert alpha.tolist() == [3, 1]
    assert own.tolist() == [-1, 1, 1, 0]
