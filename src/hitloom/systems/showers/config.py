"""Configuration of shower growing; the recipe ``showers-pandora`` spells the published settings."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

from hitloom.config import Config


class InputConfig(Config):
    """What the network reads of a hit.

    ``preset``: number of a published set of columns; ``columns``: names instead of a number. ``cardinality`` appends
    the number of hits of the cluster and of clusters of the view, ``tier`` how often clusters were merged before, from
    1. ``added_from_epoch``: until then these appended columns are random numbers in [1, 2), the same for all hits of a
    cluster, so that the network learns without them first. ``detector`` gives the scales of lengths. ``num_waves``: so
    many wavelengths of the position of a hit, and multiples of its angle, are made of the columns inside the encoder,
    which makes it learn much faster (not published; 0 = none).
    """

    preset: int | None = Field(default=8, ge=1, le=10)
    columns: tuple[str, ...] | None = None
    cardinality: bool = True
    tier: bool = False
    added_from_epoch: int = Field(default=2, ge=0)
    detector: str = "dune-fd-hd"
    num_waves: int = Field(default=0, ge=0, le=16)

    @pydantic.model_validator(mode="after")
    def _one_of_both(self) -> InputConfig:
        if (self.preset is None) == (self.columns is None):
            raise ValueError("preset or columns: one of both was wanted")
        return self


class SetConfig(Config):
    """A set transformer: ``depth`` induced blocks, then pooling where there is one, then ``depth`` full blocks."""

    embedding: int = Field(ge=1)
    hidden: int = Field(ge=1)
    num_heads: int = Field(default=8, ge=1)
    num_inducing: int = Field(default=32, ge=1)
    depth: int = Field(default=2, ge=1)
    layer_norm: bool = False

    @pydantic.model_validator(mode="after")
    def _heads_divide(self) -> SetConfig:
        if self.hidden % self.num_heads:
            raise ValueError(f"num_heads: {self.num_heads} heads do not divide hidden {self.hidden}")
        return self


class HeadConfig(Config):
    """Similarity of pairs.

    ``form``: ``symmetric`` (mean of the logits of both orders of a pair) or ``ordered`` (the order of the clusters in
    the event, as first published). ``max_pairs``: pairs that are computed at once.
    """

    hidden: int = Field(default=512, ge=1)
    form: Literal["symmetric", "ordered"] = "symmetric"
    max_pairs: int = Field(default=65536, ge=1)


class LossConfig(Config):
    """Weighted squared error of the similarity, and two optional parts.

    ``weights``: 1, ``log`` (log(1 + hits) of both clusters) or ``log_with_penalty`` (besides, 0.5 for each of the two
    with two hits or fewer). ``denominator``: similarity from shares of all hits, or of those with truth only.
    ``triplet``: weight of the soft transitivity over ``num_triplets`` draws; ``contrastive``: weight of the squared
    error of cosine similarity.
    """

    weights: Literal["none", "log", "log_with_penalty"] = "log_with_penalty"
    denominator: Literal["all", "matched"] = "all"
    triplet: float = Field(default=0.0, ge=0)
    num_triplets: int = Field(default=50_000, ge=1)
    contrastive: float = Field(default=0.0, ge=0)


class GroupingConfig(Config):
    """From similarities to groups of clusters.

    ``mode``: ``components`` (pairs above the threshold), ``agglomerative`` (average linkage), ``leiden``, ``affinity``,
    ``accessory`` (connected accessory clustering), ``two_stage`` (again at ``second_threshold``) or ``iterated``
    (accessory on merged clusters until nothing merges, at most ``max_iterations`` rounds). ``threshold``: pairs belong
    together above it, strictly. ``accessory_max_hits``: clusters of at most so many hits never join two groups.
    """

    mode: Literal["components", "agglomerative", "leiden", "affinity", "accessory", "two_stage", "iterated"] = (
        "accessory"
    )
    threshold: float = Field(default=0.6, ge=0, le=1)
    second_threshold: float = Field(default=0.5, ge=0, le=1)
    accessory_max_hits: int = Field(default=2, ge=0)
    max_iterations: int = Field(default=10, ge=1)


class AugmentationConfig(Config):
    """Iterative augmentation: predict, group, merge, and train on the merged clusters too.

    The highest tier of epoch e is ``(e - warmup_epochs) // epochs_per_tier``, at least 0 and at most ``max_tier``.
    ``probability``: share of batches of tier 0 that go on; 1 = all.
    """

    enabled: bool = False
    threshold: float = Field(default=0.6, ge=0, le=1)
    epochs_per_tier: int = Field(default=1, ge=1)
    warmup_epochs: int = Field(default=10, ge=0)
    max_tier: int | None = Field(default=None, ge=0)
    probability: float = Field(default=1.0, ge=0, le=1)


class ScanConfig(Config):
    """How the threshold of the grouping is chosen on validation views after a training.

    The one with the largest mean adjusted Rand index of hits wins, of equals the one nearest to 0.5; multiples of
    ``step`` are tried.
    """

    enabled: bool = False
    step: float = Field(default=0.05, gt=0, le=0.5)


class RatesConfig(Config):
    """Learning rate of each part of the network, as a multiple of ``training.lr``."""

    encoder: float = Field(default=1.0, gt=0)
    attention: float = Field(default=1.0, gt=0)
    similarity: float = Field(default=1.0, gt=0)


class ShowersConfig(Config):
    """Hits of a cluster -> its vector (``encoder``) -> context of the view (``attention``) -> similarity of pairs."""

    inputs: InputConfig = InputConfig()
    encoder: SetConfig = SetConfig(embedding=64, hidden=128)
    attention: SetConfig = SetConfig(embedding=128, hidden=256)
    similarity: HeadConfig = HeadConfig()
    loss: LossConfig = LossConfig()
    grouping: GroupingConfig = GroupingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    scan: ScanConfig = ScanConfig()
    rates: RatesConfig = RatesConfig()

    @pydantic.model_validator(mode="after")
    def _tier_needs_augmentation(self) -> ShowersConfig:
        if self.inputs.tier and not self.augmentation.enabled:
            raise ValueError("inputs.tier: only together with augmentation.enabled")
        return self
