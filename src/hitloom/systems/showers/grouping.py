"""From similarities to groups of clusters, by the mode that the configuration names.

Shape letters: N clusters of one view.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.grouping.similarity import group_similarity
from hitloom.systems.showers.config import GroupingConfig


def group_clusters(similarity: Tensor, num_hits: Tensor, config: GroupingConfig) -> Tensor:
    """Return the group (N,) int64 of each cluster; one round of it for ``iterated``.

    Parameters
    ----------
    similarity : (N, N) float32
    num_hits : (N,) whole numbers of any type
        Hits of each cluster, summary rows not counted.
    """
    return group_similarity(
        similarity,
        num_hits.to(torch.int64),
        mode=config.mode,
        threshold=config.threshold,
        second_threshold=config.second_threshold,
        accessory_max_hits=config.accessory_max_hits,
    )
