"""Recurrent cells of nodes: the gate that takes decisions in, and the memory of a node.

The cells are the standard ones with both bias vectors: GRU (arXiv:1406.1078), n = tanh(x_n + r (W h + b)_n),
h' = u h + (1 - u) n, gates in the order reset, update, new; LSTM (Hochreiter and Schmidhuber 1997), gates in the order
input, forget, cell, output.

Shape letters: N nodes, D inputs of a decision, K nodes just decided, d width.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitloom.nn.cells import lstm_update

Kind = Literal["gru", "lstm"]


class DecisionGate(nn.Module):
    """A recurrent cell whose input is a decision; it acts on every node by itself.

    Almost all inputs of a step may be zero: then ``rows`` (each once) names the nodes with an input, and nothing is
    computed for the zeros.

    Shapes: decision (N, D), or (K, D) with rows (K,); h (N, d), cell (N, d) or None -> (h, cell).

    Parameters
    ----------
    kind : {"gru", "lstm"}
    num_inputs, width : int
    """

    def __init__(self, *, kind: Kind, num_inputs: int, width: int) -> None:
        super().__init__()
        self.kind, self.width = kind, width
        self.cell = (nn.LSTMCell if kind == "lstm" else nn.GRUCell)(num_inputs, width)

    def forward(
        self, decision: Tensor | None, h: Tensor, cell: Tensor | None, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the new hidden state and cell; no decision = zeros for all."""
        own = self.cell
        told = None if decision is None else F.linear(decision, own.weight_ih)
        if self.kind == "lstm":
            gates = torch.addmm(own.bias_ih + own.bias_hh, h, own.weight_hh.t())
            return lstm_update(_added(gates, told, rows), cell)
        hidden = F.linear(h, own.weight_hh, own.bias_hh)
        first, new = hidden.split([2 * self.width, self.width], 1)
        bias_first, bias_new = own.bias_ih.split([2 * self.width, self.width])
        told_first, told_new = (None, None) if told is None else told.split([2 * self.width, self.width], 1)
        reset, update = _added(first + bias_first, told_first, rows).sigmoid().chunk(2, 1)
        new = _added(reset * new + bias_new, told_new, rows).tanh()
        return new + update * (h - new), None


def _added(values: Tensor, told: Tensor | None, rows: Tensor | None) -> Tensor:
    """Return ``values`` (N, C) with what is told to all or to ``rows`` added to them, in place."""
    if told is None:
        return values
    return values.add_(told) if rows is None else values.index_add_(0, rows, told)


class NodeMemory(nn.Module):
    """A recurrent cell that reads what the gate says and keeps its own state of every node.

    Its hidden state is its last output; the network's state may go elsewhere in between.

    Shapes: h, memory, cell (N, d); memory None = zeros -> (h, cell).
    """

    def __init__(self, *, kind: Kind, width: int) -> None:
        super().__init__()
        self.kind = kind
        self.cell = (nn.LSTMCell if kind == "lstm" else nn.GRUCell)(width, width)

    def forward(self, h: Tensor, memory: Tensor | None, cell: Tensor | None) -> tuple[Tensor, Tensor | None]:
        own, memory = self.cell, torch.zeros_like(h) if memory is None else memory
        if self.kind == "gru":
            return own(h, memory), None
        gates = torch.addmm(own.bias_ih + own.bias_hh, h, own.weight_ih.t()).addmm_(memory, own.weight_hh.t())
        return lstm_update(gates, cell)
