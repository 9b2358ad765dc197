"""What the networks of pruning learn: cross-entropy with a weight on layer clusters to prune.

The loss of a batch is the mean of the losses of its tracksters, each as it is alone. With the keep logit k and the
label y (1 = prune), CE = softplus(-k) for y = 0 and softplus(k) for y = 1, the two-class cross-entropy.

Shape letters: N layer clusters, G tracksters, S pairs of a step and a layer cluster undecided in it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hitloom.losses.base import Loss
from hitloom.ops.segments import segment_count, segment_sum


def class_weights(label: Tensor, graph: Tensor, num_graphs: int, *, positive: Tensor | None) -> Tensor:
    """Return the weight (N,) of each layer cluster: 1 of those to keep, ``positive`` of those to prune.

    Without ``positive`` it is the ratio of the counts of the trackster, kept over pruned, both at least 1.
    """
    if positive is None:
        num_pruned = segment_sum(label, graph, num_graphs)
        num_kept = segment_sum(1 - label, graph, num_graphs)
        positive = (num_kept.clamp(min=1) / num_pruned.clamp(min=1)).index_select(0, graph)
    return torch.where(label > 0.5, positive, 1.0)


def cross_entropy(logit: Tensor, label: Tensor) -> Tensor:
    """Return the cross-entropy (S,) of keep logits against labels."""
    return F.softplus(torch.where(label > 0.5, logit, -logit))


def mean_over_graphs(value: Tensor, size: Tensor) -> Tensor:
    """Return the mean of ``value`` (G,) over the tracksters that have layer clusters."""
    return value.sum() / (size > 0).sum().clamp(min=1)


def node_loss(logit: Tensor, label: Tensor, weight: Tensor, graph: Tensor, num_graphs: int) -> Loss:
    """Return the weighted mean over each trackster (weights sum to 1 in it), and its mean over tracksters."""
    logit = logit.float()
    total = segment_sum(weight * cross_entropy(logit, label), graph, num_graphs)
    share = total / segment_sum(weight, graph, num_graphs).clamp(min=1e-12)
    part = mean_over_graphs(share, segment_count(graph, num_graphs))
    return Loss(parts={"decision": part}, counts={"decision": len(label)})


def expected_loss(
    logit: Tensor, probability: Tensor, row: Tensor, label: Tensor, weight: Tensor, graph: Tensor, num_graphs: int
) -> Loss:
    """Return the loss of deciding one after the other.

    A step costs the sum over the undecided of the probability to be next times their weighted cross-entropy; a
    trackster costs the sum over its steps over its size.

    Parameters
    ----------
    logit, probability : (S,)
        Keep logit, and probability to be next; for the mean over the undecided, divided by their number.
    row : (S,) int64
        Layer cluster.
    label, weight, graph : (N,)
    """
    size = segment_count(graph, num_graphs)
    cost = probability * weight.index_select(0, row) * cross_entropy(logit.float(), label.index_select(0, row))
    share = segment_sum(cost, graph.index_select(0, row), num_graphs) / size.clamp(min=1)
    return Loss(parts={"decision": mean_over_graphs(share, size)}, counts={"decision": len(label)})
