"""Learning rate by epoch: linear warm-up, then step, plateau, cosine, cosine restarts or constant, with a floor.

The rate is a function of the epoch and of a small plain state, so that a resumed run has the rate of a run that was
never stopped.
"""

from __future__ import annotations

import math
from typing import Any

from hitloom.training.run_config import TrainingSection

_COSINE_FLOOR = 1e-8
_THRESHOLD = 1e-4


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

    ``min_lr`` bounds the rate from below, warm-up included.
    """

    def __init__(self, config: TrainingSection) -> None:
        self.config = config
        self.num_reductions = 0
        self.best = math.inf if config.mode == "min" else -math.inf
        self.num_bad = 0

    def rate(self, epoch: int) -> float:
        """Return the learning rate of ``epoch`` (counted from 0)."""
        config = self.config
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
