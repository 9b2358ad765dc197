"""Stitching: pairs of segments that are one particle become one track.

Candidates are ends near starts, in any space; a score judges each pair; the best pairs are joined one to one.
N points, S segments, P pairs, D dimensions. Lengths in mm.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numba import njit
from scipy.spatial import KDTree
from torch import Tensor

from hitloom.errors import DataError
from hitloom.grouping._labels import numbered
from hitloom.grouping._outward import ranked
from hitloom.grouping.segments import SegmentEnds, segment_ends
from hitloom.ops.geometry import delta_phi

PairScore = Callable[[SegmentEnds, Tensor], Tensor]
"""Scores (P,) in 0..1 of pairs (2, P) of segments, inner one first."""


def candidate_pairs(
    ends: SegmentEnds,
    *,
    end_features: Tensor,
    start_features: Tensor,
    order: Tensor,
    max_distance: float,
    max_candidates: int = 20,
) -> Tensor:
    """Return pairs (2, P) of segments: the start of the second lies near the end of the first, and further out.

    Parameters
    ----------
    ends : SegmentEnds
    end_features, start_features : (S, D)
        Where each segment ends and where it starts, in one space: positions, embeddings, extrapolated parameters.
    order : (N,)
        Grows outwards: the second segment starts beyond the last point of the first.
    max_distance : float
        In that space.
    max_candidates : int
        The nearest so many starts are looked at for each end.

    Raises
    ------
    DataError
        When features are not one row for each segment, or not finite.
    """
    num = len(ends.size)
    for name, features in (("end_features", end_features), ("start_features", start_features)):
        if features.ndim != 2 or len(features) != num or not bool(features.isfinite().all()):
            raise DataError(f"{name}: came as {tuple(features.shape)}, wanted ({num}, D) finite numbers")
    if num < 2:
        return torch.zeros(2, 0, dtype=torch.int64)
    tree = KDTree(start_features.double().cpu().numpy())
    near = min(num, max_candidates + 1)
    _, found = tree.query(
        end_features.double().cpu().numpy(), k=near, distance_upper_bound=np.nextafter(max_distance, np.inf)
    )
    inner = torch.arange(num)[:, None].expand(num, near).flatten()
    outer = torch.from_numpy(np.asarray(found, dtype=np.int64)).flatten()
    known = outer < num
    inner, outer = inner[known], outer[known]
    place = order.detach().cpu()
    beyond = (place[ends.first[outer]] > place[ends.last[inner]]) & (inner != outer)
    return torch.stack([inner[beyond], outer[beyond]])


def helix_score(pos: Tensor, *, tolerance: float = 0.05) -> PairScore:
    """Return a score for pairs of segments of at least two points: do they lie on one helix?

    Three chords are compared: the last two points of the inner segment, the gap, the first two points of the outer
    one. On a helix along z the directions of successive chords differ, in the transverse plane, in proportion to the
    sum of their lengths, and all chords climb at one polar angle. The score is exp(-d^2 / 2) where d^2 is the sum of
    the squared mismatches of the three angles in units of ``tolerance`` (rad). A straight line is the helix that does
    not bend.

    Parameters
    ----------
    pos : (N, 3)
    """
    place = pos.detach().cpu().double()

    def score(ends: SegmentEnds, pairs: Tensor) -> Tensor:
        inner, outer = pairs
        rows = (ends.before_last[inner], ends.last[inner], ends.first[outer], ends.second[outer])
        points = torch.stack([place[row] for row in rows])  # (4, P, 3)
        chord = points[1:] - points[:-1]
        length = chord[..., :2].norm(dim=-1)
        phi, theta = torch.atan2(chord[..., 1], chord[..., 0]), torch.atan2(length, chord[..., 2])
        turn = delta_phi(phi[1:], phi[:-1])
        both = (length[1:] + length[:-1]).clamp(min=1e-9)
        bend = turn[1] - turn[0] * both[1] / both[0]
        climb = theta[1:] - theta[:-1]
        mismatch = (bend.square() + climb.square().sum(0)) / tolerance**2
        known = (ends.size[inner] > 1) & (ends.size[outer] > 1)
        return torch.where(known, torch.exp(-mismatch / 2), 0.0)

    return score


def stitch(
    labels: Tensor,
    *,
    pos: Tensor,
    order: Tensor,
    tie_key: Tensor | None = None,
    features: tuple[Tensor, Tensor] | None = None,
    score: PairScore | None = None,
    max_distance: float = 300.0,
    max_candidates: int = 20,
    min_score: float = 0.5,
) -> Tensor:
    """Join segments that one particle left.

    Pairs are accepted from the best score down, if it is above ``min_score``; the end and the start of a segment are
    each used once, so chains of segments can form. Equal scores are ordered by the rank of the inner segment's first
    point, then of the outer one's: by ``order``, ``tie_key``, row.

    Parameters
    ----------
    labels : (N,) int64
        Segments from 0 without gaps, -1 = none.
    pos : (N, 3)
        Positions, mm.
    order : (N,)
        Grows outwards: r^2 + z^2.
    tie_key : (N,) or (N, K) or None
        Tells points of equal order apart.
    features : pair of (S, D) or None
        Where segments end and where they start, in the space of ``max_distance``; None = positions of these points.
    score : PairScore or None
        None = :func:`helix_score`.

    Returns
    -------
    (N,) int64
        Labels counted from 0 by the lowest point of each track, -1 = none.

    Raises
    ------
    DataError
        When labels have gaps, features or order do not fit, or a score is no probability.
    """
    ends = segment_ends(labels, order=order, tie_key=tie_key)
    if not len(ends.size):
        return labels.clone()
    place = pos.detach().cpu().double()
    end, start = features if features is not None else (place[ends.last], place[ends.first])
    pairs = candidate_pairs(
        ends,
        end_features=end,
        start_features=start,
        order=order,
        max_distance=max_distance,
        max_candidates=max_candidates,
    )
    value = (score or helix_score(pos))(ends, pairs).detach().cpu().double()
    if value.shape != (pairs.shape[1],) or not bool(((value >= 0) & (value <= 1)).all()):
        raise DataError(f"score of pairs: came as {tuple(value.shape)}, wanted {pairs.shape[1]} probabilities in 0..1")
    kept = value > min_score
    pairs, value = pairs[:, kept], value[kept]
    rank = np.empty(len(labels), np.int64)
    rank[ranked(len(labels), order, tie_key)] = np.arange(len(labels))
    first = torch.from_numpy(rank)[ends.first]
    best = np.lexsort((first[pairs[1]].numpy(), first[pairs[0]].numpy(), -value.numpy()))
    track = torch.from_numpy(_join(pairs[0].numpy()[best], pairs[1].numpy()[best], len(ends.size)))
    joined = torch.where(labels.cpu() >= 0, track[labels.cpu().clamp(min=0)], -1)
    return numbered(joined).to(labels.device)


@njit(cache=True, nogil=True)
def _join(inner, outer, num):  # type: ignore[no-untyped-def]
    """Return the track (S,) of each segment: pairs are accepted in their order while end and start are free."""
    after = np.full(num, -1, np.int64)
    has_before = np.zeros(num, np.bool_)
    for p in range(inner.shape[0]):
        if after[inner[p]] < 0 and not has_before[outer[p]]:
            after[inner[p]] = outer[p]
            has_before[outer[p]] = True
    track = np.full(num, -1, np.int64)
    for s in range(num):
        if not has_before[s]:
            i = s
            while i >= 0:
                track[i] = s
                i = after[i]
    return track
