"""What the network learns: focal loss of the edges, contrast between two views, pile-up of the tracksters.

Shape letters: N tracksters, E edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hitloom.data.perturb import ErrorBars
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.losses.focal import focal_loss, focal_loss_on_probabilities
from hitloom.losses.pairs import seeded_generator
from hitloom.losses.views import shuffled_within, view_contrast
from hitloom.result import Scores
from hitloom.systems.linking.config import EdgeWeightConfig
from hitloom.systems.linking.graph import edge_energy, graph_of, sizes_of

if TYPE_CHECKING:
    from hitloom.systems.linking.system import Linking


def is_signal(event: Event) -> tuple[Tensor, Tensor]:
    """Return whether a trackster is matched at all, and whether to a signal object: (N,) bool each.

    Where the objects do not say which of them are signal, all are. Unmatched tracksters are neither.
    """
    key = event.object_key()
    matched = key >= 0
    if "object_is_signal" not in event:
        return matched, matched
    known = torch.cat([event.object_is_signal, event.object_is_signal.new_zeros(1)])
    return matched, known[torch.where(matched, key, len(known) - 1)]


def targets(event: Event, *, hard: bool, only_signal: bool) -> Tensor:
    """Return the target (E,) of each edge, 0 to 1, of an event or a batch."""
    target = event.edge_y
    if only_signal:
        matched, signal = is_signal(event)
        pile_up = (matched & ~signal)[event.edge_index].all(0)
        target = torch.where(pile_up, 0.0, target)
    return (target > 0).float() if hard else target


def edge_weights(event: Event, edge_index: Tensor, error: Tensor, config: EdgeWeightConfig) -> Tensor | None:
    """Return the weight (E,) of each edge, without gradient; ``error`` (E,) is |probability - target|."""
    if config.uniform:
        return None
    share = edge_energy(event)[edge_index].amax(0) / config.scale
    weight = share.clamp(config.floor, 1.0)
    if config.heavy_focus:
        weight = weight * (1 + config.heavy_focus * share.clamp(0, 1) * error.detach())
    return weight


def linking_loss(system: Linking, scores: Scores, event: Event) -> Loss:
    """Return the parts that the configuration of the loss asks for."""
    config = system.config.loss
    edge_index, logit = scores.scored_edges()
    target = targets(event, hard=config.targets == "hard", only_signal=config.only_signal)
    probability = logit.sigmoid()
    weight = edge_weights(event, edge_index, (probability - target).abs(), config.weight)
    settings = {"gamma": config.gamma, "alpha": system.alpha, "weight": weight}
    if config.form == "logits":
        focal = focal_loss(logit, target, **settings)  # type: ignore[arg-type]
    else:
        focal = focal_loss_on_probabilities(probability, target, **settings)  # type: ignore[arg-type]
    loss = Loss(parts={"focal": focal}, weights={"focal": config.focal_weight}, counts={"focal": len(target)})
    if config.contrastive_weight:
        part = second_view(system, scores, event)
        loss = loss.with_part("contrastive", part, count=len(target), weight=config.contrastive_weight)
    if config.pu_weight:
        part, count = pile_up_part(scores, event)
        loss = loss.with_part("pileup", part, count=count, weight=config.pu_weight)
    return loss


def second_view(system: Linking, scores: Scores, event: Event) -> Tensor:
    """Return the contrast between the embeddings of the edges and those of a second view.

    Same edges: the embeddings of the event with moved tracksters. Different ones: the embeddings under a permutation.
    The draw depends on the random state of the step alone.
    """
    config = system.config.loss
    first = scores.edge_embedding
    assert first is not None
    edge_index, _ = scores.scored_edges()
    generator = seeded_generator(torch.initial_seed())
    num_edges = edge_index.shape[1]
    event_of_edge = torch.zeros(num_edges, dtype=torch.int64, device=first.device)
    if event.get("batch") is not None:
        event_of_edge = event.batch[edge_index[0]]
    num_coins = num_edges if config.view == "edge" else int(event_of_edge.max()) + 1 if num_edges else 0
    coin = (torch.rand(num_coins, generator=generator) < 0.5).to(first.device)
    different = coin if config.view == "edge" else coin[event_of_edge]
    second = first
    if not bool(different.all()):
        moved = moved_features(event, generator)
        attributes = graph_of(event, system.network.inputs.edge_features)[1]  # those of the edges as they are
        second = system.run(moved, edge_index, attributes, sizes_of(event)).embedding
    order = shuffled_within(event_of_edge, generator=generator)
    different = different & (order != torch.arange(num_edges, device=order.device))
    other = torch.where(different[:, None], first[order], second)
    return view_contrast(first, other, different, margin=config.margin)


def moved_features(event: Event, generator: torch.Generator) -> Tensor:
    """Return the features (N, 29) with every barycentre moved within its error bars."""
    alone = Event(pos=event.pos.cpu(), x=event.x.cpu(), feature_names=event.column_names())
    return ErrorBars()(alone, generator).columns(NODE_FEATURES).to(event.x)


def pile_up_part(scores: Scores, event: Event) -> tuple[Tensor, int]:
    """Return the mean cross-entropy of signal against pile-up over matched tracksters, and their number."""
    assert scores.point_score is not None
    matched, signal = is_signal(event)
    value = binary_cross_entropy_with_logits(scores.point_score, signal.float(), reduction="none")
    num = int(matched.sum())
    return torch.where(matched, value, 0.0).sum() / max(1, num), num
