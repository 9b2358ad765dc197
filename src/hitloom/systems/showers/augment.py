"""Iterative augmentation: what a network made of a batch of views, merged, is the next thing that it learns from.

A network that is applied again to merged clusters must have seen merged clusters. So after a batch its clusters are
grouped by the similarity just predicted, merged, and trained on as views of the next tier; views in which nothing
merged drop out. The training loop asks for tier after tier (:mod:`hitloom.training.module`).
"""

from __future__ import annotations

import torch

from hitloom.data.collation import collate_events
from hitloom.data.shower_merge import merge_clusters
from hitloom.event import Event
from hitloom.grouping.accessory import connected_accessory
from hitloom.result import Scores
from hitloom.systems.showers.config import AugmentationConfig, ShowersConfig
from hitloom.systems.showers.working_point import views


def highest_tier(config: AugmentationConfig, epoch: int) -> int:
    """Return how often the clusters of a batch may be merged in an epoch; 0 = not at all."""
    if not config.enabled:
        return 0
    tier = max(0, (epoch - config.warmup_epochs) // config.epochs_per_tier)
    return tier if config.max_tier is None else min(tier, config.max_tier)


def merged_views(config: ShowersConfig, scores: Scores, event: Event, *, draws: bool) -> Event | None:
    """Return the views of the next tier, in which the groups found are clusters; None = nothing is left to merge.

    Parameters
    ----------
    scores : Scores
        Of the event; the similarity is read in float32 whatever the precision of the network.
    event : Event
        A view, or a batch of views; so is what is returned.
    draws : bool
        Whether the batch ends here with the probability 1 - ``augmentation.probability``, by torch's random numbers.
    """
    settings = config.augmentation
    if draws and settings.probability < 1 and float(torch.rand(())) >= settings.probability:
        return None
    labels, merges = [], []
    for similarity, hits, _ in views(scores, event):
        found = connected_accessory(
            similarity, hits.to(torch.int64), threshold=settings.threshold,
            accessory_max_hits=config.grouping.accessory_max_hits,
        )  # fmt: skip
        labels.append(found)
        merges.append(len(found) > 0 and int(found.max()) + 1 < len(found))
    if not any(merges):
        return None
    merged = merge_clusters(event, torch.cat(labels).to(event.pos.device))
    if all(merges):
        return merged
    return collate_events([merged.get_example(view) for view, merges_here in enumerate(merges) if merges_here])
