"""Configuration of EggNet. Defaults are the published TrackML model (arXiv:2407.13925)."""

from __future__ import annotations

import math
from typing import Any, Literal

import pydantic
from pydantic import Field

from hitloom.config import Config
from hitloom.errors import ConfigError, nearest

TRACKML_FEATURES = (
    "r", "phi", "z", "cell_count", "cell_val", "leta", "lphi", "lx", "ly", "lz", "geta", "gphi",
)  # fmt: skip
TRACKML_SCALES = (1000.0, 3.14, 1000.0, 1.0, 1.0, 1.0, 1.0, 0.1, 1.0, 0.1, 1.0, 3.14)
SCALES = dict(zip(TRACKML_FEATURES, TRACKML_SCALES, strict=True)) | {
    "eta": 1.0, "cos_phi": 1.0, "sin_phi": 1.0,
    "depth": 0.1, "ly_signed": 1.0, "gphi_signed": 3.14,
    "cos_gphi": 1.0, "sin_gphi": 1.0, "cos_lphi": 1.0, "sin_lphi": 1.0,
}  # fmt: skip

KnnMethod = Literal["auto", "kdtree", "leaf", "blocked", "faiss-ivf", "faiss-hnsw"]
Activation = Literal["SiLU", "Tanh", "ReLU", "GELU", "LeakyReLU", "Sigmoid", "identity"]


