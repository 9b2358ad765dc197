"""The staged pipeline: embedding -> graph -> filter -> graph network -> tracks (arXiv:2103.06995, arXiv:2202.06929).

The stages are trained one after another, each on the events that the one before has made; the chain holds them all and
runs them in one pass. Trained as a whole it sums the losses of its stages.

Shape letters: N points, E edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.result import Graph, Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs
from hitloom.systems.exatrkx.classifier import EdgeGNN
from hitloom.systems.exatrkx.config import ExaTrkXConfig
from hitloom.systems.exatrkx.embedding import MetricLearning
from hitloom.systems.exatrkx.filter import EdgeFilter
from hitloom.systems.exatrkx.graph import outward_edges
from hitloom.systems.exatrkx.module_map import ModuleMapStage
from hitloom.systems.exatrkx.truth import signal_edges
from hitloom.systems.staged import Stage, StagedSystem, StageSpec


class ExaTrkX(StagedSystem):
    """All stages together.

    Parameters
    ----------
    config : ExaTrkXConfig
    """

    name: ClassVar[str] = "exatrkx"
    Config: ClassVar[type[ExaTrkXConfig]] = ExaTrkXConfig  # type: ignore[assignment]
    config: ExaTrkXConfig

    def __init__(self, config: ExaTrkXConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = None if config.embedding is None else MetricLearning(config.embedding)
        self.module_map = None if config.module_map is None else ModuleMapStage(config.module_map)
        self.filter = None if config.filter is None else EdgeFilter(config.filter)
        self.gnn = EdgeGNN(config.gnn)

    @classmethod
    def stages(cls, config: Any) -> tuple[StageSpec, ...]:
        """Return the stages in their order."""
        parts: dict[str, type[Stage]] = {
            "embedding": MetricLearning,
            "module_map": ModuleMapStage,
            "filter": EdgeFilter,
            "gnn": EdgeGNN,
        }
        return tuple(
            StageSpec(name=name, system=stage.name, config=getattr(config, name))
            for name, stage in parts.items()
            if getattr(config, name) is not None
        )

    @property
    def needs(self) -> Needs:
        needs = [stage.needs for stage in self.parts.values()]
        made = ("edge_index", "edge_score")

        def union(lists: list[tuple[str, ...]]) -> tuple[str, ...]:
            return tuple(dict.fromkeys(name for names in lists for name in names if name not in made))

        return Needs(
            fields=union([need.fields for need in needs]),
            features=union([need.features for need in needs]),
            training_fields=union([need.training_fields for need in needs]),
        )

    def forward(self, event: Event) -> Scores:
        """Run all stages on an event or a batch of events.

        In training, signal edges that the graph misses are added to it, and the graph network sees the edges that the
        filter drew for its own step: so every stage learns from the first step on.
        """
        first, edges = self._graph(event)
        scores = Scores(embedding=first.embedding, stages={"first": first}, timing=dict(first.timing))
        space = None if first.embedding is None else first.embedding.detach()
        graphs = [Graph(name="graph", edge_index=edges, bounding=True, embedding=space)]
        probability = None
        if self.filter is not None:
            passed = self.filter(Stage.with_edges(event, edges))
            scores.stages["filter"] = passed
            scores.timing |= passed.timing
            edges, logit = passed.scored_edges()
            probability = logit.detach().sigmoid()
            graphs[-1] = replace(graphs[-1], edge_index=edges, edge_score=probability)
            if not self.training:
                keep = self.filter.kept(passed, event)
                edges, probability = edges[:, keep], probability[keep]
            graphs.append(Graph(name="filter", edge_index=edges, bounding=True))
        judged = self.gnn.score(event, edges, probability)
        scores.stages["gnn"] = judged
        scores.timing |= judged.timing
        chosen = judged.scored_edges()[1].detach().sigmoid()
        graphs[-1] = replace(graphs[-1], edge_score=chosen)
        graphs.append(Graph(name="gnn", edge_index=edges[:, chosen > self.gnn.loosest_cut], bounding=True))
        scores.edge_index, scores.edge_score, scores.graphs = edges, judged.edge_score, graphs
        return scores

    def _graph(self, event: Event) -> tuple[Scores, Tensor]:
        """Return the scores of the first stage, and the edges (2, E) of its graph."""
        watch = Stopwatch(event.pos.device)
        stage = self.embedding if self.embedding is not None else self.module_map
        assert stage is not None
        scores = stage(event)
        with watch("graph"), torch.no_grad():
            edges = stage.build(scores, event).edge_index
            if self.training and event.has_truth:
                truth = (self.filter or self.gnn).config.truth
                edges = outward_edges(torch.cat([edges, signal_edges(event, truth)[0]], 1), event.pos)
        scores.timing |= watch.seconds
        return scores, edges

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the losses of all trainable stages, their parts named ``stage/part``."""
        parts: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        counts: dict[str, int] = {}
        for name, stage in self.parts.items():
            if isinstance(stage, ModuleMapStage):
                continue
            own = scores.stages["first" if name == "embedding" else name]
            value = stage.loss(own, event)
            parts |= {f"{name}_{part}": tensor for part, tensor in value.parts.items()}
            weights |= {f"{name}_{part}": weight for part, weight in value.weights.items()}
            counts |= {f"{name}_{part}": count for part, count in value.counts.items()}
        return Loss(parts=parts, weights=weights, counts=counts)

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        """Turn the edges of ONE event into tracks.

        The embedding is not part of the result: it is a step on the way, not what the tracks are grouped by.
        """
        result = self.gnn.reconstruct(Scores(edge_index=scores.edge_index, edge_score=scores.edge_score), event)
        return replace(result, timing=scores.timing | result.timing)

    def validation_counts(self, scores: Scores, event: Event) -> dict[str, float]:
        """Count the edges of the graph network's stage."""
        return self.gnn.validation_counts(scores.stages["gnn"], event)

    def validation_rates(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the edge rates of the graph network's stage."""
        return self.gnn.validation_rates(sums)

    @property
    def edge_threshold(self) -> float | None:
        """The loosest cut of the graph network's segmentation."""
        return self.gnn.edge_threshold

    def parameters_without_gradient(self) -> set[str]:
        """Return the names of parameters that never learn, those of the graph network's stage."""
        return {f"gnn.{name}" for name in self.gnn.parameters_without_gradient()}

    def export_signature(self) -> ExportSignature:
        """Raise: the chain is exported stage by stage.

        Raises
        ------
        ConfigError
        """
        names = ", ".join(self.parts)
        raise ConfigError(f"the chain is exported stage by stage; mend: --stage one of {names}, or --stage all")
