"""Stochastic weight averaging (arXiv:1803.05407): the mean of the weights at the ends of the later epochs.

From the first averaged epoch on it is the averaged weights that are validated and saved; training goes on with its own,
which checkpoints hold besides, so that a resumed run is one that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hitloom.training.run_config import TrainingSection


class WeightAverage:
    """Running mean of the weights of a network; buffers of numbers are averaged too, counters are the latest.

    Attributes
    ----------
    num_epochs : int
        Epochs in the mean; 0 = averaging has not begun, or is not asked for.
    """

    def __init__(self, config: TrainingSection) -> None:
        share = config.swa_start
        self.first_epoch = math.inf if share is None else math.floor(share * config.max_epochs)
        self.num_epochs = 0
        self.mean: dict[str, Tensor] = {}

    def observe(self, epoch: int, network: nn.Module) -> None:
        """Take in the weights at the end of an epoch (counted from 0)."""
        if epoch < self.first_epoch:
            return
        self.num_epochs += 1
        for name, value in network.state_dict().items():
            if self.num_epochs > 1 and value.is_floating_point():
                self.mean[name] += (value - self.mean[name]) / self.num_epochs
            else:
                self.mean[name] = value.detach().clone()

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[dict[str, Any]]:
        """Give the network the averaged weights for a while; yields what a checkpoint needs to go on without them.

        That is empty, and the weights are untouched, where averaging has not begun.
        """
        if not self.num_epochs:
            yield {}
            return
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.mean)
        try:
            yield {"num_epochs": self.num_epochs, "own": own}
        finally:
            network.load_state_dict(own)

    def resume(self, state: dict[str, Any], network: nn.Module) -> None:
        """Go on from a state that :meth:`applied` yielded; the network holds the averaged weights now."""
        if not state:
            return
        self.num_epochs = int(state["num_epochs"])
        self.mean = {name: value.detach().clone() for name, value in network.state_dict().items()}
        with torch.no_grad():
            network.load_state_dict(state["own"])
