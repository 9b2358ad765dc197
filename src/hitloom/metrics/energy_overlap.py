"""How much energy a linking leaves out and how much it adds: missing (dU) and foreign (dO) energy of true groups.

For each true group T, P* is the predicted group with the largest shared energy (the lower label on ties):

- missing energy dU = E(T) - E(T and P*): what under-merging leaves outside,
- foreign energy dO = E(P*) - E(T and P*): what over-merging brings in.

True groups come in three kinds: components of candidate edges with a target above 0 (:func:`true_components`), where
what the candidate graph lost is invisible; tracksters of one match (:func:`match_groups`); and the objects themselves
with their soft shares (:func:`object_overlap`). A group is signal, pile-up or unmatched: an unmatched trackster is a
group alone. Source: the global metrics of the trackster-linking reference, as written down in ``docs/tracksters.md``.

Shape letters: N tracksters, T true groups, C candidates (predicted groups), E edges, K objects, A shares, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from hitloom.errors import DataError
from hitloom.metrics.associations import sums_by
from hitloom.metrics.truth import FloatArray, IntArray, as_integers

UNMATCHED, SIGNAL, PILEUP = -1, 1, 0
"""Classes of a trackster, a group or an object."""
GROUP_CLASSES: dict[str, int | None] = {"all": None, "signal": SIGNAL, "pileup": PILEUP, "unmatched": UNMATCHED}
OVERLAP_DEFINITIONS: dict[str, str] = {
    "num_groups": "true groups",
    "energy": "energy of the true groups, GeV",
    "missing": "dU: sum over true groups of E(T) - E(T and P*), GeV",
    "foreign": "dO: sum over true groups of E(P*) - E(T and P*), GeV",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class EnergyOverlap:
    """True groups of one event and what the linking made of each.

    Attributes
    ----------
    energy, missing, foreign : (T,) float64, GeV
    best : (T,) int64
        Label of P*; -1 where no candidate shares anything.
    kind : (T,) int64
        1 signal, 0 pile-up, -1 unmatched.
    """

    energy: FloatArray
    missing: FloatArray
    foreign: FloatArray
    best: IntArray
    kind: IntArray

    def sums(self) -> dict[str, dict[str, float]]:
        """Return class -> name of :data:`OVERLAP_DEFINITIONS` -> sum; these add up over events."""
        result: dict[str, dict[str, float]] = {}
        for name, number in GROUP_CLASSES.items():
            rows = np.ones(len(self.kind), dtype=np.bool_) if number is None else self.kind == number
            result[name] = {
                "num_groups": int(rows.sum()),
                "energy": float(self.energy[rows].sum()),
                "missing": float(self.missing[rows].sum()),
                "foreign": float(self.foreign[rows].sum()),
            }
        return result


def true_components(edge_index: ArrayLike, target: ArrayLike, num_tracksters: int) -> IntArray:
    """Return labels (N,) of the connected components of the edges (2, E) with a target (E,) above 0."""
    edges = as_integers(edge_index, "edge_index").reshape(2, -1)
    return _components(edges[:, np.asarray(target) > 0], num_tracksters)


def match_groups(object_index: ArrayLike) -> IntArray:
    """Return labels (N,): tracksters with one match share a label, unmatched ones stand alone.

    Examples
    --------
    >>> match_groups([4, -1, 4, -1]).tolist()
    [0, 1, 0, 2]
    """
    index = as_integers(object_index, "object_index").copy()
    alone = index < 0
    index[alone] = index.max(initial=-1) + 1 + np.arange(alone.sum())
    return np.unique(index, return_inverse=True)[1].astype(np.int64)


def trackster_kind(object_index: ArrayLike, object_is_signal: ArrayLike | None) -> IntArray:
    """Return (N,): 1 matched to signal, 0 to pile-up, -1 unmatched. Without ``object_is_signal`` all matches are 1."""
    index = as_integers(object_index, "object_index")
    if object_is_signal is None:
        return np.where(index >= 0, SIGNAL, UNMATCHED).astype(np.int64)
    known = np.append(np.asarray(object_is_signal).astype(np.int64), UNMATCHED)
    return known[index]  # row -1 reads the added entry


def energy_overlap(
    *, energy: ArrayLike, true_labels: ArrayLike, labels: ArrayLike, kind: ArrayLike | None = None
) -> EnergyOverlap:
    """Compare a partition with the true one.

    Parameters
    ----------
    energy : (N,) float
        Raw energies.
    true_labels, labels : (N,) int
        True and predicted groups; a trackster with label -1 is a candidate alone.
    kind : (N,) int or None
        Class of each trackster (:func:`trackster_kind`); a group has the class that holds most of its energy.

    Raises
    ------
    DataError
        When the lengths differ.

    Examples
    --------
    >>> found = energy_overlap(energy=[3.0, 1.0, 2.0], true_labels=[0, 0, 1], labels=[0, 1, 1])
    >>> found.missing.tolist(), found.foreign.tolist()
    ([1.0, 0.0], [0.0, 1.0])
    """
    weight = np.asarray(energy, dtype=np.float64)
    true, number = _numbered(true_labels)
    found, _ = _numbered(labels)
    names = _alone(labels)
    kinds = np.full(len(weight), UNMATCHED) if kind is None else as_integers(kind, "kind")
    if not len(weight) == len(true) == len(found) == len(kinds):
        raise DataError(
            f"energy overlap: {len(weight)} energies, {len(true)} true and {len(found)} predicted labels; "
            "wanted one of each for every trackster"
        )
    whole = sums_by(found, weight, 0)
    key, place = np.unique(true * max(len(whole), 1) + found, return_inverse=True)
    shared = sums_by(place, weight, len(key))
    group, candidate = np.divmod(key, max(len(whole), 1))
    best, cap = _largest(group, candidate, shared, number)
    group_energy = sums_by(true, weight, number)
    label_of = np.zeros(len(whole), np.int64)
    label_of[found] = names
    return EnergyOverlap(
        energy=group_energy,
        missing=np.maximum(group_energy - cap, 0.0),
        foreign=np.maximum(whole[best] - cap, 0.0) if number else np.zeros(0),
        best=label_of[best] if number else np.zeros(0, np.int64),
        kind=_majority(true, kinds, weight, number),
    )


def object_overlap(
    *,
    energy: ArrayLike,
    share_index: ArrayLike,
    share_fraction: ArrayLike,
    labels: ArrayLike,
    num_objects: int,
    object_is_signal: ArrayLike | None = None,
) -> EnergyOverlap:
    """Compare a partition with the objects themselves, by their soft shares of the tracksters.

    E(T) is the energy of an object in all tracksters, E(T and P) its part in candidate P. Objects without energy in
    any trackster are left out.

    Parameters
    ----------
    energy : (N,) float
        Raw energies.
    share_index, share_fraction : (2, A) int and (A,) float
        Row of the trackster above row of the object; shared energy / raw energy.
    labels : (N,) int
    num_objects : int
    object_is_signal : (K,) bool or None
        None = all signal.
    """
    weight = np.asarray(energy, dtype=np.float64)
    found, _ = _numbered(labels)
    names = _alone(labels)
    index = as_integers(share_index, "share_index").reshape(2, -1)
    part = weight[index[0]] * np.asarray(share_fraction, dtype=np.float64)
    whole = sums_by(found, weight, 0)
    key, place = np.unique(index[1] * max(len(whole), 1) + found[index[0]], return_inverse=True)
    shared = sums_by(place, part, len(key))
    thing, candidate = np.divmod(key, max(len(whole), 1))
    best, cap = _largest(thing, candidate, shared, num_objects)
    total = sums_by(index[1], part, num_objects)
    rows = np.flatnonzero(total > 0)
    label_of = np.zeros(len(whole), np.int64)
    label_of[found] = names
    signal = np.ones(num_objects) if object_is_signal is None else np.asarray(object_is_signal)
    return EnergyOverlap(
        energy=total[rows],
        missing=np.maximum(total - cap, 0.0)[rows],
        foreign=np.maximum(whole[best[rows]] - cap[rows], 0.0),
        best=label_of[best[rows]],
        kind=np.where(signal[rows], SIGNAL, PILEUP).astype(np.int64),
    )


def graph_limit(
    *, edge_index: ArrayLike, object_index: ArrayLike, energy: ArrayLike, kind: ArrayLike | None = None
) -> EnergyOverlap:
    """Return what a perfect choice of candidate edges would reach against the matches: foreign is 0 everywhere.

    1 - missing / energy is the candidate graph's own recall: the share of each particle's energy that its largest
    connected part holds.
    """
    index = as_integers(object_index, "object_index")
    edges = as_integers(edge_index, "edge_index").reshape(2, -1)
    same = (index[edges[0]] == index[edges[1]]) & (index[edges[0]] >= 0)
    return energy_overlap(
        energy=energy,
        true_labels=match_groups(index),
        labels=_components(edges[:, same], len(index)),
        kind=kind,
    )


def component_sizes(edge_index: ArrayLike, num_tracksters: int, *, keep: ArrayLike | None = None) -> dict[str, float]:
    """Return number, mean and largest size of the components of a graph, of the edges ``keep`` (E,) bool alone.

    Without the edges between signal and pile-up this says how far the candidate graph holds events together.
    """
    edges = as_integers(edge_index, "edge_index").reshape(2, -1)
    if keep is not None:
        edges = edges[:, np.asarray(keep, dtype=np.bool_)]
    sizes = np.bincount(_components(edges, num_tracksters)) if num_tracksters else np.zeros(0, np.int64)
    return {
        "num_components": len(sizes),
        "mean_size": float(sizes.mean()) if len(sizes) else float("nan"),
        "max_size": int(sizes.max(initial=0)),
    }


def component_means(
    labels: ArrayLike, energy: ArrayLike, features: ArrayLike, *, angles: Sequence[int] = ()
) -> FloatArray:
    """Return (T, F): energy-weighted means of the features (N, F) of each group, by ascending label.

    Columns named in ``angles`` are averaged as directions, so that a group across phi = +-pi keeps its place.
    """
    group, number = _numbered(labels)
    weight = np.asarray(energy, dtype=np.float64)
    whole = sums_by(group, weight, number)
    weight = np.where(whole[group] > 0, weight, 1.0)
    whole = sums_by(group, weight, number)

    def mean(values: FloatArray) -> FloatArray:
        return sums_by(group, weight * values, number) / whole

    table = np.asarray(features, dtype=np.float64)
    columns = [
        np.arctan2(mean(np.sin(column)), mean(np.cos(column))) if k in angles else mean(column)
        for k, column in enumerate(table.T)
    ]
    return np.stack(columns, 1) if columns else np.zeros((number, 0))


class OverlapSums:
    """Adds up :meth:`EnergyOverlap.sums` over events.

    Examples
    --------
    >>> total = OverlapSums()
    >>> total.add(energy_overlap(energy=[3.0, 1.0], true_labels=[0, 0], labels=[0, 1]))
    >>> total.result()["all"]["missing_fraction"]
    0.25
    """

    def __init__(self) -> None:
        self.per_event: list[dict[str, dict[str, float]]] = []

    def add(self, found: EnergyOverlap) -> None:
        """Add an event."""
        self.per_event.append(found.sums())

    def result(self) -> dict[str, dict[str, Any]]:
        """Return class -> sums, and missing, foreign and both over the energy; None where there is no energy."""
        result: dict[str, dict[str, Any]] = {}
        for kind in GROUP_CLASSES:
            sums: dict[str, Any] = {
                name: sum(event[kind][name] for event in self.per_event) for name in OVERLAP_DEFINITIONS
            }
            energy = sums["energy"]
            for name in ("missing", "foreign"):
                sums[f"{name}_fraction"] = sums[name] / energy if energy else None
            sums["lost_fraction"] = (sums["missing"] + sums["foreign"]) / energy if energy else None
            result[kind] = sums
        return result


def _components(edges: IntArray, number: int) -> IntArray:
    if number == 0:
        return np.zeros(0, np.int64)
    ones = np.ones(edges.shape[1], np.int8)
    graph = coo_matrix((ones, (edges[0], edges[1])), shape=(number, number))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _alone(labels: ArrayLike) -> IntArray:
    """Return labels (N,) with a new one for every -1."""
    found = as_integers(labels, "labels").copy()
    none = found < 0
    found[none] = found.max(initial=-1) + 1 + np.arange(none.sum())
    return found


def _numbered(labels: ArrayLike) -> tuple[IntArray, int]:
    names, place = np.unique(_alone(labels), return_inverse=True)
    return place.astype(np.int64), len(names)


def _largest(group: IntArray, candidate: IntArray, shared: FloatArray, number: int) -> tuple[IntArray, FloatArray]:
    """Return the candidate (number,) that shares most with each group, the lower on ties, and how much."""
    best, cap = np.zeros(number, np.int64), np.zeros(number)
    order = np.lexsort((-candidate, shared, group))  # the last of each group stays
    best[group[order]] = candidate[order]
    cap[group[order]] = shared[order]
    return best, cap


def _majority(group: IntArray, kinds: IntArray, weight: FloatArray, number: int) -> IntArray:
    """Return the class (number,) that holds most of each group's energy."""
    order = (UNMATCHED, PILEUP, SIGNAL)  # the later wins a tie, and a group without energy
    sums = np.stack([sums_by(group, weight * (kinds == kind), number) for kind in order])
    held = np.stack([np.bincount(group, kinds == kind, minlength=number) > 0 for kind in order])
    sums = np.where(held, sums, -1.0)
    return np.array(order)[len(order) - 1 - np.argmax(sums[::-1], axis=0)]
