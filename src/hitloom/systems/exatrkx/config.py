"""Configuration of the staged pipeline. Defaults are the published quick start (arXiv:2103.06995, arXiv:2202.06929)."""

from __future__ import annotations

from typing import Any, Literal

import pydantic
from pydantic import Field

from hitloom.config import Config
from hitloom.data.edge_rules import EdgeWeighting
from hitloom.grouping.segmentation import SegmentationConfig
from hitloom.nn.point_inputs import PointInputs

CELL_FEATURES = ("cell_count", "cell_val", "leta", "lphi", "lx", "ly", "lz", "geta", "gphi")
QUICKSTART_INPUTS = PointInputs(
    features=(*CELL_FEATURES, "r", "phi", "z"), scales=(*(1.0,) * 9, 1000.0, 3.141592653589793, 1000.0)
)
SPATIAL_INPUTS = PointInputs(features=("r", "phi", "z"), scales=(1000.0, 3.141592653589793, 1000.0))

Activation = Literal["SiLU", "Tanh", "ReLU", "GELU", "LeakyReLU"]
LayerNorm = Literal["affine", "plain", "none"]
Definition = Literal["stored", "modulewise", "modulewise-first", "layerwise"]
SameObject = Literal["negative", "positive", "ignore"]
Aggregation = Literal["sum", "mean", "max", "min", "std"]


class TruthConfig(Config):
    """Which edges are true, which of them count.

    ``definition``: the truth edges of the store, or made anew. ``same_object``: what an edge between two points of
    one object is that is not among them: a negative, a positive, or left out of the loss. ``weighting``: which true
    edges are signal, and how much each edge weighs in the loss.
    """

    definition: Definition = "stored"
    same_object: SameObject = "negative"
    weighting: EdgeWeighting = EdgeWeighting()


class PairsConfig(Config):
    """Training pairs of metric learning.

    ``query``: the points that ask for neighbours: those on signal edges, those and noise, or all; at most
    ``points_per_batch`` of them, drawn at random. ``hard_negatives``: up to ``num_neighbours`` points within
    ``radius`` of each, of which a random share ``hard_share`` is kept. ``num_random``: random pairs for each query.
    """

    query: Literal["signal", "signal-and-noise", "all"] = "signal"
    points_per_batch: int = Field(default=100_000, ge=1)
    hard_negatives: bool = True
    num_neighbours: int = Field(default=50, ge=1)
    radius: float = Field(default=0.1, gt=0)
    hard_share: float = Field(default=1.0, gt=0, le=1)
    num_random: int = Field(default=2, ge=0)


class GraphConfig(Config):
    """Edges between points whose embeddings lie within ``radius``, at most ``max_neighbours`` nearest of each.

    ``target_efficiency``: choose the radius on validation events so that this share of signal edges lies within it
    (at most ``max_radius``), counting particles that fulfil ``target_conditions``; None = keep ``radius``.
    ``forbid_same_module``: no edge within a module.
    """

    radius: float = Field(default=0.1, gt=0)
    max_neighbours: int = Field(default=100, ge=1)
    target_efficiency: float | None = Field(default=None, gt=0, lt=1)
    target_conditions: dict[str, Any] = Field(default_factory=dict)
    max_radius: float = Field(default=0.5, gt=0)
    forbid_same_module: bool = False


class EmbeddingConfig(Config):
    """Metric learning: an MLP that puts consecutive points of a track close to each other.

    ``margin`` and the radii are plain distances. ``positive_weight`` multiplies the attractive part of the loss.
    ``eps``, ``min_samples``: DBSCAN of the embedding alone, a baseline of the whole pipeline.
    """

    inputs: PointInputs = QUICKSTART_INPUTS
    hidden: int = Field(default=1024, ge=1)
    num_layers: int = Field(default=4, ge=1)
    embedding_dim: int = Field(default=12, ge=1)
    activation: Activation = "Tanh"
    layernorm: LayerNorm = "affine"
    normalise: bool = True
    margin: float = Field(default=0.1, gt=0)
    positive_weight: float = Field(default=2.0, gt=0)
    pairs: PairsConfig = PairsConfig()
    graph: GraphConfig = GraphConfig()
    truth: TruthConfig = TruthConfig()
    eps: float = Field(default=0.05, gt=0)
    min_samples: int = Field(default=3, ge=1)


class SamplingConfig(Config):
    """Edges that a training step of the filter looks at.

    ``plain``: all signal edges and ``ratio`` times as many random negatives. ``balanced``: half of these negatives
    are hard, scored above ``hard_cut``. ``all``: every edge.
    """

    method: Literal["plain", "balanced", "all"] = "balanced"
    ratio: float = Field(default=2.0, gt=0)
    hard_cut: float = Field(default=0.15, ge=0, lt=1)


class EdgeInputs(Config):
    """What an edge network reads besides its points.

    ``geometry``: the six features dr, dphi, dz, deta, phislope, rphislope of an edge. ``score``: the logit that the
    stage before gave it.
    """

    geometry: bool = False
    score: bool = False


