"""Graph pruning: which layer clusters of a trackster belong to another particle, decided jointly.

Shape letters: N layer clusters, G tracksters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.result import Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, System, point_ids
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.modes import Autoregressive, Marginal, Mode
from hitloom.systems.pruning.working_point import choose_threshold, decisions, validation_rates, validation_sums


class Pruning(System):
    """One mode of deciding, with its working point. One event is one trackster; a batch is many.

    Weights are named after their mode, so that those of another mode are refused.

    Parameters
    ----------
    config : PruningConfig
    """

    name: ClassVar[str] = "pruning"
    Config: ClassVar[type[PruningConfig]] = PruningConfig  # type: ignore[assignment]
    validates_partition: ClassVar[bool] = False
    batches_inference: ClassVar[bool] = True
    num_threads: ClassVar[int | None] = 1
    config: PruningConfig

    def __init__(self, config: PruningConfig) -> None:
        super().__init__()
        self.config = config
        self.modes = nn.ModuleDict({config.mode: make_mode(config)})

    @property
    def mode(self) -> Mode:
        """The way of deciding, with its network."""
        return self.modes[self.config.mode]  # type: ignore[return-value]

    @property
    def needs(self) -> Needs:
        return Needs(fields=self.mode.inputs.fields, features=PRUNING_FEATURES, training_fields=("point_y",))

    def forward(self, event: Event) -> Scores:
        """Score the layer clusters of a trackster or of a batch of tracksters."""
        watch = Stopwatch(event.pos.device)
        with watch("network"):
            scores = self.mode(event)
        scores.timing |= watch.seconds
        return scores

    # ------------------------------------------------------------------ training

    def fit_inputs(self, events: Iterable[Event]) -> None:
        """Take scales and weights from the events of the training set; scales that came with weights stay."""
        if not bool(self.mode.inputs.fitted):
            self.mode.fit(events)

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the loss of the mode, the mean of those of the single tracksters."""
        return self.mode.loss(scores, event)

    def after_step(self, epoch: int) -> None:
        """Note the epoch: the share of own decisions in training follows it."""
        if isinstance(self.mode, Autoregressive):
            self.mode.epochs.fill_(epoch)

    def parameters_without_gradient(self) -> set[str]:
        """Return the names of parameters that the mode has and never trains."""
        return {f"modes.{self.config.mode}.{name}" for name in self.mode.idle_parameters()}

    def validation_counts(self, scores: Scores, event: Event) -> dict[str, float]:
        """Return sums of free-running decisions against truth."""
        return validation_sums(self.config, scores, event)

    def validation_rates(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return precision, recall, F1 and more at the working point."""
        return validation_rates(sums)

    def choose_working_point(self, events: Iterable[Event]) -> dict[str, Any]:
        """Return the ``threshold`` chosen on validation events."""
        if not self.config.scan.enabled:
            return {}
        with torch.inference_mode():
            scored = [(event, self(event)) for event in events]
        return {"threshold": choose_threshold(self.config, scored)} if scored else {}

    # ------------------------------------------------------------------ inference

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        """Return the labels of ONE trackster: 0 = kept, -1 = pruned.

        Raises
        ------
        DataError
            When a score is not finite.
        """
        assert scores.point_score is not None
        score = scores.point_score.detach().cpu()
        if not bool(torch.isfinite(score).all()):
            raise DataError(f"{event.describe()}: a score is not finite; mend: features of usual size, or the weights")
        labels = torch.where(decisions(self.config, scores, event.columns(("energy",))[:, 0]).cpu(), -1, 0)
        return Result(
            event_id=int(event.event_id) if "event_id" in event else 0, point_id=point_ids(event), labels=labels,
            point_score=score, timing=scores.timing,
        )  # fmt: skip

    def sample(self, event: Event, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw decisions (num_samples, N) bool, true = prune: joint ones where the mode knows of them.

        ``autoregressive`` draws every decision and goes on with it, ``tree`` draws from the exact joint probability;
        the other modes can only draw every layer cluster by itself.
        """
        return self.mode.sample(event, num_samples, generator)

    def export_signature(self) -> ExportSignature:
        from hitloom.systems.pruning.exportable import pruning_signature

        return pruning_signature(self)


def make_mode(config: PruningConfig) -> Mode:
    """Return the way of deciding that the configuration names."""
    if config.mode == "autoregressive":
        return Autoregressive(config)
    if config.mode == "tree":
        from hitloom.systems.pruning.tree_mode import Tree

        return Tree(config)
    return Marginal(config)
