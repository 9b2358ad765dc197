"""Configuration of EggNet. Defaults are the published TrackML model (arXiv:2407.13925)."""

from __future__ import annotations

from typing import Any, Literal

import pydantic
from pydantic import Field

from hitloom.config import Config
from hitloom.errors import nearest

TRACKML_FEATURES = (
    "r", "phi", "z", "cell_count", "cell_val", "leta", "lphi", "lx", "ly", "lz", "geta", "gphi",
)  # fmt: skip
TRACKML_SCALES = (1000.0, 3.14, 1000.0, 1.0, 1.0, 1.0, 1.0, 0.1, 1.0, 0.1, 1.0, 3.14)
SCALES = dict(zip(TRACKML_FEATURES, TRACKML_SCALES, strict=True)) | {"eta": 1.0, "cos_phi": 1.0, "sin_phi": 1.0}

KnnMethod = Literal["auto", "kdtree", "leaf", "blocked", "faiss-ivf", "faiss-hnsw"]
Activation = Literal["SiLU", "Tanh", "ReLU", "GELU", "LeakyReLU", "Sigmoid", "identity"]


class WeightRule(Config):
    """Points that pass all ``conditions`` get ``weight``; see :mod:`hitloom.data.conditions` for the language."""

    conditions: dict[str, Any]
    weight: float = Field(ge=0)


class WeightingConfig(Config):
    """Weights of pairs and points in the loss; later rules win."""

    true_default: float = Field(default=1.0, ge=0)
    fake_default: float = Field(default=1.0, ge=0)
    conditional_weighting: tuple[WeightRule, ...] = ()


class LossConfig(Config):
    """The loss and its pairs.

    ``num_neighbours`` and ``r_max`` are those of the loss's own hard pairs, in the final embedding; the graph of the
    network has its own.
    """

    name: Literal["contrastive", "weighted_contrastive", "object_condensation"] = "contrastive"
    margin: float = Field(default=1.0, gt=0)
    num_neighbours: int = Field(default=10, ge=0)
    r_max: float | None = Field(default=None, gt=0)
    knn_method: KnnMethod = "auto"
    num_random_pairs: int = Field(default=100_000, ge=0)
    weighting: WeightingConfig = WeightingConfig()
    q_min: float = Field(default=0.1, gt=0)
    noise_weight: float = Field(default=1.0, ge=0)
    max_repulsive_pairs: int = Field(default=100_000, ge=1)
    deep_supervision: Literal["off", "first", "all"] = "off"
    deep_supervision_weight: float = Field(default=0.5, gt=0)


class GroupingConfig(Config):
    """DBSCAN on the embedding: radius ``eps``, ``min_samples`` points within it (itself included) make a core."""

    eps: float = Field(default=0.1, gt=0)
    min_samples: int = Field(default=3, ge=1)


