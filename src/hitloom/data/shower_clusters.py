"""Points of a wire view from its hits: position, energy, number of hits, shares and owner of each 2D cluster.

Whatever makes clusters (a reader, the simulation, a merge) calls these, so there is one definition of each number.
Everything works on one view and on the hits of many views at once.

N clusters, M hits, K particles, A shares.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cluster_sums(part_pos: Tensor, part_energy: Tensor, cluster: Tensor, num_clusters: int) -> tuple[Tensor, Tensor]:
    """Return the position (N, 3) mm and the energy (N,) GeV of each cluster, float32.

    The position is the mean of the hits weighted by their energy, or the plain mean where no hit has energy.

    Parameters
    ----------
    part_pos, part_energy : (M, 3) and (M,)
    cluster : (M,) int64
        Cluster of each hit.
    """
    energy = part_energy.double()
    whole = energy.new_zeros(num_clusters).index_add_(0, cluster, energy)
    weight = torch.where(whole[cluster] > 0, energy, 1.0)
    weights = energy.new_zeros(num_clusters).index_add_(0, cluster, weight)
    sums = energy.new_zeros(num_clusters, 3).index_add_(0, cluster, weight[:, None] * part_pos)
    return (sums / weights.clamp(min=1e-300)[:, None]).float(), whole.float()


def cluster_shares_of_counts(
    cluster: Tensor, owner: Tensor, count: Tensor, num_hits: Tensor, num_objects: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``share_index`` (2, A), ``share_fraction`` (A,) and ``object_index`` (N,) from counts of hits.

    Parameters
    ----------
    cluster, owner : (C,) int64
        Cluster and row of the particle; pairs may come several times, their counts are summed.
    count : (C,) int64
        Hits of the pair.
    num_hits : (N,)
        All hits of each cluster, those without truth too.
    num_objects : int
        K, above every ``owner``.
    """
    num_clusters, width = len(num_hits), max(num_objects, 1)
    pair, place = torch.unique(cluster * width + owner, return_inverse=True)
    counts = count.new_zeros(len(pair)).index_add_(0, place, count)
    of, particle = pair // width, pair % width
    most = counts.new_zeros(num_clusters).scatter_reduce_(0, of, counts, "amax")
    first = torch.where(counts == most[of], particle, width)
    chosen = torch.full_like(most, width).scatter_reduce_(0, of, first, "amin")
    fraction = (counts.double() / num_hits[of].double()).float()
    return torch.stack([of, particle]), fraction, torch.where(chosen == width, -1, chosen)
