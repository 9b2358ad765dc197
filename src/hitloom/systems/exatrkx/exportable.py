"""The stages as modules of tensors: features in, embedding out; features and edges in, a score for each edge out.

Every tensor is plain: no event, no list of names. What a program must know besides stands in ``settings``.

Shape letters: N points, F features, D embedding, E edges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hitloom.nn.point_inputs import PointInputs
from hitloom.systems.base import ExportSignature
from hitloom.systems.exatrkx.edge_inputs import edge_inputs

if TYPE_CHECKING:
    from hitloom.systems.exatrkx.classifier import EdgeGNN
    from hitloom.systems.exatrkx.embedding import MetricLearning
    from hitloom.systems.exatrkx.filter import EdgeFilter

TRACED_SIZE = (67, 181)
PARITY_SIZES = ((2, 1), (40, 0), (200, 650), (1001, 150))
FREE_AXES = {
    "features": {0: "num_points"},
    "pos": {0: "num_points"},
    "embedding": {0: "num_points"},
    "edge_index": {1: "num_edges"},
    "edge_score": {0: "num_edges"},
    "score": {0: "num_edges"},
}


class ExportableEmbedding(nn.Module):
    """Shapes: features (N, F) float32, unscaled -> embedding (N, D) float32."""

    def __init__(self, stage: MetricLearning) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, features: Tensor) -> Tensor:
        return self.stage.embed(features)


class ExportableEdges(nn.Module):
    """Filter or graph network, sharing its parameters.

    Shapes: features (N, F) float32, unscaled; pos (N, 3) float32 mm, if the network reads the geometry of edges;
    edge_index (2, E) int64, inner point first; edge_score (E,) float32, probabilities of the stage before, if the
    network reads them -> score (E,) float32, probability.
    """

    def __init__(self, stage: EdgeFilter | EdgeGNN) -> None:
        super().__init__()
        self.stage = stage
        edges = stage.config.edges
        optional = {"pos": edges.geometry, "edge_index": True, "edge_score": edges.score}
        self.input_names = ("features", *(name for name, read in optional.items() if read))

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.input_names, inputs, strict=True))
        stage, edges = self.stage, given["edge_index"]
        pos: Any = given.get("pos")  # read for the geometry alone
        attributes = edge_inputs(pos, edges, given.get("edge_score"), stage.config.edges)
        return stage.network(stage.reader(given["features"]), edges, attributes).float().sigmoid()


def embedding_signature(stage: MetricLearning) -> ExportSignature:
    """Return the signature of the embedding."""
    graph = stage.config.graph
    return ExportSignature(
        module=ExportableEmbedding(stage),
        input_names=("features",),
        output_names=("embedding",),
        example=lambda num_points: (example_features(stage.config.inputs, num_points),),
        dynamic_axes={name: FREE_AXES[name] for name in ("features", "embedding")},
        settings=feature_settings(stage.config.inputs) | {"graph": graph.model_dump(include=_GRAPH_SETTINGS)},
    )


_GRAPH_SETTINGS = {"radius", "max_neighbours", "forbid_same_module"}


def filter_signature(stage: EdgeFilter) -> ExportSignature:
    """Return the signature of the filter."""
    return _edge_signature(stage, {"cut": stage.config.cut})


def classifier_signature(stage: EdgeGNN) -> ExportSignature:
    """Return the signature of the graph network."""
    segmentation = stage.config.segmentation
    settings = segmentation.model_dump(mode="json") | {"score_cut": segmentation.cut}
    return _edge_signature(stage, {"segmentation": settings})


def _edge_signature(stage: EdgeFilter | EdgeGNN, settings: dict[str, Any]) -> ExportSignature:
    module = ExportableEdges(stage)
    return ExportSignature(
        module=module,
        input_names=module.input_names,
        output_names=("score",),
        example=edge_example(stage.config.inputs, module.input_names),
        dynamic_axes={name: FREE_AXES[name] for name in (*module.input_names, "score")},
        traced_size=TRACED_SIZE,
        parity_sizes=PARITY_SIZES,
        settings=feature_settings(stage.config.inputs) | settings,
    )


def feature_settings(inputs: PointInputs) -> dict[str, Any]:
    """Return names and scales of the features; ``optional`` ones may be columns of zeros."""
    return {"features": list(inputs.features), "scales": list(inputs.scales), "optional": list(inputs.optional)}


def example_features(inputs: PointInputs, num_points: int) -> Tensor:
    """Return random features (N, F) of the size of their scales."""
    generator = torch.Generator().manual_seed(num_points)
    return torch.randn(num_points, len(inputs.features), generator=generator) * torch.tensor(inputs.scales)


def edge_example(inputs: PointInputs, names: tuple[str, ...]) -> Callable[[int, int], tuple[Tensor, ...]]:
    """Return a maker of random inputs with these names for any number of points and edges."""

    def example(num_points: int, num_edges: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(1000 * num_points + num_edges)
        pos = torch.randn(num_points, 3, generator=generator) * 300
        made = {
            "features": example_features(inputs, num_points),
            "pos": pos,
            "edge_index": random_edges(pos, num_edges, generator),
            "edge_score": torch.rand(num_edges, generator=generator),
        }
        return tuple(made[name] for name in names)

    return example


def random_edges(pos: Tensor, num_edges: int, generator: torch.Generator) -> Tensor:
    """Return edges (2, E) outwards among nine tenths of the points; the rest stay isolated."""
    if num_edges == 0:
        return torch.zeros(2, 0, dtype=torch.int64)
    reached = max(2, 9 * len(pos) // 10)
    first = torch.randint(reached, (num_edges,), generator=generator)
    second = (first + torch.randint(1, reached, (num_edges,), generator=generator)) % reached
    distance = pos.square().sum(1)
    outwards = distance[first] <= distance[second]
    return torch.stack([torch.where(outwards, first, second), torch.where(outwards, second, first)])
