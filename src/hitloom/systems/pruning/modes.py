"""The modes of pruning but the tree, each with the same three questions: ``forward``, ``loss`` and ``sample``.

Shape letters: N layer clusters, G tracksters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.nn.neighbours import Neighbours
from hitloom.result import Scores
from hitloom.systems.pruning.autoregressive import Decided, Feedback, Rules, decide_all
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.inputs import TracksterNodeInputs, TracksterNodes
from hitloom.systems.pruning.network import PruningNetwork, keep_logit, soft_decisions
from hitloom.systems.pruning.objective import class_weights, expected_loss, node_loss

SAMPLED_NODES = 20_000  # layer clusters of the copies that are sampled at once


class Mode(nn.Module, ABC):
    """A way of deciding, with its network.

    Parameters
    ----------
    config : PruningConfig
    """

    def __init__(self, config: PruningConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = TracksterNodeInputs(config.features)

    @abstractmethod
    def forward(self, event: Event) -> Scores:
        """Return ``point_score`` (N,), the logit of keeping, and in ``own`` what the loss reads."""

    @abstractmethod
    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the loss: the mean of those of the single tracksters."""

    @abstractmethod
    def sample(self, event: Event, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw decisions: (num_samples, N) bool, true = prune."""

    def fit(self, events: Iterable[Event]) -> None:
        """Take from the events of the training set what is fixed before training."""
        self.inputs.fit(events)

    def idle_parameters(self) -> set[str]:
        """Return the names of parameters that are never trained."""
        return set()


class NetworkMode(Mode):
    """A mode of :class:`PruningNetwork`. ``positive_weight`` is the weight of layer clusters to prune."""

    positive_weight: Tensor

    def __init__(self, config: PruningConfig) -> None:
        super().__init__(config)
        self.network = PruningNetwork(config, num_inputs=self.inputs.num_inputs)
        self.register_buffer("positive_weight", torch.tensor(config.loss.positive_weight))

    def fit(self, events: Iterable[Event]) -> None:
        """Take the scales of the inputs, and the ratio of the classes where it is the weight."""
        if self.config.loss.class_weight != "dataset":
            self.inputs.fit(events)
            return
        counts = torch.zeros(2, dtype=torch.int64)

        def counted() -> Iterator[Event]:
            for event in events:
                pruned = int((event.point_y > 0.5).sum())
                counts.add_(torch.tensor([event.num_points - pruned, pruned]))
                yield event

        self.inputs.fit(counted())
        num_kept, num_pruned = counts.clamp(min=1).tolist()
        self.positive_weight.fill_(num_kept / num_pruned)

    def weights(self, event: Event, nodes: TracksterNodes) -> Tensor:
        """Return the weight (N,) of each layer cluster in the loss."""
        positive = None if self.config.loss.class_weight == "per_graph" else self.positive_weight
        return class_weights(event.point_y, nodes.graph, nodes.num_graphs, positive=positive)


class Marginal(NetworkMode):
    """``multistep``, ``one_pass`` and ``nodes``: in the end one probability for every layer cluster."""

    def forward(self, event: Event) -> Scores:
        nodes = TracksterNodes.of(event)
        return Scores(point_score=keep_logit(self.class_logits(self.inputs(nodes), nodes.edge_index)).float())

    def class_logits(self, inputs: Tensor, edge_index: Tensor) -> Tensor:
        """Return the logits (N, 2) of keeping and pruning from the inputs (N, F)."""
        network, mode = self.network, self.config.mode
        state = network.start(inputs)
        if mode == "nodes":
            return network.classes(state.h)
        neighbours = Neighbours.both_ways(edge_index, inputs.shape[0])
        if mode == "one_pass":
            return network.classes(network.messages(state.h, neighbours))
        decision = None
        for _ in range(self.config.num_iterations):
            state = network.iterate(state, neighbours, decision)
            logits = network.classes(state.h)
            decision = soft_decisions(logits)
        return logits

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the part ``decision``: weighted cross-entropy of the last decisions."""
        assert scores.point_score is not None
        nodes = TracksterNodes.of(event)
        weight = self.weights(event, nodes)
        return node_loss(scores.point_score, event.point_y, weight, nodes.graph, nodes.num_graphs)

    def sample(self, event: Event, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw every layer cluster by itself."""
        with torch.inference_mode():
            prune = prune_probability(self(event)).cpu()
            return torch.rand((num_samples, len(prune)), generator=generator) < prune

    def idle_parameters(self) -> set[str]:
        """Return those of the confidence head: it is there, as published, and this mode asks for no order."""
        return {name for name, _ in self.named_parameters() if name.startswith("network.confidence.")}


class Autoregressive(NetworkMode):
    """One layer cluster after the other; see :mod:`.autoregressive`.

    ``epochs`` counts the epochs that were trained: the share of own decisions follows it.
    """

    epochs: Tensor

    def __init__(self, config: PruningConfig) -> None:
        super().__init__(config)
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))

    def forward(self, event: Event) -> Scores:
        return self.decide(event, self.feedback(event))

    def teacher_forced(self, event: Event) -> Scores:
        """Return scores with the labels told as decisions: what training sees, no measure of quality."""
        return self.decide(event, Feedback(truth=event.point_y, own_share=0.0))

    def feedback(self, event: Event) -> Feedback:
        """Return whose decisions are told: in evaluation the network's own, the likelier ones."""
        config = self.config.decisions
        if not self.training:
            return Feedback()
        sample = config.draw == "sample"
        if config.source == "free":
            return Feedback(sample=sample)
        return Feedback(truth=event.point_y, own_share=self.own_share(), sample=sample)

    def own_share(self) -> float:
        """Return the probability that training tells an own decision, in the epoch after those that were trained."""
        config = self.config.decisions
        if config.source == "teacher":
            return 0.0
        return config.own_share * min(1.0, int(self.epochs) / config.ramp_epochs)

    def decide(self, event: Event, feedback: Feedback) -> Scores:
        """Return the scores with these decisions told; in inference mode nothing is kept for the loss."""
        nodes = TracksterNodes.of(event)
        found = self._run(nodes, sizes_of(event), feedback, keep_steps=not torch.is_inference_mode_enabled())
        own = found.steps | {"decided_in": found.decided_in, "told": found.told}
        return Scores(point_score=found.logit.float(), own=own)

    def _run(self, nodes: TracksterNodes, sizes: list[int], feedback: Feedback, *, keep_steps: bool) -> Decided:
        config = self.config.decisions
        rules = Rules(per_step=config.per_step, detach_every=config.detach_every, keep_steps=keep_steps)
        return decide_all(
            self.network, self.inputs(nodes), nodes.edge_index, sizes, feedback=feedback, rules=rules
        )  # fmt: skip

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the part ``decision``: expected weighted cross-entropy, summed over the steps."""
        nodes = TracksterNodes.of(event)
        own, label = scores.own, event.point_y
        if "step_row" not in own:
            raise ValueError("scores of inference hold no steps; mend: ask for the loss outside of inference mode")
        row, probability = own["step_row"], own["step_probability"]
        if not self.config.loss.step_sum:
            size = torch.bincount(nodes.graph, minlength=nodes.num_graphs)
            left = size[nodes.graph[row]] - self.config.decisions.per_step * own["step"]
            probability = probability / left
        weight = self.weights(event, nodes)
        return expected_loss(own["step_logit"], probability, row, label, weight, nodes.graph, nodes.num_graphs)

    def sample(self, event: Event, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw every decision with its probability, and tell it."""
        sizes, draws = sizes_of(event), []
        with torch.inference_mode():
            nodes = TracksterNodes.of(event)
            at_once = max(1, SAMPLED_NODES // max(1, len(nodes.x)))
            for first in range(0, num_samples, at_once):
                num = min(at_once, num_samples - first)
                feedback = Feedback(sample=True, generator=generator)
                found = self._run(copies(nodes, num), sizes * num, feedback, keep_steps=False)
                draws.append(found.told.reshape(num, -1) > 0.5)
        return torch.cat(draws).cpu() if draws else torch.zeros((0, event.num_points), dtype=torch.bool)


def copies(nodes: TracksterNodes, num: int) -> TracksterNodes:
    """Return the union of ``num`` copies."""
    shift = torch.arange(num, device=nodes.x.device)
    links = (nodes.edge_index[:, None, :] + len(nodes.x) * shift[:, None]).reshape(2, -1)
    graph = (nodes.graph + nodes.num_graphs * shift[:, None]).reshape(-1)
    layer = None if nodes.layer is None else nodes.layer.repeat(num)
    return TracksterNodes(nodes.x.repeat(num, 1), layer, links, graph, nodes.num_graphs * num)


def sizes_of(event: Event) -> list[int]:
    """Return the number of layer clusters of each trackster of an event or a batch."""
    pointer = event.get("ptr")
    return [event.num_points] if pointer is None else (pointer[1:] - pointer[:-1]).tolist()


def prune_probability(scores: Scores) -> Tensor:
    """Return the probability (N,) of pruning."""
    assert scores.point_score is not None
    return torch.sigmoid(-scores.point_score)
