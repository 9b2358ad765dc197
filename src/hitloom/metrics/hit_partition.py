"""Groups of clusters against true particles, counted in hits: adjusted Rand index, purity, completeness.

Nothing is expanded to hits: everything follows from how many hits of each group are of each particle, for many events
at once. Sources: Hubert and Arabie, J. Classification 2 (1985) 193 for the index; purity and completeness as in the
evaluation of 2D shower growing.

Shape letters: B events, A entries (pairs of a group and a particle that share hits), G groups, K particles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError
from hitloom.metrics.counts import divide
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray

Columns = dict[str, NDArray[np.float64] | NDArray[np.int64]]

MIN_EVENT_HITS = 11
"""Hits that must remain in an event for it to count: more than 10, as published."""

PARTITION_DEFINITIONS: dict[str, str] = {
    "ari": "adjusted Rand index of the hits of an event: pairs of hits that groups and particles agree on, 0 = as by "
    "chance, 1 = the same partition; mean over events",
    "purity": "sum over groups of the hits of the particle that has most of the group / hits; mean over events",
    "completeness": "sum over particles of the hits in the group that holds most of the particle / hits; mean over "
    "events",
    "group_purity": "mean over the groups of an event, each counting the same, of the share of the group's hits that "
    "are of the particle with most of them; mean over events",
    "particle_completeness": "mean over the particles of an event, each counting the same, of the share of the "
    "particle's hits in the group that holds most of them; mean over events",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class HitTable:
    """How many hits of each group are of each particle.

    Attributes
    ----------
    num_events : int
    group, particle : (A,) int64
        Dense numbers over all events.
    num_hits : (A,) int64
    energy : (A,) float64
        Of these hits; zeros where it is not known.
    group_event, particle_event : (G,) and (K,) int64
    group_label, particle_label : (G,) and (K,) int64
        Numbers as they were given.
    """

    num_events: int
    group: IntArray
    particle: IntArray
    num_hits: IntArray
    energy: FloatArray
    group_event: IntArray
    particle_event: IntArray
    group_label: IntArray
    particle_label: IntArray

    @property
    def event(self) -> IntArray:
        """Event of each entry, (A,)."""
        return self.group_event[self.group]

    @property
    def group_hits(self) -> IntArray:
        """Hits of each group, (G,)."""
        return _sums(self.group, self.num_hits, len(self.group_event))

    @property
    def particle_hits(self) -> IntArray:
        """Hits of each particle, (K,)."""
        return _sums(self.particle, self.num_hits, len(self.particle_event))

    def only_particles(self, keep: BoolArray) -> HitTable:
        """Return the table of the hits of the particles of a mask (K,); all particles and groups keep their numbers."""
        inside = keep[self.particle]
        return HitTable(
            num_events=self.num_events,
            group=self.group[inside],
            particle=self.particle[inside],
            num_hits=self.num_hits[inside],
            energy=self.energy[inside],
            group_event=self.group_event,
            particle_event=self.particle_event,
            group_label=self.group_label,
            particle_label=self.particle_label,
        )


def hit_table(
    *,
    event: ArrayLike,
    group: ArrayLike,
    particle: ArrayLike,
    num_hits: ArrayLike,
    num_events: int,
    energy: ArrayLike | None = None,
    without_truth: str = "drop",
) -> HitTable:
    """Return the table of entries that may come in any order and repeat.

    Parameters
    ----------
    event, group, particle, num_hits : (A,) int
        Groups and particles are numbered within their event; particle -1 = the hits have no truth.
    num_events : int
    energy : (A,) float or None
    without_truth : str
        ``drop`` hits without truth, or ``keep`` them: those of an event are then one more particle.

    Raises
    ------
    DataError
        When the columns differ in length, a count is negative, or ``without_truth`` is unknown.

    Examples
    --------
    >>> table = hit_table(event=[0, 0], group=[0, 0], particle=[4, 7], num_hits=[3, 1], num_events=1)
    >>> table.group.tolist(), table.particle.tolist(), table.group_hits.tolist()
    ([0, 0], [0, 1], [4])
    """
    if without_truth not in ("drop", "keep"):
        raise DataError(f"hits without truth: 'drop' or 'keep' was wanted, not '{without_truth}'")
    columns = [np.asarray(values, dtype=np.int64) for values in (event, group, particle, num_hits)]
    weight = np.zeros(len(columns[0])) if energy is None else np.asarray(energy, dtype=np.float64)
    if len({len(values) for values in (*columns, weight)}) > 1 or (columns[3] < 0).any():
        raise DataError("table of hits: columns of one length without negative counts were wanted")
    there = columns[3] > 0
    if without_truth == "drop":
        there &= columns[2] >= 0
    where, group_, particle_, hits = (values[there] for values in columns)
    group_row, group_event, group_label = _dense(where, group_)
    particle_row, particle_event, particle_label = _dense(where, particle_)
    key = group_row * max(1, len(particle_event)) + particle_row
    found, first, entry = np.unique(key, return_index=True, return_inverse=True)
    return HitTable(
        num_events=num_events,
        group=group_row[first],
        particle=particle_row[first],
        num_hits=_sums(entry, hits, len(found)),
        energy=np.bincount(entry, weight[there], minlength=len(found)).astype(np.float64),
        group_event=group_event,
        particle_event=particle_event,
        group_label=group_label,
        particle_label=particle_label,
    )


def _dense(event: IntArray, label: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the row of each pair, and event and label of each row; rows are ordered by event, then label."""
    low = int(label.min(initial=0))
    width = int(label.max(initial=0)) - low + 1
    found, row = np.unique(event * width + (label - low), return_inverse=True)
    return row.astype(np.int64), found // width, found % width + low


