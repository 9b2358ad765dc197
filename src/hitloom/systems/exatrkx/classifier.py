"""Edge classifier: a graph network scores each edge, and the surviving edges become tracks (arXiv:2103.06995).

Shape letters: N points, F features, E edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.grouping.segmentation import group_edges
from hitloom.losses.base import Loss
from hitloom.losses.edges import edge_loss
from hitloom.metrics.counts import match_event, rate
from hitloom.metrics.presets import PRESETS
from hitloom.metrics.truth import truth_from_event
from hitloom.nn import MultistepNetwork
from hitloom.nn.point_inputs import PointReader
from hitloom.result import Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, point_ids
from hitloom.systems.exatrkx.config import GNNConfig
from hitloom.systems.exatrkx.edge_inputs import check_graph, edge_inputs, num_edge_inputs
from hitloom.systems.exatrkx.graph import outward_order
from hitloom.systems.exatrkx.networks import make_classifier
from hitloom.systems.exatrkx.truth import TRUTH_FIELDS, truth_of
from hitloom.systems.staged import Stage, event_number

_TARGET = PRESETS["headline"].selections["pt>1.0"]


class EdgeGNN(Stage):
    """The graph network stage, on a graph that the event holds; its edges become tracks by ``config.segmentation``.

    Parameters
    ----------
    config : GNNConfig
    """

    name: ClassVar[str] = "exatrkx-gnn"
    free_settings: ClassVar[tuple[str, ...]] = ("segmentation", "score_cut_grid")
    Config: ClassVar[type[GNNConfig]] = GNNConfig  # type: ignore[assignment]
    config: GNNConfig

    def __init__(self, config: GNNConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = PointReader(config.inputs)
        self.network = make_classifier(config, num_edge_inputs(config.edges))

    @property
    def needs(self) -> Needs:
        score = ("edge_score",) if self.config.edges.score else ()
        return Needs(
            fields=("pos", "x", "edge_index", *score),
            features=self.config.inputs.required_columns,
            training_fields=(*TRUTH_FIELDS, *self.config.truth.weighting.fields),
        )

    def forward(self, event: Event) -> Scores:
        return self.score(event, check_graph(event), event.edge_score if "edge_score" in event else None)

    def score(self, event: Event, edge_index: Tensor, edge_score: Tensor | None) -> Scores:
        """Return the logits of edges (2, E); ``edge_score`` (E,) are probabilities of the stage before."""
        watch = Stopwatch(event.pos.device)
        scores = Scores(edge_index=edge_index)
        with watch("gnn"):
            inputs = self.reader(self.reader.read(event))
            attributes = edge_inputs(event.pos, edge_index, edge_score, self.config.edges)
            if isinstance(self.network, MultistepNetwork) and self.training:
                steps = self.network.forward_steps(inputs, edge_index, attributes)
                scores.edge_score, scores.intermediate = steps[-1].float(), [step.float() for step in steps[:-1]]
            else:
                scores.edge_score = self.network(inputs, edge_index, attributes).float()
        scores.timing = watch.seconds
        return scores

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return ``edge_positive`` and ``edge_negative``, averaged over the steps of a multi-step network."""
        edges, logit = scores.scored_edges()
        config = self.config
        truth = truth_of(edges, event, config.truth)
        limit = config.max_training_edges
        weight = truth.weight if limit is None or len(truth.weight) <= limit else torch.zeros_like(truth.weight)
        pos_weight = config.pos_weight
        if pos_weight is None:
            positive = float((weight * truth.signal).sum())
            pos_weight = float((weight * ~truth.signal).sum()) / positive if positive else 1.0
        steps = [*scores.intermediate, logit]
        values = [
            edge_loss(step, truth.signal, weight=weight, pos_weight=pos_weight, balance=config.balance)
            for step in steps
        ]
        parts = {name: torch.stack([value.parts[name] for value in values]).mean() for name in values[0].parts}
        return Loss(parts=parts, weights=values[0].weights, counts=values[0].counts)

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        """Turn the scored edges of ONE event into tracks; says so when there are none."""
        edges, logit = (value.detach().cpu() for value in scores.scored_edges())
        watch = Stopwatch(torch.device("cpu"))
        with watch("segmentation"):
            labels = self.group(edges, logit.sigmoid(), event)
        if edges.shape[1] and not bool((labels >= 0).any()):
            self.say_once(
                "empty",
                f"{event.describe()}: no tracks: {edges.shape[1]} edges, the best scored "
                f"{float(logit.sigmoid().max()):.3g}, and no track after {self.config.segmentation.describe()}",
            )
        return Result(
            event_id=event_number(event), point_id=point_ids(event), labels=labels, edge_index=edges, edge_score=logit,
            timing=scores.timing | watch.seconds,
        )  # fmt: skip

    @property
    def loosest_cut(self) -> float:
        """Score below which no edge can enter a track."""
        return self.config.segmentation.loosest_cut

    @property
    def edge_threshold(self) -> float | None:
        """The loosest cut of the segmentation."""
        return self.loosest_cut

    def group(self, edge_index: Tensor, probability: Tensor, event: Event, **settings: Any) -> Tensor:
        """Return labels (N,) of the edges by ``config.segmentation``, with single settings replaced."""
        config = self.config.segmentation.model_copy(update=settings) if settings else self.config.segmentation
        order = outward_order(event.pos).cpu()
        return group_edges(
            edge_index, probability, num_points=event.num_points, order=order, config=config, tie_key=event.pos.cpu()
        )

    def decide(self, event: Event) -> Event:
        """Return the event with the probability of each edge."""
        with torch.no_grad():
            edges, logit = self(event).scored_edges()
        return self.with_edges(event, edges.cpu(), score=logit.sigmoid().cpu())

    def validation_counts(self, scores: Scores, event: Event) -> dict[str, float]:
        """Count signal and all edges at score 0.5."""
        edges, logit = scores.scored_edges()
        truth = truth_of(edges, event, self.config.truth)
        passed, counted = logit > 0, truth.weight > 0
        return {
            "edges/signal": float(truth.signal.sum()),
            "edges/found": float((passed & truth.signal).sum()),
            "edges/kept": float((passed & counted).sum()),
        }

    def validation_rates(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return edge efficiency and (masked) purity at score 0.5."""
        return {
            "val_edge_efficiency": sums["edges/found"] / max(1.0, sums["edges/signal"]),
            "val_edge_purity": sums["edges/found"] / max(1.0, sums["edges/kept"]),
        }

    def calibrate(self, events: Iterable[Event]) -> dict[str, Any]:
        """Return the ``segmentation.score_cut`` of ``score_cut_grid`` with the best efficiency x (1 - fake rate).

        Both by double majority, for particles of pt > 1 GeV, |eta| < 2.5 and at least 3 hits.
        """
        grid = self.config.score_cut_grid
        if not grid:
            return {}
        sums: dict[float, dict[str, float]] = {cut: {} for cut in grid}
        for event in events:
            with torch.no_grad():
                edges, logit = (value.cpu() for value in self(event).scored_edges())
            probability = logit.sigmoid()
            truth = truth_from_event(event)
            for cut in grid:
                labels = self.group(edges, probability, event, score_cut=cut)
                counts = match_event(labels, truth, _TARGET, matches=("double_majority",))["double_majority"]
                for name, value in counts.items():
                    sums[cut][name] = sums[cut].get(name, 0.0) + float(value)

        def merit(cut: float) -> float:
            fake = rate("fake_per_track", sums[cut])
            return rate("efficiency", sums[cut]) * (1 - fake) if fake == fake else 0.0

        return {"segmentation": {"score_cut": max(grid, key=merit)}}

    def parameters_without_gradient(self) -> set[str]:
        """Return the names of parameters that never learn: the edge-first network reads no node after its last step."""
        if self.config.kind != "edge-first":
            return set()
        last = 0 if self.config.shared else self.config.num_iterations - 1
        if self.config.shared and self.config.num_iterations > 1:
            return set()
        prefix = f"network.node_networks.{last}."
        return {name for name, _ in self.named_parameters() if name.startswith(prefix)}

    def export_signature(self) -> ExportSignature:
        from hitloom.systems.exatrkx.exportable import classifier_signature

        return classifier_signature(self)
