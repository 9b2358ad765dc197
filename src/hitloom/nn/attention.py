"""Attention over a fixed number of neighbours, dense: no scatter, no compiled extension.

One layer (EggNet, arXiv:2407.13925): for a centre t with neighbours s,
m_st = EDGE([x_s, x_t, e_st]); the last channel of m is the attention logit, the others are the new e_st;
a_t = sum_s softmax_s(logit) e_st; x_t <- NODE([x_t, a_t]).

Shape letters: N points, k neighbours, h width of points, w width of edges, H hidden width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hitloom.nn.mlp import MLP

CHUNK_BYTES = 4 << 20


class AttentionLayer(nn.Module):
    """One attention layer over neighbour lists.

    Shapes: x (N, h), index (N, k) int64 with anything valid where mask (N, k) is false, state (N, k, w) or None
    -> x (N, h), state (N, k, w).

    Parameters
    ----------
    edge_network : MLP
        From h + h (+ w) to w + 1; its output activation is applied to all channels.
    node_network : MLP
        From h + w to h.
    residual : bool
        Add the input of the layer to its output (points, and edges when they had a state).
    saturated_logit : bool
        Published: the logit passes the output activation like the other channels. False takes it before.
    """

    def __init__(
        self, *, edge_network: MLP, node_network: MLP, residual: bool = False, saturated_logit: bool = True
    ) -> None:
        super().__init__()
        self.edge_network = edge_network
        self.node_network = node_network
        self.residual = residual
        self.saturated_logit = saturated_logit

    def forward(self, x: Tensor, index: Tensor, mask: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run the layer; without autograd in chunks of points whose temporaries stay in cache."""
        source, centre = self._project(x)
        row_wise = self.edge_network.row_wise and self.node_network.row_wise
        rows = max(1, CHUNK_BYTES // (4 * max(1, index.shape[1]) * max(source.shape[1], 1)))
        if torch.is_grad_enabled() or not row_wise or x.shape[0] <= rows:
            return self._local(x, source, centre, index, mask, state)
        out_x, out_state = torch.empty_like(x), state
        for first in range(0, x.shape[0], rows):
            s = slice(first, first + rows)
            old = None if state is None else state[s]
            new_x, new_state = self._local(x[s], source, centre[s], index[s], mask[s], old)
            if out_state is None:
                out_state = new_state.new_empty((*index.shape, new_state.shape[-1]))
            out_x[s] = new_x
            out_state[s] = new_state
        assert out_state is not None
        return out_x, out_state

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of source and centre in the edge network's first layer: (N, H) each, bias in the second."""
        first: nn.Linear = self.edge_network.linears[0]  # type: ignore[assignment]
        width = x.shape[1]
        w_source, w_centre = self.edge_network.split_first([width, width, first.in_features - 2 * width])[:2]
        return torch.nn.functional.linear(x, w_source), torch.nn.functional.linear(x, w_centre, first.bias)

    def _local(
        self, x: Tensor, source: Tensor, centre: Tensor, index: Tensor, mask: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Run the layer for some centres: x, centre, index, mask, state hold their rows, source those of all points."""
        num, k = index.shape
        first = source.index_select(0, index.reshape(-1)).view(num, k, source.shape[1]) + centre[:, None, :]
        if state is not None:
            weight = self.edge_network.split_first([x.shape[1], x.shape[1], state.shape[-1]])[2]
            first = first + torch.nn.functional.linear(state, weight)
        raw = self.edge_network.body(first, mask)
        out = self.edge_network.output_activation(raw)
        logit = (out if self.saturated_logit else raw)[..., -1].float()
        new_state = out[..., :-1]
        if self.residual and state is not None:
            new_state = new_state + state
        alpha = masked_softmax(logit, mask).to(new_state.dtype)
        gathered = torch.bmm(alpha[:, None, :], new_state)[:, 0]
        new_x = self.node_network(torch.cat([x, gathered], 1))
        return (new_x + x if self.residual else new_x), new_state


def masked_softmax(logit: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the slots where ``mask`` is true; all 0 where none is.

    Shapes: (N, k), (N, k) bool -> (N, k).
    """
    logit = logit.masked_fill(~mask, torch.finfo(logit.dtype).min)
    return torch.softmax(logit, -1) * mask.to(logit.dtype)


class AttentionBlock(nn.Module):
    """Several attention layers on one graph.

    Shapes: x (N, h), index (N, k) int64 with -1 for a missing neighbour -> (N, h).

    Parameters
    ----------
    node_dim, edge_dim : int
        Widths h and w.
    edge_hidden, node_hidden : int
    num_edge_layers, num_node_layers : int
        Linear layers of each network.
    num_layers : int
        Attention layers.
    shared : bool
        All layers share one node network and one edge network (the first layer, which has no edge state, keeps its
        own edge network).
    checkpointing : bool
        Keep only what passes between layers and compute the rest again in the backward pass.
    """

    def __init__(
        self,
        *,
        node_dim: int,
        edge_dim: int,
        edge_hidden: int,
        node_hidden: int,
        num_edge_layers: int,
        num_node_layers: int,
        num_layers: int,
        shared: bool = False,
        activation: str = "SiLU",
        layernorm: bool = True,
        batchnorm: bool = False,
        residual: bool = False,
        saturated_logit: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing

        def network(in_dim: int, out_dim: int, hidden: int, depth: int) -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim, num_layers=depth, activation=activation,
                output_activation=activation, layernorm=layernorm, batchnorm=batchnorm,
            )  # fmt: skip

        layers: list[AttentionLayer] = []
        for j in range(num_layers):
            width = 2 * node_dim + (edge_dim if j else 0)
            edge = (
                layers[1].edge_network
                if shared and j > 1
                else network(width, edge_dim + 1, edge_hidden, num_edge_layers)
            )
            node = (
                layers[0].node_network
                if shared and j > 0
                else network(node_dim + edge_dim, node_dim, node_hidden, num_node_layers)
            )
            layers.append(
                AttentionLayer(edge_network=edge, node_network=node, residual=residual, saturated_logit=saturated_logit)
            )
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        mask = index >= 0
        index = index.clamp(min=0)
        state: Tensor | None = None
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                x, state = checkpoint(layer, x, index, mask, state, use_reentrant=False)
            else:
                x, state = layer(x, index, mask, state)
        return x
