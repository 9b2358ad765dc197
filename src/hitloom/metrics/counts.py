"""Counts of one event, and of many: everything that a rate divides.

Each count is a sum over particles or over tracks, so the same per-row values serve totals and binned curves.
Shape letters: N hits, K particles, C tracks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError
from hitloom.metrics.definitions import COMMON_COUNTS, MATCH_COUNTS, RATES, check_names
from hitloom.metrics.matching import Contingency, Match, contingency, match_tracks
from hitloom.metrics.selection import Selection
from hitloom.metrics.track_kinematics import TrackKinematics
from hitloom.metrics.truth import BoolArray, EventTruth, FloatArray

Counts = dict[str, int | float]
Values = NDArray[np.bool_] | NDArray[np.int64] | NDArray[np.float64]

# Counts that are sums over particles (rows of the table) and over tracks.
PARTICLE_COUNTS = ("num_target", "num_found", "num_target_pairs", "num_matched_particles")
FRACTIONAL = ("sum_hit_efficiency", "sum_hit_purity")


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Per-row values whose sums are the counts.

    Attributes
    ----------
    common : dict
        Name -> (K,) or (C,) for counts that do not depend on the matching.
    by_match : dict
        Matching -> name -> (K,) or (C,).
    """

    common: dict[str, Values]
    by_match: dict[str, dict[str, Values]]


def matches_of(table: Contingency, names: Sequence[str], *, min_track_hits: int) -> dict[str, Match]:
    """Return the outcome of every matching style named."""
    return {name: match_tracks(table, name, min_track_hits=min_track_hits) for name in names}


def rows_of(
    table: Contingency,
    truth: EventTruth,
    selection: Selection,
    matches: Mapping[str, Match],
    *,
    kinematics: TrackKinematics | None = None,
    ignore: str = "",
) -> Rows:
    """Return the values that sum to the counts.

    Parameters
    ----------
    kinematics : TrackKinematics or None
        Fitted parameters of every track of the event, for the track-side cuts.
    ignore : str
        Quantity that is not cut (the axis of a curve).
    """
    target = selection.target(truth, table.particle_size, table.is_particle, ignore=ignore)
    target_or_none = np.append(target, False)  # row -1 (noise, unmatched) reads the last entry
    valid = table.track_size >= selection.min_track_hits
    selected = valid & target_or_none[table.owner]
    noise = valid & (table.owner < 0)
    passes, unfitted = _track_side(table, selection, kinematics, ignore)
    track_side = valid & passes
    common: dict[str, Values] = {
        "num_target": target,
        "num_tracks": valid,
        "num_short_tracks": ~valid,
        "num_noise_tracks": noise,
        "num_selected_tracks": selected,
        "num_target_or_noise_tracks": selected | noise,
        "num_track_side": track_side,
        "num_unfitted_tracks": valid & unfitted,
        "num_identical_tracks": np.zeros(valid.size, dtype=np.bool_),  # hits have one label each: sets are disjoint
    }
    by_match: dict[str, dict[str, Values]] = {}
    for name, match in matches.items():
        matched = match.track_particle >= 0
        to_target = target_or_none[match.track_particle]
        particle_size = np.append(table.particle_size, 1)[match.track_particle]
        by_match[name] = {
            "num_found": target & match.found,
            "num_target_pairs": np.where(target, match.num_tracks_of, 0),
            "num_matched_particles": match.found,
            "num_matched_tracks": matched,
            "num_matched_target_tracks": to_target,
            "num_selected_matched_tracks": selected & matched,
            "num_track_side_matched": track_side & matched,
            "sum_hit_efficiency": np.where(to_target, table.owner_shared / np.maximum(particle_size, 1), 0.0),
            "sum_hit_purity": np.where(to_target, table.owner_shared / table.track_size, 0.0),
        }
    return Rows(common=common, by_match=by_match)


def _track_side(
    table: Contingency, selection: Selection, kinematics: TrackKinematics | None, ignore: str
) -> tuple[BoolArray, BoolArray]:
    """Return which tracks pass the kinematic cuts by their own fit, and which have no fit: both (C,)."""
    everything = np.ones(table.track_id.size, dtype=np.bool_)
    if kinematics is None:
        return everything, ~everything
    fitted = kinematics.of_tracks(table.track_id)
    unfitted = ~(np.isfinite(fitted["eta"]) & ~np.isnan(fitted["pt"]))
    passes = everything
    for condition in selection.kinematic_conditions():
        if ignore and condition.quantity.removeprefix("abs_") == ignore:
            continue
        values = np.abs(fitted["eta"]) if condition.quantity == "abs_eta" else fitted[condition.quantity]
        passes = passes & condition.passes(values)
    return passes | unfitted, unfitted


