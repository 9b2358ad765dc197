"""The training loss of EggNet: which pairs, which weights, which parts.

Shape letters: N points, M points kept by the filters, D embedding, P pairs, B events.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.losses import (
    Loss,
    PairWeights,
    condensation_loss,
    contrastive_loss,
    partner_pairs,
    random_pairs,
    score_loss,
    seeded_generator,
)
from hitloom.ops import knn
from hitloom.result import Scores
from hitloom.systems.eggnet.config import EggNetConfig
from hitloom.systems.eggnet.weights import true_weights

_DRAW_RANDOM, _DRAW_REPULSIVE, _DRAW_PARTNER = 1, 2, 3


def event_ids(event: Event) -> list[int]:
    """Return the id of every event of a batch (or of the one event), its place where it has none."""
    num_events = int(event.num_graphs) if "batch" in event else 1
    if "event_id" not in event:
        return list(range(num_events))
    ids = event.event_id
    if isinstance(ids, Tensor):
        return [int(value) for value in ids.reshape(-1).tolist()]
    return [int(value) for value in ids] if isinstance(ids, list | tuple) else [int(ids)]


def training_loss(config: EggNetConfig, scores: Scores, event: Event, *, step: int) -> Loss:
    """Return the loss named in ``config.loss``; ``step`` seeds the random draws.

    Pairs are drawn among the points that the filters kept; the point score is judged on all points, those dropped on
    the way by the score that dropped them.
    """
    assert scores.embedding is not None
    embedding, score = scores.embedding, scores.point_score
    settings = config.loss
    key = event.object_key()
    rows = torch.arange(len(key), device=key.device) if scores.kept is None else scores.kept.nonzero()[:, 0]
    draw = (config.seed, step)
    truth_weight = true_weights(event, settings.weighting)
    plain_weights = PairWeights(
        positive=truth_weight,
        negative=settings.weighting.fake_default,
        negatives_from_members=settings.weighting.negatives_from_members,
    )
    if settings.name == "object_condensation":
        assert score is not None
        batch = event.batch if "batch" in event else None
        value = condensation_loss(
            embedding[rows], score[rows].sigmoid(), key[rows], q_min=settings.q_min,
            batch=None if batch is None else batch[rows], noise_weight=settings.noise_weight,
            max_repulsive_pairs=settings.max_repulsive_pairs,
            generator=seeded_generator(*draw, _DRAW_REPULSIVE, *event_ids(event)),
        )  # fmt: skip
    else:
        confidence = None if settings.name == "contrastive" or score is None else score.sigmoid()
        weights = replace(plain_weights, confidence=confidence)
        terms = pair_terms(config, embedding, event, rows, draw=draw)
        value = contrastive_loss(embedding, key, terms=terms, weights=weights, margin=settings.margin)
    if settings.name == "weighted_contrastive" and score is not None:
        is_object = key >= 0
        weight = torch.where(is_object, truth_weight, settings.weighting.fake_default)
        value = value.with_part("beta_loss", score_loss(score, is_object, weight=weight), count=len(key))
    if scores.intermediate:
        deep, count = embedding.new_zeros(()), 0
        for earlier in scores.intermediate:
            terms = pair_terms(config, earlier, event, rows, draw=draw)
            part = contrastive_loss(earlier, key, terms=terms, weights=plain_weights, margin=settings.margin)
            deep, count = deep + part.total / len(scores.intermediate), count + sum(part.counts.values())
        value = value.with_part("deep", deep, count=count, weight=settings.deep_supervision_weight)
    return value


def signal_pairs(config: EggNetConfig, event: Event, *, draw: tuple[int, ...]) -> Tensor:
    """Return the positive pairs (2, P) that ``loss.signal_pairs`` names."""
    kind = config.loss.signal_pairs
    pairs = [] if kind == "object" else [event.truth_edge_index]
    if kind != "edges":
        generator = seeded_generator(*draw, _DRAW_PARTNER, *event_ids(event))
        pairs.append(partner_pairs(event.object_key(), generator=generator))
    return torch.cat(pairs, 1)


def pair_terms(
    config: EggNetConfig, embedding: Tensor, event: Event, rows: Tensor, *, draw: tuple[int, ...]
) -> dict[str, Tensor]:
    """Return the pairs (2, P) of each part, all among the points ``rows`` (M,).

    signal: the truth edges, or partners within the object, or both. knn: every point with its nearest neighbours in
    ``embedding``. random: drawn uniformly within each event.
    """
    settings = config.loss
    batch = event.batch if "batch" in event else None
    kept = torch.zeros(embedding.shape[0], dtype=torch.bool, device=rows.device)
    kept[rows] = True
    signal = signal_pairs(config, event, draw=draw)
    table = knn(
        embedding.detach()[rows], settings.num_neighbours, batch=None if batch is None else batch[rows],
        r_max=settings.r_max, method=settings.knn_method,
    )  # fmt: skip
    drawn = []
    for place, event_id in enumerate(event_ids(event)):
        own = rows if batch is None else rows[batch[rows] == place]
        generator = seeded_generator(*draw, _DRAW_RANDOM, event_id)
        drawn.append(own[random_pairs(len(own), settings.num_random_pairs, generator=generator).to(rows.device)])
    return {
        "signal": signal[:, kept[signal].all(0)],
        "knn": rows[table.edge_index().flip(0)],
        "random": torch.cat(drawn, 1),
    }
