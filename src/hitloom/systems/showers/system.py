"""Shower growing: which 2D clusters of a wire view are of one particle.

Shape letters: N clusters, B views, P = sum over views of (clusters of it)^2.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hitloom.data.shower_layout import CLUSTER_FEATURES
from hitloom.data.shower_merge import merge_clusters
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping.accessory import Iterated, iterate_groups
from hitloom.losses.base import Loss
from hitloom.result import Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, System, point_ids
from hitloom.systems.showers.augment import highest_tier, merged_views
from hitloom.systems.showers.collapse import CollapseWatch
from hitloom.systems.showers.config import ShowersConfig
from hitloom.systems.showers.grouping import group_clusters
from hitloom.systems.showers.inputs import HitInputs
from hitloom.systems.showers.network import ShowerNetwork
from hitloom.systems.showers.objective import num_hits, shower_loss
from hitloom.systems.showers.working_point import choose_threshold, validation_rates, validation_sums

log = logging.getLogger("hitloom")


class Showers(System):
    """Similarity of every pair of clusters of a view, and groups from it. One event is one view; a batch is many.

    ``Scores.own`` has ``similarity`` and ``logit`` (P,) float32, the symmetric matrices of the views, row-major, one
    after the other; ``sizes`` (B,) int64; ``vectors`` (N, d), the clusters in the context of their view.

    Parameters
    ----------
    config : ShowersConfig
    """

    name: ClassVar[str] = "showers"
    Config: ClassVar[type[ShowersConfig]] = ShowersConfig  # type: ignore[assignment]
    validates_partition: ClassVar[bool] = False
    batches_inference: ClassVar[bool] = True
    config: ShowersConfig

    def __init__(self, config: ShowersConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = HitInputs(config.inputs)
        self.network = ShowerNetwork(config, names=self.inputs.names, scales=self.inputs.scales)
        self._warned = False
        self._watch_collapse = CollapseWatch()

    @property
    def needs(self) -> Needs:
        return Needs(fields=("pos", "x", "layer", "part_x", "part_point_index"), features=CLUSTER_FEATURES)

    def forward(self, event: Event) -> Scores:
        """Return the similarities of the clusters of a view, or of each view of a batch."""
        watch = Stopwatch(event.pos.device)
        with watch("inputs"):
            rows, cluster = self.inputs(event)
        with watch("network"):
            sizes = event.ptr.diff() if "ptr" in event else torch.tensor([event.num_points], device=rows.device)
            found = self.network(rows, cluster, sizes)
        own = {
            "similarity": found.logit.sigmoid(), "logit": found.logit, "sizes": sizes, "vectors": found.vectors,
        }  # fmt: skip
        return Scores(embedding=found.vectors, own=own, timing=watch.seconds)

    # ------------------------------------------------------------------ training

    def begin_epoch(self, epoch: int) -> None:
        """Note the number of the epoch: appended columns hold the true numbers from one of them on."""
        self.inputs.epoch.fill_(epoch)

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return ``similarity`` and further parts with a weight; see :mod:`.objective`."""
        return shower_loss(self.config.loss, scores, event, pooled=self.training)

    def max_tier(self, epoch: int) -> int:
        """Return how often the clusters of a batch are merged and trained on again in an epoch."""
        return highest_tier(self.config.augmentation, epoch)

    def next_pass(self, scores: Scores, batch: Event, *, tier: int) -> Event | None:
        """Return the merged views that are the next tier of a batch, None when there are none."""
        return merged_views(self.config, scores, batch, draws=self.training and tier == 1)

    def epoch_warning(self, values: Mapping[str, float]) -> str | None:
        """Return a warning where the similarity has become the same for all pairs."""
        return self._watch_collapse(values)

    def parameter_groups(self) -> list[tuple[str, list[nn.Parameter], float]]:
        """Return name, parameters and factor of the learning rate of each part."""
        parts, rates = self.network, self.config.rates
        return [
            ("encoder", list(parts.encoder.parameters()), rates.encoder),
            ("attention", list(parts.attention.parameters()), rates.attention),
            ("similarity", list(parts.similarity.parameters()), rates.similarity),
        ]

    def parameters_without_gradient(self) -> set[str]:
        """Return the names of parameters that never learn; see :mod:`hitloom.nn.set_transformer`."""
        return {f"network.{name}" for name in self.network.idle_parameters()}

    def validation_counts(self, scores: Scores, event: Event) -> dict[str, float]:
        """Return sums over pairs of clusters, and of the partition at the working point."""
        return validation_sums(self.config, scores, event)

    def validation_rates(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return errors of the similarity, rates of pairs, ARI, purity, completeness, and variances."""
        return validation_rates(sums)

    def choose_working_point(self, events: Iterable[Event]) -> dict[str, Any]:
        """Return the ``grouping.threshold`` chosen on validation views, where ``scan`` is on."""
        if not self.config.scan.enabled:
            return {}
        self.eval()
        with torch.inference_mode():
            scored = [(event, self(event)) for event in events if "share_index" in event]
        return {"grouping": {"threshold": choose_threshold(self.config, scored)}} if scored else {}

    # ------------------------------------------------------------------ inference

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        """Group the clusters of ONE view; pairs i < j are its edges, their logits the scores.

        With the mode ``iterated`` merged clusters go through the network again.

        Raises
        ------
        DataError
            When a similarity is not finite.
        """
        num = event.num_points
        logit = scores.own["logit"].detach().float().cpu().view(num, num)
        if not bool(torch.isfinite(logit).all()):
            raise DataError(
                f"{event.describe()}: a similarity is not finite; mend: features of usual size, or the weights"
            )
        watch = Stopwatch(torch.device("cpu"))
        with watch("grouping"):
            if self.config.grouping.mode == "iterated":
                labels = self.iterate(event, scores=scores).labels
            else:
                labels = group_clusters(logit.sigmoid(), num_hits(event).cpu(), self.config.grouping)
        edges = torch.triu_indices(num, num, 1)
        return Result(
            event_id=int(event.event_id) if "event_id" in event else 0, point_id=point_ids(event), labels=labels,
            edge_index=edges, edge_score=logit[edges[0], edges[1]], timing=scores.timing | watch.seconds,
        )  # fmt: skip

    @torch.no_grad()
    def iterate(self, event: Event, max_iterations: int | None = None, *, scores: Scores | None = None) -> Iterated:
        """Group, merge and group again until nothing merges; ``history`` has the groups after each iteration.

        Parameters
        ----------
        event : Event
            ONE view.
        max_iterations : int, optional
            Default: ``grouping.max_iterations``.
        scores : Scores, optional
            Those of the event, where they are known.
        """
        if not self.config.augmentation.enabled and not self._warned:
            self._warned = True
            log.warning(
                "this model never saw merged clusters in training: iterating may merge everything into one; "
                "mend: grouping.mode accessory, or a model trained with augmentation"
            )
        device = self.inputs.epoch.device
        known = [scores]

        def group(view: Event) -> Tensor:
            found = known.pop() if known else None
            found = self(view.to(str(device))) if found is None else found
            similarity = found.own["similarity"].float().cpu().view(view.num_points, view.num_points)
            return group_clusters(similarity, num_hits(view).cpu(), self.config.grouping)

        most = self.config.grouping.max_iterations if max_iterations is None else max_iterations
        return iterate_groups(event, group=group, merge=merge_clusters, max_iterations=most)

    @staticmethod
    def import_weights(state: Mapping[str, Tensor], config: ShowersConfig) -> tuple[Showers, list[str]]:
        """Return the system with weights of the original code, and the names that were left out."""
        from hitloom.systems.showers.reference import import_weights

        return import_weights(state, config)

    @staticmethod
    def import_config(
        values: Mapping[str, Any], *, where: str, preset: int | None = None
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the run that a configuration of the original code describes, and what is not the same in it."""
        from hitloom.systems.showers.reference_config import import_config

        return import_config(values, where=where, preset=preset)

    def export_signature(self) -> ExportSignature:
        from hitloom.systems.showers.exportable import showers_signature

        return showers_signature(self)
