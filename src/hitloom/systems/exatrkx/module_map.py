"""The graph from a module map instead of an embedding: which modules follow each other, and within which bounds.

Shape letters: N points, E edges.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from hitloom.data.module_map import ModuleMap
from hitloom.errors import CheckpointError, ConfigError
from hitloom.event import Event
from hitloom.grouping import connected_components
from hitloom.losses.base import Loss
from hitloom.result import Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, point_ids
from hitloom.systems.exatrkx.config import ModuleMapConfig
from hitloom.systems.exatrkx.graph import BuiltGraph
from hitloom.systems.staged import Stage, event_number


class ModuleMapStage(Stage):
    """The module map as a stage: fitted in one pass over events, without gradients.

    Parameters
    ----------
    config : ModuleMapConfig
        ``sizes`` says how large the tensors of the map are; :meth:`fit` writes it.
    """

    name: ClassVar[str] = "exatrkx-module-map"
    free_settings: ClassVar[tuple[str, ...]] = ("method", "tolerance", "threshold_factor", "occurrence_threshold")
    Config: ClassVar[type[ModuleMapConfig]] = ModuleMapConfig  # type: ignore[assignment]
    config: ModuleMapConfig
    validates_partition: ClassVar[bool] = False

    def __init__(self, config: ModuleMapConfig) -> None:
        super().__init__()
        self.config = config
        self._map: ModuleMap | None = None
        for name, (dtype, *shape) in config.sizes.items():
            self.register_buffer(f"map_{name}", torch.zeros([int(n) for n in shape], dtype=getattr(torch, str(dtype))))

    @classmethod
    def fit(cls, config: ModuleMapConfig, events: Iterable[Event]) -> ModuleMapStage:
        """Return the stage with the map of these events."""
        found = ModuleMap.fit(
            events,
            conditions=config.conditions,
            min_occurrence=config.min_occurrence,
            definition=config.definition,
            doublets_only=config.doublets_only,
            eta_width=config.eta_width,
        )
        tensors = found.to_tensors()
        sizes = {name: (str(t.dtype).removeprefix("torch."), *t.shape) for name, t in tensors.items()}
        stage = cls(config.model_copy(update={"sizes": sizes}))
        for name, tensor in tensors.items():
            getattr(stage, f"map_{name}").copy_(tensor)
        return stage

    @property
    def module_map(self) -> ModuleMap:
        """The map in memory.

        Raises
        ------
        CheckpointError
            When the stage is not fitted.
        """
        if not self.config.sizes:
            raise CheckpointError("module_map: the stage is not fitted; mend: train it (--stage module_map)")
        if self._map is None:
            self._map = ModuleMap.from_tensors({name: getattr(self, f"map_{name}").cpu() for name in self.config.sizes})
        return self._map

    @property
    def needs(self) -> Needs:
        return Needs(
            fields=("pos", "volume", "layer", "module"),
            training_fields=("object_index", "object_id", "object_vertex"),
        )

    def forward(self, event: Event) -> Scores:
        """Return empty scores: the map has no network."""
        return Scores()

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Raise: a module map is fitted, not trained by gradients.

        Raises
        ------
        ConfigError
        """
        raise ConfigError("module_map: is fitted in one pass, not trained by gradients; mend: --stage module_map")

    def build(self, scores: Scores, event: Event) -> BuiltGraph:
        """Return the graph of ONE event; says so when it is empty."""
        if "batch" in event:
            raise ConfigError("module_map: takes one event at a time; mend: data.batch_size 1")
        config = self.config
        edges = self.module_map.edges(
            event, method=config.method, tolerance=config.tolerance, threshold_factor=config.threshold_factor,
            occurrence_threshold=config.occurrence_threshold,
        )  # fmt: skip
        if edges.shape[1] == 0 and event.num_points > 1:
            self.say_once(
                "empty",
                f"{event.describe()}: no edges: no pair of hits passes the module map; mend: a larger "
                "module_map.tolerance, or more events to fit it on",
            )
        return BuiltGraph(edge_index=edges.to(event.pos.device), saturated=0.0)

    def decide(self, event: Event) -> Event:
        """Return the event with ``edge_index``."""
        return self.with_edges(event, self.build(self(event), event).edge_index.cpu())

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        watch = Stopwatch(torch.device("cpu"))
        with watch("module_map"):
            edges: Tensor = self.build(scores, event).edge_index.cpu()
            labels = connected_components(edges, event.num_points, min_size=2)
        return Result(event_id=event_number(event), point_id=point_ids(event), labels=labels, timing=watch.seconds)

    def export_signature(self) -> ExportSignature:
        """Raise: a module map is a table; it is written as text instead.

        Raises
        ------
        ConfigError
        """
        raise ConfigError("module_map: is a table, not a network; mend: hitloom data module-map writes it as text")