def _sums(row: IntArray, values: IntArray, number: int) -> IntArray:
    """Return (number,) sums of whole numbers, exactly."""
    result = np.zeros(number, dtype=np.int64)
    np.add.at(result, row, values)
    return result


def _largest(row: IntArray, values: IntArray, number: int) -> IntArray:
    result = np.zeros(number, dtype=np.int64)
    np.maximum.at(result, row, values)
    return result


def partition_counts(table: HitTable) -> Columns:
    """Return what the rates divide, (B,) each; hits that the table left out are in none.

    ``sum_shared``, ``sum_groups`` and ``sum_particles`` are sums of squared numbers of hits: of entries, groups and
    particles. ``purity_hits`` and ``completeness_hits`` are numerators of hit-weighted rates, ``purity_sum`` and
    ``completeness_sum`` sums over groups and particles of their own share.
    """
    size, extent = table.group_hits, table.particle_hits
    main, best = (
        _largest(table.group, table.num_hits, len(size)),
        _largest(table.particle, table.num_hits, len(extent)),
    )

    def by_event(event: IntArray, values: IntArray) -> IntArray:
        return _sums(event, values, table.num_events)

    def mean_parts(event: IntArray, values: FloatArray) -> FloatArray:
        return np.bincount(event, np.nan_to_num(values), minlength=table.num_events).astype(np.float64)

    group_event, particle_event = table.group_event, table.particle_event
    return {
        "num_hits": by_event(table.event, table.num_hits),
        "num_groups": by_event(group_event, (size > 0).astype(np.int64)),
        "num_particles": by_event(particle_event, (extent > 0).astype(np.int64)),
        "sum_shared": by_event(table.event, table.num_hits**2),
        "sum_groups": by_event(group_event, size**2),
        "sum_particles": by_event(particle_event, extent**2),
        "purity_hits": by_event(group_event, main),
        "completeness_hits": by_event(particle_event, best),
        "purity_sum": mean_parts(group_event, divide(main, size)),
        "completeness_sum": mean_parts(particle_event, divide(best, extent)),
    }


def adjusted_rand_index(counts: Columns) -> FloatArray:
    """Return the index of each event, (B,); 1 where both partitions are the same, NaN without hits.

    Examples
    --------
    >>> table = hit_table(event=[0, 0], group=[0, 0], particle=[0, 1], num_hits=[5, 5], num_events=1)
    >>> adjusted_rand_index(partition_counts(table)).tolist()
    [0.0]
    """
    hits = np.asarray(counts["num_hits"], dtype=np.float64)
    shared, groups, particles = (
        np.asarray(counts[name], dtype=np.float64) for name in ("sum_shared", "sum_groups", "sum_particles")
    )
    together, apart_true, apart_found = shared - hits, groups - shared, particles - shared
    neither = hits**2 - groups - particles + shared
    top = 2 * (together * neither - apart_true * apart_found)
    bottom = (together + apart_found) * (apart_found + neither) + (together + apart_true) * (apart_true + neither)
    same = (apart_true == 0) & (apart_found == 0)
    return np.where(hits == 0, np.nan, np.where(same, 1.0, divide(top, bottom)))


def partition_rates(counts: Columns, *, min_event_hits: int = MIN_EVENT_HITS) -> dict[str, FloatArray]:
    """Return every rate of :data:`PARTITION_DEFINITIONS` for each event, (B,); NaN where too few hits remain."""
    rates = {
        "ari": adjusted_rand_index(counts),
        "purity": divide(counts["purity_hits"], counts["num_hits"]),
        "completeness": divide(counts["completeness_hits"], counts["num_hits"]),
        "group_purity": divide(counts["purity_sum"], counts["num_groups"]),
        "particle_completeness": divide(counts["completeness_sum"], counts["num_particles"]),
    }
    enough = np.asarray(counts["num_hits"]) >= min_event_hits
    return {name: np.where(enough, values, np.nan) for name, values in rates.items()}
