"""How each true particle fared: the group that matches it, and whether it was split or swallowed.

Shape letters: A entries (pairs of a group and a particle that share hits), G groups, K particles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.metrics.hit_partition import HitTable
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

MIN_HITS = 5
"""Hits of a particle in a group from which it counts as a piece, and of a particle from which it is counted."""

KINDS: dict[str, tuple[int, ...]] = {
    "electron": (11, -11),
    "photon": (22,),
    "muon": (13, -13),
    "charged pion": (211, -211),
    "proton": (2212,),
}
OTHER_KIND = "other"
SHOWER_PDG = (11, 22)
"""Absolute PDG codes of particles that make electromagnetic showers."""

MERGING_DEFINITIONS: dict[str, str] = {
    "particles": f"true particles with at least {MIN_HITS} hits in the view",
    "kept_whole": f"of them, those with exactly one piece; a piece is a group with at least {MIN_HITS} hits of the "
    "particle, in which no other particle has more hits",
    "split": "of them, those with two pieces or more (under-merged)",
    "swallowed": "of them, those without a piece: larger particles own all groups that hold enough of them "
    "(over-merged), or none does",
    "pieces": "pieces of all of them; one each would be right",
    "groups": f"groups with at least {MIN_HITS} hits that have truth",
    "mixed": f"of them, those that hold at least {MIN_HITS} hits of a particle other than the one with most "
    "(over-merged)",
}
MATCH_DEFINITIONS: dict[str, str] = {
    "completeness": "maximal matching: share of the particle's hits in the group that holds most of them; mean over "
    "particles",
    "purity": "share of that group's hits that are of the particle; mean over particles",
    "energy_completeness": "share of the particle's energy in that group; mean over particles",
    "majority": "share of particles that have most hits of the group that holds most of theirs (majority matching)",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ParticleMatch:
    """The group that holds most hits of each particle; of equal ones the first.

    Attributes
    ----------
    event, label : (K,) int64
        Event of the particle, and its number there.
    num_hits, energy : (K,)
        Of the particle.
    group : (K,) int64
        Number of the group in its event; -1 for a particle without hits.
    correct_hits, correct_energy : (K,)
        Of the particle in the group.
    group_hits, group_energy : (K,)
        Of the group.
    majority : (K,) bool
        Whether no other particle has more hits of the group.
    num_pieces : (K,) int64
        As :data:`MERGING_DEFINITIONS` says.
    """

    event: IntArray
    label: IntArray
    num_hits: IntArray
    energy: FloatArray
    group: IntArray
    correct_hits: IntArray
    correct_energy: FloatArray
    group_hits: IntArray
    group_energy: FloatArray
    majority: BoolArray
    num_pieces: IntArray


def owners_of(table: HitTable) -> IntArray:
    """Return the entry (G,) of the particle with most hits of each group, of equal ones the first; -1 = empty."""
    return _best_entry(table.group, table.particle, table.num_hits, len(table.group_event))


def match_particles(table: HitTable, *, min_hits: int = MIN_HITS) -> ParticleMatch:
    """Match every particle to the group that holds most of it.

    Examples
    --------
    >>> from hitloom.metrics.hit_partition import hit_table
    >>> table = hit_table(event=[0, 0, 0], group=[0, 1, 1], particle=[0, 0, 1], num_hits=[6, 5, 9], num_events=1)
    >>> match = match_particles(table)
    >>> match.group.tolist(), match.correct_hits.tolist(), match.num_pieces.tolist()
    ([0, 1], [6, 9], [1, 1])
    """
    num_particles = len(table.particle_event)
    entry = _best_entry(table.particle, table.group, table.num_hits, num_particles)
    there = entry >= 0
    at = np.maximum(entry, 0)
    most = np.zeros(len(table.group_event), dtype=np.int64)
    np.maximum.at(most, table.group, table.num_hits)
    group_energy = np.bincount(table.group, table.energy, minlength=len(table.group_event))

    def take(values: NDArray[Any], empty: int = 0) -> NDArray[Any]:
        """Return (K,) values (A,) of the chosen entries."""
        return np.where(there, values[at], empty) if len(values) else np.full(num_particles, empty, values.dtype)

    group = table.group
    piece = (table.num_hits >= min_hits) & (table.num_hits == most[group])
    return ParticleMatch(
        event=table.particle_event,
        label=table.particle_label,
        num_hits=table.particle_hits,
        energy=np.bincount(table.particle, table.energy, minlength=num_particles).astype(np.float64),
        group=np.asarray(take(table.group_label[group], -1), dtype=np.int64),
        correct_hits=np.asarray(take(table.num_hits), dtype=np.int64),
        correct_energy=np.asarray(take(table.energy), dtype=np.float64),
        group_hits=np.asarray(take(table.group_hits[group]), dtype=np.int64),
        group_energy=np.asarray(take(group_energy[group]), dtype=np.float64),
        majority=np.asarray(take(table.num_hits == most[group]), dtype=np.bool_),
        num_pieces=np.bincount(table.particle[piece], minlength=num_particles).astype(np.int64),
    )


def merging_counts(table: HitTable, match: ParticleMatch, *, min_hits: int = MIN_HITS) -> dict[str, IntArray]:
    """Return the counts of :data:`MERGING_DEFINITIONS` for each event, (B,)."""
    counted = match.num_hits >= min_hits
    owner = owners_of(table)
    other = np.ones(len(table.group), dtype=np.bool_)
    other[owner[owner >= 0]] = False
    mixed = np.zeros(len(table.group_event), dtype=np.bool_)
    mixed[table.group[other & (table.num_hits >= min_hits)]] = True
    large = table.group_hits >= min_hits

    def of_particles(mask: BoolArray) -> IntArray:
        return np.bincount(match.event[mask & counted], minlength=table.num_events).astype(np.int64)

    pieces = np.bincount(match.event[counted], match.num_pieces[counted], minlength=table.num_events)
    return {
        "particles": of_particles(counted),
        "kept_whole": of_particles(match.num_pieces == 1),
        "split": of_particles(match.num_pieces > 1),
        "swallowed": of_particles(match.num_pieces == 0),
        "pieces": pieces.astype(np.int64),
        "groups": np.bincount(table.group_event[large], minlength=table.num_events).astype(np.int64),
        "mixed": np.bincount(table.group_event[large & mixed], minlength=table.num_events).astype(np.int64),
    }


def is_shower_pdg(pdg: ArrayLike) -> BoolArray:
    """Return whether particles of these codes make electromagnetic showers: electrons, positrons, photons."""
    return np.isin(np.abs(np.asarray(pdg)), SHOWER_PDG)


def kind_of(pdg: ArrayLike) -> IntArray:
    """Return the place of each code among :data:`KINDS`; ``len(KINDS)`` = other."""
    codes = np.asarray(pdg)
    result = np.full(codes.shape, len(KINDS), dtype=np.int64)
    for place, members in enumerate(KINDS.values()):
        result[np.isin(codes, members)] = place
    return result


def _best_entry(row: IntArray, tie: IntArray, num_hits: IntArray, number: int) -> IntArray:
    """Return (number,) the entry with most hits of each row, of equal ones the lowest ``tie``; -1 = none."""
    order = np.lexsort((tie, -num_hits, row))
    found = np.full(number, -1, dtype=np.int64)
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = row[order][1:] != row[order][:-1]
    found[row[order][first]] = order[first]
    return found


def name_of(pdg: int) -> str:
    """Return a code and, where it is known, the kind of particle in words.

    Examples
    --------
    >>> name_of(22), name_of(-321)
    ('photon (22)', '-321')
    """
    names = [name for name, members in KINDS.items() if pdg in members]
    return f"{names[0]} ({pdg})" if names else str(pdg)
