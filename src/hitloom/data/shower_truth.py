"""Truth of 2D clusters: which particles their hits are of, and the similarity that a network learns.

With n_i(k) hits of cluster i from particle k, the share is p_i(k) = n_i(k) / n_i and the similarity of two clusters
S_ij = sum over k of p_i(k) p_j(k), so that S = P P^T lies in [0, 1]; the diagonal says how pure a cluster is. The
denominator n_i counts all hits (``all``, as first published), or only those whose particle is known (``matched``).

Files in list form hold S itself and no truth behind it. Then ``edge_index`` and ``edge_y`` hold S of the pairs i < j
where it is not 0, and ``point_y`` its diagonal.

N clusters, M hits, K particles, A shares, B views of a batch.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from hitloom.errors import DataError, nearest
from hitloom.event import Event

Denominator = Literal["all", "matched"]
DENOMINATORS: tuple[Denominator, ...] = ("all", "matched")


def cluster_shares(event: Event, denominator: Denominator = "all") -> Tensor:
    """Return the share of each cluster that is of each particle: (N, K) float32.

    In a batch the particles of all views stand one after the other, so no cluster shares a particle with another view.

    Raises
    ------
    DataError
        When the event has no truth, or the denominator is unknown.
    """
    _check(event, denominator)
    cluster, owner = event.share_index
    if "ptr" in event:
        owner = owner + object_starts(event)[event.batch[cluster]]
    return _dense(event.num_points, event.num_objects, cluster, owner, event.share_fraction, denominator)


def similarity_target(event: Event, denominator: Denominator = "all") -> Tensor:
    """Return the true similarity of all pairs of clusters: (N, N) float32; of a batch (sum of N_i^2,), view by view.

    Raises
    ------
    DataError
        When the event has neither truth nor a similarity of its own, or that one has another denominator.
    """
    if "share_index" not in event and has_stored_similarity(event):
        return _stored(event, denominator)
    _check(event, denominator)
    if "ptr" not in event:
        shares = cluster_shares(event, denominator)
        return shares @ shares.T
    cluster, owner = event.share_index
    bounds = event.ptr.tolist()
    view = event.batch[cluster]
    ends = torch.bincount(view, minlength=len(bounds) - 1).cumsum(0).tolist()
    if not bool((view.diff() >= 0).all()):  # shares are kept by cluster; mended where they are not
        order = torch.argsort(view, stable=True)
        cluster, owner, fraction = cluster[order], owner[order], event.share_fraction[order]
    else:
        fraction = event.share_fraction
    sizes = event.ptr.diff().tolist()
    flat = fraction.new_empty(sum(size * size for size in sizes))
    low, place = 0, 0
    for first, size, high in zip(bounds, sizes, ends, strict=False):
        mine = owner[low:high]
        num_objects = int(mine.max()) + 1 if high > low else 0
        shares = _dense(size, num_objects, cluster[low:high] - first, mine, fraction[low:high], denominator)
        torch.mm(shares, shares.T, out=flat[place : place + size * size].view(size, size))
        low, place = high, place + size * size
    return flat


def has_stored_similarity(event: Event) -> bool:
    """Return whether the event holds the similarity itself (see the module)."""
    return "point_y" in event and "edge_y" in event and "edge_index" in event


def store_similarity(event: Event, similarity: Tensor) -> None:
    """Put a symmetric similarity (N, N) into the event itself, exactly."""
    low, high = torch.triu(similarity, diagonal=1).nonzero(as_tuple=True)
    event.edge_index = torch.stack([low, high])
    event.edge_y = similarity[low, high]
    event.point_y = similarity.diagonal().clone()


def hit_owners(event: Event) -> Tensor:
    """Return (M,) int64 row of the particle of each hit, -1 = none; in a batch among the particles of all views.

    Raises
    ------
    DataError
        When the event does not know the particles of its hits.
    """
    if "part_share_index" not in event:
        raise DataError(f"{named(event)}: particles of the hits are wanted, but the data has no truth of hits")
    hit, owner = event.part_share_index
    if "ptr" in event:
        owner = owner + object_starts(event)[event.batch[event.part_point_index[hit]]]
    return torch.full_like(event.part_point_index, -1).index_put((hit,), owner)


def object_starts(event: Event) -> Tensor:
    """Return (B,) int64: row of the first particle of each view of a batch among those of all; (1,) for one view."""
    slices = getattr(event, "_slice_dict", {}).get("object_id") if "ptr" in event else None
    if slices is None:
        return event.part_point_index.new_zeros(event.ptr.shape[0] - 1 if "ptr" in event else 1)
    return torch.as_tensor(slices, device=event.part_point_index.device)[:-1]


def named(event: Event) -> str:
    """Return a name of a view or of a batch of them for messages."""
    return event.describe() if isinstance(event.get("source"), str) else "batch of views"


def _check(event: Event, denominator: str) -> None:
    if denominator not in DENOMINATORS:
        raise DataError(f"unknown denominator '{denominator}'.{nearest(denominator, DENOMINATORS)}")
    if "share_index" not in event:
        raise DataError(f"{named(event)}: the true similarity is wanted, but the data has no truth")


def _dense(
    num_clusters: int, num_objects: int, cluster: Tensor, owner: Tensor, fraction: Tensor, denominator: str
) -> Tensor:
    """Return (N, K) shares; clusters without truth have rows of 0."""
    shares = fraction.new_zeros(num_clusters, num_objects).index_put((cluster, owner), fraction)
    if denominator == "matched":
        whole = shares.sum(1, keepdim=True)
        shares = shares / torch.where(whole > 0, whole, 1.0)
    return shares


def _stored(event: Event, denominator: str) -> Tensor:
    """Return the similarity that the event holds."""
    texts = event.get("provenance")
    for text in [texts] if isinstance(texts, str) else texts or []:
        known = Event(provenance=text).provenance_dict().get("denominator")
        if known not in (None, denominator):
            raise DataError(
                f"{named(event)}: the similarity in the data counts {known} hits, but '{denominator}' was asked for; "
                "mend: loss.denominator"
            )
    sizes = event.ptr.diff() if "ptr" in event else torch.tensor([event.num_points], device=event.pos.device)
    starts = torch.cat([sizes.new_zeros(1), (sizes * sizes).cumsum(0)])
    view = event.batch if "ptr" in event else torch.zeros_like(event.part_point_index).new_zeros(event.num_points)
    first = event.ptr if "ptr" in event else sizes.new_zeros(1)
    low, high = event.edge_index
    flat = event.point_y.new_zeros(int(starts[-1]))
    rows = torch.arange(event.num_points, device=flat.device)
    for one, other, value in ((low, high, event.edge_y), (high, low, event.edge_y), (rows, rows, event.point_y)):
        mine = view[one]
        flat[starts[mine] + (one - first[mine]) * sizes[mine] + other - first[mine]] = value
    return flat if "ptr" in event else flat.reshape(event.num_points, event.num_points)
