"""Attention over a fixed number of neighbours, dense: no scatter, no compiled extension.

One layer (EggNet, arXiv:2407.13925): for a centre t with neighbours s,
m_st = EDGE([x_s, x_t, e_st]); the last channel of m is the attention logit, the others are the new e_st;
a_t = sum_s softmax_s(logit) e_st; x_t <- NODE([x_t, a_t]).

The edge network's first layer is W [x_s, x_t, e] = W_s x_s + W_t x_t + W_e e: the first two are computed once for
each point and gathered, not once for each edge.

Shape letters: N points, C points of a chunk, k neighbours, h width of points, w width of edges, H hidden width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hitloom.nn.chunked import chunked_messages
from hitloom.nn.fused import attend, is_traced, masked_softmax
from hitloom.nn.mlp import MLP

POINT_ROWS = 8192  # points that go through the node network at once without autograd


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
    checkpointing : bool
        Keep only inputs and outputs for the backward pass, and compute the rest again.
    """

    def __init__(
        self,
        *,
        edge_network: MLP,
        node_network: MLP,
        residual: bool = False,
        saturated_logit: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.edge_network = edge_network
        self.node_network = node_network
        self.residual = residual
        self.saturated_logit = saturated_logit
        self.checkpointing = checkpointing

    def forward(self, x: Tensor, index: Tensor, mask: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run the layer; without autograd ``state`` is overwritten by the new one."""
        source, centre = self.project(x)
        row_wise = self.edge_network.row_wise and self.node_network.row_wise
        if is_traced() or not row_wise:
            gathered = source.index_select(0, index.reshape(-1)).view(*index.shape, source.shape[1])
            state, message = self.messages(gathered + centre[:, None, :], mask, state)
            return self.update(x, message), state
        state, message = chunked_messages(self, source, centre, index, mask, state, keep=not self.checkpointing)
        if torch.is_grad_enabled():
            if self.checkpointing:
                return checkpoint(self.update, x, message, use_reentrant=False), state
            return self.update(x, message), state
        rows = [self.update(a, b) for a, b in zip(x.split(POINT_ROWS), message.split(POINT_ROWS), strict=True)]
        return torch.cat(rows), state

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of source and centre in the edge network's first layer: (N, H) each, bias in the second."""
        first: nn.Linear = self.edge_network.linears[0]  # type: ignore[assignment]
        width = x.shape[1]
        w_source, w_centre = self.edge_network.split_first([width, width, first.in_features - 2 * width])[:2]
        return F.linear(x, w_source), F.linear(x, w_centre, first.bias)

    def messages(
        self, first: Tensor, mask: Tensor, state: Tensor | None, into: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the new state of the edges of some centres, and what it tells the centres.

        Shapes: first (C, k, H) shares of the points in the first layer, mask (C, k), state (C, k, w) or None
        -> state (C, k, w), message (C, w). ``into`` (C, k, w), which may be ``state``, receives the new state when no
        gradient is asked for.
        """
        network = self.edge_network
        if state is not None:
            first_linear: nn.Linear = network.linears[0]  # type: ignore[assignment]
            weight = network.split_first([first_linear.in_features - state.shape[-1], state.shape[-1]])[1]
            first = torch.addmm(first.flatten(0, 1), state.flatten(0, 1), weight.T).view(first.shape)
        if len(network.linears) == 1:
            raw, logit = first[..., :-1], first[..., -1]
        else:
            hidden = network.hidden(first, mask)
            last: nn.Linear = network.linears[-1]  # type: ignore[assignment]
            raw = F.linear(hidden, last.weight[:-1], last.bias[:-1])
            logit = F.linear(hidden, last.weight[-1:], last.bias[-1:])[..., 0]
        if not self.residual and isinstance(network.output_activation, nn.SiLU):
            return attend(raw, logit, mask, saturated_logit=self.saturated_logit, into=into)
        new_state = network.output_activation(raw)
        if self.residual and state is not None:
            new_state = new_state + state
        score = network.output_activation(logit) if self.saturated_logit else logit
        alpha = masked_softmax(score.float(), mask).to(new_state.dtype)
        return new_state, torch.bmm(alpha[:, None, :], new_state)[:, 0]

    def update(self, x: Tensor, message: Tensor) -> Tensor:
        """Return the points after the layer. Shapes: x (N, h), message (N, w) -> (N, h)."""
        new_x = self.node_network(torch.cat([x, message], 1))
        return new_x + x if self.residual else new_x


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
    residual, saturated_logit, checkpointing : bool
        See :class:`AttentionLayer`.
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

        def network(in_dim: int, out_dim: int, hidden: int, depth: int) -> MLP:
            return MLP(
                in_dim=in_dim, hidden_dim=hidden, out_dim=out_dim, num_layers=depth, activation=activation,
                output_activation=activation, layernorm=layernorm, batchnorm=batchnorm,
            )  # fmt: skip

        layers: list[AttentionLayer] = []
        for j in range(num_layers):
            if shared and j > 1:
                edge = layers[1].edge_network
            else:
                edge = network(2 * node_dim + (edge_dim if j else 0), edge_dim + 1, edge_hidden, num_edge_layers)
            if shared and j > 0:
                node = layers[0].node_network
            else:
                node = network(node_dim + edge_dim, node_dim, node_hidden, num_node_layers)
            layers.append(
                AttentionLayer(
                    edge_network=edge, node_network=node, residual=residual, saturated_logit=saturated_logit,
                    checkpointing=checkpointing,
                )
            )  # fmt: skip
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        mask = index >= 0
        index = index.clamp(min=0)
        state: Tensor | None = None
        for layer in self.layers:
            x, state = layer(x, index, mask, state)
        return x
