"""Metric learning: an MLP whose embedding puts consecutive points of a track close to each other (arXiv:2103.06995).

Shape letters: N points, F features, D embedding, P pairs, E edges, T truth edges.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hitloom.event import Event
from hitloom.grouping import dbscan
from hitloom.losses.base import Loss
from hitloom.losses.squared import squared_distance, squared_hinge_loss
from hitloom.nn import MLP
from hitloom.nn.point_inputs import PointReader
from hitloom.result import Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, point_ids
from hitloom.systems.exatrkx.config import EmbeddingConfig
from hitloom.systems.exatrkx.graph import BuiltGraph, build_graph
from hitloom.systems.exatrkx.pairs import query_points, training_pairs
from hitloom.systems.exatrkx.truth import TRUTH_FIELDS, signal_edges, target_mask
from hitloom.systems.staged import Stage, event_number

log = logging.getLogger("hitloom")

_VALIDATION_QUERIES = 512


class MetricLearning(Stage):
    """The embedding stage. Alone it reconstructs by DBSCAN, a baseline of the chain.

    Parameters
    ----------
    config : EmbeddingConfig
    """

    name: ClassVar[str] = "exatrkx-embedding"
    free_settings: ClassVar[tuple[str, ...]] = ("graph", "eps", "min_samples")
    Config: ClassVar[type[EmbeddingConfig]] = EmbeddingConfig  # type: ignore[assignment]
    config: EmbeddingConfig
    validates_partition: ClassVar[bool] = False

    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = PointReader(config.inputs)
        self.network = MLP(
            in_dim=config.inputs.width, hidden_dim=config.hidden, out_dim=config.embedding_dim,
            num_layers=config.num_layers + 1, activation=config.activation,
            layernorm=config.layernorm != "none", affine=config.layernorm == "affine",
        )  # fmt: skip

    @property
    def needs(self) -> Needs:
        module = ("volume", "layer", "module") if self.config.graph.forbid_same_module else ()
        return Needs(
            fields=("pos", "x", *module),
            features=self.config.inputs.required_columns,
            training_fields=(*TRUTH_FIELDS, *self.config.truth.weighting.fields),
        )

    def embed(self, features: Tensor) -> Tensor:
        """Return the embedding (N, D) float32 of unscaled features (N, F)."""
        z = self.network(self.reader(features)).float()
        return F.normalize(z, dim=1) if self.config.normalise else z

    def forward(self, event: Event) -> Scores:
        watch = Stopwatch(event.pos.device)
        with watch("embedding"):
            features = self.reader.read(event)
            if not self.training or event.num_points <= self.config.pairs.points_per_batch:
                return Scores(embedding=self.embed(features), timing=watch.seconds)
            # in a large event only the points of this step's pairs carry gradients; loss() embeds them again
            with torch.no_grad():
                return Scores(embedding=self.embed(features), timing=watch.seconds)

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the parts ``positive`` and ``negative`` of the squared hinge loss."""
        assert scores.embedding is not None
        config = self.config
        signal, _ = signal_edges(event, config.truth)
        query = query_points(event, signal, config.pairs)
        pairs = training_pairs(scores.embedding, event, query, config.pairs, config.truth)
        embedding, index = scores.embedding, pairs.index
        if self.training and not embedding.requires_grad:
            used, flat = torch.unique(index, return_inverse=True)
            embedding, index = self.embed(self.reader.read(event)[used]), flat.reshape(index.shape)
        return squared_hinge_loss(
            embedding, index, pairs.positive, margin=config.margin, positive_weight=config.positive_weight,
            weight=pairs.weight,
        )  # fmt: skip

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        assert scores.embedding is not None
        embedding = scores.embedding.detach().float().cpu()
        watch = Stopwatch(torch.device("cpu"))
        with watch("dbscan"):
            labels = dbscan(embedding, eps=self.config.eps, min_samples=self.config.min_samples)
        return Result(
            event_id=event_number(event), point_id=point_ids(event), labels=labels, embedding=embedding,
            timing=scores.timing | watch.seconds,
        )  # fmt: skip

    def build(self, scores: Scores, event: Event) -> BuiltGraph:
        """Return the graph of the embedding; says so when it is empty or the neighbours run out of room."""
        assert scores.embedding is not None
        graph = build_graph(scores.embedding, event, self.config.graph)
        settings = self.config.graph
        if graph.edge_index.shape[1] == 0 and event.num_points > 1:
            self.say_once(
                "empty",
                f"{event.describe()}: no edges: no two points lie within graph.radius {settings.radius:g} of the "
                "embedding; mend: a larger radius, or train the embedding longer",
            )
        if graph.saturated > 0.01:
            self.say_once(
                "saturated",
                f"{event.describe()}: {100 * graph.saturated:.0f} % of the points have {settings.max_neighbours} "
                f"neighbours within {settings.radius:g}, so edges are lost; mend: a larger graph.max_neighbours, or a "
                "smaller radius",
            )
        return graph

    def decide(self, event: Event) -> Event:
        """Return the event with ``edge_index``."""
        with torch.no_grad():
            graph = self.build(self(event), event)
        return self.with_edges(event, graph.edge_index.cpu())

    def validation_counts(self, scores: Scores, event: Event) -> dict[str, float]:
        """Count target edges and pairs within the radius, and at the radius that holds 98 % of the target edges.

        Pairs are counted for up to 512 points as centres, and scaled to all.
        """
        assert scores.embedding is not None
        z = scores.embedding.float()
        distance = squared_distance(z, self.target_edges(event)).sqrt()
        step = max(1, len(z) // _VALIDATION_QUERIES)
        rows = torch.arange(0, len(z), step, device=z.device)
        square = torch.cdist(z[rows], z)
        square[torch.arange(len(rows), device=z.device), rows] = torch.inf
        factor = len(z) / max(1, len(rows)) / 2
        at = float(distance.quantile(0.98)) if len(distance) else 0.0
        counts = {"edges/signal": float(len(distance))}
        for name, radius in (("fixed", self.config.graph.radius), ("target", at)):
            counts[f"edges/found_{name}"] = float((distance <= radius).sum())
            counts[f"edges/pairs_{name}"] = float((square <= radius).sum()) * factor
        return counts

    def validation_rates(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return efficiency and purity at ``graph.radius``, the purity at 98 % efficiency, and the fixed F1."""
        signal = max(1.0, sums["edges/signal"])
        efficiency = sums["edges/found_fixed"] / signal
        purity = sums["edges/found_fixed"] / max(1.0, sums["edges/pairs_fixed"])
        return {
            "val_edge_efficiency": efficiency,
            "val_edge_purity": purity,
            "val_edge_f1": 2 * efficiency * purity / max(1e-12, efficiency + purity),
            "val_purity_at_98": sums["edges/found_target"] / max(1.0, sums["edges/pairs_target"]),
        }

    def calibrate(self, events: Iterable[Event]) -> dict[str, Any]:
        """Return the radius that holds ``graph.target_efficiency`` of the target edges."""
        settings = self.config.graph
        distances = []
        for event in events:
            with torch.no_grad():
                distances.append(squared_distance(self.reconstructed(event), self.target_edges(event)).sqrt())
        pooled = torch.cat(distances) if distances else torch.zeros(0)
        if settings.target_efficiency is None or not len(pooled):
            return {}
        wanted = float(torch.sort(pooled).values[min(len(pooled) - 1, int(settings.target_efficiency * len(pooled)))])
        radius = min(wanted, settings.max_radius)
        if radius < wanted:
            log.warning(
                f"graph.target_efficiency {settings.target_efficiency:g} needs the radius {wanted:.3g}, above "
                f"graph.max_radius {settings.max_radius:g}; at that one {float((pooled <= radius).float().mean()):.4f} "
                "of the signal edges are kept"
            )
        return {"graph": {"radius": radius}}

    def target_edges(self, event: Event) -> Tensor:
        """Return the signal edges (2, T) of particles that fulfil ``graph.target_conditions``."""
        signal, _ = signal_edges(event, self.config.truth)
        return signal[:, target_mask(signal, event, self.config.graph.target_conditions)]

    def reconstructed(self, event: Event) -> Tensor:
        """Return the embedding (N, D) of an event."""
        embedding = self(event).embedding
        assert embedding is not None
        return embedding

    def export_signature(self) -> ExportSignature:
        from hitloom.systems.exatrkx.exportable import embedding_signature

        return embedding_signature(self)
