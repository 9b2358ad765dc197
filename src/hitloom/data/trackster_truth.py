"""Truth of tracksters and edges: the match of each trackster, the target of each edge, signal and pile-up.

A trackster is matched when exactly one object has recoToSim < 0.2 with it; none or several leave it unmatched (-1). An
unmatched trackster is neither signal nor pile-up: a class of its own. An edge of two tracksters with the same match has
the target 1/2 * sum over both ends of (1 - score) * shared energy / raw energy, every other edge 0.

The objects are SimClusters (truth "SC"); :func:`as_calo_particles` sums those of one origin (truth "CP").
Shape letters: N tracksters, E edges, K objects, M layer clusters, S shares, P overlapping pairs.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.metrics.associations import Associations, event_associations

MATCH_SCORE = 0.2
"""Largest recoToSim score of a match, exclusive."""
CROSS, BOTH_SIGNAL, BOTH_PILEUP, UNMATCHED = 0, 1, 2, 3
"""Classes of a pair of tracksters: signal with pile-up, both signal, both pile-up, an end without match."""
PAIR_CLASSES: tuple[str, ...] = ("cross", "signal", "pileup", "unmatched")
"""Names of the classes, in the order of their numbers."""


def match_fields(found: Associations) -> dict[str, Tensor]:
    """Return the fields ``object_index``, ``match_score`` and ``match_energy`` (N,), -1 where there is no match."""
    good = found.reco_to_sim < MATCH_SCORE
    track, thing = found.pair_index[:, good]
    number = np.bincount(track, minlength=found.num_tracksters)
    unique = number[track] == 1
    index = np.full(found.num_tracksters, -1, np.int64)
    score = np.full(found.num_tracksters, -1.0)
    energy = np.full(found.num_tracksters, -1.0)
    index[track[unique]] = thing[unique]
    score[track[unique]] = found.reco_to_sim[good][unique]
    energy[track[unique]] = found.shared_energy[good][unique]
    return {
        "object_index": torch.from_numpy(index),
        "match_score": torch.from_numpy(score).float(),
        "match_energy": torch.from_numpy(energy).float(),
    }


def share_fields(found: Associations) -> dict[str, Tensor]:
    """Return ``share_index`` (2, P) and ``share_fraction`` (P,): shared energy over raw energy of the trackster."""
    whole = found.trackster_energy[found.pair_index[0]]
    fraction = np.divide(found.shared_energy, whole, out=np.zeros(len(whole)), where=whole > 0)
    return {
        "share_index": torch.from_numpy(found.pair_index),
        "share_fraction": torch.from_numpy(fraction).float(),
    }


def pair_class(event: Event) -> Tensor:
    """Return the class of each edge (E,) int64: 0 cross, 1 both signal, 2 both pile-up, 3 an end is unmatched.

    Without ``object_is_signal`` (older files) every match counts as signal.

    Raises
    ------
    DataError
        When the event has no matches or no edges.
    """
    index, edges = _truth_of(event)
    signal = _is_signal(event, index)
    first, second = signal[edges[0]], signal[edges[1]]
    result = torch.where(first, BOTH_SIGNAL, BOTH_PILEUP)
    result = torch.where(first == second, result, CROSS)
    matched = (index[edges] >= 0).all(0)
    return torch.where(matched, result, UNMATCHED)


def edge_targets(event: Event, *, hard: bool = False, only_signal: bool = False) -> Tensor:
    """Return the target of each edge (E,) float32, 0 to 1.

    Parameters
    ----------
    event : Event
        With ``object_index``, ``match_score``, ``match_energy``, ``energy`` and ``edge_index``.
    hard : bool
        Whether every target above 0 becomes 1.
    only_signal : bool
        Whether edges between pile-up tracksters get 0 as well.

    Raises
    ------
    DataError
        When the event has no matches or no edges.
    """
    index, edges = _truth_of(event)
    raw = event.energy.double()
    quality = (1.0 - event.match_score.double()) * event.match_energy.double() / torch.where(raw > 0, raw, 1.0)
    quality = torch.where((raw > 0) & (index >= 0), quality, 0.0)
    target = 0.5 * (quality[edges[0]] + quality[edges[1]])
    same = (index[edges[0]] == index[edges[1]]) & (index[edges[0]] >= 0)
    if only_signal:
        same &= pair_class(event) != BOTH_PILEUP
    target = torch.where(same, target, 0.0).clamp(0.0, 1.0)
    return (target > 0).float() if hard else target.float()


def set_truth(event: Event) -> Event:
    """Set scores, matches and edge targets of an event from its layer clusters and shares; return the event."""
    found = event_associations(event)
    fields = match_fields(found) | share_fields(found)
    fields["object_raw_energy"] = torch.from_numpy(found.object_energy).float()
    for name, values in fields.items():
        event[name] = values
    if "edge_index" in event:
        event.edge_y = edge_targets(event)
    return event


def as_calo_particles(event: Event) -> Event:
    """Return a copy of an event whose objects are CaloParticles: all SimClusters of one origin summed.

    ``object_id`` becomes the id of the origin. Energy, charge and momentum are sums, taken as massless; the code of a
    sum of several is 0 (unknown) unless all agree. Scores, matches and edge targets are computed again where the event
    holds layer clusters; else (layout A) each trackster keeps the score of its match.

    Raises
    ------
    DataError
        When the event has no ``object_parent``.
    """
    if truth_type(event) == "CP":
        return event
    if "object_parent" not in event:
        raise DataError(
            f"{event.describe()}: field 'object_parent' is needed for CaloParticles and not in the event; "
            "mend: ask for SimClusters (SC)"
        )
    parent, new_row = torch.unique(event.object_parent, return_inverse=True)
    result = event.clone()
    for name in [name for name in event.to_dict() if name.startswith("object_") and name != "object_index"]:
        del result[name]
    result.object_id, result.object_parent = parent, parent.clone()
    for name, values in _sums(event, new_row, len(parent)).items():
        result[name] = values
    result.provenance = json.dumps(event.provenance_dict() | {"truth": "CP"})
    if "part_share_index" in event:
        index, fraction = _regroup(event.part_share_index, event.part_share_fraction, new_row, len(parent))
        result.part_share_index, result.part_share_fraction = index, fraction.clamp(max=1.0)
        return set_truth(result)
    index = event.object_index
    result.object_index = torch.where(index >= 0, new_row[index.clamp(min=0)], -1) if len(new_row) else index
    if "share_index" in event:
        result.share_index, result.share_fraction = _regroup(
            event.share_index, event.share_fraction, new_row, len(parent)
        )
    if "edge_index" in event:
        result.edge_y = edge_targets(result)
    return result


def truth_type(event: Event) -> str:
    """Return "SC" or "CP": what the objects of an event are."""
    kind = event.provenance_dict().get("truth", "SC")
    if kind not in ("SC", "CP"):
        raise ConfigError(f"{event.describe()}: truth '{kind}' is unknown; wanted SC (SimCluster) or CP (CaloParticle)")
    return str(kind)


def _truth_of(event: Event) -> tuple[Tensor, Tensor]:
    for name in ("object_index", "edge_index"):
        if name not in event:
            raise DataError(f"{event.describe()}: field '{name}' is needed for the truth of edges and not in the event")
    return event.object_index, event.edge_index


def _is_signal(event: Event, index: Tensor) -> Tensor:
    """Return (N,) bool: matched to signal; for unmatched tracksters False, whatever the last object is."""
    if "object_is_signal" not in event:
        return index >= 0
    known = torch.cat([event.object_is_signal, event.object_is_signal.new_zeros(1)])
    return known[index]  # row -1 reads the added entry


def _sums(event: Event, new_row: Tensor, number: int) -> dict[str, Tensor]:
    """Return the columns of the summed objects."""

    def total(values: Tensor) -> Tensor:
        return torch.zeros(number, dtype=torch.float64).index_add(0, new_row, values.double())

    result: dict[str, Tensor] = {}
    if "object_is_signal" in event:
        result["object_is_signal"] = total(event.object_is_signal) > 0
    for name in ("object_charge", "object_energy", "object_raw_energy"):
        if name in event:
            result[name] = total(event[name]).float()
    if "object_pdg" in event:
        low = torch.zeros(number, dtype=torch.int64).scatter_reduce(
            0, new_row, event.object_pdg, "amin", include_self=False
        )
        high = torch.zeros(number, dtype=torch.int64).scatter_reduce(
            0, new_row, event.object_pdg, "amax", include_self=False
        )
        result["object_pdg"] = torch.where(low == high, low, 0)
    if all(name in event for name in ("object_pt", "object_eta", "object_phi")):
        pt, phi = event.object_pt.double(), event.object_phi.double()
        x, y, z = total(pt * phi.cos()), total(pt * phi.sin()), total(pt * event.object_eta.double().sinh())
        transverse = torch.hypot(x, y)
        result["object_pt"] = transverse.float()
        result["object_eta"] = torch.asinh(z / transverse.clamp(min=1e-9)).float()
        result["object_phi"] = torch.atan2(y, x).float()
    return result


def _regroup(index: Tensor, fraction: Tensor, new_row: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return soft shares after objects became rows ``new_row``: shares of one row in one object are summed."""
    key, place = torch.unique(index[0] * max(number, 1) + new_row[index[1]], return_inverse=True)
    total = torch.zeros(len(key), dtype=torch.float64).index_add(0, place, fraction.double())
    return torch.stack([key // max(number, 1), key % max(number, 1)]), total.float()
