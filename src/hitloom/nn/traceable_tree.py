"""Marginals of a Markov model on a forest in plain torch operations, for graphs that leave Python.

The same numbers as :func:`hitloom.nn.tree_markov.log_marginals`, without lists of levels: all nodes send their messages
at once, as many times as the deepest tree has levels. Then every belief is final, and the same number of rounds brings
the marginals down. The number of rounds follows from the data: TorchScript, torch.export and ONNX keep the loop.

Shape letters: N nodes, E links, K states.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.nn.fused import is_traced

NUM_JUMPS = 17
"""Jumps of doubled length that count levels: 2^17 of them at most."""


def traceable_log_marginals(phi: Tensor, psi: Tensor, edge_index: Tensor) -> Tensor:
    """Return the logarithm (N, K) of the probability of each state of each node.

    Nobody checks that the links are a forest: of others the numbers mean nothing.

    Shapes: phi (N, K), psi (E, K, K) by (state of the child, state of the parent), edge_index (2, E), parent above
    child.
    """
    num, parent, child = phi.shape[0], edge_index[0], edge_index[1]
    end = torch.full((1,), num, dtype=torch.int64, device=phi.device)  # a node above all roots
    above = torch.cat([end.expand(num), end]).scatter(0, child, parent)
    jump, depth = above, torch.ones_like(above).scatter(0, end, 0)
    for _ in range(NUM_JUMPS):
        depth = depth + depth[jump]
        jump = jump[jump]
    num_rounds = depth.max().clamp(max=num)
    phi = torch.cat([phi, phi.new_zeros(1, phi.shape[1])])
    psi = psi.new_zeros(num + 1, psi.shape[1], psi.shape[2]).index_add(0, child, psi)
    is_root = above == num
    if torch.jit.is_tracing():
        found = torch.jit.script(sweeps)(phi, psi, above, is_root, num_rounds)
    elif is_traced():
        found = _exported_sweeps(phi, psi, above, is_root, num_rounds)
    else:
        found = sweeps(phi, psi, above, is_root, num_rounds)
    return found[:num]


def sweeps(phi: Tensor, psi: Tensor, above: Tensor, is_root: Tensor, num_rounds: Tensor) -> Tensor:
    """Send messages up, then marginals down: eagerly, or compiled by TorchScript. The last row is above all roots."""
    belief = phi
    for _ in range(int(num_rounds)):
        message = torch.logsumexp(belief.unsqueeze(2) + psi, 1)
        message = torch.where(is_root.unsqueeze(1), torch.zeros_like(message), message)
        belief = phi.index_add(0, above, message)
    given = torch.log_softmax(belief.unsqueeze(2) + psi, 1)
    root = torch.log_softmax(belief, 1)
    log_p = root
    for _ in range(int(num_rounds)):
        log_p = torch.where(is_root.unsqueeze(1), root, torch.logsumexp(given + log_p[above].unsqueeze(1), 2))
    return log_p


def _exported_sweeps(phi: Tensor, psi: Tensor, above: Tensor, is_root: Tensor, num_rounds: Tensor) -> Tensor:
    """Do the same with the loop operator of torch.export and ONNX."""
    from torch._higher_order_ops.while_loop import while_loop

    roots = is_root.unsqueeze(1)

    def unfinished(step: Tensor, value: Tensor) -> Tensor:
        return step < num_rounds

    def send_up(step: Tensor, belief: Tensor) -> tuple[Tensor, Tensor]:
        message = torch.logsumexp(belief.unsqueeze(2) + psi, 1)
        return step + 1, phi.index_add(0, above, torch.where(roots, torch.zeros_like(message), message))

    start = torch.zeros_like(num_rounds)
    _, belief = while_loop(unfinished, send_up, (start, phi.clone()))
    given = torch.log_softmax(belief.unsqueeze(2) + psi, 1)
    root = torch.log_softmax(belief, 1)

    def bring_down(step: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
        return step + 1, torch.where(roots, root, torch.logsumexp(given + log_p[above].unsqueeze(1), 2))

    _, log_p = while_loop(unfinished, bring_down, (start, root.clone()))
    return log_p
