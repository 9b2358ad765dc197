"""The stages in the form that the GNN plugin of ACTS calls: scaled node features and edges in, logits out.

A tensor ``x`` goes through all stages of the plugin, each column divided by its scale before. Edges come in any
direction (the plugin's metric learning puts the lower row first) and are turned outwards inside. The plugin hands no
scores from one classifier to the next: a graph network that reads the filter's scores takes the filter into its file.

Shape letters: N points, C columns, E edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hitloom.errors import ConfigError
from hitloom.nn.point_inputs import FROM_PHI, PointInputs, source_columns
from hitloom.ops.edge_features import EDGE_FEATURES
from hitloom.systems.base import ExportSignature
from hitloom.systems.exatrkx.classifier import EdgeGNN
from hitloom.systems.exatrkx.config import EdgeInputs
from hitloom.systems.exatrkx.edge_inputs import edge_inputs
from hitloom.systems.exatrkx.embedding import MetricLearning
from hitloom.systems.exatrkx.exportable import PARITY_SIZES, TRACED_SIZE
from hitloom.systems.exatrkx.filter import EdgeFilter
from hitloom.systems.staged import Stage

_PLACE_SCALES = {"r": 1000.0, "phi": torch.pi, "z": 1000.0}
_EDGE_SCALES = {"r": 1000.0, "phi": torch.pi, "z": 1000.0, "eta": 1.0}
_NUM_SIGNED = 4  # the first features of an edge change their sign with its direction
_FREE_AXES = {
    "x": {0: "num_points"},
    "edge_index": {1: "num_edges"},
    "edge_attr": {0: "num_edges"},
    "embedding": {0: "num_points"},
    "output": {0: "num_edges"},
}


class NodeColumns(nn.Module):
    """Columns of ``x`` and what each was divided by; holds no parameters.

    Parameters
    ----------
    inputs : sequence of PointInputs
        Of the networks in one file. A column that two of them read has the scale of the first. Columns that only
        serve the geometry have those of ACTS's module map: 1000 mm, pi.
    with_place : bool
        Whether r, phi and z are needed besides.
    """

    scale: Tensor

    def __init__(self, inputs: Sequence[PointInputs], *, with_place: bool) -> None:
        super().__init__()
        scales: dict[str, float] = {}
        for config in inputs:
            own = dict(zip(config.features, config.scales, strict=True))
            for name in source_columns(config.features):
                scales.setdefault(name, own.get(name, _PLACE_SCALES["phi"]))
        if with_place:
            scales = {**scales, **{name: scale for name, scale in _PLACE_SCALES.items() if name not in scales}}
        self.scales = scales
        self.register_buffer("scale", torch.tensor(list(scales.values())), persistent=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the unscaled columns (N,) by their names."""
        return dict(zip(self.scales, (x * self.scale).unbind(1), strict=True))


def features_of(columns: dict[str, Tensor], inputs: PointInputs) -> Tensor:
    """Return the unscaled features (N, F) of a network."""
    values = [FROM_PHI[name](columns["phi"]) if name in FROM_PHI else columns[name] for name in inputs.features]
    return torch.stack(values, 1)


