"""One cycle of the learning rate, learning rates by part of the network, norms of gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import SignalAt
from tiny_system import Tiny
from torch import nn
from training_toy import assert_same_weights, quiet, tiny_config, tiny_data

from hitloom.errors import ConfigError
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.history import read_history
from hitloom.training.parts import Part, clip_gradients, parts_of
from hitloom.training.run_config import RunConfig, TrainingSection, build_run_config
from hitloom.training.schedule import Schedule
from hitloom.training.stop import StopRequested
from hitloom.training.train import train


class InParts(Tiny):
    """The tiny system, its second layer with a tenth of the rate."""

    name = "in_parts"

    def parameter_groups(self) -> list[tuple[str, list[nn.Parameter], float]]:
        return [("first", list(self.net[0].parameters()), 1.0), ("last", list(self.net[3].parameters()), 0.1)]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch):
    from hitloom.registry import SYSTEMS

    monkeypatch.setitem(SYSTEMS, "in_parts", "test_parts_and_onecycle:InParts")


def in_parts(**training: Any) -> RunConfig:
    values = tiny_config(**({"scheduler": "onecycle", "max_lr_factor": 2.0} | training)).model_dump()
    return build_run_config(values | {"system": "in_parts"})


# ---------------------------------------------------------------------- one cycle


@pytest.mark.parametrize(("epochs", "steps", "rise"), [(3, 7, 0.3), (10, 4, 0.5), (1, 30, 0.1)])
@pytest.mark.parametrize("momentum", [True, False])
def test_one_cycle_equals_torchs(epochs: int, steps: int, rise: float, momentum: bool):
    own = Schedule(
        TrainingSection(
            scheduler="onecycle",
            lr=1e-3,
            max_lr_factor=2,
            max_epochs=epochs,
            onecycle_rise=rise,
            cycle_momentum=momentum,
        )
    )
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1e-3)
    peer = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, total_steps=epochs * steps, pct_start=rise, cycle_momentum=momentum
    )
    for at in range(epochs * steps):
        epoch, step = divmod(at, steps)
        group = optimizer.param_groups[0]
        assert own.rate(epoch, step=step, num_steps=steps) == pytest.approx(group["lr"], rel=1e-9)
        beta = own.first_beta(epoch, step=step, num_steps=steps)
        assert beta is None if not momentum else beta == pytest.approx(group["betas"][0], rel=1e-9)
        optimizer.step()
        if at + 1 < epochs * steps:
            peer.step()


def test_one_cycle_goes_on_where_the_first_epochs_were_left():
    whole = Schedule(TrainingSection(scheduler="onecycle", max_epochs=6))
    rest = Schedule(TrainingSection(scheduler="onecycle", max_epochs=4, start_epoch=2))
    assert rest.rate(1, step=3, num_steps=5) == whole.rate(3, step=3, num_steps=5)


def test_one_cycle_of_a_single_step_and_its_floor():
    assert Schedule(TrainingSection(scheduler="onecycle", max_epochs=1, lr=1e-3)).rate(0) > 0
    floored = Schedule(TrainingSection(scheduler="onecycle", max_epochs=3, lr=1e-3, min_lr=1e-4))
    assert min(floored.rate(epoch, step=step, num_steps=9) for epoch in range(3) for step in range(9)) == 1e-4


def test_the_log_has_the_rate_of_the_last_step_of_an_epoch(tmp_path: Path):
    config = tiny_config(scheduler="onecycle", max_epochs=2)
    train(config, output=tmp_path, data=tiny_data(), progress=quiet())
    wanted = Schedule(config.training)
    rates = [row["lr"] for row in read_history(tmp_path / "metrics.csv")]
    assert rates == [wanted.rate(epoch, step=6, num_steps=7) for epoch in range(2)]


# ---------------------------------------------------------------------- parts of the network


def test_every_part_has_its_own_rate_through_the_cycle(tmp_path: Path):
    config = in_parts(max_epochs=2)
    outcome = train(config, output=tmp_path, data=tiny_data(), progress=quiet())
    first, last = load_checkpoint(outcome.last).training["optimizer"]["param_groups"]
    at = {"step": 6, "num_steps": 7}
    assert first["lr"] == pytest.approx(Schedule(config.training).rate(1, **at))
    assert last["lr"] == pytest.approx(0.1 * first["lr"])
    assert first["betas"][0] == last["betas"][0] == pytest.approx(Schedule(config.training).first_beta(1, **at))
    row = read_history(tmp_path / "metrics.csv")[-1]
    whole, parts = row["train_gradient_norm"], [row["train_gradient_norm_first"], row["train_gradient_norm_last"]]
    assert max(parts) <= whole <= sum(parts)


def test_a_part_of_rate_nearly_zero_stands_still_while_the_other_learns(tmp_path: Path, monkeypatch):
    def groups(system: InParts) -> list[tuple[str, list[nn.Parameter], float]]:
        return [("first", list(system.net[0].parameters()), 1.0), ("last", list(system.net[3].parameters()), 1e-12)]

    monkeypatch.setattr(InParts, "parameter_groups", groups)
    ends = [
        load_checkpoint(
            train(in_parts(max_epochs=n), output=tmp_path / f"{n}", data=tiny_data(), progress=quiet()).last
        )
        for n in (1, 2)
    ]
    a, b = (end.weights for end in ends)
    assert torch.allclose(a["net.3.weight"], b["net.3.weight"], atol=1e-9)
    assert not torch.allclose(a["net.0.weight"], b["net.0.weight"], atol=1e-5)


def test_a_parameter_in_no_part_or_in_two_is_refused():
    system = InParts(InParts.Config())
    system.parameter_groups = lambda: [("first", system.net[0].parameters(), 1.0)]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="every parameter in exactly one group"):
        parts_of(system)
    system.parameter_groups = lambda: [("a", system.parameters(), 1.0), ("b", system.net[0].parameters(), 1.0)]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="every parameter in exactly one group"):
        parts_of(system)


@pytest.mark.parametrize("per_group", [True, False])
def test_gradients_are_clipped_by_part_or_all_together(per_group: bool):
    weights = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))]
    for weight, size in zip(weights, (4.0, 0.5), strict=True):
        weight.grad = torch.full_like(weight, size)
    before = [weight.grad.clone() for weight in weights]
    parts = [Part(name="a", parameters=weights[:1]), Part(name="b", parameters=weights[1:])]
    norms = clip_gradients(parts, TrainingSection(gradient_clip=1.0, gradient_clip_per_group=per_group))
    assert float(norms[""]) == pytest.approx(float(torch.cat(before).norm()))
    if per_group:
        assert [float(weight.grad.norm()) for weight in weights] == pytest.approx([1.0, 0.5**0.5], rel=1e-5)
    else:
        assert float(torch.cat([weight.grad for weight in weights]).norm()) == pytest.approx(1.0, rel=1e-5)
        assert torch.allclose(weights[0].grad[0] / weights[1].grad[0], before[0][0] / before[1][0])


# ---------------------------------------------------------------------- stop and resume


@pytest.mark.parametrize("call", [3, 12])
def test_a_cycle_over_parts_survives_a_stop_bit_for_bit(tmp_path: Path, call: int):
    config = in_parts(gradient_clip=0.05, gradient_clip_per_group=True)
    train(config, output=tmp_path / "whole", data=tiny_data(), progress=quiet())
    with pytest.raises(StopRequested):
        train(config, output=tmp_path / "cut", data=tiny_data(), progress=SignalAt(call=call))
    checkpoint = load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")
    train(config, output=tmp_path / "cut", data=tiny_data(), resume=checkpoint, progress=quiet())
    assert_same_weights(tmp_path / "whole/checkpoints/last.ckpt", tmp_path / "cut/checkpoints/last.ckpt")


def test_an_unknown_schedule_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="onecycle"):
        tiny_config(scheduler="one-cycle")
