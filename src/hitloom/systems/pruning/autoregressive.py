"""One layer cluster after the other: every step decides one of each trackster, and the next steps know.

U = the undecided. Each step runs one iteration of the network, p = softmax of the confidences over U of each trackster,
and decides k = argmax p. The input of the next iteration is (1, decision) at k and 0 elsewhere. All tracksters of a
batch take their steps at the same time; those that are done leave. ``per_step`` = m decides the m most confident of
each trackster in a step.

Confidences that agree to 1/4096 count as equal, and of equal ones the first layer cluster is decided first: only here
does the order of the points matter. Rounding errors then do not change the order of decisions.

Shape letters: N layer clusters, G tracksters, W most undecided layer clusters of a trackster, U all undecided,
K decided in this step, S pairs of a step and a layer cluster undecided in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hitloom.nn.neighbours import Neighbours
from hitloom.systems.pruning.network import PruningNetwork, keep_logit

GRAIN = 4096  # confidences are compared in steps of 1 / GRAIN
KEEP_SHARE = 0.9  # tracksters that are done leave when what they leave behind is smaller than this share


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


@dataclass(kw_only=True)
class Decided:
    """What the steps said: final keep logit, told decision and step of each layer cluster (N,), and all steps.

    ``step_row``, ``step_logit``, ``step_probability``, ``step``: (S,) each, for the loss; empty when not kept.
    """

    logit: Tensor
    decision: Tensor
    decided_in: Tensor
    steps: dict[str, Tensor] = field(default_factory=dict)


def decide_all(
    network: PruningNetwork,
    inputs: Tensor,
    edge_index: Tensor,
    sizes: list[int],
    *,
    feedback: Feedback,
    per_step: int = 1,
    detach_every: int | None = None,
    keep_steps: bool = True,
) -> Decided:
    """Decide all layer clusters of tracksters of these ``sizes``, laid out one after the other.

    ``keep_steps`` False stores nothing for the loss, and asks for the classes of the picked ones alone.

    Shapes: inputs (N, F), edge_index (2, E) leader above follower.
    """
    order = sorted(range(len(sizes)), key=lambda graph: -sizes[graph])
    if order == list(range(len(sizes))):
        return _decide(network, inputs, edge_index, sizes, feedback, per_step, detach_every, keep_steps)
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    rows = torch.cat([torch.arange(starts[graph], starts[graph] + sizes[graph]) for graph in order]).to(inputs.device)
    place = torch.empty_like(rows)
    place[rows] = torch.arange(len(rows), device=rows.device)
    truth = None if feedback.truth is None else feedback.truth[rows]
    told = Feedback(truth=truth, own_share=feedback.own_share, sample=feedback.sample, generator=feedback.generator)
    largest_first = [sizes[graph] for graph in order]
    found = _decide(network, inputs[rows], place[edge_index], largest_first, told, per_step, detach_every, keep_steps)
    if found.steps:
        found.steps["step_row"] = rows[found.steps["step_row"]]
    return Decided(
        logit=found.logit.index_select(0, place), decision=found.decision[place], decided_in=found.decided_in[place],
        steps=found.steps,
    )  # fmt: skip


def _decide(
    network: PruningNetwork,
    inputs: Tensor,
    edge_index: Tensor,
    sizes: list[int],
    feedback: Feedback,
    per_step: int,
    detach_every: int | None,
    keep_steps: bool,
) -> Decided:
    """Decide all layer clusters of tracksters that come largest first."""
    device = inputs.device
    neighbours = Neighbours.both_ways(edge_index, len(inputs))
    state = network.start(inputs)
    undecided = Undecided(sizes, device)
    decided_in = torch.zeros(len(inputs), dtype=torch.int64, device=device)
    told = torch.zeros(len(inputs), device=device)
    rows_of, logits_of, stored = [], [], []
    decision = rows = None
    step = 0
    while undecided.num_rows:
        if undecided.num_live_nodes < KEEP_SHARE * len(state.h):
            state, neighbours = state.first(undecided.num_live_nodes), neighbours.first(undecided.num_live_nodes)
            if rows is not None and decision is not None:
                live = rows < undecided.num_live_nodes
                decision, rows = decision[live], rows[live]
        if detach_every is not None and step and step % detach_every == 0:
            state = state.detach()
        state = network.iterate(state, neighbours, decision, rows)
        waiting = undecided.rows()
        h = state.h.index_select(0, waiting)
        assert network.confidence is not None
        confidence = undecided.spread(network.confidence(h)[:, 0])
        picked, rows = undecided.pick((confidence.detach() * GRAIN).round(), per_step)
        if keep_steps:
            waiting_logit = keep_logit(network.classes(h))
            logit = waiting_logit.index_select(0, picked)
            probability = undecided.gather(torch.softmax(confidence, 1))
            stored.append((waiting, waiting_logit, probability))
        else:
            logit = keep_logit(network.classes(state.h.index_select(0, rows)))
        choice = feedback.decide(logit, rows)
        decision = torch.stack([torch.ones_like(choice), choice], 1).to(inputs.dtype)
        decided_in[rows], told[rows] = step, choice.to(told.dtype)
        rows_of.append(rows)
        logits_of.append(logit)
        undecided.remove()
        step += 1
    if not rows_of:
        none = inputs.new_zeros(0)
        stored.append((decided_in, none, none))
        return Decided(logit=none, decision=told, decided_in=decided_in, steps=_joined(stored))
    place = torch.empty(len(inputs), dtype=torch.int64, device=device)
    place[torch.cat(rows_of)] = torch.arange(len(inputs), device=device)
    logit = torch.cat(logits_of).index_select(0, place)
    return Decided(logit=logit, decision=told, decided_in=decided_in, steps=_joined(stored))


def _joined(stored: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, Tensor]:
    if not stored:
        return {}
    row, logit, probability = (torch.cat(parts) for parts in zip(*stored, strict=True))
    lengths = torch.tensor([len(parts[0]) for parts in stored], device=row.device)
    step = torch.arange(len(stored), device=row.device).repeat_interleave(lengths)
    return {"step_row": row, "step_logit": logit, "step_probability": probability, "step": step}


class Undecided:
    """Which layer clusters wait, as a table (G, W) of their rows: those of a trackster first in its row, in order.

    Parameters
    ----------
    sizes : list of int
        Layer clusters of the tracksters, largest first, laid out one after the other.
    """

    def __init__(self, sizes: list[int], device: torch.device) -> None:
        self.left = [size for size in sizes if size]
        self.sizes = list(self.left)
        width = self.left[0] if self.left else 0
        size = torch.tensor(self.left, dtype=torch.int64, device=device)
        self.table = (size.cumsum(0) - size)[:, None] + torch.arange(width, device=device)
        self._set_mask()

    def _set_mask(self) -> None:
        """Note which places of the table hold a waiting layer cluster; None = all."""
        self.num_rows = sum(self.left)
        self.num_live_nodes = sum(self.sizes)
        left = torch.tensor(self.left, dtype=torch.int64, device=self.table.device)
        self.first = left.cumsum(0) - left  # where in the list of the waiting a trackster begins
        self.mask: Tensor | None = None
        if self.left and self.left[-1] != self.left[0]:
            self.mask = torch.arange(self.left[0], device=self.table.device) < left[:, None]

    def rows(self) -> Tensor:
        """Return the waiting layer clusters (U,), trackster by trackster."""
        return self.table.reshape(-1) if self.mask is None else self.table[self.mask]

    def spread(self, values: Tensor) -> Tensor:
        """Return values (U,) as a table (G, W), minus infinity in the empty places."""
        if self.mask is None:
            return values.reshape(self.table.shape)
        return values.new_full(self.table.shape, -torch.inf).masked_scatter(self.mask, values)

    def gather(self, table: Tensor) -> Tensor:
        """Return the filled places (U,) of a table (G, W)."""
        return table.reshape(-1) if self.mask is None else table[self.mask]

    def pick(self, confidence: Tensor, num: int) -> tuple[Tensor, Tensor]:
        """Choose the ``num`` most confident of each trackster: places (K,) in the list of the waiting, and rows (K,).

        Of equal ones the first.
        """
        self.num = min(num, self.left[0])
        if self.num == 1:
            column = confidence.argmax(1, keepdim=True)
        else:
            column = confidence.argsort(dim=1, descending=True, stable=True)[:, : self.num]
        self.column = column
        place, row = self.first[:, None] + column, self.table.gather(1, column)
        if self.left[-1] >= self.num:
            return place.reshape(-1), row.reshape(-1)
        left = torch.tensor(self.left, device=column.device)
        real = torch.arange(self.num, device=column.device) < left[:, None]
        return place[real], row[real]

    def remove(self) -> None:
        """Take the last choice out; tracksters without a waiting layer cluster leave."""
        self.left = [left - self.num for left in self.left if left > self.num]
        self.sizes = self.sizes[: len(self.left)]
        num_live, width = len(self.left), self.table.shape[1] - self.num
        table, column = self.table[:num_live], self.column[:num_live]
        if self.num == 1:
            place = torch.arange(width, device=table.device)
            self.table = table.gather(1, place + (place >= column))
        else:
            gone = torch.zeros_like(table, dtype=torch.bool).scatter_(1, column, True)
            rest = gone.to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
            self.table = table.gather(1, rest)
        if self.left:
            self.table = self.table[:, : self.left[0]]
        self._set_mask()
