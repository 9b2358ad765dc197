"""Cuts on events: hard cuts by conditions, and the random azimuthal wedge of a training event.

A wedge is chosen from the points' positions alone; truth only says afterwards which objects it cut.
Shape letters: N points, K objects.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from hitloom.config import Config
from hitloom.data.conditions import Conditions
from hitloom.errors import DataError
from hitloom.event import Event

_log = logging.getLogger(__name__)
_TURN = 2 * math.pi


def hard_cut(event: Event, conditions: Mapping[str, Any] | Conditions) -> Event:
    """Return the event with only the points that pass; without conditions the event itself.

    Truth edges and constituents that lose an end go; ``object_num_points`` stays the number before the cut. When a
    condition looks at truth, the provenance says so under ``truth_selected_input``: efficiencies are then of the
    selected input and not of the detector.

    Raises
    ------
    ConfigError, DataError
        When a condition is impossible or its quantity is not in the data.
    """
    if not isinstance(conditions, Conditions):
        conditions = Conditions.parse(conditions, where="hard_cuts")
    if not conditions.items:
        return event
    result = event.select_points(conditions.mask(event))
    provenance = event.provenance_dict()
    texts = [f"{item.quantity} {item.operator} {item.operand}" for item in conditions.items]
    provenance["hard_cuts"] = [*provenance.get("hard_cuts", []), *texts]
    provenance["truth_selected_input"] = conditions.uses_truth or provenance.get("truth_selected_input", False)
    result.provenance = json.dumps(provenance, sort_keys=True)
    return result


def is_truth_selected(event: Event) -> bool:
    """Whether points of the event were removed by looking at truth."""
    return bool(event.provenance_dict().get("truth_selected_input", False))


class PhiWedge(Config):
    """A random azimuthal wedge with a bounded number of points.

    Attributes
    ----------
    fraction : float
        First width, as a share of the full turn.
    min_points, max_points : int
        Accepted number of points; ``max_points`` None = no bound.
    tolerance : float
        rad; the search for the width ends when its bracket is narrower.
    method : str
        ``binary_search`` changes the width about one centre, ``resample`` draws a new centre with the same width.
    max_possible_width : bool
        Once a width was too large, accept only 0.95 ``max_points`` or more.
    max_tries : int
        Centres that are tried.
    on_failure : str
        ``error``, or ``skip``: log a warning and leave the event out. It is never left uncut.
    """

    fraction: float = Field(default=0.1, gt=0, le=1)
    min_points: int = Field(default=20, ge=0)
    max_points: int | None = Field(default=None, ge=1)
    tolerance: float = Field(default=0.02, gt=0)
    method: Literal["binary_search", "resample"] = "binary_search"
    max_possible_width: bool = False
    max_tries: int = Field(default=50, ge=1)
    on_failure: Literal["error", "skip"] = "error"

    @model_validator(mode="after")
    def _bounds(self) -> PhiWedge:
        if self.max_points is not None and self.max_points < self.min_points:
            raise ValueError(f"max_points {self.max_points} is below min_points {self.min_points}")
        return self


class EtaSlab(Config):
    """A random slab in pseudorapidity, seen from the origin.

    Attributes
    ----------
    width : float
        Width in eta.
    max_abs_eta : float
        The slab lies within +- this.
    """

    width: float = Field(gt=0)
    max_abs_eta: float = Field(default=4.0, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> EtaSlab:
        if self.width > 2 * self.max_abs_eta:
            raise ValueError(f"width {self.width:g} is more than the whole range +-{self.max_abs_eta:g}")
        return self


@dataclass(frozen=True, kw_only=True)
class Wedge:
    """A chosen wedge: ``mask`` (N,) bool of the points within ``width`` / 2 of ``centre`` (rad, across +-pi)."""

    mask: Tensor
    centre: float
    width: float


def event_generator(seed: int, epoch: int, event_id: int) -> torch.Generator:
    """Return a generator that depends on these three numbers alone."""
    state = np.random.SeedSequence([abs(seed), abs(epoch), abs(event_id), int(event_id < 0)]).generate_state(2)
    return torch.Generator().manual_seed((int(state[0]) << 31) ^ int(state[1]))


def wedge_mask(phi: Tensor, centre: float, width: float) -> Tensor:
    """Return (N,) bool, the azimuths within ``width`` / 2 of ``centre``, across +-pi."""
    if width >= _TURN:
        return torch.ones_like(phi, dtype=torch.bool)
    distance = torch.remainder(phi.to(torch.float64) - centre + math.pi, _TURN) - math.pi
    return distance.abs() <= width / 2


def find_wedge(event: Event, config: PhiWedge, *, generator: torch.Generator) -> Wedge | None:
    """Choose a wedge of an event by its points alone.

    Returns
    -------
    Wedge, or None after ``config.max_tries`` centres without an accepted number of points.
    """
    phi = torch.atan2(event.pos[:, 1].to(torch.float64), event.pos[:, 0].to(torch.float64))
    most = math.inf if config.max_points is None else config.max_points
    if phi.numel() < config.min_points:
        return None
    for _ in range(config.max_tries):
        centre = _TURN * float(torch.rand((), generator=generator, dtype=torch.float64)) - math.pi
        low, high, width = 0.0, _TURN, _TURN * config.fraction
        least: float = config.min_points
        while True:
            mask = wedge_mask(phi, centre, width)
            count = int(mask.sum())
            if least <= count <= most:
                return Wedge(mask=mask, centre=centre, width=width)
            if config.method == "resample" or high - low < config.tolerance:
                break
            if count < least:
                low = width
            else:
                high = width
                if config.max_possible_width:
                    least = max(least, 0.95 * most)
            width = (low + high) / 2
    return None


def cut_objects(event: Event, mask: Tensor) -> Tensor:
    """Return (K,) bool, the objects with points on both sides of ``mask`` (N,); their truth in the wedge is partial."""
    owned = event.object_index >= 0
    inside = torch.bincount(event.object_index[owned & mask], minlength=event.num_objects)
    total = torch.bincount(event.object_index[owned], minlength=event.num_objects)
    return (inside > 0) & (inside < total)


def phi_wedge(event: Event, config: PhiWedge, *, generator: torch.Generator) -> Event | None:
    """Return the event inside a random wedge; its centre, width and number of cut objects are in the provenance.

    Returns
    -------
    Event, or None when no wedge was found and ``config.on_failure`` is ``skip`` (a warning is logged).

    Raises
    ------
    DataError
        When no wedge was found and ``config.on_failure`` is ``error``.
    """
    wedge = find_wedge(event, config, generator=generator)
    if wedge is None:
        bound = "" if config.max_points is None else f" to {config.max_points}"
        text = (
            f"{event.describe()}: no phi wedge with {config.min_points}{bound} points found among {event.num_points} "
            f"in {config.max_tries} tries"
        )
        if config.on_failure == "skip":
            _log.warning("%s; the event is left out", text)
            return None
        raise DataError(f"{text}; mend: wider bounds, or on_failure: skip")
    result = event.select_points(wedge.mask)
    record: dict[str, Any] = {"centre": wedge.centre, "width": wedge.width}
    if event.has_truth and "object_id" in event:
        record["num_cut_objects"] = int(cut_objects(event, wedge.mask).sum())
    result.provenance = json.dumps(event.provenance_dict() | {"phi_wedge": record}, sort_keys=True)
    return result


def eta_slab(event: Event, config: EtaSlab, *, generator: torch.Generator) -> Event:
    """Return the event inside a random slab; its centre and width, and the number of cut objects, are recorded.

    The slab is drawn without a look at the hits, so it may hold few or none.
    """
    room = config.max_abs_eta - config.width / 2
    centre = room * (2 * float(torch.rand((), generator=generator, dtype=torch.float64)) - 1)
    pos = event.pos.to(torch.float64)
    eta = torch.asinh(pos[:, 2] / torch.hypot(pos[:, 0], pos[:, 1]).clamp(min=1e-6))
    mask = (eta - centre).abs() <= config.width / 2
    result = event.select_points(mask)
    record: dict[str, Any] = {"centre": centre, "width": config.width}
    if event.has_truth and "object_id" in event:
        record["num_cut_objects"] = int(cut_objects(event, mask).sum())
    result.provenance = json.dumps(event.provenance_dict() | {"eta_slab": record}, sort_keys=True)
    return result
