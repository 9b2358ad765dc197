"""Trackster linking: a network scores the candidate edges, tracksters joined by good edges are merged.

Shape letters: N tracksters, E edges, B events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping.edge_linking import link_edges
from hitloom.losses.base import Loss
from hitloom.result import Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, System, point_ids
from hitloom.systems.linking.config import LinkingConfig
from hitloom.systems.linking.graph import edge_energy, graph_of, sizes_of
from hitloom.systems.linking.network import LinkNetwork, LinkOutput
from hitloom.systems.linking.objective import linking_loss
from hitloom.systems.linking.working_point import choose_threshold, thresholds_of, validation_rates, validation_sums


class Linking(System):
    """Edge classifier over tracksters with its working point.

    Parameters
    ----------
    config : LinkingConfig
    """

    name: ClassVar[str] = "linking"
    Config: ClassVar[type[LinkingConfig]] = LinkingConfig  # type: ignore[assignment]
    validates_partition: ClassVar[bool] = False
    keeps_edges: ClassVar[bool] = True
    config: LinkingConfig
    alpha: Tensor

    def __init__(self, config: LinkingConfig) -> None:
        super().__init__()
        self.config = config
        self.network = LinkNetwork(config)
        self.register_buffer("alpha", torch.tensor(0.4 if config.loss.alpha is None else config.loss.alpha))

    @property
    def needs(self) -> Needs:
        pile_up = self.config.loss.only_signal or bool(self.config.loss.pu_weight)
        return Needs(
            fields=("pos", "x"),
            features=NODE_FEATURES,
            training_fields=("edge_index", "edge_attr", "edge_y", *(("object_index",) if pile_up else ())),
        )

    def forward(self, event: Event) -> Scores:
        """Score the candidate edges of an event or a batch; without a graph in the event it is built."""
        watch = Stopwatch(event.pos.device)
        with watch("graph"):
            edge_index, edge_attr = graph_of(event, self.network.inputs.edge_features)
        with watch("network"):
            found = self.run(event.columns(NODE_FEATURES), edge_index, edge_attr, sizes_of(event))
        return Scores(
            edge_index=edge_index, edge_score=found.logit.float(), edge_embedding=found.embedding,
            point_score=None if found.pu_logit is None else -found.pu_logit.float(), timing=watch.seconds,
        )  # fmt: skip

    def run(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, sizes: Sequence[int] | None = None) -> LinkOutput:
        """Return what the network says of edges (2, E), inner trackster above outer, as events keep them."""
        return self.network(x, edge_index.flip(0), edge_attr, sizes)

    # ------------------------------------------------------------------ training

    def fit_inputs(self, events: Iterable[Event]) -> None:
        """Take scales and the weight of positives from the events of the training set.

        Scales that came with weights stay: the weights mean nothing without them.
        """
        inputs, alpha = self.network.inputs, self.config.loss.alpha
        if bool(inputs.fitted) and alpha is not None:
            return
        num_edges = num_false = 0

        def counted() -> Iterator[Event]:
            nonlocal num_edges, num_false
            for event in events:
                num_edges, num_false = num_edges + len(event.edge_y), num_false + int((event.edge_y <= 0).sum())
                yield event

        if bool(inputs.fitted):
            deque(counted(), maxlen=0)
        else:
            inputs.fit(counted())
        if alpha is None:
            self.alpha.fill_(0.5 + num_false / max(1, num_edges) / 2)

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return ``focal``, and where they are configured ``contrastive`` and ``pileup``: the same in validation."""
        return linking_loss(self, scores, event)

    def after_step(self, epoch: int) -> None:
        """Set the smallest weights to zero where pruning is configured."""
        prune = self.config.prune
        if not prune.share or epoch < prune.first_epoch:
            return
        for module in self.network.modules():
            if isinstance(module, nn.Linear) and module.out_features > 1:
                prune_smallest(module.weight, prune.share)

    def parameters_without_gradient(self) -> set[str]:
        """Return the names of parameters that never learn: a pile-up head without weight in the loss."""
        if self.config.loss.pu_weight != 0:
            return set()
        return {name for name, _ in self.named_parameters() if name.startswith("network.pu_head.")}

    def validation_counts(self, scores: Scores, event: Event) -> dict[str, float]:
        """Return sums weighted by energy, by class of pair, and the distance of the merged tracksters from truth."""
        return validation_sums(self.config, scores, event)

    def validation_rates(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return precision, recall, F1 and more at the working point, overall and by class of pair."""
        return validation_rates(sums)

    def choose_working_point(self, events: Iterable[Event]) -> dict[str, Any]:
        """Return the ``threshold`` chosen on validation events; nothing where the cuts depend on the energy."""
        if not self.config.scan.enabled or self.config.energy_cuts is not None:
            return {}
        with torch.no_grad():
            scored = [(event, self(event)) for event in events]
        return {"threshold": choose_threshold(self.config, scored)} if scored else {}

    # ------------------------------------------------------------------ inference

    def reconstruct(self, scores: Scores, event: Event) -> Result:
        """Merge the tracksters of ONE event at the working point; a trackster without links keeps a label of its own.

        Raises
        ------
        DataError
            When a score is not finite.
        """
        edges, logit = (value.detach().cpu() for value in scores.scored_edges())
        if not bool(torch.isfinite(logit).all()):
            raise DataError(f"{event.describe()}: an edge score is not finite; mend: features without NaN or infinity")
        watch = Stopwatch(torch.device("cpu"))
        with watch("linking"):
            energy = edge_energy(event).cpu()
            labels = link_edges(edges, logit.sigmoid(), energy, len(energy), thresholds_of(self.config))
        return Result(
            event_id=int(event.event_id) if "event_id" in event else 0, point_id=point_ids(event), labels=labels,
            edge_index=edges, edge_score=logit, timing=scores.timing | watch.seconds,
        )  # fmt: skip

    @property
    def edge_threshold(self) -> float | None:
        """The cut of the working point; of several cuts by energy, the loosest."""
        return min(cut for _, cut in thresholds_of(self.config).cuts)

    @staticmethod
    def import_weights(state: Mapping[str, Tensor], config: LinkingConfig) -> tuple[Linking, list[str]]:
        """Return the system with weights of the original code, and the tensors left out; see :mod:`.reference`."""
        from hitloom.systems.linking.reference import import_weights

        return import_weights(state, config)

    def attributions(self, events: Iterable[Event]) -> dict[str, dict[str, float]]:
        """Return how much each feature moves the edge ``score`` and the node ``encoder``, means over tracksters."""
        from hitloom.systems.linking.attribution import feature_importance

        chosen = list(events)
        return {
            "score": feature_importance(self, chosen, target="score"),
            "encoder": feature_importance(self, chosen, target="encoder"),
        }

    def export_signature(self) -> ExportSignature:
        from hitloom.systems.linking.exportable import linking_signature

        return linking_signature(self)


@torch.no_grad()
def prune_smallest(weight: Tensor, share: float) -> None:
    """Set the ``share`` of the entries of a weight that are smallest in size to zero, in place."""
    num = int(share * weight.numel())
    if num:
        limit = weight.abs().flatten().kthvalue(num).values
        weight[weight.abs() <= limit] = 0.0
