"""Classical track finding: ACTS seeding, combinatorial Kalman filter and ambiguity resolution.

Shape letters: N hits, H hits on tracks, T tracks.

The finder takes every hit of an event, noise included, and returns labels over exactly those hits, so the
evaluation of a learned system applies to it unchanged. Source: the ACTS toolkit (arXiv:2106.13593).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from hitloom.baselines.ckf_config import CKFConfig
from hitloom.baselines.geometry import Floats, Ints
from hitloom.baselines.measurements import measurements_of
from hitloom.errors import ConfigError, DataError, HitloomError, require_extra
from hitloom.event import Event
from hitloom.result import Result
from hitloom.units import GEV_PER_TESLA_MM


class FieldChoice(NamedTuple):
    """Kind of magnetic field and its strength in the centre, T."""

    kind: Literal["constant", "solenoid"]
    tesla: float


def run_ckf(events: Iterable[Event], config: CKFConfig | None = None) -> Iterator[Result]:
    """Yield the tracks of each event, in order.

    Parameters
    ----------
    events : iterable of Event
        See :func:`hitloom.baselines.measurements.measurements_of` for the fields that are read. Truth is never read.
    config : CKFConfig, optional
        Settings.

    Yields
    ------
    Result
        ``labels`` (N,), tracks numbered from 0 without gaps; ``timing`` holds wall seconds of ``measurements`` (into
        local coordinates), ``space_points``, ``seeding``, ``parameters``, ``ckf``, ``ambiguity`` and ``labels``.

    Raises
    ------
    MissingDependencyError
        When ``pyacts`` is not installed.
    ConfigError
        When a pass asks for particles that do not reach its largest radius.
    DataError
        When an event's hits are not on the modules of the generic detector.
    """
    require_extra("acts", "sim")
    settings = config or CKFConfig()
    for field, group in itertools.groupby(events, key=lambda event: field_of(event, settings)):
        _check_reach(settings, field)
        while batch := list(itertools.islice(group, settings.num_events_per_run)):
            yield from _run_batch(batch, settings, field)


def field_of(event: Event, config: CKFConfig) -> FieldChoice:
    """Return the field that ``config`` names, or the one in which the event was simulated.

    Raises
    ------
    DataError
        When the provenance names an unknown field.
    """
    if config.field != "provenance":
        return FieldChoice(config.field, config.field_tesla)
    settings: dict[str, Any] = event.provenance_dict().get("config", {})
    kind = settings.get("field", "solenoid")
    if kind not in ("constant", "solenoid"):
        raise DataError(
            f"{event.describe()}: field 'provenance' names the magnetic field '{kind}', wanted constant or solenoid; "
            f"set the field of CKFConfig instead"
        )
    return FieldChoice(kind, float(settings.get("field_tesla", config.field_tesla)))


def labels_from_tracks(num_points: int, hit: Ints, track: Ints, chi2: Floats, *, min_hits: int = 3) -> Ints:
    """Turn tracks that may share hits into labels, each hit on at most one track.

    A shared hit goes to the longest of its tracks, of equally long ones to that of the lowest chi², then to the
    first. Tracks left with fewer than ``min_hits`` hits are dropped.

    Parameters
    ----------
    num_points : int
        N.
    hit, track : (H,) int64
        Pairs of hit row and track row.
    chi2 : (T,) float64
        chi² of each track.
    min_hits : int
        Fewest hits of a track.

    Returns
    -------
    (N,) int64
        Labels from 0 without gaps in the order of the tracks, -1 = unassigned.
    """
    num_tracks = len(chi2)
    length = np.bincount(track, minlength=num_tracks)
    rank = np.empty(num_tracks, dtype=np.int64)
    order = np.lexsort((np.arange(num_tracks), chi2, -length))
    rank[order] = np.arange(num_tracks)
    best = np.full(num_points, num_tracks, dtype=np.int64)
    np.minimum.at(best, hit, rank[track])
    labels = np.append(order, -1)[best]
    kept = np.bincount(labels[labels >= 0], minlength=num_tracks) >= min_hits
    number = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    return number[labels]


def _check_reach(config: CKFConfig, field: FieldChoice) -> None:
    """Refuse what the seeding refuses: a lowest momentum whose circles do not reach the largest radius."""
    for number, one in enumerate(config.passes):
        lowest = GEV_PER_TESLA_MM * field.tesla * one.r_max_mm / 2
        if one.min_pt_gev < lowest:
            raise ConfigError(
                f"passes[{number}]: min_pt_gev = {one.min_pt_gev} curls up inside r_max_mm = {one.r_max_mm} in "
                f"{field.tesla} T; at least {lowest:.3g} GeV, or a smaller r_max_mm, is wanted"
            )


def _run_batch(events: Sequence[Event], config: CKFConfig, field: FieldChoice) -> Iterator[Result]:
    from hitloom.baselines.acts_chain import run_chain

    inputs, seconds = [], []
    for event in events:
        begin = time.perf_counter()
        inputs.append(measurements_of(event, resolution_mm=config.resolution_mm, bias_u_mm=config.bias_u_mm))
        seconds.append(time.perf_counter() - begin)
    try:
        outputs = run_chain(inputs, config=config, field=field.kind, tesla=field.tesla)
    except (RuntimeError, ValueError) as error:
        names = ", ".join(event.describe() for event in events)
        raise HitloomError(f"ACTS failed on one of {names}: {str(error).splitlines()[0]}") from error
    for event, found, spent in zip(events, outputs, seconds, strict=True):
        begin = time.perf_counter()
        labels = labels_from_tracks(
            event.num_points,
            found.hit,
            found.track,
            found.chi2,
            min_hits=min(one.min_measurements for one in config.passes),
        )
        timing = {"measurements": spent, **found.timing, "labels": time.perf_counter() - begin}
        yield Result(
            event_id=int(event.event_id) if "event_id" in event else 0,
            point_id=event.point_id if "point_id" in event else torch.arange(event.num_points),
            labels=torch.from_numpy(labels),
            timing=timing,
        )
