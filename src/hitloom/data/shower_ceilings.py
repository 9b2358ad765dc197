"""What shower growing could reach at best: results that look at the truth, to stand beside those that do not.

``target`` groups by the true similarity: what is left to gain is the network's. ``perfect`` gives every cluster to the
particle that most of its hits are of: what is lost here was lost before, in clusters of mixed hits.

N clusters.
"""

from __future__ import annotations

import torch

from hitloom.data.shower_truth import Denominator, similarity_target
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping.similarity import Mode, group_similarity
from hitloom.result import Result


def target_result(
    event: Event,
    *,
    mode: Mode = "accessory",
    threshold: float = 0.6,
    second_threshold: float = 0.5,
    accessory_max_hits: int = 2,
    denominator: Denominator = "all",
) -> Result:
    """Return the groups that the true similarity of the clusters gives.

    Settings are those of :func:`hitloom.grouping.similarity.group_similarity`.

    Raises
    ------
    DataError
        When the event has no truth.
    """
    similarity = similarity_target(event, denominator)
    num_hits = event.columns(["num_hits"])[:, 0].to(torch.int64)
    labels = group_similarity(
        similarity,
        num_hits,
        mode=mode,
        threshold=threshold,
        second_threshold=second_threshold,
        accessory_max_hits=accessory_max_hits,
    )
    return Result(event_id=int(event.event_id), point_id=event.point_id, labels=labels)


def perfect_result(event: Event) -> Result:
    """Return the groups of clusters whose hits are mostly of one particle; clusters without truth stay alone.

    Raises
    ------
    DataError
        When the event does not name the particle of each cluster.
    """
    if "object_index" not in event:
        raise DataError(
            f"{event.describe()}: field 'object_index' is needed for perfect groups and not in the event; "
            "mend: read a file with truth"
        )
    owner = event.object_index
    alone = torch.arange(len(owner)) + event.num_objects
    labels = torch.unique(torch.where(owner >= 0, owner, alone), return_inverse=True)[1]
    return Result(event_id=int(event.event_id), point_id=event.point_id, labels=labels)
