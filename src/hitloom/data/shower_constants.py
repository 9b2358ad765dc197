"""What a file of 2D clusters says of its detector: wire pitches and scales of lengths, once for all slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.lartpc_detectors import WARN_ABOVE, check_constants, detector_names, get_detector
from hitloom.data.root_read import read_columns
from hitloom.data.shower_branches import (
    EVENT_DATA,
    PITCH_COLUMNS,
    SCALE_BRANCHES,
    SCALE_COLUMNS,
    VIEW_DATA,
)
from hitloom.data.shower_layout import VIEWS
from hitloom.errors import DataError

SAME = 1e-6
"""Repeated rows may differ by so much, relatively."""


@dataclass(frozen=True, kw_only=True)
class ShowerConstants:
    """Wire pitch of each view in cm, scales of lengths in 1/cm (empty where unknown), name of the detector if known."""

    pitches: Mapping[int, float] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    detector: str | None = None

    def provenance(self) -> dict[str, Any]:
        """Return what every event records of the detector."""
        return {"detector": self.detector} | ({"scales": dict(self.scales)} if self.scales else {})


def read_constants(file: Any, path: Path, tree: str, trees: set[str], detector: str | None) -> ShowerConstants:
    """Return the constants of an open file, held against the detector where one is named.

    Without a name the detector is the one of the table whose constants agree, if it is a single one. What the file does
    not say is taken from the detector.

    Raises
    ------
    DataError
        When rows contradict each other or the detector, a view is unknown, or no pitch is known at all.
    """
    pitches, scales = {}, {}
    if tree + VIEW_DATA in trees:
        pitches = _pitches(file, path, tree + VIEW_DATA)
    if tree + EVENT_DATA in trees:
        found = read_columns(file, path, tree + EVENT_DATA, SCALE_COLUMNS)
        scales = {
            name: _one_value(found[branch].values, f"{path}: tree '{tree + EVENT_DATA}': branch '{branch}'")
            for name, branch in SCALE_BRANCHES.items()
            if len(found[branch].values)
        }
    if detector is None:
        detector = recognised(pitches, scales)
    else:
        check_constants(get_detector(detector), scales=scales, pitches=pitches, where=str(path))
    if detector is not None:
        known = get_detector(detector)
        pitches, scales, detector = dict(known.pitch) | pitches, dict(known.scales) | scales, known.name
    if not pitches:
        raise DataError(
            f"{path}: no wire pitch: tree '{tree + VIEW_DATA}' is missing or empty; mend: name the detector with "
            "--detector"
        )
    return ShowerConstants(pitches=pitches, scales=scales, detector=detector)


def recognised(pitches: Mapping[int, float], scales: Mapping[str, float]) -> str | None:
    """Return the detector of the table that has these constants; None where several or none do."""
    if not pitches:
        return None
    fitting = []
    for name in detector_names():
        known = get_detector(name)
        pairs = [(value, known.pitch[view]) for view, value in pitches.items()]
        pairs += [(value, known.scales[scale]) for scale, value in scales.items()]
        if all(abs(value - wanted) <= WARN_ABOVE * wanted for value, wanted in pairs):
            fitting.append(name)
    return fitting[0] if len(fitting) == 1 else None


def _pitches(file: Any, path: Path, tree: str) -> dict[int, float]:
    found = read_columns(file, path, tree, PITCH_COLUMNS)
    view, pitch = found["view"].values, found["pitch"].values
    check_views(view, f"{path}: tree '{tree}': branch 'view'")
    return {
        code: _one_value(pitch[view == code], f"{path}: tree '{tree}': branch 'pitch' of view {letter}")
        for code, letter in VIEWS.items()
        if (view == code).any()
    }


def check_views(view: NDArray[np.integer], where: str) -> None:
    """Check that all are codes of a wire view.

    Raises
    ------
    DataError
        Naming the first that is not.
    """
    unknown = ~np.isin(view, list(VIEWS))
    if unknown.any():
        raise DataError(
            f"{where} holds {int(view[unknown][0])}, which is no wire view; wanted "
            + ", ".join(f"{code} ({letter})" for code, letter in VIEWS.items())
        )


def _one_value(values: NDArray[np.floating], where: str) -> float:
    """Return the value that all rows repeat, as short a decimal number as tells it from its neighbours."""
    if np.ptp(values) > SAME * np.abs(values).max():
        raise DataError(
            f"{where} holds {values.min():.7g} and {values.max():.7g}: files of different detectors were put together; "
            "mend: read them one by one"
        )
    if not values[0] > 0:
        raise DataError(f"{where} holds {values[0]:.7g}, wanted more than 0")
    return float(str(values[0]))