class FilterConfig(Config):
    """Edge filter: an MLP on the two points of an edge, inner point first.

    ``shape``: ``plain`` layers of one width, ``pyramid`` halves the width from layer to layer, ``vanilla`` has no
    activation after the first layer and one normalisation for all. ``cut``: edges scored above it survive;
    ``target_efficiency`` chooses it on validation events so that this share of the graph's signal edges survives,
    counting particles that fulfil ``target_conditions``.
    """

    inputs: PointInputs = QUICKSTART_INPUTS
    edges: EdgeInputs = EdgeInputs()
    shape: Literal["plain", "pyramid", "vanilla"] = "vanilla"
    hidden: int = Field(default=512, ge=1)
    num_layers: int = Field(default=3, ge=1)
    activation: Activation = "Tanh"
    layernorm: LayerNorm = "affine"
    batchnorm: bool = False
    sampling: SamplingConfig = SamplingConfig()
    pos_weight: float = Field(default=1.0, gt=0)
    balance: Literal["proportional", "equal"] = "proportional"
    cut: float = Field(default=0.15, ge=0, lt=1)
    target_efficiency: float | None = Field(default=None, gt=0, lt=1)
    target_conditions: dict[str, Any] = Field(default_factory=dict)
    chunk_edges: int = Field(default=200_000, ge=1)
    truth: TruthConfig = TruthConfig()


class GNNConfig(Config):
    """Edge classifier on a graph, and how its edges become tracks.

    ``kind``: ``interaction`` (the published network), ``edge-first`` (edges before nodes, initial encodings joined at
    every step), ``attention`` (residual attention), ``gcn``, ``multistep`` (a score at every step, losses averaged),
    or ``pyg`` (a convolution ``conv`` of PyTorch Geometric). ``max_training_edges``: larger training graphs are
    skipped in the loss. ``pos_weight`` None = negatives / positives of the event. ``target_score_cut``: choose
    ``segmentation.score_cut`` on validation events.
    """

    kind: Literal["interaction", "edge-first", "attention", "gcn", "multistep", "pyg"] = "interaction"
    inputs: PointInputs = SPATIAL_INPUTS
    edges: EdgeInputs = EdgeInputs()
    hidden: int = Field(default=128, ge=1)
    num_iterations: int = Field(default=6, ge=1)
    num_node_layers: int = Field(default=3, ge=1)
    num_edge_layers: int = Field(default=3, ge=1)
    aggregation: tuple[Aggregation, ...] = Field(default=("max", "sum"), min_length=1)
    activation: Activation = "SiLU"
    output_activation: Literal["identity", "SiLU", "Tanh", "ReLU", "GELU"] = "identity"
    layernorm: LayerNorm = "affine"
    batchnorm: bool = False
    shared: bool = True
    residual: bool = True
    updated_nodes: bool = False
    in_out: bool = False
    both_directions: bool = True
    concat: bool = True
    conv: str = "SAGEConv"
    checkpointing: bool = False
    pos_weight: float | None = Field(default=2.0, gt=0)
    balance: Literal["proportional", "equal"] = "equal"
    max_training_edges: int | None = Field(default=None, ge=1)
    segmentation: SegmentationConfig = SegmentationConfig()
    score_cut_grid: tuple[float, ...] = ()
    truth: TruthConfig = TruthConfig(same_object="positive")


class ModuleMapConfig(Config):
    """Graph from a module map, learned from truth: which modules follow each other, and within which bounds.

    ``method``: bounds are the smallest and largest value seen (``minmax``), mean +- ``threshold_factor`` rms
    (``meanrms``), or that above ``occurrence_threshold`` occurrences and the former below (``hybrid``). ``tolerance``
    moves bounds outwards by a share of themselves. ``doublets_only``: a map of pairs of modules, not of triplets:
    wider, and complete after fewer events. ``eta_width``: instead of modules, cells of a layer of this width in
    pseudorapidity, at all azimuths: complete after a few hundred events. ``conditions``: particles that the map is
    learned from. ``sizes``: the tensors of the learned map, written by the training.
    """

    method: Literal["minmax", "meanrms", "hybrid"] = "minmax"
    tolerance: float = Field(default=0.0, ge=0)
    threshold_factor: float = Field(default=4.0, gt=0)
    occurrence_threshold: int = Field(default=5, ge=1)
    min_occurrence: int = Field(default=1, ge=1)
    doublets_only: bool = False
    eta_width: float = Field(default=0.0, ge=0)
    definition: Literal["stored", "modulewise", "modulewise-first", "layerwise"] = "modulewise"
    conditions: dict[str, Any] = Field(default_factory=dict)
    sizes: dict[str, tuple[str | int, ...]] = Field(default_factory=dict)


class ExaTrkXConfig(Config):
    """The chain: ``embedding`` or ``module_map`` makes a graph, ``filter`` thins it (None = no filter), ``gnn`` judges.

    ``module_map`` given takes the place of the embedding.
    """

    embedding: EmbeddingConfig | None = EmbeddingConfig()
    module_map: ModuleMapConfig | None = None
    filter: FilterConfig | None = None
    gnn: GNNConfig = GNNConfig()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _one_builder(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("module_map") is not None and "embedding" not in values:
            return {**values, "embedding": None}
        return values

    @pydantic.model_validator(mode="after")
    def _check(self) -> ExaTrkXConfig:
        if (self.embedding is None) == (self.module_map is None):
            raise ValueError("one of embedding and module_map makes the graph; mend: set the other to null")
        if self.filter is not None and self.filter.edges.score:
            raise ValueError("filter.edges.score: no stage before the filter scores edges; mend: false")
        if self.gnn.edges.score and self.filter is None:
            raise ValueError("gnn.edges.score: there is no filter to score edges; mend: false, or a filter")
        return self
