"""Systems made of stages: each is a system that can be trained alone, and that adds to events what it decides.

Shape letters: N points, E edges.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from hitloom.config import Config
from hitloom.event import Event
from hitloom.systems.base import System

log = logging.getLogger("hitloom")

_GRAPH_FIELDS = ("edge_index", "edge_attr", "edge_y", "edge_weight", "edge_score", "edge_feature_names")


class Stage(System):
    """A system that is one stage of a chain.

    ``free_settings`` names the settings that leave the weights valid: cuts and the like, chosen after the training.
    """

    free_settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    @abstractmethod
    def decide(self, event: Event) -> Event:
        """Return a copy of ONE event with what this stage decides."""

    def calibrate(self, events: Iterable[Event]) -> dict[str, Any]:
        """Return settings of this stage chosen on validation events, as a nested mapping of its configuration."""
        return {}

    def say_once(self, kind: str, text: str) -> None:
        """Warn of something the first time that it happens."""
        if kind not in self._said:
            self._said.add(kind)
            log.warning(text + " (said once)")

    @staticmethod
    def with_edges(event: Event, edge_index: Tensor, *, score: Tensor | None = None) -> Event:
        """Return the event with another graph; edges of an earlier one go."""
        result = Event()
        for name, value in event.to_dict().items():
            if name not in _GRAPH_FIELDS:
                result[name] = value
        result.edge_index = edge_index
        if score is not None:
            result.edge_score = score
        return result


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage of a chain: its name there, the registered name of its system, and that system's configuration."""

    name: str
    system: str
    config: Config


class StagedSystem(System):
    """A chain of stages; each is an attribute of this name, so its weights are ``<name>.<weight>`` of the chain."""

    @classmethod
    @abstractmethod
    def stages(cls, config: Any) -> tuple[StageSpec, ...]:
        """Return the stages of a configuration, in the order in which they run and are trained."""

    @property
    def parts(self) -> dict[str, Stage]:
        """The stages by name, in their order."""
        return {spec.name: getattr(self, spec.name) for spec in self.stages(self.config)}


def event_number(event: Event) -> int:
    """Return the id of one event, 0 where it has none."""
    value = event.event_id if "event_id" in event else 0
    return int(value)