def totals(table: Contingency, rows: Rows) -> dict[str, Counts]:
    """Sum rows to counts, one complete set for each matching."""
    target = np.asarray(rows.common["num_target"], dtype=np.bool_)
    size, assigned = table.particle_size, table.assigned_size
    num_points, num_assigned = int(size.sum()), int(assigned.sum())
    num_target, num_assigned_target = int(size[target].sum()), int(assigned[target].sum())
    common: Counts = {
        "num_points": num_points + table.num_noise_points,
        "num_assigned_points": num_assigned + table.num_assigned_noise_points,
        "num_target_points": num_target,
        "num_assigned_target_points": num_assigned_target,
        "num_other_points": num_points - num_target,
        "num_assigned_other_points": num_assigned - num_assigned_target,
        "num_noise_points": table.num_noise_points,
        "num_assigned_noise_points": table.num_assigned_noise_points,
    }
    common |= {name: int(values.sum()) for name, values in rows.common.items()}
    return {
        match: common | {name: float(v.sum()) if name in FRACTIONAL else int(v.sum()) for name, v in values.items()}
        for match, values in rows.by_match.items()
    }


def match_event(
    labels: ArrayLike,
    truth: EventTruth,
    selection: Selection,
    *,
    in_input: ArrayLike | None = None,
    matches: Sequence[str] = ("double_majority",),
    kinematics: TrackKinematics | None = None,
) -> dict[str, Counts]:
    """Count one event.

    Parameters
    ----------
    labels : (N,) int
        Track of each hit, -1 = unassigned.
    truth : EventTruth
    selection : Selection
    in_input : (N,) bool or None
        Hits that the network saw; None = all. Hits outside must be unassigned.
    matches : sequence of str
        Matching styles, keys of :data:`~hitloom.metrics.MATCHES`.
    kinematics : TrackKinematics or None

    Returns
    -------
    dict
        Matching -> counts, named in ``COMMON_COUNTS`` and ``MATCH_COUNTS``.

    Examples
    --------
    >>> truth = EventTruth.from_particle_ids([1, 1, 1, 2, 2, 2, 0])
    >>> counts = match_event([0, 0, 0, 1, 1, -1, 1], truth, Selection())["double_majority"]
    >>> rate("efficiency", counts), counts["num_noise_points"]
    (1.0, 1)
    """
    table = contingency(
        labels,
        truth,
        universe=selection.universe,
        particles_from=selection.particles_from,
        in_input=in_input,
    )
    outcome = matches_of(table, matches, min_track_hits=selection.min_track_hits)
    return totals(table, rows_of(table, truth, selection, outcome, kinematics=kinematics))


def pool(counts: Iterable[Counts]) -> Counts:
    """Sum counts over events.

    Raises
    ------
    DataError
        When two events do not have the same counts.
    """
    total: Counts = {}
    for item in counts:
        if total and item.keys() != total.keys():
            odd = sorted(item.keys() ^ total.keys())[0]
            raise DataError(f"pool: '{odd}' is counted in some events and not in others; mend: same selection for all")
        total = {name: total.get(name, 0) + value for name, value in item.items()}
    return total


def rate(name: str, counts: Counts) -> float:
    """Return a rate by its name without matching (``efficiency``, ``fake_per_track`` ...); 0/0 gives NaN.

    The counts decide the matching: ``lhc_purity_selected`` wants those of ``lhc75``, ``fake_one_to_one`` those of a
    one-to-one matching, ``fake_per_fitted_track`` those made with ``kinematics``.

    Raises
    ------
    ConfigError
        When the rate is unknown.
    """
    check_names("rate", (name,), RATES)
    top, bottom = quotient_parts(name, counts)
    return float(top / bottom) if bottom else math.nan


def quotient_parts(name: str, counts: Counts) -> tuple[int | float, int | float]:
    """Return numerator and denominator of a rate."""
    item = RATES[name]
    top = sum(coefficient * counts[field] for field, coefficient in item.numerator.items())
    bottom = sum(coefficient * counts[field] for field, coefficient in item.denominator.items())
    return top, bottom


def divide(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """Divide element by element; 0 in the denominator gives NaN, never 0 or infinity."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)


COUNT_NAMES: tuple[str, ...] = (*COMMON_COUNTS, *MATCH_COUNTS)
