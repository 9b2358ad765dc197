"""One layer cluster after the other: every step decides one of each trackster, and the next steps know.

U = the undecided. Each step runs one iteration of the network, p = softmax of the confidences over U of each trackster,
and decides k = argmax p. The input of the next iteration is (1, decision) at k and 0 elsewhere. All tracksters of a
batch take their steps at the same time; those that are done leave. ``per_step`` = m decides the m most confident of
each trackster in a step.

Confidences that agree to 1/4096 count as equal, and of equal ones the first layer cluster is decided first: only here
does the order of the points matter. Rounding errors then do not change the order of decisions.

On the CPU a large batch is decided group by group, so that the states of a group stay in cache. Where training would
keep too much for the backward pass, the steps are computed again in it.

Shape letters: N layer clusters, U undecided ones, K decided in this step, S pairs of a step and a layer cluster
undecided in it, d width.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hitloom.nn.neighbours import Neighbours
from hitloom.systems.pruning.network import NodeState, PruningNetwork, keep_logit
from hitloom.systems.pruning.undecided import Undecided

GRAIN = 4096  # confidences are compared in steps of 1 / GRAIN
KEEP_SHARE = 0.9  # tracksters that are done leave when what they leave behind is smaller than this share
GROUP_NODES = 2048  # layer clusters that are decided together on the CPU
MAX_STORED = 4 << 30  # bytes that the backward pass may keep before steps are computed again


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Whose decisions the network is told.

    Attributes
    ----------
    truth : (N,) or None
        Labels, told instead of own decisions with probability 1 - ``own_share``.
    own_share : float
    sample : bool
        Own decisions are drawn with the probability that the network gives, else the likelier one is taken.
    generator : torch.Generator or None
        Of the draws, on the CPU; None = torch's own.
    """

    truth: Tensor | None = None
    own_share: float = 1.0
    sample: bool = False
    generator: torch.Generator | None = None

    def decide(self, logit: Tensor, rows: Tensor) -> Tensor:
        """Return the decisions (K,), 0 or 1, that are told for ``rows`` (K,) with these keep logits (K,)."""
        if self.truth is not None and self.own_share <= 0:
            return self.truth.index_select(0, rows)
        prune = torch.sigmoid(-logit.detach().float())
        own = (self._uniform(prune) < prune if self.sample else prune > 0.5).to(prune.dtype)
        if self.truth is None:
            return own
        return torch.where(self._uniform(own) < self.own_share, own, self.truth.index_select(0, rows))

    def _uniform(self, like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=self.generator).to(like)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the steps go.

    Attributes
    ----------
    per_step : int
        Layer clusters of a trackster that a step decides.
    detach_every : int or None
        Gradients end after so many steps.
    keep_steps : bool
        Whether the loss will be asked for; else only the picked ones are asked for their class.
    """

    per_step: int = 1
    detach_every: int | None = None
    keep_steps: bool = True


@dataclass(kw_only=True)
class Decided:
    """What the steps said: final keep logit, told decision and step of each layer cluster (N,), and all steps.

    ``steps`` holds ``step_row``, ``step_logit``, ``step_probability`` and ``step``, (S,) each; empty when not kept.
    """

    logit: Tensor
    told: Tensor
    decided_in: Tensor
    steps: dict[str, Tensor] = field(default_factory=dict)

    def placed(self, rows: Tensor) -> Decided:
        """Return the same with the layer clusters at their places ``rows`` (N,)."""
        place = torch.empty_like(rows)
        place[rows] = torch.arange(len(rows), device=rows.device)
        steps = self.steps | ({"step_row": rows[self.steps["step_row"]]} if self.steps else {})
        return Decided(
            logit=self.logit.index_select(0, place), told=self.told[place], decided_in=self.decided_in[place],
            steps=steps,
        )  # fmt: skip


def decide_all(
    network: PruningNetwork, inputs: Tensor, edge_index: Tensor, sizes: list[int], *, feedback: Feedback, rules: Rules
) -> Decided:
    """Decide all layer clusters of tracksters of these ``sizes``, laid out one after the other.

    Shapes: inputs (N, F), edge_index (2, E) leader above follower.
    """
    order = sorted(range(len(sizes)), key=lambda graph: -sizes[graph])
    if order != list(range(len(sizes))):
        starts = torch.tensor([0, *sizes]).cumsum(0).tolist()
        rows = torch.cat([torch.arange(starts[graph], starts[graph + 1]) for graph in order]).to(inputs.device)
        place = torch.empty_like(rows)
        place[rows] = torch.arange(len(rows), device=rows.device)
        truth = None if feedback.truth is None else feedback.truth[rows]
        found = decide_all(
            network, inputs[rows], place[edge_index], [sizes[graph] for graph in order],
            feedback=replace(feedback, truth=truth), rules=rules,
        )  # fmt: skip
        return found.placed(rows)
    state = network.start(inputs)
    neighbours = Neighbours.both_ways(edge_index, len(inputs))
    again = torch.is_grad_enabled() and network.stored_bytes(sizes) > MAX_STORED
    parts, first = [], 0
    for group in grouped(sizes, GROUP_NODES if inputs.device.type == "cpu" else sum(sizes)):
        last = first + sum(group)
        truth = None if feedback.truth is None else feedback.truth[first:last]
        parts.append(
            _decide(
                network, state.part(first, last), neighbours.part(first, last), group,
                replace(feedback, truth=truth), rules, again=again,
            )
        )  # fmt: skip
        if parts[-1].steps:
            parts[-1].steps["step_row"] += first
        first = last
    if len(parts) == 1:
        return parts[0]
    return Decided(
        logit=torch.cat([part.logit for part in parts]), told=torch.cat([part.told for part in parts]),
        decided_in=torch.cat([part.decided_in for part in parts]),
        steps={name: torch.cat([part.steps[name] for part in parts]) for name in parts[0].steps},
    )  # fmt: skip


def grouped(sizes: list[int], most: int) -> list[list[int]]:
    """Cut a list of sizes into groups of at most ``most`` in sum, or of one."""
    groups: list[list[int]] = [[]]
    total = 0
    for size in sizes:
        if groups[-1] and total + size > most:
            groups.append([])
            total = 0
        groups[-1].append(size)
        total += size
    return groups


def _decide(
    network: PruningNetwork, state: NodeState, neighbours: Neighbours, sizes: list[int], feedback: Feedback,
    rules: Rules, *, again: bool,
) -> Decided:  # fmt: skip
    """Decide all layer clusters of tracksters that come largest first, from their first states."""
    num, device = len(state.h), state.h.device
    undecided = Undecided(sizes, device)
    decided_in = torch.zeros(num, dtype=torch.int64, device=device)
    told = torch.zeros(num, device=device)
    rows_of, logits_of, stored = [], [], []
    decision = rows = None
    step = 0
    while undecided.num_rows:
        if undecided.num_live_nodes < KEEP_SHARE * len(state.h):
            live = undecided.num_live_nodes
            state, neighbours = state.part(0, live), neighbours.part(0, live)
            if rows is not None and decision is not None:
                decision, rows = decision[rows < live], rows[rows < live]
        if rules.detach_every is not None and step and step % rules.detach_every == 0:
            state = state.detach()
        waiting = undecided.rows()
        arguments = (network, state, neighbours, decision, rows, waiting, rules.keep_steps)
        state, value, waiting_logit = checkpoint(_step, *arguments, use_reentrant=False) if again else _step(*arguments)
        confidence = undecided.spread(value)
        picked, rows = undecided.pick((confidence.detach() * GRAIN).round(), rules.per_step)
        if waiting_logit is None:
            logit = keep_logit(network.classes(state.h.index_select(0, rows)))
        else:
            logit = waiting_logit.index_select(0, picked)
            stored.append((waiting, waiting_logit, undecided.gather(torch.softmax(confidence, 1))))
        choice = feedback.decide(logit, rows)
        decision = torch.stack([torch.ones_like(choice), choice], 1).to(state.h.dtype)
        decided_in[rows], told[rows] = step, choice.to(told.dtype)
        rows_of.append(rows)
        logits_of.append(logit)
        undecided.remove()
        step += 1
    if not rows_of:
        none = state.h.new_zeros(0)
        steps = _joined([(decided_in, none, none)]) if rules.keep_steps else {}
        return Decided(logit=none, told=told, decided_in=decided_in, steps=steps)
    place = torch.empty(num, dtype=torch.int64, device=device)
    place[torch.cat(rows_of)] = torch.arange(num, device=device)
    logit = torch.cat(logits_of).index_select(0, place)
    return Decided(logit=logit, told=told, decided_in=decided_in, steps=_joined(stored))


def _step(
    network: PruningNetwork, state: NodeState, neighbours: Neighbours, decision: Tensor | None, rows: Tensor | None,
    waiting: Tensor, all_classes: bool,
) -> tuple[NodeState, Tensor, Tensor | None]:  # fmt: skip
    """Return the next states, and of the ``waiting`` (U,) the confidence and, if asked for, the keep logit."""
    assert network.confidence is not None
    state = network.iterate(state, neighbours, decision, rows)
    h = state.h.index_select(0, waiting)
    return state, network.confidence(h)[:, 0], keep_logit(network.classes(h)) if all_classes else None


def _joined(stored: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, Tensor]:
    if not stored:
        return {}
    row, logit, probability = (torch.cat(parts) for parts in zip(*stored, strict=True))
    lengths = torch.tensor([len(parts[0]) for parts in stored], device=row.device)
    step = torch.arange(len(stored), device=row.device).repeat_interleave(lengths)
    return {"step_row": row, "step_logit": logit, "step_probability": probability, "step": step}
