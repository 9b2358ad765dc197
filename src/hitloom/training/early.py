"""Early stopping by the monitored value; its state is plain, so that a resumed run stops where an unbroken one does."""

from __future__ import annotations

import math
from typing import Any

from hitloom.training.run_config import TrainingSection


class EarlyStopping:
    """Counts the validated epochs since the best one.

    Attributes
    ----------
    best : float
    num_bad : int
        Validated epochs since ``best``.
    """

    def __init__(self, config: TrainingSection) -> None:
        self.config = config
        self.best = math.inf if config.mode == "min" else -math.inf
        self.num_bad = 0

    @property
    def reached(self) -> bool:
        """Whether to stop."""
        patience = self.config.early_stopping
        return patience is not None and self.num_bad >= patience

    def observe(self, value: float | None) -> None:
        """Take in the monitored value of a finished epoch; None when it was not computed."""
        if value is None:
            return
        gain = self.best - value if self.config.mode == "min" else value - self.best
        if gain > self.config.min_delta:
            self.best, self.num_bad = value, 0
        else:
            self.num_bad += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the plain state."""
        return {"best": self.best, "num_bad": self.num_bad}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`state_dict`."""
        self.best, self.num_bad = state["best"], state["num_bad"]
