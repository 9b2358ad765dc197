"""GraphSAGE layers (arXiv:1706.02216): h'_i = ReLU(W_self h_i + W_neigh AGG_{j -> i}(h_j) + b), plain torch.

AGG is the mean, the sum or the maximum over the nodes whose edges end at i, or the last hidden state of an LSTM that
reads them in the order of the edges (then the order matters). The lists of neighbours are sorted once for a graph
(:class:`Neighbours`) and serve every layer and every iteration.

Shape letters: N nodes, E edges, d width, T the largest number of neighbours of a node.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import Parameter

from hitloom.errors import ConfigError, nearest
from hitloom.nn.cells import lstm_update
from hitloom.nn.dropout import dropout
from hitloom.nn.neighbours import Neighbours

AGGREGATORS = ("mean", "sum", "max", "lstm")


class SageLayer(nn.Module):
    """One layer with self and neighbour matrices and one bias.

    Shapes: h (N, d) and :class:`Neighbours` of N nodes -> (N, d).

    Parameters
    ----------
    width : int
    aggregator : str
        One of :data:`AGGREGATORS`.
    dropout : float
        Share of the inputs that is set to 0 in training.

    Raises
    ------
    ConfigError
        When the aggregator is unknown.
    """

    def __init__(self, *, width: int, aggregator: str = "mean", dropout: float = 0.0) -> None:
        super().__init__()
        if aggregator not in AGGREGATORS:
            raise ConfigError(f"aggregator: unknown name '{aggregator}'.{nearest(aggregator, AGGREGATORS)}")
        self.aggregator, self.dropout = aggregator, dropout
        self.own = nn.Linear(width, width)
        self.neighbour = nn.Linear(width, width, bias=False)
        self.reader = NeighbourLSTM(width=width) if aggregator == "lstm" else None

    def forward(self, h: Tensor, neighbours: Neighbours) -> Tensor:
        h = dropout(h, self.dropout, self.training)
        told = neighbours.told(h, self.aggregator) if self.reader is None else self.reader(h, neighbours)
        return self.own(h).addmm_(told, self.neighbour.weight.t()).relu_()


class NeighbourLSTM(nn.Module):
    """The last hidden state of an LSTM over each node's neighbours, in the order in which their edges came.

    Equal to :class:`torch.nn.LSTM` (one layer, zero initial state) over each list alone. What a neighbour adds to the
    gates is computed once for the node, not once for each of its edges. Nodes are sorted by the length of their lists,
    so that those still reading are always the first ones. A node that nobody tells anything gets 0.

    Shapes: h (N, d) -> (N, d).
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight_ih = Parameter(torch.empty(4 * width, width))
        self.weight_hh = Parameter(torch.empty(4 * width, width))
        self.bias_ih = Parameter(torch.empty(4 * width))
        self.bias_hh = Parameter(torch.empty(4 * width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as torch draws those of an LSTM."""
        bound = 1 / math.sqrt(self.width)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, h: Tensor, neighbours: Neighbours) -> Tensor:
        lists = neighbours.lists()
        told = F.linear(h, self.weight_ih, self.bias_ih + self.bias_hh)  # (N, 4d)
        recurrent = self.weight_hh.t()
        state = cell = None
        finished: list[Tensor] = []
        for place, source in enumerate(lists.sources):
            gates = told.index_select(0, source)
            num = gates.shape[0]
            if state is None or cell is None:
                state, cell = lstm_update(gates, None)
            else:
                state, cell = lstm_update(torch.addmm(gates, state[:num], recurrent), cell[:num])
            left = lists.sources[place + 1].shape[0] if place + 1 < len(lists.sources) else 0
            finished.append(state[left:])
        silent = h.new_zeros(h.shape[0] - (lists.sources[0].shape[0] if lists.sources else 0), self.width)
        return torch.cat([*reversed(finished), silent]).index_select(0, lists.place)