class WeightRule(Config):
    """Points that pass all ``conditions`` get ``weight``; see :mod:`hitloom.data.conditions` for the language."""

    conditions: dict[str, Any]
    weight: float = Field(ge=0)

    @pydantic.field_validator("conditions")
    @classmethod
    def _readable(cls, value: dict[str, Any]) -> dict[str, Any]:
        from hitloom.data.conditions import Conditions

        try:
            Conditions.parse(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value


class WeightingConfig(Config):
    """Weights of pairs and points in the loss; later rules win.

    A positive pair weighs as its first point. A negative pair weighs ``fake_default``, or, with
    ``negatives_from_members``, ``fake_default`` times the larger weight of its two points: keeping two soft tracks
    apart then matters as little as keeping either together.
    """

    true_default: float = Field(default=1.0, ge=0)
    fake_default: float = Field(default=1.0, ge=0)
    conditional_weighting: tuple[WeightRule, ...] = ()
    negatives_from_members: bool = False


class LossConfig(Config):
    """The loss and its pairs.

    ``signal_pairs``: ``edges`` (published) are the truth edges, consecutive points; ``object`` pairs every point with
    a random point of its own object, so that the two ends of a track attract each other too; ``both`` is both.
    ``num_neighbours`` and ``r_max`` are those of the loss's own hard pairs, in the final embedding; the graph of the
    network has its own.
    """

    name: Literal["contrastive", "weighted_contrastive", "object_condensation"] = "contrastive"
    margin: float = Field(default=1.0, gt=0)
    signal_pairs: Literal["edges", "object", "both"] = "edges"
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

    ``optional_features`` may be absent from the data (cell features, where there are no cells): the network then sees
    zeros, and says so. To learn that, training hides all of them in an event with probability ``optional_dropout``.
    Published: none.
    """

    node_features: tuple[str, ...] = Field(default=TRACKML_FEATURES, min_length=1)
    node_scales: tuple[float, ...] = TRACKML_SCALES
    optional_features: tuple[str, ...] = ()
    optional_dropout: float = Field(default=0.3, ge=0, le=1)
    fourier_features: tuple[str, ...] = ()
    num_fourier_frequencies: int = Field(default=6, ge=1, le=16)
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
    residual: bool = False
    saturated_logit: bool = True
    checkpoint: bool = False
    seed: int = Field(default=0, ge=0)
    loss: LossConfig = LossConfig()
    node_hard_filter: tuple[float, ...] = ()
    node_soft_filter: tuple[float, ...] = ()
    output_node_score: bool = False
    node_score_hidden: int = Field(default=128, ge=1)
    num_node_score_layers: int = Field(default=1, ge=1)
    grouping: GroupingConfig = GroupingConfig()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_scales(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("node_scales") is None:
            features = values.get("node_features", TRACKML_FEATURES)
            if isinstance(features, list | tuple):
                return {**values, "node_scales": tuple(SCALES.get(str(name), math.nan) for name in features)}
        return values

    @pydantic.field_validator("node_features")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a feature is named twice; mend: name each once")
        return value

    @pydantic.field_validator("node_scales")
    @classmethod
    def _one_scale_each(cls, value: tuple[float, ...], info: pydantic.ValidationInfo) -> tuple[float, ...]:
        features = info.data.get("node_features", ())
        if features and len(value) != len(features):
            raise ValueError(f"{len(value)} numbers for {len(features)} node_features; mend: one for each")
        for name, scale in zip(features, value, strict=False):
            if math.isnan(scale):
                raise ValueError(f"no scale is known for '{name}'; mend: give node_scales.{nearest(name, SCALES)}")
            if scale == 0:
                raise ValueError(f"0 cannot divide '{name}'; mend: 1 leaves a feature as it is")
        return value

    @pydantic.field_validator("fourier_features", "optional_features")
    @classmethod
    def _known_features(cls, value: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        features = info.data.get("node_features", ())
        for name in value:
            if name not in features:
                raise ValueError(f"'{name}' is not one of node_features.{nearest(name, features)}")
        return value

    @pydantic.field_validator("num_neighbours")
    @classmethod
    def _one_k_each(cls, value: int | tuple[int, ...], info: pydantic.ValidationInfo) -> int | tuple[int, ...]:
        wanted = info.data.get("num_iterations")
        if isinstance(value, tuple) and wanted is not None and len(value) != wanted:
            raise ValueError(f"{len(value)} values for {wanted} iterations; mend: one number, or one for each")
        if any(k < 1 for k in (value if isinstance(value, tuple) else (value,))):
            raise ValueError("wanted at least 1 neighbour")
        return value

    @pydantic.field_validator("node_hard_filter", "node_soft_filter")
    @classmethod
    def _one_cut_each(cls, value: tuple[float, ...], info: pydantic.ValidationInfo) -> tuple[float, ...]:
        graphs = info.data.get("num_iterations")
        hard = info.field_name == "node_hard_filter"
        if not all(0 <= cut < 1 for cut in value):
            raise ValueError("cuts are on sigmoid(score), wanted 0 <= cut < 1")
        if graphs is None or not value:
            return value
        if hard and len(value) not in (1, graphs + 1):
            raise ValueError(
                f"{len(value)} cuts; mend: 1 (at the end only) or {graphs + 1} (before each of the {graphs} graphs "
                "and at the end)"
            )
        if not hard and len(value) != graphs:
            raise ValueError(f"{len(value)} cuts; mend: {graphs}, one for each graph")
        return value

    @pydantic.field_validator("output_node_score")
    @classmethod
    def _score_where_needed(cls, value: bool, info: pydantic.ValidationInfo) -> bool:
        loss = info.data.get("loss")
        filtered = info.data.get("node_hard_filter") or info.data.get("node_soft_filter")
        if not value and (filtered or (loss is not None and loss.name != "contrastive")):
            raise ValueError(
                "filters and the losses weighted_contrastive and object_condensation need a point score; mend: true"
            )
        return value

    @property
    def num_inputs(self) -> int:
        """Width of the encoder's input: features and their Fourier terms."""
        return len(self.node_features) + 2 * self.num_fourier_frequencies * len(self.fourier_features)

    @property
    def neighbours_per_iteration(self) -> tuple[int, ...]:
        """k of every graph, num_iterations entries."""
        if isinstance(self.num_neighbours, int):
            return (self.num_neighbours,) * self.num_iterations
        return self.num_neighbours
