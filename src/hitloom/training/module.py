"""The one LightningModule that trains every system.

Optimisation is manual, so that the learning rate, the random numbers and the position within an epoch are functions of
(seed, epoch, step) and a killed run can be continued to the same weights.
"""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.systems.base import System
from hitloom.training.averaging import WeightAverage
from hitloom.training.batches import SKIPPED, step_seed
from hitloom.training.early import EarlyStopping
from hitloom.training.run_config import RunConfig
from hitloom.training.schedule import Schedule


class Task(pl.LightningModule):
    """A system under training: one optimiser step per ``accumulate`` batches, loss parts summed over the epoch.

    Attributes
    ----------
    system : System
    schedule : Schedule
    sums : dict
        Sums of the epoch so far on this device: ``loss`` and ``part/<name>`` as () tensors, ``empty/<name>`` (batches
        in which a part rested on no pair), ``num_left_out`` (steps) and ``num_batches`` as numbers.
    """

    def __init__(self, system: System, config: RunConfig) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.system = system
        self.run_config = config
        self.schedule = Schedule(config.training)
        self.early = EarlyStopping(config.training)
        self.average = WeightAverage(config.training)
        self.sums: dict[str, Any] = {}

    def forward(self, event: Event) -> Loss:
        """Return the loss of an event or a batch."""
        return self.system.loss(self.system(event), event)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser as configured; the learning rate is set before each step."""
        config = self.run_config.training
        kind = torch.optim.Adam if config.optimizer == "Adam" else torch.optim.AdamW
        return kind(
            self.system.parameters(),
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
            amsgrad=config.amsgrad,
        )

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
        optimizer: Any = self.optimizers()
        if batch_idx == group_start:
            optimizer.zero_grad()
        loss = self(batch)
        total = loss.total
        if not bool(torch.isfinite(total)):
            self._refuse(loss, batch, batch_idx)
        self.manual_backward(total / group_size)
        self._add(loss, total.detach())
        if batch_idx == group_start + group_size - 1:
            for group in optimizer.param_groups:
                group["lr"] = self.schedule.rate(self.current_epoch)
            optimizer.step()
            after = getattr(self.system, "after_step", None)
            if after is not None:
                after(config.start_epoch + self.current_epoch)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the (unscaled) gradient where asked; leave a step out whose gradient is beyond all measure."""
        config = self.run_config.training
        if config.gradient_clip is None and config.max_gradient_norm is None:
            return
        clip = math.inf if config.gradient_clip is None else config.gradient_clip
        norm = torch.nn.utils.clip_grad_norm_(self.system.parameters(), clip)
        if config.max_gradient_norm is None:
            return
        late = config.start_epoch + self.current_epoch > config.max_gradient_norm_after
        if not bool(torch.isfinite(norm)) or (late and float(norm) > config.max_gradient_norm):
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

    def _add(self, loss: Loss, total: Tensor) -> None:
        sums = self.sums
        sums["num_batches"] = sums.get("num_batches", 0) + 1
        sums["loss"] = sums.get("loss", 0.0) + total.float()
        for name, part in loss.parts.items():
            sums[f"part/{name}"] = sums.get(f"part/{name}", 0.0) + part.detach().float()
        for name, count in loss.counts.items():
            sums[f"empty/{name}"] = sums.get(f"empty/{name}", 0) + int(count == 0)

    def summed(self) -> dict[str, float]:
        """Return the sums of the epoch so far over all devices, as plain numbers."""
        names = sorted(self.sums)
        return dict(zip(names, self.add_over_devices([float(self.sums[name]) for name in names]), strict=True))

    def epoch_values(self) -> dict[str, float]:
        """Return ``train_loss`` and ``train_<part>``, means over the epoch.

        ``train_<part>_empty`` says how often a part rested on nothing, where that happened.
        """
        sums = self.summed()
        num_batches, num_left_out = sums.pop("num_batches", 0.0), sums.pop("num_left_out", 0.0)
        values = {"train_steps_left_out": num_left_out} if num_left_out else {}
        for name, value in sums.items():
            kind, _, part = name.rpartition("/")
            if kind == "empty":
                if value:
                    values[f"train_{part}_empty"] = value
            else:
                values[f"train_{part}"] = value / num_batches
        return values

    def add_over_devices(self, numbers: list[float]) -> list[float]:
        """Return the sums of plain numbers over all devices."""
        if self.trainer.world_size == 1:
            return list(numbers)
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        tensor = torch.tensor(numbers, dtype=dtype, device=self.device)
        return self.trainer.strategy.reduce(tensor, reduce_op="sum").tolist()
