"""Official scores between tracksters and true objects: how much energy they share, and how unlike they are.

With E_c the energy of layer cluster c, f its share in trackster t and g its share in object s (0 where absent):

- recoToSim(t, s) = sum over c in t of min(f^2, (f - g)^2) E_c^2 / sum over c in t of f^2 E_c^2,
- simToReco(s, t): the same with f and g swapped, sums over c in s,
- shared energy = sum of min(f, g) E_c.

0 = the same, 1 = nothing in common. The variant ``one_sided`` puts max(0, f - g)^2 in place of the minimum: a layer
cluster of which the other side holds more costs nothing. A trackster or object without energy scores 1 with everything.
Source: the association and validation code of CMS TICL (``RecoHGCal/TICL``), as written down in ``docs/tracksters.md``.

Shape letters: M layer clusters, N tracksters, V memberships, K objects, S shares, P overlapping pairs. Energies in GeV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import ConfigError, DataError
from hitloom.metrics.truth import FloatArray, IntArray, as_integers

Variant = Literal["two_sided", "one_sided"]
VARIANTS: tuple[Variant, ...] = ("two_sided", "one_sided")


@dataclass(frozen=True, kw_only=True, eq=False)
class Associations:
    """Every pair of a trackster and an object that share a layer cluster; all others score 1 and share nothing.

    Attributes
    ----------
    pair_index : (2, P) int64
        Row of the trackster above row of the object; sorted by trackster, then object.
    reco_to_sim, sim_to_reco : (P,) float64
        Scores, 0 to 1.
    shared_energy : (P,) float64
    trackster_energy : (N,) float64
        Sum of f E_c.
    object_energy : (K,) float64
        Sum of g E_c.
    """

    pair_index: IntArray
    reco_to_sim: FloatArray
    sim_to_reco: FloatArray
    shared_energy: FloatArray
    trackster_energy: FloatArray
    object_energy: FloatArray

    @property
    def num_tracksters(self) -> int:
        return len(self.trackster_energy)

    @property
    def num_objects(self) -> int:
        return len(self.object_energy)

    def shared_fraction(self) -> FloatArray:
        """Return (P,): shared energy over the object's energy; 0 where the object has none."""
        whole = self.object_energy[self.pair_index[1]]
        return np.divide(self.shared_energy, whole, out=np.zeros(len(whole)), where=whole > 0)


def associate(
    *,
    member_index: ArrayLike,
    member_fraction: ArrayLike,
    share_index: ArrayLike,
    share_fraction: ArrayLike,
    cluster_energy: ArrayLike,
    num_tracksters: int,
    num_objects: int,
    variant: Variant = "two_sided",
) -> Associations:
    """Score every overlapping pair of a trackster and an object; time and memory grow with the overlaps.

    Parameters
    ----------
    member_index, member_fraction : (2, V) int and (V,) float
        Row of the layer cluster above row of the trackster that holds it, and its share f. Each pair once.
    share_index, share_fraction : (2, S) int and (S,) float
        Row of the layer cluster above row of the object that made it, and its share g. Each pair once.
    cluster_energy : (M,) float
    num_tracksters, num_objects : int
    variant : {"two_sided", "one_sided"}

    Raises
    ------
    ConfigError
        When the variant is unknown.
    DataError
        When a row is outside its table.

    Examples
    --------
    >>> found = associate(
    ...     member_index=[[0, 1], [0, 0]], member_fraction=[1.0, 1.0], share_index=[[0], [0]], share_fraction=[1.0],
    ...     cluster_energy=[3.0, 4.0], num_tracksters=1, num_objects=1,
    ... )
    >>> found.reco_to_sim.tolist(), found.sim_to_reco.tolist(), found.shared_energy.tolist()
    ([0.64], [0.0], [3.0])
    """
    if variant not in VARIANTS:
        raise ConfigError(f"score variant '{variant}' is unknown; wanted one of {', '.join(VARIANTS)}")
    energy = np.asarray(cluster_energy, dtype=np.float64)
    member, f = _table(member_index, member_fraction, "member_index", len(energy), num_tracksters)
    share, g = _table(share_index, share_fraction, "share_index", len(energy), num_objects)
    held, made = f * energy[member[0]], g * energy[share[0]]
    trackster_square = sums_by(member[1], held**2, num_tracksters)
    object_square = sums_by(share[1], made**2, num_objects)

    row_f, row_g = _overlaps(member[0], share[0], len(energy))
    pair, place = np.unique(member[1][row_f] * max(num_objects, 1) + share[1][row_g], return_inverse=True)
    track, thing = np.divmod(pair, max(num_objects, 1))
    both_f, both_g, square = f[row_f], g[row_g], energy[member[0][row_f]] ** 2

    def score(own: FloatArray, other: FloatArray, whole: FloatArray) -> FloatArray:
        # A cluster that the other side lacks costs its own square: only the overlap is summed pair by pair.
        distance = (own - other) ** 2
        if variant == "one_sided":
            distance = np.where(own > other, distance, 0.0)
        saved = sums_by(place, np.maximum(own**2 - distance, 0.0) * square, len(pair))
        left = 1.0 - np.divide(saved, whole, out=np.zeros(len(pair)), where=whole > 0)
        return np.clip(left, 0.0, 1.0)

    return Associations(
        pair_index=np.stack([track, thing]),
        reco_to_sim=score(both_f, both_g, trackster_square[track]),
        sim_to_reco=score(both_g, both_f, object_square[thing]),
        shared_energy=sums_by(place, np.minimum(both_f, both_g) * energy[member[0][row_f]], len(pair)),
        trackster_energy=sums_by(member[1], held, num_tracksters),
        object_energy=sums_by(share[1], made, num_objects),
    )


