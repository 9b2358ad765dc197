"""Which features a score rests on: integrated gradients (arXiv:1703.01365).

For a scalar F and inputs moved from a baseline b to x along a straight line, the attribution of feature k is
(x_k - b_k) times the mean of dF/dx_k along the line; over all features the attributions sum to F(x) - F(b).

Shape letters: N tracksters, F features, S steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.event import Event
from hitloom.nn.edge_pass import row_pass
from hitloom.systems.linking.graph import graph_of
from hitloom.systems.linking.system import Linking

Target = Literal["encoder", "score"]


def integrated_gradients(
    system: Linking, event: Event, *, target: Target = "score", num_steps: int = 32, baseline: Tensor | None = None
) -> Tensor:
    """Return the attribution (N, 29) of every feature of every trackster of ONE event.

    Parameters
    ----------
    target : {"encoder", "score"}
        What is attributed: the sum of the node encoder's outputs of a trackster, or the sum of all edge scores (logits)
        of the event. Edge features stay as they are.
    num_steps : int
        Points on the line, at the middles of as many equal parts.
    baseline : (29,) or None
        Where the line begins; None = another trackster of the same endcap, drawn once for each (expected gradients,
        arXiv:1906.10670). One place for all would put them on top of each other, where directions between them have
        no meaning, and zeros lie outside the detector.
    """
    was_training = system.training
    system.eval()
    network = system.network
    edge_index, edge_attr = graph_of(event, network.inputs.edge_features)
    x = event.columns(NODE_FEATURES)
    start = _others(x) if baseline is None else baseline.to(x).expand_as(x)
    total = torch.zeros_like(x)
    for step in range(num_steps):
        at = (start + (x - start) * ((step + 0.5) / num_steps)).detach().requires_grad_()
        if target == "encoder":
            value = row_pass(network.node_encoder, [network.inputs.nodes(at) / network.inputs.node_scale]).sum()
        else:
            value = system.run(at, edge_index, edge_attr).logit.sum()
        (gradient,) = torch.autograd.grad(value, at, allow_unused=True)
        total += 0.0 if gradient is None else gradient
    system.train(was_training)
    return (x - start) * total / num_steps


def _others(x: Tensor) -> Tensor:
    """Return (N, 29): for each trackster another one of its endcap (the next of a fixed permutation)."""
    start = x.clone()
    generator = torch.Generator().manual_seed(len(x))
    back = x[:, NODE_FEATURES.index("barycenter_z")].cpu() < 0
    for side in (back, ~back):
        rows = side.nonzero().flatten()
        order = rows[torch.randperm(len(rows), generator=generator)]
        start[order] = x[order.roll(1)]
    return start


def feature_importance(
    system: Linking, events: Iterable[Event], *, target: Target = "score", num_steps: int = 32
) -> dict[str, float]:
    """Return the mean size of the attribution of each of the 29 features over the tracksters of events, by name."""
    total, number = torch.zeros(len(NODE_FEATURES), dtype=torch.float64), 0
    for event in events:
        found = integrated_gradients(system, event, target=target, num_steps=num_steps)
        total, number = total + found.abs().double().sum(0).cpu(), number + len(found)
    return dict(zip(NODE_FEATURES, (total / max(1, number)).tolist(), strict=True))
