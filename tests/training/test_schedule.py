"""The learning rate of every epoch, against torch's own schedulers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.training.run_config import TrainingSection
from hitloom.training.schedule import Schedule


def make(**values: Any) -> Schedule:
    return Schedule(TrainingSection(**({"warmup_epochs": 0, "lr": 0.1} | values)))


def torch_rates(scheduler_of: Any, num_epochs: int, values: list[float] | None = None) -> list[float]:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scheduler = scheduler_of(optimizer)
    rates = []
    for epoch in range(num_epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([] if values is None else [values[epoch]]))
    return rates


def test_warm_up_is_linear_and_begins_above_zero():
    schedule = make(warmup_epochs=4, scheduler="constant")
    assert [schedule.rate(e) for e in range(5)] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])


def test_step_equals_torch():
    ours = make(scheduler="step", factor=0.5, patience=3)
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5), 10)
    assert [ours.rate(e) for e in range(10)] == pytest.approx(theirs)


def test_cosine_restarts_equal_torch():
    ours = make(scheduler="cosine-restarts", patience=3)
    theirs = torch_rates(
        lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 3, T_mult=2, eta_min=1e-8), 25
    )
    assert [ours.rate(e) for e in range(25)] == pytest.approx(theirs)


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.floats(0.01, 10), min_size=1, max_size=25),
    patience=st.integers(1, 4),
    mode=st.sampled_from(["min", "max"]),
)
def test_plateau_equals_torch(values: list[float], patience: int, mode: str):
    ours = make(scheduler="plateau", factor=0.5, patience=patience, mode=mode)
    rates = []
    for epoch, value in enumerate(values):
        rates.append(ours.rate(epoch))
        ours.observe(value)
    theirs = torch_rates(
        lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, mode=mode, factor=0.5, patience=patience),
        len(values),
        values,
    )
    assert rates == pytest.approx(theirs)


def test_plateau_ignores_epochs_without_the_value_and_keeps_its_state():
    schedule = make(scheduler="plateau", factor=0.5, patience=1, mode="max")
    for value in (1.0, None, 0.5, float("nan"), 0.4):
        schedule.observe(value)
    assert schedule.rate(5) == pytest.approx(0.05)
    other = make(scheduler="plateau", factor=0.5, patience=1, mode="max")
    other.load_state_dict(schedule.state_dict())
    assert other.rate(5) == schedule.rate(5)


@pytest.mark.parametrize("scheduler", ["step", "plateau", "cosine-restarts", "constant"])
def test_the_floor_holds_in_every_epoch(scheduler: str):
    schedule = make(scheduler=scheduler, factor=0.1, patience=1, min_lr=0.03, warmup_epochs=5)
    for epoch in range(20):
        assert schedule.rate(epoch) >= 0.03
        schedule.observe(0.0)