def event_associations(event: Any, *, labels: ArrayLike | None = None, variant: Variant = "two_sided") -> Associations:
    """Return the scores of every overlapping pair of a trackster and an object of an event.

    Parameters
    ----------
    event : Event
        With ``member_*``, ``part_energy``, ``part_share_*`` and ``object_id``.
    labels : (N,) int or None
        Tracksters with one label are merged first, so that rows are labels; None = tracksters as they are.
    variant : {"two_sided", "one_sided"}

    Raises
    ------
    DataError
        When the event lacks layer clusters or their shares (files of layout A have none).
    """
    for name in ("member_index", "part_share_index", "part_energy", "object_id"):
        if name not in event:
            raise DataError(
                f"{event.describe()}: field '{name}' is needed for the official scores and not in the event; "
                "mend: read a file that holds layer clusters and their true shares"
            )
    index, fraction, number = memberships_of(event, labels)
    return associate(
        member_index=index,
        member_fraction=fraction,
        share_index=event.part_share_index.numpy(),
        share_fraction=event.part_share_fraction.numpy(),
        cluster_energy=event.part_energy.numpy(),
        num_tracksters=number,
        num_objects=int(event.num_objects),
        variant=variant,
    )


def memberships_of(event: Any, labels: ArrayLike | None = None) -> tuple[IntArray, FloatArray, int]:
    """Return memberships (2, V), shares (V,) and number of an event's tracksters, merged by labels (N,) if given.

    Raises
    ------
    DataError
        When there is not one label for each trackster.
    """
    index, fraction = event.member_index.numpy(), event.member_fraction.numpy().astype(np.float64)
    number = int(event.num_points)
    if labels is None:
        return index, fraction, number
    found = as_integers(labels, "labels")
    if found.shape != (number,):
        raise DataError(f"{event.describe()}: labels of shape {found.shape} came, wanted one for each of {number}")
    return *merge_memberships(index, fraction, found), int(found.max(initial=-1)) + 1


def merge_memberships(
    member_index: ArrayLike, member_fraction: ArrayLike, labels: ArrayLike
) -> tuple[IntArray, FloatArray]:
    """Return memberships (2, V') and shares (V',) after tracksters with the same label become one.

    The share of a layer cluster in the union is the sum of its shares in the parts, at most 1. Tracksters with label -1
    are left out.

    Parameters
    ----------
    member_index, member_fraction : (2, V) int and (V,) float
        Row of the layer cluster above row of the trackster; share.
    labels : (N,) int

    Examples
    --------
    >>> index, fraction = merge_memberships([[0, 0, 1], [0, 1, 1]], [0.5, 0.5, 1.0], [0, 0])
    >>> index.tolist(), fraction.tolist()
    ([[0, 1], [0, 0]], [1.0, 1.0])
    """
    member = as_integers(member_index, "member_index").reshape(2, -1)
    label = as_integers(labels, "labels")[member[1]]
    kept = label >= 0
    width = int(label.max(initial=0)) + 1
    key, place = np.unique(member[0][kept] * width + label[kept], return_inverse=True)
    fraction = sums_by(place, np.asarray(member_fraction, dtype=np.float64)[kept], len(key))
    return np.stack(np.divmod(key, width)), np.minimum(fraction, 1.0)


def sums_by(index: IntArray, values: FloatArray, number: int) -> FloatArray:
    """Return (number,): the sum of ``values`` (R,) for each ``index`` (R,); 0 where there are none."""
    return np.bincount(index, values, minlength=number).astype(np.float64, copy=False)


def _table(
    index: ArrayLike, fraction: ArrayLike, name: str, num_clusters: int, num_columns: int
) -> tuple[IntArray, FloatArray]:
    rows = as_integers(index, name).reshape(2, -1)
    values = np.asarray(fraction, dtype=np.float64)
    if values.shape != (rows.shape[1],):
        raise DataError(f"{name}: {rows.shape[1]} pairs but fractions of shape {values.shape}; wanted one for each")
    for row, high in zip(rows, (num_clusters, num_columns), strict=True):
        if row.size and not 0 <= row.min() <= row.max() < high:
            raise DataError(f"{name}: {int(row.min() if row.min() < 0 else row.max())} is no row from 0 to {high - 1}")
    return rows, values


def _overlaps(left: IntArray, right: IntArray, num_clusters: int) -> tuple[IntArray, IntArray]:
    """Return every pair of rows (of ``left``, of ``right``) that name the same layer cluster."""
    order = np.argsort(right, kind="stable")
    count = np.bincount(right, minlength=num_clusters)
    start = np.cumsum(count) - count
    repeat = count[left]
    row = np.repeat(np.arange(len(left)), repeat)
    within = np.arange(len(row)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    return row, order[start[left[row]] + within]
