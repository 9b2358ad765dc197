"""Markov model of binary labels on a forest, exactly: log Z, marginals, likeliest configuration, samples.

A configuration y has the probability exp(score(y)) / Z with

    score(y) = sum over nodes i of phi_i(y_i) + sum over links p -> c of psi_pc(y_c, y_p).

Every node sends one message up, m_c(y_p) = log sum over y_c of exp(belief_c(y_c) + psi(y_c, y_p)), where the belief of
a node is its phi plus the messages of its children; log Z is the sum over the roots of log sum exp(belief). On the way
down p(y_c | y_p) = exp(belief_c(y_c) + psi(y_c, y_p) - m_c(y_p)) gives marginals and samples. All of it is in
logarithms. Work grows with the number of nodes, the number of calls with the depth of the deepest tree.

This is belief propagation on trees (Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, chapter 4).

Shape letters: N nodes, E links, G graphs, S samples, W nodes of one level. ``phi`` is (N, 2); ``psi`` is (E, 2, 2) with
the axes (label of the child, label of the parent); labels are 0 or 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from hitloom.nn.forest import Forest


def log_partition(phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return log Z (G,) of every graph; 0 for one without nodes. Its gradient by phi are the marginals.

    Examples
    --------
    >>> forest = Forest.from_links(torch.tensor([[0], [1]]), 2)
    >>> round(float(log_partition(torch.zeros(2, 2), torch.zeros(1, 2, 2), forest).exp()), 4)
    4.0
    """
    if not forest.levels:
        return phi.new_zeros(forest.num_graphs)
    belief = _beliefs(phi, psi, forest)[0][0]
    root = _log_sum(belief)
    return phi.new_zeros(forest.num_graphs).index_add(0, forest.graph[forest.levels[0].nodes], root)


def configuration_score(labels: Tensor, phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return the score (..., G) of configurations (..., N) of 0 and 1, which is log Z above the log-probability."""
    labels = labels.long()
    parent, child = forest.edge_index
    node = phi[torch.arange(forest.num_nodes, device=phi.device), labels]
    link = psi[torch.arange(len(parent), device=psi.device), labels[..., child], labels[..., parent]]
    score = phi.new_zeros((*labels.shape[:-1], forest.num_graphs)).index_add(-1, forest.graph, node)
    return score.index_add(-1, forest.graph[child], link)


def configuration_log_probability(labels: Tensor, phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return log p (..., G) of configurations (..., N) of 0 and 1."""
    return configuration_score(labels, phi, psi, forest) - log_partition(phi, psi, forest)


def marginal_logit(phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return log p(y = 1) - log p(y = 0) (N,) of every node, exact; its sigmoid is the marginal probability."""
    if not forest.levels:
        return phi.new_zeros(0)
    beliefs, up = _beliefs(phi, psi, forest)
    log_p = beliefs[0] - _log_sum(beliefs[0])[:, None]
    logits = [log_p[:, 1] - log_p[:, 0]]
    for level, joint in zip(forest.levels[1:], up, strict=True):
        one = _conditional_logit(joint)
        log_p = log_p[level.place]  # of the parent
        log_p = torch.stack([_log_sum(logsigmoid(-one) + log_p), _log_sum(logsigmoid(one) + log_p)], 1)
        logits.append(log_p[:, 1] - log_p[:, 0])
    return _by_node(torch.cat(logits), forest)


def marginals(phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return the marginal probability (N,) that the label of each node is 1."""
    return marginal_logit(phi, psi, forest).sigmoid()


@torch.no_grad()
def map_configuration(phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return the likeliest configuration (N,) int64 of every graph, by max-product; at ties the label 0."""
    if not forest.levels:
        return torch.zeros(0, dtype=torch.int64, device=phi.device)
    beliefs, up = _beliefs(phi, psi, forest, best=True)
    label = (beliefs[0][:, 1] > beliefs[0][:, 0]).long()
    labels = [label]
    for level, joint in zip(forest.levels[1:], up, strict=True):
        better = (_conditional_logit(joint) > 0).long()  # (W, 2): label of the child by that of the parent
        label = better.gather(1, label[level.place][:, None])[:, 0]
        labels.append(label)
    return _by_node(torch.cat(labels), forest)


@torch.no_grad()
def sample(
    phi: Tensor, psi: Tensor, forest: Forest, *, num_samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw configurations (S, N) int64 from the model, exactly: the roots first, then each node given its parent."""
    shape = (num_samples, forest.num_nodes)
    place = phi.device if generator is None else generator.device
    chance = torch.rand(shape, generator=generator, device=place).to(phi.device)
    if not forest.levels:
        return torch.zeros(shape, dtype=torch.int64, device=phi.device)
    beliefs, up = _beliefs(phi, psi, forest)
    roots = forest.levels[0].nodes
    label = (chance[:, roots] < (beliefs[0][:, 1] - beliefs[0][:, 0]).sigmoid()).long()
    labels = [label]
    for level, joint in zip(forest.levels[1:], up, strict=True):
        one = _conditional_logit(joint).sigmoid()  # (W, 2)
        of_parent = label[:, level.place]
        label = (chance[:, level.nodes] < torch.where(of_parent > 0, one[:, 1], one[:, 0])).long()
        labels.append(label)
    return _by_node(torch.cat(labels, 1).T, forest).T.contiguous()


def _beliefs(phi: Tensor, psi: Tensor, forest: Forest, *, best: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """Return the beliefs (W, 2) of each level, and below the roots belief + psi (W, 2, 2) by (child, parent).

    ``best``: messages are maxima instead of sums.
    """
    beliefs = [phi.index_select(0, level.nodes) for level in forest.levels]
    joints: list[Tensor] = []
    for depth in range(len(beliefs) - 1, 0, -1):
        level = forest.levels[depth]
        joint = beliefs[depth][:, :, None] + psi.index_select(0, level.links)
        joints.append(joint)
        message = torch.maximum(joint[:, 0], joint[:, 1]) if best else torch.logaddexp(joint[:, 0], joint[:, 1])
        beliefs[depth - 1] = beliefs[depth - 1].index_add(0, level.place, message)
    return beliefs, joints[::-1]


def _conditional_logit(joint: Tensor) -> Tensor:
    """Return the logit (W, 2) that the child is 1, by the label of its parent."""
    return joint[:, 1] - joint[:, 0]


def _log_sum(pair: Tensor) -> Tensor:
    return torch.logaddexp(pair[:, 0], pair[:, 1])


def _by_node(values: Tensor, forest: Forest) -> Tensor:
    """Return values in the order of the levels in that of the nodes."""
    order = torch.cat([level.nodes for level in forest.levels])
    return torch.empty_like(values).index_copy(0, order, values)
