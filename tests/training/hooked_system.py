"""The tiny system with every hook of the loop, and a validation loss that can be made to rise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from tiny_system import Tiny, TinyConfig

from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.result import Scores


class HookedConfig(TinyConfig):
    """``rise``: the validation loss falls, then rises. ``explode_from``, ``nan_from``: gradient or loss, by step."""

    rise: bool = False
    explode_from: int | None = None
    factor: float = 1e9
    nan_from: int | None = None
    cut: float = 0.5


class Hooked(Tiny):
    """Counts its steps and remembers what the loop handed it."""

    name: ClassVar[str] = "hooked"
    Config: ClassVar[type[HookedConfig]] = HookedConfig

    def __init__(self, config: HookedConfig) -> None:
        super().__init__(config)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last_epoch", torch.zeros((), dtype=torch.int64))

    def fit_inputs(self, events: Iterable[Event]) -> None:
        self.scale.fill_(max(float(event.pos.abs().max()) for event in events))

    def after_step(self, epoch: int) -> None:
        self.num_steps += 1
        self.last_epoch.fill_(epoch)

    def loss(self, scores: Scores, event: Event) -> Loss:
        if not self.training and self.config.rise:
            size = sum(p.detach().square().sum() for p in self.parameters())
            return Loss(parts={"size": size - 0.1 * min(int(self.num_steps), 8) * size})
        loss, config = super().loss(scores, event), self.config
        if self.training and config.explode_from is not None and int(self.num_steps) >= config.explode_from:
            # the value stays, the gradient does not
            big = sum(p.sum() for p in self.parameters())
            loss.parts["pull"] = loss.parts["pull"] + config.factor * (big - big.detach())
        if self.training and config.nan_from is not None and int(self.num_steps) >= config.nan_from:
            loss.parts["pull"] = loss.parts["pull"] * float("nan")
        return loss

    def choose_working_point(self, events: Iterable[Event]) -> dict[str, Any]:
        return {"cut": 0.25 + 0.001 * sum(1 for _ in events)}
