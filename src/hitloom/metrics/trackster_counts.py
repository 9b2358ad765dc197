"""What each object and each trackster of an event counts for in the official rates: data and definitions.

Objects are the particles of the truth (SimClusters or CaloParticles, as the event says). A trackster belongs to the
class and the species of the object with which it shares most energy; one that shares none is in ``all`` only. Any
object, selected or not, keeps a trackster from being fake.

Shape letters: N tracksters, V memberships, K objects, P overlapping pairs. Energies and pt in GeV, phi in rad.
Source: the validation code of CMS TICL; ``split`` is hitloom's own, as ``duplicate`` does not see a particle in halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.associations import Associations, Variant, event_associations, memberships_of, sums_by
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

EFFICIENT_SHARE, SPLIT_SHARE = 0.5, 0.1
PURE_SCORE, FAKE_SCORE = 0.2, 0.6

_OBJECTS = "selected objects"
COUNT_DEFINITIONS: dict[str, str] = {
    "num_objects": "selected objects that left energy in layer clusters",
    "num_efficient": f"{_OBJECTS} of which one trackster holds >= {EFFICIENT_SHARE} of the energy",
    "num_pure": f"{_OBJECTS} with a trackster at simToReco < {PURE_SCORE}",
    "num_duplicate": f"{_OBJECTS} with more than one trackster at simToReco < {PURE_SCORE}",
    "num_split": f"{_OBJECTS} with more than one trackster that holds >= {SPLIT_SHARE} of the energy",
    "num_tracksters": "tracksters",
    "num_fake": f"tracksters without an object at recoToSim < {FAKE_SCORE}",
    "num_merged": f"tracksters with more than one object at recoToSim < {FAKE_SCORE}",
}
TRACKSTER_RATES: dict[str, tuple[str, str]] = {
    "efficiency": ("num_efficient", "num_objects"),
    "purity": ("num_pure", "num_objects"),
    "duplicate": ("num_duplicate", "num_objects"),
    "split": ("num_split", "num_objects"),
    "fake": ("num_fake", "num_tracksters"),
    "merge": ("num_merged", "num_tracksters"),
}
"""Numerator and denominator of each rate, as names of :data:`COUNT_DEFINITIONS`."""
RATE_DEFINITIONS: dict[str, str] = {
    name: f"{COUNT_DEFINITIONS[top]} / {COUNT_DEFINITIONS[bottom]}" for name, (top, bottom) in TRACKSTER_RATES.items()
}
CLASSES: tuple[str, ...] = ("all", "signal", "pileup")
SPECIES: tuple[str, ...] = (
    "photon",
    "electron",
    "muon",
    "neutral_pion",
    "charged_hadron",
    "neutral_hadron",
    "unknown",
)
"""Kinds of objects by their PDG code; "unknown" is code 0, as of a sum of different particles."""


@dataclass(frozen=True, kw_only=True)
class ObjectSelection:
    """Which objects count: generated pt in GeV within both ends, |eta| below the limit.

    Objects that left no energy in layer clusters never count: nothing could find them.
    """

    min_pt: float = 0.5
    max_pt: float = 300.0
    max_abs_eta: float = 3.1

    def describe(self) -> str:
        """Return the selection in words."""
        return f"{self.min_pt:g} <= pt <= {self.max_pt:g} GeV, |eta| < {self.max_abs_eta:g}"


@dataclass(frozen=True, kw_only=True, eq=False)
class TracksterRows:
    """What each object and each trackster of one event counts for.

    Attributes
    ----------
    counts : dict of (K,) or (N,) bool
        By the names of :data:`COUNT_DEFINITIONS`.
    object_signal : (K,) bool
    object_species : (K,) int64
        Row of :data:`SPECIES`.
    trackster_owner : (N,) int64
        Row of the object with which the trackster shares most energy, -1 = none.
    objects, tracksters : dict of (K,) and (N,) float
        ``energy``, ``eta``, ``phi`` and ``pt``: generated values of objects, own values of tracksters.
    """

    counts: dict[str, BoolArray]
    object_signal: BoolArray
    object_species: IntArray
    trackster_owner: IntArray
    objects: dict[str, FloatArray]
    tracksters: dict[str, FloatArray]

    def of_class(self, name: str, kind: str) -> BoolArray:
        """Return the rows of a count that belong to a class of :data:`CLASSES`."""
        return self.counts[name] if kind == "all" else self._of(name, self.object_signal == (kind == "signal"))

    def of_species(self, name: str, kind: str) -> BoolArray:
        """Return the rows of a count that belong to a species of :data:`SPECIES`."""
        return self._of(name, self.object_species == SPECIES.index(kind))

    def _of(self, name: str, wanted: BoolArray) -> BoolArray:
        """Return the rows of a count that are wanted objects (K,), or tracksters of one."""
        if not counts_objects(name):
            wanted = np.append(wanted, False)[self.trackster_owner]  # row -1 reads the added entry
        return self.counts[name] & wanted


def counts_objects(name: str) -> bool:
    """Return whether a count runs over objects, not tracksters."""
    return name not in ("num_tracksters", "num_fake", "num_merged")


def trackster_rows(
    event: Any,
    *,
    labels: ArrayLike | None = None,
    selection: ObjectSelection | None = None,
    variant: Variant = "two_sided",
) -> TracksterRows:
    """Count one event.

    Parameters
    ----------
    event : Event
        With layer clusters, their shares and objects.
    labels : (N,) int or None
        Result of a linking, before whose rates the tracksters are merged; None = tracksters as they are.
    selection : ObjectSelection or None
        None = the default one.
    variant : {"two_sided", "one_sided"}
        Of the scores.

    Raises
    ------
    DataError
        When the event lacks layer clusters, their shares, or pt and eta of its objects.
    """
    found = event_associations(event, labels=labels, variant=variant)
    objects = {name: _column(event, f"object_{name}") for name in ("energy", "eta", "phi", "pt")}
    cut = selection or ObjectSelection()
    selected = (objects["pt"] >= cut.min_pt) & (objects["pt"] <= cut.max_pt)
    selected &= (np.abs(objects["eta"]) < cut.max_abs_eta) & (found.object_energy > 0)
    signal = np.ones(found.num_objects, dtype=np.bool_)
    if "object_is_signal" in event:
        signal = event.object_is_signal.numpy()
    real = np.ones(found.num_tracksters, dtype=np.bool_)
    if labels is not None:
        held = np.asarray(labels)
        real = np.bincount(held[held >= 0], minlength=found.num_tracksters) > 0
    return TracksterRows(
        counts=_counts(found, selected, real),
        object_signal=signal,
        object_species=_species(event, found.num_objects),
        trackster_owner=_owner(found),
        objects=objects,
        tracksters=_kinematics(event, labels),
    )


def _counts(found: Associations, selected: BoolArray, real: BoolArray) -> dict[str, BoolArray]:
    track, thing = found.pair_index

    def per_object(good: BoolArray) -> IntArray:
        return np.bincount(thing[good], minlength=found.num_objects)

    share = found.shared_fraction()
    pure = per_object(found.sim_to_reco < PURE_SCORE)
    near = np.bincount(track[found.reco_to_sim < FAKE_SCORE], minlength=found.num_tracksters)
    return {
        "num_objects": selected,
        "num_efficient": selected & (per_object(share >= EFFICIENT_SHARE) > 0),
        "num_pure": selected & (pure > 0),
        "num_duplicate": selected & (pure > 1),
        "num_split": selected & (per_object(share >= SPLIT_SHARE) > 1),
        "num_tracksters": real,
        "num_fake": real & (near == 0),
        "num_merged": real & (near > 1),
    }


def _owner(found: Associations) -> IntArray:
    """Return (N,): the object that shares most energy with each trackster, the lower row on ties, -1 without any."""
    track, thing = found.pair_index
    some = found.shared_energy > 0
    track, thing, energy = track[some], thing[some], found.shared_energy[some]
    order = np.lexsort((-thing, energy, track))  # the last of each trackster stays
    result = np.full(found.num_tracksters, -1, np.int64)
    result[track[order]] = thing[order]
    return result


def _species(event: Any, num_objects: int) -> IntArray:
    """Return (K,): row of :data:`SPECIES` by PDG code; hadrons by their charge."""
    if "object_pdg" not in event:
        return np.full(num_objects, SPECIES.index("unknown"), np.int64)
    code = np.abs(event.object_pdg.numpy())
    charged = event.object_charge.numpy() != 0 if "object_charge" in event else np.zeros(num_objects, dtype=np.bool_)
    conditions = [code == 0, code == 22, code == 11, code == 13, code == 111, charged]
    names = ("unknown", "photon", "electron", "muon", "neutral_pion", "charged_hadron")
    rows = [SPECIES.index(name) for name in names]
    return np.select(conditions, rows, default=SPECIES.index("neutral_hadron")).astype(np.int64)


def _kinematics(event: Any, labels: ArrayLike | None) -> dict[str, FloatArray]:
    """Return energy, eta, phi and pt of the tracksters, merged by labels, from their layer clusters."""
    (part, owner), fraction, number = memberships_of(event, labels)
    energy = fraction * event.part_energy.numpy().astype(np.float64)[part]
    point = event.part_pos.numpy().astype(np.float64)[part]
    x, y, z = (sums_by(owner, energy * point[:, k], number) for k in range(3))
    whole, radius = sums_by(owner, energy, number), np.hypot(x, y)
    length = np.sqrt(radius**2 + z**2)
    return {
        "energy": whole,
        "eta": np.arcsinh(np.divide(z, radius, out=np.full(number, np.nan), where=radius > 0)),
        "phi": np.arctan2(y, x),
        "pt": np.divide(whole * radius, length, out=np.zeros(number), where=length > 0),
    }


def _column(event: Any, name: str) -> FloatArray:
    if name not in event:
        raise DataError(f"{event.describe()}: field '{name}' is needed for the official rates and not in the event")
    return event[name].numpy().astype(np.float64)