class ActsEmbedding(nn.Module):
    """Shapes: x (N, C) float32, scaled -> embedding (N, D) float32."""

    def __init__(self, stage: MetricLearning) -> None:
        super().__init__()
        self.stage = stage
        self.columns = NodeColumns([stage.config.inputs], with_place=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.stage.embed(features_of(self.columns(x), self.stage.config.inputs))


class ActsEdges(nn.Module):
    """Filter or graph network, with the filter before it where its scores are read.

    Shapes: x (N, C) float32, scaled; edge_index (2, E) int64; edge_attr (E, 6) float32 if asked for -> output (E, 1)
    float32, logits. With one column the score of a single edge is no special case for the plugin.
    """

    signed: Tensor

    def __init__(self, stage: EdgeFilter | EdgeGNN, before: EdgeFilter | None) -> None:
        super().__init__()
        self.stage, self.before = stage, before
        configs = [stage.config.inputs, *([] if before is None else [before.config.inputs])]
        self.columns = NodeColumns(configs, with_place=True)
        self.register_buffer("signed", torch.arange(len(EDGE_FEATURES)) < _NUM_SIGNED, persistent=False)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        columns = self.columns(x)
        r, phi, z = columns["r"], columns["phi"], columns["z"]
        order = r.square() + z.square()
        a, b = edge_index[0], edge_index[1]
        inwards = order.index_select(0, a) > order.index_select(0, b)
        edges = torch.stack([torch.where(inwards, b, a), torch.where(inwards, a, b)])
        if edge_attr is not None:
            edge_attr = torch.where(inwards[:, None] & self.signed, -edge_attr, edge_attr)
        pos = torch.stack([r * phi.cos(), r * phi.sin(), z], 1)
        score = None
        if self.before is not None:
            score = self._logit(self.before, columns, pos, edges, edge_attr, None).sigmoid()
        return self._logit(self.stage, columns, pos, edges, edge_attr, score)[:, None]

    @staticmethod
    def _logit(
        stage: EdgeFilter | EdgeGNN,
        columns: dict[str, Tensor],
        pos: Tensor,
        edges: Tensor,
        edge_attr: Tensor | None,
        score: Tensor | None,
    ) -> Tensor:
        config = stage.config.edges
        if edge_attr is None or not config.geometry:
            attributes = edge_inputs(pos, edges, score, config)
        else:
            rest = edge_inputs(pos, edges, score, EdgeInputs(score=config.score))
            attributes = edge_attr if rest is None else torch.cat([edge_attr, rest], 1)
        return stage.network(stage.reader(features_of(columns, stage.config.inputs)), edges, attributes).float()


def acts_signature(stage: Stage, *, before: Stage | None = None, edge_attr: bool = False) -> ExportSignature:
    """Return a stage in the form of ACTS.

    Parameters
    ----------
    stage : MetricLearning, EdgeFilter or EdgeGNN
    before : EdgeFilter or None
        The filter of the chain; used by a graph network that reads its scores.
    edge_attr : bool
        The six features of an edge come in as a third tensor, as behind ACTS's module map, instead of being computed
        from ``x``.

    Raises
    ------
    ConfigError
        When the stage has no such form.
    """
    if isinstance(stage, MetricLearning):
        embedding = ActsEmbedding(stage)
        graph = stage.config.graph
        return ExportSignature(
            module=embedding,
            input_names=("x",),
            output_names=("embedding",),
            example=lambda num_points: (_example_columns(embedding.columns, num_points),),
            dynamic_axes={name: _FREE_AXES[name] for name in ("x", "embedding")},
            settings=_column_settings(embedding.columns)
            | {"rVal": graph.radius, "knnVal": graph.max_neighbours, "embeddingDim": stage.config.embedding_dim},
        )
    if not isinstance(stage, EdgeFilter | EdgeGNN):
        raise ConfigError(f"acts: '{stage.name}' has no network; mend: write its map as text and let ACTS read it")
    return _edge_signature(stage, before, edge_attr)


def _edge_signature(stage: EdgeFilter | EdgeGNN, before: Stage | None, edge_attr: bool) -> ExportSignature:
    needed = before if stage.config.edges.score else None
    if stage.config.edges.score and not isinstance(needed, EdgeFilter):
        raise ConfigError(
            f"acts: '{stage.name}' reads the filter's scores, which ACTS does not hand on; mend: export it out of the "
            "whole chain, so that its file holds the filter too"
        )
    if isinstance(needed, EdgeFilter) and not needed.network.row_wise:
        raise ConfigError(
            "acts: the graph network reads scores of a filter with batchnorm, which depend on edges that are gone by "
            "then; mend: a filter with layernorm, or gnn.edges.score false"
        )
    reads_geometry = stage.config.edges.geometry or (needed is not None and needed.config.edges.geometry)
    if edge_attr and not reads_geometry:
        raise ConfigError(f"acts: '{stage.name}' reads no features of edges; mend: leave --edge-attr out")
    module = ActsEdges(stage, needed if isinstance(needed, EdgeFilter) else None)
    names = ("x", "edge_index", *(("edge_attr",) if edge_attr else ()))
    cut = stage.config.cut if isinstance(stage, EdgeFilter) else stage.config.segmentation.cut
    settings: dict[str, Any] = _column_settings(module.columns) | {"cut": cut, "undirected": False}
    if edge_attr:
        settings |= {"edge_attr": list(EDGE_FEATURES), "edge_attr_scales": _EDGE_SCALES}
    if module.before is not None:
        settings["holds"] = [module.before.name, stage.name]
    return ExportSignature(
        module=module,
        input_names=names,
        output_names=("output",),
        example=_edge_example(module.columns, names),
        dynamic_axes={name: _FREE_AXES[name] for name in (*names, "output")},
        traced_size=TRACED_SIZE,
        parity_sizes=PARITY_SIZES,
        settings=settings,
    )


def _column_settings(columns: NodeColumns) -> dict[str, Any]:
    return {"nodeFeatures": list(columns.scales), "featureScales": list(columns.scales.values())}


def _example_columns(columns: NodeColumns, num_points: int) -> Tensor:
    generator = torch.Generator().manual_seed(num_points)
    x = torch.randn(num_points, len(columns.scales), generator=generator)
    names = list(columns.scales)
    for name in ("r", "phi"):
        if name in names:
            value = torch.rand(num_points, generator=generator)
            x[:, names.index(name)] = value if name == "r" else 2 * value - 1
    return x


def _edge_example(columns: NodeColumns, names: tuple[str, ...]) -> Callable[[int, int], tuple[Tensor, ...]]:
    def example(num_points: int, num_edges: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(1000 * num_points + num_edges)
        reached = max(2, 9 * num_points // 10)  # the rest of the points stay isolated
        first = torch.randint(reached, (num_edges,), generator=generator)
        second = (first + torch.randint(1, reached, (num_edges,), generator=generator)) % reached
        made = {
            "x": _example_columns(columns, num_points),
            "edge_index": torch.stack([first, second]),
            "edge_attr": torch.randn(num_edges, len(EDGE_FEATURES), generator=generator),
        }
        return tuple(made[name] for name in names)

    return example
