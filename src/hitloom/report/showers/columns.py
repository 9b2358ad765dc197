"""Wire views and results of shower growing as long columns over all of them, so that nothing is counted one by one.

Shape letters: B views, A entries (pairs of a cluster and a particle that share hits), K particles of all views.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hitloom.data.shower_layout import slice_number, view_code
from hitloom.data.shower_truth import similarity_target
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.hit_partition import Columns, HitTable, hit_table
from hitloom.metrics.shower_particles import is_shower_pdg
from hitloom.metrics.similarity_rates import similarity_counts
from hitloom.metrics.truth import FloatArray, IntArray
from hitloom.report.join import join
from hitloom.report.pairs import pairs_of
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.result import Result


@dataclass(frozen=True, kw_only=True)
class ShowerColumns:
    """All views of the results, in their order.

    Attributes
    ----------
    event_id, slice, view, tier : (B,) int64
    num_clusters, num_hits, num_groups : (B,) int64
        Of all clusters and hits, those without truth too.
    timing : list of dict
    entries : dict of (A,)
        ``event``, ``group``, ``particle`` (row in its view, -1 = none), ``num_hits``, ``energy`` (GeV).
    objects : dict of (K,)
        ``event``, ``row``, ``pdg``, ``energy`` (GeV, NaN = unknown), ``primary`` (1, 0, -1 = unknown).
    pairs : Columns or None
        Sums over pairs of clusters, (B,) each; None where a result keeps no pairs.
    fingerprint : str
        Changes with ids, hits and truth.
    """

    event_id: IntArray
    slice: IntArray
    view: IntArray
    tier: IntArray
    num_clusters: IntArray
    num_hits: IntArray
    num_groups: IntArray
    timing: list[dict[str, float]]
    entries: dict[str, Any]
    objects: dict[str, Any]
    pairs: Columns | None
    fingerprint: str

    @property
    def num_views(self) -> int:
        return len(self.event_id)

    def table(self, config: ShowerEvaluationConfig) -> HitTable:
        """Return the table of groups and particles as the settings count hits."""
        entries = self.entries
        kept = entries["group"] >= 0
        table = hit_table(
            **{name: values[kept] for name, values in entries.items()},
            num_events=self.num_views,
            without_truth=config.without_truth,
        )
        return table.only_particles(table.particle_hits >= config.min_particle_hits)

    def object_rows(self, table: HitTable) -> IntArray:
        """Return the row of each particle of the table among ``objects``; -1 for hits without truth."""
        start = np.searchsorted(self.objects["event"], np.arange(self.num_views))
        rows = start[table.particle_event] + table.particle_label
        return np.where(table.particle_label >= 0, rows, -1)

    def leading_shower(self) -> FloatArray:
        """Return the energy of the most energetic shower of each view, GeV; NaN without one."""
        energy, event = self.objects["energy"], self.objects["event"]
        found = np.full(self.num_views, -np.inf)
        known = is_shower_pdg(self.objects["pdg"]) & np.isfinite(energy)
        np.maximum.at(found, event[known], energy[known])
        return np.where(np.isfinite(found), found, np.nan)


def columns_of(
    events: Iterable[Event],
    results: Iterable[Result],
    config: ShowerEvaluationConfig,
    *,
    on_event: Callable[[int], None] = lambda number: None,
) -> ShowerColumns:
    """Return the columns of all results and their views.

    Raises
    ------
    DataError
        When a view is missing, has no truth of its hits, or does not fit its result, or a result lacks clusters.
    """
    rows: list[dict[str, Any]] = []
    pairs: list[Columns] | None = []
    digest = hashlib.sha256()
    for event, result in pairs_of(events, results):
        rows.append(_one(event, result, config, len(rows)))
        truth = rows[-1]["entries"]
        digest.update(np.int64(result.event_id).tobytes() + truth["particle"].tobytes() + truth["num_hits"].tobytes())
        counted = _pairs(event, result, config) if pairs is not None else None
        pairs = None if pairs is None or counted is None else [*pairs, counted]
        on_event(len(rows))
    if not rows:
        raise DataError("results: no wire view to evaluate; mend: run the inference on this split first")

    def column(name: str) -> IntArray:
        return np.array([row[name] for row in rows], dtype=np.int64)

    def long(name: str) -> dict[str, Any]:
        return {key: np.concatenate([row[name][key] for row in rows]) for key in rows[0][name]}

    return ShowerColumns(
        **{name: column(name) for name in _COLUMNS},
        timing=[row["timing"] for row in rows],
        entries=long("entries"),
        objects=long("objects"),
        pairs=None if pairs is None else {name: np.concatenate([one[name] for one in pairs]) for name in pairs[0]},
        fingerprint=digest.hexdigest()[:16],
    )


_COLUMNS = ("event_id", "slice", "view", "tier", "num_clusters", "num_hits", "num_groups")


def labels_of(event: Event, result: Result) -> IntArray:
    """Return the group (N,) of each cluster in the order of the event, -1 = none.

    Raises
    ------
    DataError
        When the result says nothing of a cluster.
    """
    joined = join(event, result)
    if len(joined.rows) < event.num_points:
        raise DataError(
            f"{event.describe()}: the result says nothing of {event.num_points - len(joined.rows)} of "
            f"{event.num_points} clusters; mend: run the inference again on this store"
        )
    return joined.labels


def hit_truth(event: Event) -> IntArray:
    """Return the row of the true particle of each hit (M,), -1 = none; of shared hits the largest share.

    Raises
    ------
    DataError
        When the event does not know the particles of its hits.
    """
    if "part_share_index" not in event or "object_pdg" not in event:
        raise DataError(
            f"{event.describe()}: the true particles of the hits are needed to evaluate shower growing; mend: events "
            "with truth, as 'hitloom simulate lartpc' and 'hitloom data convert' of files with hit_mc_id make them"
        )
    hit, owner = event.part_share_index.numpy()
    order = np.argsort(event.part_share_fraction.numpy(), kind="stable")
    truth = np.full(event.num_parts, -1, dtype=np.int64)
    truth[hit[order]] = owner[order]
    return truth


def _one(event: Event, result: Result, config: ShowerEvaluationConfig, row: int) -> dict[str, Any]:
    labels, truth = labels_of(event, result), hit_truth(event)
    group = labels.copy()
    lost = group < 0
    if config.unassigned == "own":
        group[lost] = group.max(initial=-1) + 1 + np.arange(int(lost.sum()))
    cluster = event.part_point_index.numpy()
    width = event.num_objects + 1
    key = (group[cluster] + 1) * width + truth + 1
    found, entry = np.unique(key, return_inverse=True)
    energy = event.part_energy.double().numpy() if "part_energy" in event else np.zeros(len(cluster))
    shown = np.nan_to_num(energy)
    parents = event.object_parent.numpy() if "object_parent" in event else None
    return {
        "event_id": result.event_id,
        "slice": slice_number(event),
        "view": view_code(event),
        "tier": int(event.columns(["tier"]).max()) if event.num_points else 0,
        "num_clusters": event.num_points,
        "num_hits": event.num_parts,
        "num_groups": len(np.unique(group)),
        "timing": dict(result.timing),
        "entries": {
            "event": np.full(len(found), row),
            "group": found // width - 1,
            "particle": found % width - 1,
            "num_hits": np.bincount(entry, minlength=len(found)),
            "energy": np.bincount(entry, shown, minlength=len(found)),
        },
        "objects": {
            "event": np.full(event.num_objects, row),
            "row": np.arange(event.num_objects),
            "pdg": event.object_pdg.numpy(),
            "energy": _energies(event, truth, shown),
            "primary": np.full(event.num_objects, -1) if parents is None else (parents < 0).astype(np.int64),
        },
    }


def _energies(event: Event, truth: IntArray, energy: FloatArray) -> FloatArray:
    """Return the true energy of the particles in GeV; where the source has none, that of their hits in the view."""
    if "object_energy" in event:
        return event.object_energy.double().numpy()
    there = truth >= 0
    return np.bincount(truth[there], energy[there], minlength=event.num_objects).astype(np.float64)


def _pairs(event: Event, result: Result, config: ShowerEvaluationConfig) -> Columns | None:
    """Return the sums over pairs of one view, (1,) each; None where the result keeps no pairs."""
    if result.edge_index is None or result.edge_score is None:
        return None
    joined = join(event, result)
    one, other = joined.rows[result.edge_index.numpy()]
    target = similarity_target(event, config.denominator).numpy()
    return similarity_counts(
        result.edge_score.float().sigmoid().numpy(),
        target[one, other],
        event=np.zeros(len(one), dtype=np.int64),
        num_events=1,
        threshold=config.cut,
    )
