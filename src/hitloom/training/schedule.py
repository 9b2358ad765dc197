"""Learning rate by epoch: linear warm-up, then step, plateau, cosine, cosine restarts or constant, with a floor.

``onecycle`` alone changes it with every step. The rate is a function of epoch and step and of a small plain state, so
that a resumed run has the rate of a run that was never stopped.
"""

from __future__ import annotations

import math
from typing import Any

from hitloom.training.run_config import TrainingSection

_COSINE_FLOOR = 1e-8
_THRESHOLD = 1e-4
_ONECYCLE_FIRST = 25.0  # the first rate is this part of the highest
_ONECYCLE_LAST = 1e4  # the last rate is this part of the first
_ONECYCLE_BETAS = (0.95, 0.85, 0.95)


class Schedule:
    """Learning rate of every epoch.

    Warm-up: ``lr * (epoch + 1) / warmup_epochs`` while ``epoch < warmup_epochs``. Afterwards, counted from epoch 0:

    - step: ``lr * factor ** (epoch // patience)``;
    - plateau: multiplied by ``factor`` once the monitored value has not improved (relative 1e-4) for more than
      ``patience`` validated epochs;
    - cosine: from ``lr`` to ``min_lr`` by half a cosine over ``start_epoch + max_epochs`` epochs, of which the first
      ``start_epoch`` are past;
    - cosine-restarts: from ``lr`` to 1e-8 by half a cosine, first over ``patience`` epochs, each period twice the last;
    - constant.

    ``onecycle`` (arXiv:1708.07120, in torch's form) has no warm-up besides its own: half a cosine up from 1/25 of
    ``lr * max_lr_factor`` over the first ``onecycle_rise`` of the steps of ``start_epoch + max_epochs`` epochs, half a
    cosine down to 1e-4 of where it began over the rest. With ``cycle_momentum`` the first beta falls from 0.95 to 0.85
    meanwhile, and rises again.

    ``min_lr`` bounds the rate from below, warm-up included.
    """

    def __init__(self, config: TrainingSection) -> None:
        self.config = config
        self.num_reductions = 0
        self.best = math.inf if config.mode == "min" else -math.inf
        self.num_bad = 0

    def rate(self, epoch: int, *, step: int = 0, num_steps: int = 1) -> float:
        """Return the learning rate of ``epoch``, and of its ``step`` of ``num_steps`` (both counted from 0)."""
        config = self.config
        if config.scheduler == "onecycle":
            highest = config.lr * config.max_lr_factor
            first = highest / _ONECYCLE_FIRST
            return max(self._one_cycle((first, highest, first / _ONECYCLE_LAST), epoch, step, num_steps), config.min_lr)
        if epoch < config.warmup_epochs:
            return max(config.lr * (epoch + 1) / config.warmup_epochs, config.min_lr)
        if config.scheduler == "step":
            rate = config.lr * config.factor ** (epoch // config.patience)
        elif config.scheduler == "plateau":
            rate = config.lr * config.factor**self.num_reductions
        elif config.scheduler == "cosine":
            turn = (config.start_epoch + epoch) / max(1, config.start_epoch + config.max_epochs)
            rate = config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * turn)) / 2
        elif config.scheduler == "cosine-restarts":
            period, since = config.patience, epoch
            while since >= period:
                since -= period
                period *= 2
            rate = _COSINE_FLOOR + (config.lr - _COSINE_FLOOR) * (1 + math.cos(math.pi * since / period)) / 2
        else:
            rate = config.lr
        return max(rate, config.min_lr)

    def first_beta(self, epoch: int, *, step: int, num_steps: int) -> float | None:
        """Return the first beta of the optimiser in a step; None where the schedule leaves it alone."""
        if self.config.scheduler != "onecycle" or not self.config.cycle_momentum:
            return None
        return self._one_cycle(_ONECYCLE_BETAS, epoch, step, num_steps)

    def _one_cycle(self, values: tuple[float, float, float], epoch: int, step: int, num_steps: int) -> float:
        """Return the value between first and second, or second and third, of ``values`` at a step of the run."""
        config = self.config
        last = (config.start_epoch + config.max_epochs) * num_steps - 1
        turn = config.onecycle_rise * (last + 1) - 1
        at = (config.start_epoch + epoch) * num_steps + step
        begin, end, share = (values[0], values[1], at / turn if turn > 0 else 1.0)
        if at > turn:
            begin, end, share = (values[1], values[2], (at - turn) / (last - turn) if last > turn else 1.0)
        return end + (begin - end) / 2.0 * (1.0 + math.cos(math.pi * min(share, 1.0)))

    def observe(self, value: float | None) -> None:
        """Take in the monitored value of a finished epoch; None when it was not computed."""
        if value is None or math.isnan(value):
            return
        if self.config.mode == "min":
            better = value < self.best * (1 - _THRESHOLD)
        else:
            better = value > self.best * (1 + _THRESHOLD)
        if better:
            self.best, self.num_bad = value, 0
            return
        self.num_bad += 1
        if self.num_bad > self.config.patience:
            self.num_reductions, self.num_bad = self.num_reductions + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the plain state."""
        return {"num_reductions": self.num_reductions, "best": self.best, "num_bad": self.num_bad}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`state_dict`."""
        self.num_reductions, self.best, self.num_bad = state["num_reductions"], state["best"], state["num_bad"]
