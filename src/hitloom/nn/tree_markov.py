"""Markov model of states on a forest, exactly: log Z, marginals, likeliest configuration, samples.

Every node i is in one of K states y_i. A configuration y has the probability exp(score(y)) / Z with

    score(y) = sum over nodes i of phi_i(y_i) + sum over links p -> c of psi_pc(y_c, y_p).

Every node sends one message up, m_c(y_p) = log sum over y_c of exp(belief_c(y_c) + psi(y_c, y_p)), where the belief of
a node is its phi plus the messages of its children; log Z is the sum over the roots of log sum exp(belief). On the way
down p(y_c | y_p) = exp(belief_c(y_c) + psi(y_c, y_p) - m_c(y_p)) gives marginals and samples. All of it is in
logarithms. Work grows with the number of nodes, the number of calls with the depth of the deepest tree.

This is belief propagation on trees (Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, chapter 4).

Shape letters: N nodes, E links, G graphs, K states, S samples, W nodes of one level. ``phi`` is (N, K); ``psi`` is
(E, K, K) with the axes (state of the child, state of the parent).
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.nn.forest import Forest


def log_partition(phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return log Z (G,) of every graph; 0 for one without nodes. Its gradient by ``phi`` are the marginals.

    A state is forbidden by ``phi`` = -inf, as long as each node keeps one.

    Examples
    --------
    >>> forest = Forest.from_links(torch.tensor([[0], [1]]), 2)
    >>> round(float(log_partition(torch.zeros(2, 2), torch.zeros(1, 2, 2), forest).exp()), 4)
    4.0
    """
    log_z = phi.new_zeros(forest.num_graphs)
    if not forest.levels:
        return log_z
    beliefs, _ = _upward(phi, psi, forest)
    return log_z.index_add(0, forest.graph[forest.levels[0].nodes], beliefs[0].logsumexp(1))


def configuration_score(states: Tensor, phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return the score (..., G) of configurations (..., N) of integers: log-probability + log Z."""
    parent, child = forest.edge_index
    node = phi[torch.arange(forest.num_nodes, device=phi.device), states]
    link = psi[torch.arange(len(parent), device=psi.device), states[..., child], states[..., parent]]
    score = phi.new_zeros((*states.shape[:-1], forest.num_graphs)).index_add(-1, forest.graph, node)
    return score.index_add(-1, forest.graph[child], link)


def configuration_log_probability(states: Tensor, phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return log p (..., G) of configurations (..., N) of integers."""
    return configuration_score(states, phi, psi, forest) - log_partition(phi, psi, forest)


def log_marginals(phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return the logarithm (N, K) of the probability of each state of each node, exact in both tails."""
    if not forest.levels:
        return phi.new_zeros(phi.shape)
    beliefs, joints = _upward(phi, psi, forest)
    log_p = beliefs[0].log_softmax(1)
    found = [log_p]
    for level, joint in zip(forest.levels[1:], joints, strict=True):
        log_p = (joint.log_softmax(1) + log_p.index_select(0, level.place)[:, None, :]).logsumexp(2)
        found.append(log_p)
    return _by_node(torch.cat(found), forest)


@torch.no_grad()
def map_configuration(phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return the likeliest configuration (N,) int64 of every graph, by max-product."""
    if not forest.levels:
        return torch.zeros(0, dtype=torch.int64, device=phi.device)
    beliefs, joints = _upward(phi, psi, forest, best=True)
    state = beliefs[0].argmax(1)
    found = [state]
    for level, joint in zip(forest.levels[1:], joints, strict=True):
        state = joint.argmax(1).gather(1, state[level.place][:, None])[:, 0]
        found.append(state)
    return _by_node(torch.cat(found), forest)


@torch.no_grad()
def sample(
    phi: Tensor, psi: Tensor, forest: Forest, *, num_samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw configurations (S, N) int64 from the model, exactly: the roots first, then each node given its parent."""
    device = phi.device if generator is None else generator.device
    chance = torch.rand((num_samples, forest.num_nodes), generator=generator, device=device).to(phi.device)
    if not forest.levels:
        return torch.zeros_like(chance, dtype=torch.int64)
    beliefs, joints = _upward(phi, psi, forest)
    below = beliefs[0].softmax(1).cumsum(1)[:, :-1]  # (W, K - 1): probability of this state or a lower one
    state = (chance[:, forest.levels[0].nodes, None] >= below).sum(2)
    found = [state]
    for level, joint in zip(forest.levels[1:], joints, strict=True):
        below = joint.softmax(1).cumsum(1)[:, :-1].transpose(1, 2)  # (W, K, K - 1) by the state of the parent
        place = torch.arange(len(level.nodes), device=phi.device)
        state = (chance[:, level.nodes, None] >= below[place, state[:, level.place]]).sum(2)
        found.append(state)
    return _by_node(torch.cat(found, 1).T, forest).T.contiguous()


def _upward(phi: Tensor, psi: Tensor, forest: Forest, *, best: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """Return the beliefs (W, K) of each level, and of each below the roots belief + psi (W, K, K) by (child, parent).

    ``best``: messages are maxima instead of sums.
    """
    beliefs = [phi.index_select(0, level.nodes) for level in forest.levels]
    joints: list[Tensor] = []
    for depth in range(len(beliefs) - 1, 0, -1):
        level = forest.levels[depth]
        joint = beliefs[depth][:, :, None] + psi.index_select(0, level.links)
        joints.append(joint)
        message = joint.amax(1) if best else joint.logsumexp(1)
        beliefs[depth - 1] = beliefs[depth - 1].index_add(0, level.place, message)
    return beliefs, joints[::-1]


def _by_node(values: Tensor, forest: Forest) -> Tensor:
    """Return values in the order of the levels in that of the nodes."""
    order = torch.cat([level.nodes for level in forest.levels])
    return torch.empty_like(values).index_copy(0, order, values)
