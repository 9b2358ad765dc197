"""Configuration of graph pruning: defaults of the library; the recipe ``pruning`` spells the published ones."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

from hitloom.config import Config


class FeatureConfig(Config):
    """What the network reads of a layer cluster.

    ``kind``: ``standard``, nine columns that a rotation about the beam and a change of endcap leave as they are; or
    ``legacy``, the nine published ones as they come (cm, GeV, absolute azimuth). ``recentre`` and ``clip_time``
    (legacy): positions relative to the seed, negative times set to 0. ``context``: further columns that set a layer
    cluster beside its trackster and the layer cluster that it follows.
    """

    kind: Literal["standard", "legacy"] = "standard"
    recentre: bool = True
    clip_time: bool = True
    context: bool = False


class DecisionConfig(Config):
    """How the autoregressive mode decides.

    ``source``: whose decisions are fed back in training: those of truth (``teacher``), the network's own (``free``), or
    its own with a probability that rises linearly from 0 to ``own_share`` over ``ramp_epochs`` (``scheduled``).
    Validation and inference are free whatever it says. ``draw``: an own decision is the likelier one, or drawn.
    ``per_step``: layer clusters of a trackster decided in each step. ``detach_every``: gradients end after so many
    steps; None = they go through all of them.
    """

    source: Literal["teacher", "free", "scheduled"] = "teacher"
    draw: Literal["argmax", "sample"] = "argmax"
    own_share: float = Field(default=1.0, ge=0, le=1)
    ramp_epochs: int = Field(default=10, ge=1)
    per_step: int = Field(default=1, ge=1)
    detach_every: int | None = Field(default=None, ge=1)


class LossConfig(Config):
    """Cross-entropy with a weight on layer clusters to prune.

    ``class_weight``: a fixed number (``positive_weight``), the ratio of the classes in each trackster, or that of the
    training set. ``step_sum``: the loss of an autoregressive step is the sum over the undecided layer clusters of their
    probability to be next times their cross-entropy; False = the mean, as first published.
    """

    class_weight: Literal["fixed", "per_graph", "dataset"] = "fixed"
    positive_weight: float = Field(default=1.0, gt=0)
    step_sum: bool = True


class TreeConfig(Config):
    """The tree model: a backbone gives potentials of nodes and links, everything else is exact.

    ``num_states``: each decision is one of so many hidden states. With 1, as first published, a layer cluster whose
    decision is certain cuts all dependence of those beyond it; with 2 it can pass on what lies on its other side.

    ``backbone``: gated graph network with a message MLP of ``num_message_layers``, graph attention with ``num_heads``,
    TAG convolution, or GraphSAGE with mean aggregation. ``decode``: the likeliest configuration (``map``; with hidden
    states the decisions of the likeliest one of those), or every node by its own marginal probability against the
    threshold.
    """

    backbone: Literal["gated", "attention", "tag", "sage"] = "gated"
    num_steps: int = Field(default=8, ge=1)
    num_message_layers: int = Field(default=3, ge=1)
    num_heads: int = Field(default=8, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    num_states: int = Field(default=2, ge=1)
    decode: Literal["map", "marginal"] = "marginal"


class ScanConfig(Config):
    """How the threshold is chosen on validation tracksters after a training.

    ``objective``: micro F1 of pruning, or the sum of the shares of energy correctly retained and correctly pruned.
    ``max_f1_loss``: of the thresholds whose F1 is at most this below the best, the one with the best energy (for f1).
    """

    enabled: bool = True
    objective: Literal["f1", "energy"] = "f1"
    max_f1_loss: float = Field(default=0.0, ge=0, le=1)
    step: float = Field(default=0.02, gt=0, le=0.5)


class PruningConfig(Config):
    """One network and the way it decides.

    ``mode``: ``autoregressive`` (one layer cluster after the other, each decision fed back), ``multistep``
    (``num_iterations`` soft rounds over all of them), ``tree`` (exact Markov model on the links), ``one_pass`` (a graph
    network and no feedback) or ``nodes`` (every layer cluster by itself). Weights belong to one mode.

    ``gate``: cell that takes decisions in; ``memory``: a second cell for each node. ``sage_aggregator``: how a node
    sums its neighbours up (``lstm`` depends on their order). ``heads``: five hidden layers, as published, or none.
    ``recall``: the first state is added to that of every iteration (not published; learns faster).
    ``threshold``: a layer cluster is pruned above this probability. ``energy_scale`` (GeV): one of energy E already
    above ``threshold / (1 + E / energy_scale)``, because more energy is lost by keeping it wrongly; None = all alike.
    """

    mode: Literal["autoregressive", "multistep", "tree", "one_pass", "nodes"] = "multistep"
    hidden: int = Field(default=128, ge=2)
    num_gnn_layers: int = Field(default=3, ge=0)
    num_iterations: int = Field(default=5, ge=1)
    gate: Literal["gru", "lstm"] = "lstm"
    memory: Literal["none", "gru", "lstm"] = "none"
    sage_aggregator: Literal["mean", "lstm", "max", "sum"] = "mean"
    norm: Literal["layer", "batch", "none"] = "layer"
    heads: Literal["deep", "shallow"] = "deep"
    recall: bool = False
    head_dropout: float = Field(default=0.2, ge=0, lt=1)
    feature_dropout: float = Field(default=0.0, ge=0, lt=1)
    features: FeatureConfig = FeatureConfig()
    decisions: DecisionConfig = DecisionConfig()
    loss: LossConfig = LossConfig()
    tree: TreeConfig = TreeConfig()
    scan: ScanConfig = ScanConfig()
    threshold: float = Field(default=0.5, ge=0, le=1)
    energy_scale: float | None = Field(default=None, gt=0)

    @pydantic.model_validator(mode="after")
    def _fits(self) -> PruningConfig:
        if self.hidden % 2:
            raise ValueError(f"hidden: an even number was wanted, not {self.hidden}")
        heads = self.tree.num_heads
        if self.mode == "tree" and self.tree.backbone == "attention" and self.hidden % heads:
            raise ValueError(f"tree.num_heads: {heads} heads do not divide hidden {self.hidden}")
        return self
