"""The training loss of EggNet: which pairs, which weights, which parts.

Shape letters: N points, D embedding, P pairs, B events.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.losses import Loss, PairWeights, contrastive_loss, random_pairs, seeded_generator
from hitloom.ops import knn
from hitloom.result import Scores
from hitloom.systems.eggnet.config import EggNetConfig


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
    """Return the loss named in ``config.loss``; ``step`` seeds the random draws."""
    assert scores.embedding is not None
    embedding = scores.embedding
    key = event.object_key()
    kept = torch.ones_like(key, dtype=torch.bool) if scores.kept is None else scores.kept
    weights = PairWeights()
    terms = pair_terms(config, embedding, event, kept, step=step)
    return contrastive_loss(embedding, key, terms=terms, weights=weights, margin=config.loss.margin)


def pair_terms(config: EggNetConfig, embedding: Tensor, event: Event, kept: Tensor, *, step: int) -> dict[str, Tensor]:
    """Return the pairs (2, P) of each part, all among kept points: signal, knn, random."""
    loss = config.loss
    batch = event.batch if "batch" in event else None
    signal = event.truth_edge_index
    rows = kept.nonzero()[:, 0]
    table = knn(
        embedding.detach()[rows], loss.num_neighbours, batch=None if batch is None else batch[rows],
        r_max=loss.r_max, method=loss.knn_method,
    )  # fmt: skip
    drawn = []
    for place, event_id in enumerate(event_ids(event)):
        own = rows if batch is None else rows[batch[rows] == place]
        generator = seeded_generator(config.seed, step, event_id)
        drawn.append(own[random_pairs(len(own), loss.num_random_pairs, generator=generator).to(rows.device)])
    return {
        "signal": signal[:, kept[signal].all(0)],
        "knn": rows[table.edge_index().flip(0)],
        "random": torch.cat(drawn, 1),
    }