class EggNetConfig(Config):
    """Shape and behaviour of the network.

    Features are divided by their scale inside the network. ``phi`` as an input jumps at +-pi, so two neighbouring
    points there look far apart; ``cos_phi`` and ``sin_phi`` do not (they are computed from ``phi``).
    """

    node_features: tuple[str, ...] = Field(default=TRACKML_FEATURES, min_length=1)
    node_scales: tuple[float, ...] = TRACKML_SCALES
    encoder_hidden: int = Field(default=128, ge=1)
    node_0_hidden: int = Field(default=128, ge=1)
    edge_hidden: int = Field(default=128, ge=1)
    node_hidden: int = Field(default=128, ge=1)
    decoder_hidden: int = Field(default=128, ge=1)
    node_rep_dim: int = Field(default=128, ge=1)
    edge_rep_dim: int = Field(default=128, ge=1)
    node_pspace_dim: int = Field(default=24, ge=1)
    num_encoder_layers: int = Field(default=3, ge=1)
    num_node_0_layers: int = Field(default=3, ge=1)
    num_edge_layers: int = Field(default=3, ge=1)
    num_node_layers: int = Field(default=3, ge=1)
    num_decoder_layers: int = Field(default=1, ge=1)
    hidden_activation: Activation = "SiLU"
    output_activation: Activation = "Tanh"
    layernorm: bool = True
    batchnorm: bool = False
    embedding_norm: bool = True
    num_iterations: int = Field(default=4, ge=0)
    num_gnns_per_iteration: int = Field(default=8, ge=1)
    recurrent: bool = True
    recurrent_gnn: bool = False
    recycle_node_representation: bool = True
    num_neighbours: int | tuple[int, ...] = 10
    r_max: float | None = Field(default=None, gt=0)
    knn_method: KnnMethod = "auto"
    output_node_score: bool = False
    node_score_hidden: int = Field(default=128, ge=1)
    num_node_score_layers: int = Field(default=1, ge=1)
    node_hard_filter: tuple[float, ...] = ()
    node_soft_filter: tuple[float, ...] = ()
    residual: bool = False
    saturated_logit: bool = True
    checkpoint: bool = False
    seed: int = Field(default=0, ge=0)
    loss: LossConfig = LossConfig()
    grouping: GroupingConfig = GroupingConfig()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_scales(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("node_scales") is None:
            features = values.get("node_features", TRACKML_FEATURES)
            if isinstance(features, list | tuple):
                unknown = [name for name in features if name not in SCALES]
                if unknown:
                    raise ValueError(
                        f"node_scales: no default scale for {unknown}; mend: give node_scales, one number for each "
                        f"feature.{nearest(str(unknown[0]), SCALES)}"
                    )
                return {**values, "node_scales": tuple(SCALES[name] for name in features)}
        return values

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> EggNetConfig:
        if len(self.node_scales) != len(self.node_features):
            raise ValueError(
                f"node_scales: {len(self.node_scales)} numbers for {len(self.node_features)} node_features; "
                "mend: one for each"
            )
        if not all(abs(scale) > 0 for scale in self.node_scales):
            raise ValueError("node_scales: a scale of 0 cannot divide; mend: use 1 to leave a feature as it is")
        if len(set(self.node_features)) != len(self.node_features):
            raise ValueError("node_features: a feature is named twice; mend: name each once")
        neighbours = self.num_neighbours
        if isinstance(neighbours, tuple) and len(neighbours) != self.num_iterations:
            raise ValueError(
                f"num_neighbours: {len(neighbours)} values for {self.num_iterations} iterations; "
                "mend: one number, or one for each iteration"
            )
        if any(k < 1 for k in self.neighbours_per_iteration):
            raise ValueError("num_neighbours: wanted at least 1")
        if len(self.node_hard_filter) not in (0, 1, self.num_iterations + 1):
            raise ValueError(
                f"node_hard_filter: {len(self.node_hard_filter)} cuts; mend: 1 (at the end only) or "
                f"{self.num_iterations + 1} (before each of the {self.num_iterations} graphs and at the end)"
            )
        if len(self.node_soft_filter) not in (0, self.num_iterations):
            raise ValueError(
                f"node_soft_filter: {len(self.node_soft_filter)} cuts; mend: {self.num_iterations}, one for each graph"
            )
        if not all(0 <= cut < 1 for cut in (*self.node_hard_filter, *self.node_soft_filter)):
            raise ValueError("node_hard_filter, node_soft_filter: cuts are on sigmoid(score), wanted 0 <= cut < 1")
        if self.needs_score and not self.output_node_score:
            raise ValueError(
                "output_node_score: the filters and the losses weighted_contrastive and object_condensation need a "
                "score; mend: output_node_score: true"
            )
        return self

    @property
    def needs_score(self) -> bool:
        """Whether a filter or the loss reads the point score."""
        return bool(self.node_hard_filter or self.node_soft_filter) or self.loss.name != "contrastive"

    @property
    def neighbours_per_iteration(self) -> tuple[int, ...]:
        """k of every graph, num_iterations entries."""
        if isinstance(self.num_neighbours, int):
            return (self.num_neighbours,) * self.num_iterations
        return self.num_neighbours
