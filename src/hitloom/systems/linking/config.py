"""Configuration of trackster linking. Defaults are those of the published classes; the recipes have larger networks."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

from hitloom.config import Config
from hitloom.grouping.edge_linking import Thresholds


class InputConfig(Config):
    """What the networks make of the 29 node and 5 (or 7) edge features of the contract; all of it inside the model.

    ``phi``: the azimuth as it is; as its sine and cosine; or nothing that depends on it (``invariant``: radius instead
    of x and y, the axis in its radial, azimuthal and longitudinal parts). ``mirror``: both endcaps look the same.
    ``log``: logarithms of energies, spreads and counts before the scaling. ``missing_time``: a time that does not exist
    (-99) stays as it is, counts as 0, or counts as 0 with a column that says so (``mask``).
    ``skeleton``: edges carry the two distances between layer clusters too. ``relative``: the edges get nine more
    columns, computed from their two nodes.
    """

    phi: Literal["raw", "sin-cos", "invariant"] = "raw"
    mirror: bool = False
    log: bool = False
    missing_time: Literal["keep", "zero", "mask"] = "zero"
    skeleton: bool = False
    relative: bool = False


class AttentionConfig(Config):
    """The transformer before the edge convolutions of ``punet``.

    ``cosine``: attention by the cosine of queries and keys over ``temperature``; else the plain form. ``init``:
    xavier-uniform weights and no biases in the whole network, as published, or torch's own. ``output_gain``: factor of
    the initial output weights of each attention (0.5 was intended there, and overwritten). ``num_neighbours``: each
    trackster looks at this many nearest ones in (eta, phi), itself included; None = at all of its event.
    """

    num_layers: int = Field(default=3, ge=0)
    num_heads: int = Field(default=8, ge=1)
    cosine: bool = True
    temperature: float = Field(default=0.5, gt=0)
    init: Literal["xavier", "torch"] = "xavier"
    output_gain: float = Field(default=1.0, gt=0)
    num_neighbours: int | None = Field(default=None, ge=1)


class EdgeWeightConfig(Config):
    """Weight of an edge in the loss: clamp(larger raw energy of its ends / ``scale``, ``floor``, 1).

    ``floor`` keeps light tracksters in the game. ``heavy_focus`` c multiplies by 1 + c (E / scale) |p - t|: edges of
    heavy tracksters that are still wrong count more. ``uniform``: all edges weigh 1.
    """

    scale: float = Field(default=300.0, gt=0)
    floor: float = Field(default=0.0, ge=0, le=1)
    heavy_focus: float = Field(default=0.0, ge=0)
    uniform: bool = False


class LossConfig(Config):
    """Focal loss of the edges, and contrast between the edge embeddings of two views of the event.

    ``form``: focal loss on logits, or (for comparison) the older one on probabilities. ``alpha``: weight of positives;
    None = 0.5 + (share of false edges in the training set) / 2. ``targets``: hard = (soft > 0), in training and
    validation alike. ``only_signal``: edges between pile-up count as false. ``focal_weight``, ``contrastive_weight``,
    ``margin``: see :func:`hitloom.losses.views.view_contrast`. ``view``: one coin for the event, or a choice for every
    edge. ``pu_weight``: weight of the cross-entropy of the pile-up head; 0 = the head is there and does not learn, None
    = no head.
    """

    form: Literal["logits", "probabilities"] = "logits"
    gamma: float = Field(default=2.0, ge=0)
    alpha: float | None = Field(default=None, gt=0, lt=1)
    targets: Literal["hard", "soft"] = "hard"
    only_signal: bool = False
    weight: EdgeWeightConfig = EdgeWeightConfig()
    focal_weight: float = Field(default=1.0, ge=0)
    contrastive_weight: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.3, gt=0)
    view: Literal["event", "edge"] = "event"
    pu_weight: float | None = Field(default=None, ge=0)


class ScanConfig(Config):
    """How the threshold is chosen on validation events after a training.

    ``objective``: energy-weighted F1 of the edges, or (``distance``) the smallest sum of energy that is missing from
    and foreign to the merged tracksters, dU + dO, among thresholds whose F1 is at most ``max_f1_loss`` below the best.
    ``rule``: the best F1 of all, or the first local maximum as published (0.65 where there is none).
    """

    objective: Literal["f1", "distance"] = "f1"
    max_f1_loss: float = Field(default=1.0, ge=0, le=1)
    rule: Literal["global", "first_local"] = "global"
    step: float = Field(default=0.05, gt=0, le=0.5)
    enabled: bool = True


class PruneConfig(Config):
    """Magnitude pruning: from ``first_epoch`` on, the smallest ``share`` of each weight matrix is set to zero."""

    share: float = Field(default=0.0, ge=0, lt=1)
    first_epoch: int = Field(default=0, ge=0)


class LinkingConfig(Config):
    """One network, its loss and the working point.

    ``network``: ``gnn`` (edge convolutions) or ``punet`` (a transformer over all tracksters before them). ``gated``:
    the edge latent weighs the messages. ``legacy_self_loops``: the self loops of old weights, all of them on the first
    trackster of an event. ``threshold``: an edge above it merges its ends; ``energy_cuts``: list of (E_max, cut)
    instead, by the larger raw energy of the two ends, the last E_max infinite.
    """

    network: Literal["gnn", "punet"] = "gnn"
    hidden: int = Field(default=16, ge=1)
    edge_hidden: int = Field(default=16, ge=1)
    num_iterations: int = Field(default=2, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    gated: bool = True
    legacy_self_loops: bool = False
    inputs: InputConfig = InputConfig()
    attention: AttentionConfig = AttentionConfig()
    loss: LossConfig = LossConfig()
    scan: ScanConfig = ScanConfig()
    prune: PruneConfig = PruneConfig()
    threshold: float = Field(default=0.6, ge=0, le=1)
    energy_cuts: tuple[tuple[float, float], ...] | None = None

    @pydantic.model_validator(mode="after")
    def _fits(self) -> LinkingConfig:
        heads = self.attention.num_heads
        if self.network == "punet" and self.hidden % heads:
            raise ValueError(f"attention.num_heads: {heads} heads do not divide hidden {self.hidden}")
        return self

    @pydantic.field_validator("energy_cuts")
    @classmethod
    def _usable(cls, value: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...] | None:
        if value is not None:
            try:
                Thresholds(cuts=value)
            except pydantic.ValidationError as error:
                raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return value
