"""The autoregressive mode in plain torch operations, for graphs that leave Python.

The same decisions as :func:`~hitloom.systems.pruning.autoregressive.decide_all` when it is free-running. All layer
clusters take part in every step and none leaves, so every tensor keeps its size; the loop ends when all are decided.
Its length follows from the data: TorchScript, torch.export and ONNX keep the loop.

Shape letters: N layer clusters, E edges (both ways, with self loops), d width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hitloom.nn.neighbours import Neighbours
from hitloom.ops.segments import segment_max
from hitloom.systems.pruning.autoregressive import GRAIN
from hitloom.systems.pruning.network import NodeState, PruningNetwork, keep_logit


class Carry(NamedTuple):
    """What goes from step to step: four states (N, d), the decision told (N, 2), who waits (N,), keep logits (N,)."""

    h: Tensor
    gate_cell: Tensor
    memory: Tensor
    memory_cell: Tensor
    decision: Tensor
    undecided: Tensor
    logit: Tensor

    @staticmethod
    def start(h: Tensor) -> Carry:
        """Return what goes into the first step."""
        none, zero = torch.zeros_like(h), torch.zeros_like(h[:, 0])
        return Carry(h.clone(), none, none.clone(), none.clone(), torch.stack([zero, zero], 1), zero == 0, zero)


class Step(nn.Module):
    """One step: an iteration of the network, then a decision for the most confident of each trackster.

    Parameters
    ----------
    network : PruningNetwork
    per_step : int
        Layer clusters of a trackster that are decided in it.
    """

    def __init__(self, network: PruningNetwork, *, per_step: int) -> None:
        super().__init__()
        self.network, self.per_step = network, per_step

    def forward(
        self, h: Tensor, gate_cell: Tensor, memory: Tensor, memory_cell: Tensor, decision: Tensor, undecided: Tensor,
        logit: Tensor, edges: Tensor, graph: Tensor, origin: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """Return the fields of :class:`Carry`; edges (2, E), graph (N,), first states (N, d)."""
        neighbours = Neighbours.of(edges, h.shape[0])
        states = (h, gate_cell, memory, memory_cell)
        state = NodeState(*states, origin if self.network.recall else None)
        new = self.network.iterate(state, neighbours, decision)
        kept = [before if after is None else after for before, after in zip(states, new[:-1], strict=True)]
        assert self.network.confidence is not None
        confidence = (self.network.confidence(new.h)[:, 0] * GRAIN).round().nan_to_num()  # else no end of steps
        found = keep_logit(self.network.classes(new.h)).float()
        waiting = undecided
        for _ in range(self.per_step):
            waiting = waiting & ~_first_of_best(confidence, waiting, graph)
        picked = undecided & ~waiting
        told = torch.stack([picked, picked & (torch.sigmoid(-found) > 0.5)], 1).to(decision.dtype)
        return (*(value.clone() for value in kept), told, waiting, torch.where(picked, found, logit))


def _first_of_best(confidence: Tensor, waiting: Tensor, graph: Tensor) -> Tensor:
    """Return which layer cluster (N,) bool of each trackster is the first of the most confident that wait."""
    num = confidence.shape[0]
    value = torch.where(waiting, confidence, -torch.inf)
    best = waiting & (value == segment_max(value, graph, num).index_select(0, graph))
    place = torch.arange(num, 0, -1, device=graph.device)
    return best & (place == segment_max(torch.where(best, place, 0), graph, num).index_select(0, graph))


class Steps(nn.Module):
    """All steps. Shapes: h (N, d), edges (2, E), graph (N,) -> keep logits (N,)."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def forward(self, h: Tensor, edges: Tensor, graph: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return self._exported(h, edges, graph)
        carry = Carry.start(h)
        while bool(carry.undecided.any()):
            carry = Carry(*self.step(*carry, edges, graph, h))
        return carry.logit

    def _exported(self, h: Tensor, edges: Tensor, graph: Tensor) -> Tensor:
        """Take the steps by the loop operator of torch.export and ONNX."""
        from torch._higher_order_ops.while_loop import while_loop

        def waits(*carry: Tensor) -> Tensor:
            return carry[5].long().sum() > 0  # onnxruntime takes any() of nothing for true

        def step(*carry: Tensor) -> tuple[Tensor, ...]:
            return self.step(*carry, edges, graph, h)  # type: ignore[no-any-return]

        return while_loop(waits, step, tuple(Carry.start(h)))[6]  # type: ignore[no-any-return]


class ScriptedSteps(nn.Module):
    """The same loop in what TorchScript compiles, around a traced step."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step = step

    def forward(self, h: Tensor, edges: Tensor, graph: Tensor) -> Tensor:
        origin, gate_cell = h, torch.zeros_like(h)
        memory = torch.zeros_like(h)
        memory_cell = torch.zeros_like(h)
        logit = torch.zeros_like(h[:, 0])
        decision = torch.stack([logit, logit], 1)
        undecided = logit == 0
        while bool(undecided.any()):
            h, gate_cell, memory, memory_cell, decision, undecided, logit = self.step(
                h, gate_cell, memory, memory_cell, decision, undecided, logit, edges, graph, origin
            )
        return logit


def scripted_steps(step: Step, width: int) -> nn.Module:
    """Return the loop compiled by TorchScript; the step is traced on a small trackster."""
    num = 7
    h = torch.rand(num, width)
    node = torch.arange(num)
    edges = torch.stack([node, node.roll(1)])
    traced = torch.jit.trace(step, (*Carry.start(h), edges, torch.zeros_like(node), h), check_trace=False)
    return torch.jit.script(ScriptedSteps(traced))  # type: ignore[no-any-return]
