"""The network of pruning: initial states of the layer clusters, decisions taken in, messages passed, decisions made.

One iteration with decision input s, state h, gate cell c_a, memory m and its cell c_m:
(h, c_a) = gate(s, (h, c_a)); if there is a memory, (h, c_m) = memory(h, (m, c_m)) and then m = h; h = SAGE_1..L(h). The
state after the messages is the hidden state that the gate reads in the next iteration, while the cell of an LSTM gate
is its own and goes on. With ``recall`` the first state of a layer cluster is added to what the messages give: after
many iterations it is still known what was measured.

Shape letters: N layer clusters, U of them, K just decided, F inputs, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.nn.cells import drop_relu
from hitloom.nn.gates import DecisionGate, NodeMemory
from hitloom.nn.neighbours import Neighbours
from hitloom.nn.norm import AffineLayerNorm
from hitloom.nn.sage import SageLayer
from hitloom.systems.pruning.config import PruningConfig

NUM_DECISIONS = 2  # inputs of a decision, and classes: keep, prune
NUM_HEAD_LAYERS = 5


class NodeState(NamedTuple):
    """What every layer cluster carries from one iteration to the next: (N, d) each; None = not there, or zeros.

    ``origin`` is the first state where the network recalls it.
    """

    h: Tensor
    gate_cell: Tensor | None = None
    memory: Tensor | None = None
    memory_cell: Tensor | None = None
    origin: Tensor | None = None

    def part(self, first: int, last: int) -> NodeState:
        """Return the states of the layer clusters from ``first`` up to ``last``."""
        return NodeState._make(None if value is None else value[first:last] for value in self)

    def detach(self) -> NodeState:
        """Return the states without their history; the first states keep theirs."""
        kept = (None if value is None else value.detach() for value in self[:-1])
        return NodeState._make([*kept, self.origin])


class RunningNorm(nn.BatchNorm1d):
    """Batch normalisation over all rows of a union of graphs; a single row is scaled by the running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] < 2:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def make_norm(name: str, width: int) -> nn.Module:
    """Return the normalisation called ``name`` in the configuration."""
    if name == "batch":
        return RunningNorm(width)
    return AffineLayerNorm(num_channels=width) if name == "layer" else nn.Identity()


def initial_layers(*, num_inputs: int, width: int, norm: str) -> nn.Sequential:
    """Return the layers from the inputs (N, F) of a layer cluster to its first state (N, d)."""
    return nn.Sequential(
        nn.Linear(num_inputs, width // 2), nn.ReLU(), make_norm(norm, width // 2),
        nn.Linear(width // 2, width), nn.ReLU(), make_norm(norm, width),
        nn.Linear(width, width), nn.ReLU(),
    )  # fmt: skip


class Head(nn.Module):
    """Linear, dropout and ReLU five times, then a Linear; ``shallow``: the last one alone. Shapes: (U, d) -> (U, O)."""

    def __init__(self, *, width: int, num_outputs: int, shallow: bool, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(0 if shallow else NUM_HEAD_LAYERS))
        self.last = nn.Linear(width, num_outputs)

    def forward(self, h: Tensor) -> Tensor:
        for layer in self.hidden:
            h = drop_relu(layer(h), self.dropout, self.training)
        return self.last(h)


class PruningNetwork(nn.Module):
    """The parts that a mode needs; the same weights in all iterations.

    Parameters
    ----------
    config : PruningConfig
        ``nodes`` has the first states and the class head, ``one_pass`` the messages besides; the others have all parts.
    num_inputs : int
    """

    def __init__(self, config: PruningConfig, *, num_inputs: int) -> None:
        super().__init__()
        width, mode = config.hidden, config.mode
        self.width, self.recall = width, config.recall
        iterates = mode in ("autoregressive", "multistep")
        self.initial = initial_layers(num_inputs=num_inputs, width=width, norm=config.norm)
        self.gate = DecisionGate(kind=config.gate, num_inputs=NUM_DECISIONS, width=width) if iterates else None
        remembers = iterates and config.memory != "none"
        self.memory = NodeMemory(kind=config.memory, width=width) if remembers else None  # type: ignore[arg-type]
        self.sage = nn.ModuleList(
            SageLayer(width=width, aggregator=config.sage_aggregator, dropout=config.feature_dropout)
            for _ in range(0 if mode == "nodes" else config.num_gnn_layers)
        )

        def head(num_outputs: int) -> Head:
            shallow = config.heads == "shallow"
            return Head(width=width, num_outputs=num_outputs, shallow=shallow, dropout=config.head_dropout)

        self.classes = head(NUM_DECISIONS)
        self.confidence = head(1) if iterates else None

    def stored_bytes(self, sizes: Sequence[int]) -> int:
        """Return about how much the backward pass keeps of deciding one layer cluster of each trackster in a step."""
        of_layer = 2 + (70 if any(layer.aggregator == "lstm" for layer in self.sage) else 0)  # rows of width d
        of_heads = 1 + 2 * len(self.classes.hidden)  # of the undecided, half of all
        rows = 6 + (12 if self.memory is not None else 0) + of_layer * len(self.sage) + of_heads // 2
        return 4 * rows * self.width * sum(size * size for size in sizes)

    def start(self, inputs: Tensor) -> NodeState:
        """Return the first states from the inputs (N, F)."""
        h = self.initial(inputs)
        return NodeState(h, origin=h if self.recall else None)

    def iterate(
        self, state: NodeState, neighbours: Neighbours, decision: Tensor | None, rows: Tensor | None = None
    ) -> NodeState:
        """Take decisions in and pass messages.

        Parameters
        ----------
        decision : (N, 2) or, with ``rows`` (K,), (K, 2); None = no decision yet
        """
        assert self.gate is not None
        h, gate_cell = self.gate(decision, state.h, state.gate_cell, rows)
        memory, memory_cell = state.memory, state.memory_cell
        if self.memory is not None:
            h, memory_cell = self.memory(h, memory, memory_cell)
            memory = h
        h = self.messages(h, neighbours)
        if state.origin is not None:
            h = h + state.origin
        return NodeState(h, gate_cell, memory, memory_cell, state.origin)

    def messages(self, h: Tensor, neighbours: Neighbours) -> Tensor:
        """Return the states after all layers of messages."""
        for layer in self.sage:
            h = layer(h, neighbours)
        return h


def keep_logit(class_logits: Tensor) -> Tensor:
    """Return the logit (U,) of keeping from those of both classes (U, 2)."""
    return class_logits[:, 0] - class_logits[:, 1]


def soft_decisions(class_logits: Tensor) -> Tensor:
    """Return the probabilities (U, 2) of keeping and pruning."""
    return torch.softmax(class_logits, 1)
