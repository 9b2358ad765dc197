"""Events and results of pruning as long columns over all tracksters, so that nothing is counted one by one.

Shape letters: G tracksters, N layer clusters of all of them, E links, K particles, A shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.pruning_counts import Counts, pruning_counts
from hitloom.metrics.pruning_particles import main_particles, particle_counts
from hitloom.metrics.pruning_probability import log_likelihood
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray
from hitloom.report.join import join
from hitloom.report.pairs import pairs_of
from hitloom.result import Result

_SHARES = ("share_index", "share_fraction", "object_raw_energy")


@dataclass(frozen=True, kw_only=True)
class PruningColumns:
    """All layer clusters of all tracksters, in the order of the results.

    Attributes
    ----------
    event_id, start : (G,) and (G + 1,) int
        Ids; rows of each trackster are ``start[g]:start[g + 1]``.
    trackster : (N,) int
        Row of the trackster.
    pruned : (N,) bool
        Decision.
    logit : (N,) float or None
        Logit to prune; None where a result has no scores.
    to_prune : (N,) bool or None
        Truth; None where no event has labels.
    energy, layer, position : (N,), (N,) and (N, 3)
        GeV, number, mm.
    links : (2, E) int
        Rows of layer clusters, leader above follower.
    shares : tuple or None
        Rows of layer clusters (A,), rows of particles (A,), fractions (A,), energies of the particles everywhere (K,)
        and their tracksters (K,); None where any trackster lacks them.
    timing : list of dict
    fingerprint : str
        Changes with ids, energies and labels.
    """

    event_id: IntArray
    start: IntArray
    trackster: IntArray
    pruned: BoolArray
    logit: FloatArray | None
    to_prune: BoolArray | None
    energy: FloatArray
    layer: IntArray
    position: FloatArray
    links: IntArray
    shares: tuple[IntArray, IntArray, FloatArray, FloatArray, IntArray] | None
    timing: list[dict[str, float]]
    fingerprint: str

    @property
    def num_tracksters(self) -> int:
        return len(self.event_id)

    @property
    def truth(self) -> BoolArray:
        """Labels (N,); for code that asked for them."""
        assert self.to_prune is not None
        return self.to_prune

    def counts(self, *, with_likelihood: bool = False) -> Counts:
        """Return all counts by trackster, (G,) each: decisions, energies, particles where they are known."""
        found = pruning_counts(
            trackster=self.trackster, num_tracksters=self.num_tracksters, to_prune=self.truth, pruned=self.pruned,
            energy=self.energy,
        )  # fmt: skip
        if self.shares is not None:
            point, thing, fraction, everywhere, owner = self.shares
            shares = {"share_point": point, "share_object": thing, "share_fraction": fraction}
            particle = main_particles(
                to_keep=~self.truth, energy=self.energy, object_trackster=owner, num_tracksters=self.num_tracksters,
                **shares,
            )  # fmt: skip
            found |= particle_counts(
                particle, trackster=self.trackster, pruned=self.pruned, energy=self.energy, object_energy=everywhere,
                **shares,
            )  # fmt: skip
        if with_likelihood and self.logit is not None:
            values = log_likelihood(self.logit, self.truth)
            found["log_likelihood"] = np.bincount(self.trackster, values, minlength=self.num_tracksters)
        return found


def columns_of(
    events: Iterable[Event],
    results: Iterable[Result],
    *,
    need_truth: bool = True,
    on_event: Callable[[int], None] = lambda number: None,
) -> PruningColumns:
    """Return the columns of all results and their events.

    Raises
    ------
    DataError
        When an event is missing, has no labels though they are needed, does not fit its result, or when a result lacks
        layer clusters or holds a score that is not a number.
    """
    parts: dict[str, list[Any]] = {
        name: [] for name in (*_COLUMNS, "links", "point", "thing", "fraction", "everywhere")
    }
    ids: list[int] = []
    timing: list[dict[str, float]] = []
    sizes, sizes_of_objects, num_objects = [0], [], 0
    has_shares = has_scores = True
    digest = hashlib.sha256()
    for event, result in pairs_of(events, results):
        _check_event(event, need_truth)
        row = _columns_of_one(event, result)
        has_scores &= row["logit"] is not None
        for name in _COLUMNS:
            parts[name].append(row[name])
        parts["links"].append(event.edge_index.numpy() + sizes[-1])
        if has_shares := has_shares and all(name in event for name in _SHARES):
            index = event.share_index.numpy()
            parts["point"].append(index[0] + sizes[-1])
            parts["thing"].append(index[1] + num_objects)
            parts["fraction"].append(event.share_fraction.numpy())
            parts["everywhere"].append(event.object_raw_energy.numpy())
            sizes_of_objects.append(len(event.object_raw_energy))
            num_objects += sizes_of_objects[-1]
        ids.append(result.event_id)
        timing.append(dict(result.timing))
        sizes.append(sizes[-1] + event.num_points)
        digest.update(np.int64(result.event_id).tobytes() + row["energy"].tobytes())
        digest.update(b"" if row["to_prune"] is None else row["to_prune"].tobytes())
        on_event(len(ids))
    if not ids:
        raise DataError("results: no trackster to evaluate; mend: run the inference on this split first")
    start = np.array(sizes, dtype=np.int64)
    labelled = all(values is not None for values in parts["to_prune"])
    shares = None
    if has_shares and labelled:
        owner = np.repeat(np.arange(len(ids)), sizes_of_objects)
        shares = (_long(parts, "point", np.int64), _long(parts, "thing", np.int64), _long(parts, "fraction"),
                  _long(parts, "everywhere"), owner)  # fmt: skip
    return PruningColumns(
        event_id=np.array(ids, dtype=np.int64),
        start=start,
        trackster=np.repeat(np.arange(len(ids)), np.diff(start)),
        pruned=_long(parts, "pruned", np.bool_),
        logit=_long(parts, "logit") if has_scores else None,
        to_prune=_long(parts, "to_prune", np.bool_) if labelled else None,
        energy=_long(parts, "energy"),
        layer=_long(parts, "layer", np.int64),
        position=_long(parts, "position"),
        links=np.concatenate(parts["links"], axis=1),
        shares=shares,
        timing=timing,
        fingerprint=digest.hexdigest()[:16],
    )


_COLUMNS = ("pruned", "logit", "to_prune", "energy", "layer", "position")


def _long(parts: dict[str, list[Any]], name: str, dtype: Any = np.float64) -> Any:
    return np.concatenate(parts[name]).astype(dtype)


def _check_event(event: Event, need_truth: bool) -> None:
    for name in ("energy", "edge_index", *(("point_y",) if need_truth else ())):
        if name not in event:
            what = "labels of its layer clusters" if name == "point_y" else f"field '{name}'"
            raise DataError(
                f"{event.describe()}: no {name}: {what} are needed to evaluate pruning; mend: events with truth, as "
                "'hitloom simulate close-showers' and 'hitloom data convert' of labelled files make them"
            )


def _columns_of_one(event: Event, result: Result) -> dict[str, Any]:
    joined = join(event, result)
    if len(joined.rows) < event.num_points:
        missing = event.num_points - len(joined.rows)
        raise DataError(
            f"{event.describe()}: the result says nothing of {missing} of {event.num_points} layer clusters; mend: run "
            "the inference again on this store"
        )
    logit = None
    if result.point_score is not None:
        logit = np.empty(event.num_points)
        logit[joined.rows] = -result.point_score.double().numpy()
        if np.isnan(logit).any():
            raise DataError(
                f"{event.describe()}: point_score of the result is not a number for {int(np.isnan(logit).sum())} layer "
                "clusters; mend: infer again with weights and features that are finite"
            )
    return {
        "pruned": joined.labels < 0,
        "logit": logit,
        "to_prune": event.point_y.numpy() > 0.5 if "point_y" in event else None,
        "energy": event.energy.numpy(),
        "layer": event.layer.numpy() if "layer" in event else np.zeros(event.num_points, dtype=np.int64),
        "position": event.pos.numpy(),
    }
