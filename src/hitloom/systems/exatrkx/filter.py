"""Edge filter: an MLP that throws away most false edges before the graph network sees them (arXiv:2103.06995).

Shape letters: N points, F features, I inputs of a point, E edges, G edge features, S sampled edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.grouping import connected_components
from hitloom.losses.base import Loss
from hitloom.losses.edges import edge_loss
from hitloom.nn.point_inputs import PointReader
from hitloom.result import Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, point_ids
from hitloom.systems.exatrkx.config import FilterConfig, SamplingConfig
from hitloom.systems.exatrkx.edge_inputs import check_graph, edge_inputs, num_edge_inputs
from hitloom.systems.exatrkx.networks import make_filter
from hitloom.systems.exatrkx.truth import TRUTH_FIELDS, EdgeTruth, target_mask, truth_of
from hitloom.systems.staged import Stage, event_number


class EdgeFilter(Stage):
    """The filter stage, on a graph that the event holds. Alone it reconstructs by connected components.

    Parameters
    ----------
    config : FilterConfig
    """

    name: ClassVar[str] = "exatrkx-filter"
    free_settings: ClassVar[tuple[str, ...]] = ("cut", "target_efficiency", "target_conditions", "chunk_edges")
    Config: ClassVar[type[FilterConfig]] = FilterConfig  # type: ignore[assignment]
    config: FilterConfig
    validates_partition: ClassVar[bool] = False

    def __init__(self, config: FilterConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = PointReader(config.inputs)
        self.network = make_filter(config, num_edge_inputs(config.edges))

    @property
    def needs(self) -> Needs:
        return Needs(
            fields=("pos", "x", "edge_index"),
            features=self.config.inputs.required_columns,
            training_fields=(*TRUTH_FIELDS, *self.config.truth.weighting.fields),
        )

    def logits(self, inputs: Tensor, pos: Tensor, edge_index: Tensor) -> Tensor:
        """Return the logit (E,) of each edge from inputs (N, I) and positions (N, 3); in chunks without autograd."""
        if torch.is_grad_enabled() or not self.network.row_wise:
            return self._logits(inputs, pos, edge_index)
        parts = [self._logits(inputs, pos, part) for part in edge_index.split(self.config.chunk_edges, dim=1)]
        return torch.cat(parts) if parts else inputs.new_zeros(0)

    def _logits(self, inputs: Tensor, pos: Tensor, edge_index: Tensor) -> Tensor:
        return self.network(inputs, edge_index, edge_inputs(pos, edge_index, None, self.config.edges))

    def forward(self, event: Event) -> Scores:
        """Score the edges; in training those of a sample, hard negatives chosen by a first pass without gradient."""
        watch = Stopwatch(event.pos.device)
        edges = check_graph(event)
        with watch("filter"):
            inputs = self.reader(self.reader.read(event))
            if self.training and "object_index" in event:
                edges = edges[:, self._sample(inputs, event, edges)]
            logit = self.logits(inputs, event.pos, edges).float()
        return Scores(edge_index=edges, edge_score=logit, timing=watch.seconds)

    def _sample(self, inputs: Tensor, event: Event, edges: Tensor) -> Tensor:
        settings = self.config.sampling
        truth = truth_of(edges, event, self.config.truth)
        if settings.method == "all":
            return (truth.weight > 0).nonzero()[:, 0]
        probability = None
        if settings.method == "balanced":
            with torch.no_grad():
                probability = self.logits(inputs, event.pos, edges).sigmoid()
        return sample_edges(truth, probability, settings)

    def loss(self, scores: Scores, event: Event) -> Loss:
        edges, logit = scores.scored_edges()
        truth = truth_of(edges, event, self.config.truth)
        return edge_loss(
            logit, truth.signal, weight=truth.weight, pos_weight=self.config.pos_weight,
            balance=self.config.balance,
        )  # fmt: skip

    def kept(self, scores: Scores, event: Event) -> Tensor:
        """Return which edges (E,) survive; says so when none does."""
        keep = scores.scored_edges()[1].sigmoid() > self.config.cut
        if len(keep) and not bool(keep.any()):
            self.say_once(
                "empty",
                f"{event.describe()}: no edges: none of {len(keep)} is scored above filter.cut {self.config.cut:g}; "
                "mend: a lower cut, or train the filter longer",
            )
        return keep

    def decide(self, event: Event) -> Event:
        """Return the event with the surviving edges and their probabilities."""
        with torch.no_grad():
            scores = self(event)
            keep = self.kept(scores, event)
        edges, logit = scores.scored_edges()
        return self.with_edges(event, edges[:, keep].cpu(), score=logit[keep].sigmoid().cpu())

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        edges, logit = scores.scored_edges()
        watch = Stopwatch(torch.device("cpu"))
        with watch("components"):
            kept = edges[:, self.kept(scores, event)].cpu()
            labels = connected_components(kept, event.num_points, min_size=2)
        return Result(
            event_id=event_number(event), point_id=point_ids(event), labels=labels,
            edge_index=edges.cpu(), edge_score=logit.detach().cpu(),
            timing=scores.timing | watch.seconds,
        )  # fmt: skip

    def validation_counts(self, scores: Scores, event: Event) -> dict[str, float]:
        """Count signal and all edges above the cut, and above the cut that keeps 99 % of the signal."""
        edges, logit = scores.scored_edges()
        signal = self.targets(edges, event)
        probability = logit.sigmoid()
        at = float(probability[signal].quantile(0.01)) if bool(signal.any()) else 0.0
        counts = {"edges/signal": float(signal.sum())}
        for name, passed in (("fixed", probability > self.config.cut), ("target", probability >= at)):
            counts[f"edges/found_{name}"] = float((passed & signal).sum())
            counts[f"edges/kept_{name}"] = float(passed.sum())
        return counts

    def validation_rates(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return efficiency and purity at ``cut``, and the purity where 99 % of the signal edges survive."""
        efficiency = sums["edges/found_fixed"] / max(1.0, sums["edges/signal"])
        purity = sums["edges/found_fixed"] / max(1.0, sums["edges/kept_fixed"])
        return {
            "val_edge_efficiency": efficiency,
            "val_edge_purity": purity,
            "val_purity_at_99": sums["edges/found_target"] / max(1.0, sums["edges/kept_target"]),
        }

    def calibrate(self, events: Iterable[Event]) -> dict[str, Any]:
        """Return the cut that keeps ``target_efficiency`` of the graph's signal edges."""
        if self.config.target_efficiency is None:
            return {}
        found = []
        for event in events:
            with torch.no_grad():
                edges, logit = self(event).scored_edges()
            found.append(logit[self.targets(edges, event)].sigmoid())
        pooled = torch.cat(found).sort().values if found else torch.zeros(0)
        if not len(pooled):
            return {}
        value = float(pooled[int((1 - self.config.target_efficiency) * (len(pooled) - 1))])
        return {"cut": min(max(0.0, value * (1 - 1e-6)), 0.999)}

    def targets(self, edges: Tensor, event: Event) -> Tensor:
        """Return (E,) bool: signal edges of particles that fulfil ``target_conditions``."""
        signal = truth_of(edges, event, self.config.truth).signal
        return signal & target_mask(edges, event, self.config.target_conditions)

    def export_signature(self) -> ExportSignature:
        from hitloom.systems.exatrkx.exportable import filter_signature

        return filter_signature(self)


def sample_edges(truth: EdgeTruth, probability: Tensor | None, settings: SamplingConfig) -> Tensor:
    """Return the rows (S,) of a training sample: all signal edges, and ``ratio`` times as many negatives.

    With a probability (E,) half of the negatives are drawn among those above ``hard_cut`` (fewer where there are not
    enough), the rest at random. Edges of weight 0 are never drawn.
    """
    counted = truth.weight > 0
    signal = (truth.signal & counted).nonzero()[:, 0]
    negative = ~truth.signal & counted
    wanted = int(settings.ratio * max(1, len(signal)))
    rows = [signal]
    if probability is not None:
        hard = (negative & (probability > settings.hard_cut)).nonzero()[:, 0]
        hard = hard[torch.randperm(len(hard))[: wanted // 2].to(hard.device)]
        rows.append(hard)
        negative = negative.index_fill(0, hard, False)
        wanted -= len(hard)
    easy = negative.nonzero()[:, 0]
    rows.append(easy[torch.randperm(len(easy))[:wanted].to(easy.device)])
    return torch.cat(rows)
