"""The one LightningModule that trains every system.

Optimisation is manual, so that the learning rate, the random numbers and the position within an epoch are functions of
(seed, epoch, step) and a killed run can be continued to the same weights.

A system may train on what it makes of a batch: with ``max_tier(epoch)`` and ``next_pass(scores, batch, tier=)`` it
returns, after the step of a batch, the batch of the next tier, or None when there is none. The loop then takes a step
on that one, and so on up to ``max_tier``; the schedule does not advance meanwhile.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.result import Scores
from hitloom.systems.base import System
from hitloom.training.averaging import WeightAverage
from hitloom.training.batches import SKIPPED, step_seed
from hitloom.training.early import EarlyStopping
from hitloom.training.parts import clip_gradients, make_optimizer, parts_of
from hitloom.training.run_config import RunConfig
from hitloom.training.schedule import Schedule
from hitloom.training.sums import add_loss, add_mean, epoch_values


class Task(pl.LightningModule):
    """A system under training: one optimiser step per ``accumulate`` batches, loss parts summed over the epoch.

    Attributes
    ----------
    system : System
    schedule : Schedule
    sums : dict
        Sums of the epoch so far on this device, see :mod:`hitloom.training.sums`.
    """

    def __init__(self, system: System, config: RunConfig) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.system = system
        self.run_config = config
        self.parts = parts_of(system)
        self.schedule = Schedule(config.training)
        self.early = EarlyStopping(config.training)
        self.average = WeightAverage(config.training)
        self.sums: dict[str, Any] = {}

    @property
    def epoch_number(self) -> int:
        """Number of the running epoch, ``start_epoch`` included."""
        return int(self.run_config.training.start_epoch + self.current_epoch)

    @property
    def num_steps(self) -> int:
        """Steps of an epoch, those on further tiers of a batch not counted."""
        return -(-int(self.trainer.num_training_batches) // self.run_config.training.accumulate)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser as configured; the learning rate is set before each step."""
        return make_optimizer(self.parts, self.run_config.training)

    def on_train_epoch_start(self) -> None:
        """Tell the system the number of the epoch, where it wants to know."""
        begin = getattr(self.system, "begin_epoch", None)
        if begin is not None:
            begin(self.epoch_number)

    def training_step(self, batch: Event | str, batch_idx: int) -> None:
        """Forward, backward and, after ``accumulate`` batches or at the end of the epoch, one optimiser step."""
        if isinstance(batch, str):
            assert batch == SKIPPED
            return
        config = self.run_config.training
        torch.manual_seed(step_seed(config.seed, self.current_epoch, batch_idx, self.global_rank))
        num_batches = int(self.trainer.num_training_batches)
        group_start = batch_idx - batch_idx % config.accumulate
        group_size = min(config.accumulate, num_batches - group_start)
        if batch_idx == group_start:
            self._zero_grad()
        scores, loss = self._backward(batch, batch_idx, divisor=group_size)
        add_loss(self.sums, loss, loss.total.detach())
        if batch_idx == group_start + group_size - 1:
            self._step(group_start // config.accumulate)
            self._further_tiers(scores, loss, batch, batch_idx)

    def _further_tiers(self, scores: Scores, loss: Loss, batch: Event, batch_idx: int) -> None:
        """Take a step on every further tier of a batch.

        On several devices all take equally many steps: one whose events are done gives a gradient of zero, and the
        others weigh as much more.
        """
        highest: Any = getattr(self.system, "max_tier", None)
        max_tier = 0 if highest is None else highest(self.epoch_number)
        current: tuple[Scores, Event] | None = (scores, batch)
        if max_tier:
            add_mean(self.sums, "loss_tier_0", loss.total)
        for tier in range(1, max_tier + 1):
            merged = None
            if current is not None:
                with torch.no_grad():
                    merged = self.system.next_pass(*current, tier=tier)  # type: ignore[operator]
            (num_devices,) = self.add_over_devices([float(merged is not None)])
            if not num_devices:
                return
            self._zero_grad()
            if merged is None:
                current = None
                self.manual_backward(self._nothing())
            else:
                scores, loss = self._backward(merged, batch_idx, divisor=num_devices / self.trainer.world_size)
                add_mean(self.sums, f"loss_tier_{tier}", loss.total)
                current = scores, merged
            self._step(batch_idx // self.run_config.training.accumulate)

    def _zero_grad(self) -> None:
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()

    def _backward(self, batch: Event, batch_idx: int, *, divisor: float) -> tuple[Scores, Loss]:
        """Add the gradient of a batch, divided; return scores and loss."""
        scores = self.system(batch)
        loss = self.system.loss(scores, batch)
        if not bool(torch.isfinite(loss.total)):
            self._refuse(loss, batch, batch_idx)
        total = loss.total / divisor
        self.manual_backward(total + self._nothing() if self.trainer.world_size > 1 else total)
        return scores, loss

    def _nothing(self) -> Tensor:
        """Return a loss of 0 on which every parameter rests: several devices wait for the gradients of each other."""
        return torch.stack([p.sum() * 0.0 for p in self.system.parameters() if p.requires_grad]).sum()

    def _step(self, step: int) -> None:
        """Take the step of the epoch with the number ``step``."""
        optimizer: Any = self.optimizers()
        at = {"step": step, "num_steps": self.num_steps}
        rate = self.schedule.rate(self.current_epoch, **at)
        first_beta = self.schedule.first_beta(self.current_epoch, **at)
        for group, part in zip(optimizer.param_groups, self.parts, strict=True):
            group["lr"] = rate * part.factor
            if first_beta is not None:
                group["betas"] = (first_beta, group["betas"][1])
        optimizer.step()
        after = getattr(self.system, "after_step", None)
        if after is not None:
            after(self.epoch_number)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the (unscaled) gradient where asked; leave a step out whose gradient is beyond all measure."""
        config = self.run_config.training
        norms = clip_gradients(self.parts, config)
        for name, norm in norms.items():
            add_mean(self.sums, f"gradient_norm_{name}".rstrip("_"), norm)
        if config.max_gradient_norm is None:
            return
        late = self.epoch_number > config.max_gradient_norm_after
        if not bool(torch.isfinite(norms[""])) or (late and float(norms[""]) > config.max_gradient_norm):
            self.sums["num_left_out"] = self.sums.get("num_left_out", 0) + 1
            for parameter in self.system.parameters():
                parameter.grad = None  # an optimiser passes over parameters without a gradient

    def _refuse(self, loss: Loss, batch: Event, batch_idx: int) -> None:
        wrong = [name for name, part in loss.parts.items() if not bool(torch.isfinite(part))]
        names = getattr(batch, "event_id", "?")
        raise DataError(
            f"training: the loss of epoch {self.current_epoch}, batch {batch_idx} (event {names}) is not finite "
            f"(part {', '.join(wrong) or 'sum'}); mend: features without NaN or infinity, or a smaller training.lr"
        )

    def summed(self) -> dict[str, float]:
        """Return the sums of the epoch so far over all devices, as plain numbers."""
        own = {name: float(value) for name, value in self.sums.items()}
        if self.trainer.world_size == 1:
            return own
        every: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(every, own)
        return {name: sum(part.get(name, 0.0) for part in every) for part in every for name in part}

    def epoch_values(self) -> dict[str, float]:
        """Return the values of the epoch to log, over all devices."""
        return epoch_values(self.summed())

    def add_over_devices(self, numbers: list[float]) -> list[float]:
        """Return the sums of plain numbers over all devices."""
        if self.trainer.world_size == 1:
            return list(numbers)
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        tensor = torch.tensor(numbers, dtype=dtype, device=self.device)
        return self.trainer.strategy.reduce(tensor, reduce_op="sum").tolist()
