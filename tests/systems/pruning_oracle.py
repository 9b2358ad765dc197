"""The autoregressive and multi-step modes in their plain form: one graph at a time, all nodes in every step.

This is the design of the original program, with torch's own cells: oracle of the tests, peer of the benchmark. Weights
are those of a :class:`hitloom.systems.pruning.network.PruningNetwork`.

Shape letters: N nodes, E edges, d width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.systems.pruning.autoregressive import GRAIN
from hitloom.systems.pruning.network import Head, PruningNetwork


class PlainGraph:
    """Edges, reverse edges and self loops of one graph, with neighbour lists in order of arrival."""

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        loops = torch.arange(num_nodes).expand(2, -1)
        edges = torch.cat([edge_index, edge_index.flip(0), loops], 1)
        self.num_nodes = num_nodes
        self.source, self.target = edges
        self.degree = torch.bincount(self.target, minlength=num_nodes)
        lists: list[list[int]] = [[] for _ in range(num_nodes)]
        for source, target in edges.t().tolist():
            lists[target].append(source)
        self.lists = lists
        self.buckets = []
        for length in sorted({len(one) for one in lists}):
            nodes = [node for node, one in enumerate(lists) if len(one) == length]
            self.buckets.append((torch.tensor(nodes), torch.tensor([lists[node] for node in nodes])))


class PlainNetwork:
    """One graph at a time with the weights of a network."""

    def __init__(self, network: PruningNetwork) -> None:
        self.network = network
        self.readers = [None if layer.reader is None else as_lstm(layer.reader) for layer in network.sage]

    def run_sage(self, h: Tensor, graph: PlainGraph) -> Tensor:
        for layer, reader in zip(self.network.sage, self.readers, strict=True):
            if reader is not None:
                told = torch.zeros_like(h)
                for nodes, mailbox in graph.buckets:
                    told = told.index_copy(0, nodes, reader(h[mailbox])[1][0][0])
            else:
                told = torch.zeros_like(h).index_add(0, graph.target, h[graph.source])
                if layer.aggregator == "mean":
                    told = told / graph.degree[:, None]
            h = F.relu(layer.own(h) + layer.neighbour(told))
        return h

    def head(self, head: Head, h: Tensor) -> Tensor:
        for layer in head.hidden:
            h = F.relu(F.dropout(layer(h), head.dropout, self.network.training))
        return head.last(h)

    def iterate(self, state: list[Tensor | None], graph: PlainGraph, decision: Tensor) -> list[Tensor | None]:
        h, gate_cell, memory, memory_cell = state
        network = self.network
        if network.gate.kind == "lstm":
            h, gate_cell = network.gate.cell(decision, (h, torch.zeros_like(h) if gate_cell is None else gate_cell))
        else:
            h = network.gate.cell(decision, h)
        if network.memory is not None:
            memory = torch.zeros_like(h) if memory is None else memory
            if network.memory.kind == "lstm":
                memory_cell = torch.zeros_like(h) if memory_cell is None else memory_cell
                h, memory_cell = network.memory.cell(h, (memory, memory_cell))
            else:
                h = network.memory.cell(h, memory)
            memory = h
        return [self.run_sage(h, graph), gate_cell, memory, memory_cell]

    def multistep(self, inputs: Tensor, graph: PlainGraph, num_iterations: int) -> Tensor:
        """Return the logits (N, 2) after the last round."""
        state: list[Tensor | None] = [self.network.initial(inputs), None, None, None]
        decision = inputs.new_zeros(len(inputs), 2)
        for _ in range(num_iterations):
            state = self.iterate(state, graph, decision)
            logits = self.head(self.network.classes, state[0])
            decision = logits.softmax(1)
        return logits

    def autoregressive(
        self, inputs: Tensor, graph: PlainGraph, *, label: Tensor | None, weight: Tensor | None, teacher: bool
    ) -> tuple[Tensor, list[int], Tensor]:
        """Return the keep logit (N,) of each node, the order of decisions, and the loss (0 without labels)."""
        state: list[Tensor | None] = [self.network.initial(inputs), None, None, None]
        num = len(inputs)
        decision = inputs.new_zeros(num, 2)
        undecided = torch.ones(num, dtype=torch.bool)
        order, found = [], [inputs.new_zeros(2)] * num
        loss = inputs.new_zeros(())
        for _ in range(num):
            state = self.iterate(state, graph, decision)
            logits = self.head(self.network.classes, state[0])
            confidence = self.head(self.network.confidence, state[0])[:, 0].masked_fill(~undecided, -torch.inf)
            if label is not None:
                cost = weight * F.cross_entropy(logits, label, reduction="none")
                loss = loss + (confidence.softmax(0) * cost)[undecided].sum()
            chosen = int((confidence.detach() * GRAIN).round().argmax())
            order.append(chosen)
            found[chosen] = logits[chosen]
            own = logits[chosen].detach().argmax()
            decision = torch.zeros_like(decision)
            decision[chosen] = torch.stack([torch.ones(()), (label[chosen] if teacher else own).float()])
            undecided = undecided.clone()
            undecided[chosen] = False
        logits = torch.stack(found)
        return logits[:, 0] - logits[:, 1], order, loss / num


def as_lstm(reader: nn.Module) -> nn.LSTM:
    """Return torch's LSTM with the parameters of a reader of neighbours."""
    lstm = nn.LSTM(reader.width, reader.width, batch_first=True)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(lstm, f"{name}_l0", getattr(reader, name))
    return lstm
