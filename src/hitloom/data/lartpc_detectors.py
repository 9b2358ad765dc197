"""LArTPC detectors: wire pitch and angle of each view, the box of the detector, and the scales of lengths.

>>> from hitloom.data.lartpc_detectors import get_detector
>>> get_detector("dune-fd-hd").pitch[6]
0.479

The table is data: ``geometries/lartpc.yaml`` ships with the package, and another detector is a YAML file (or a mapping)
of the same keys. Which values come from a public file stands in ``confirmed``; all others are general knowledge.

A wire at angle theta from the vertical measures ``w = z cos(theta) - y sin(theta)``. Papers quote the angle from the
vertical or from the beam; ``wire_angle`` keeps the number as quoted, :attr:`Detector.angle` is theta.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from hitloom.config import Config, build, load_yaml
from hitloom.data.shower_layout import VIEWS
from hitloom.errors import ConfigError, DataError, nearest

log = logging.getLogger("hitloom")

_TABLE = Path(__file__).with_name("geometries") / "lartpc.yaml"
SCALE_NAMES = ("polar_r", "cartesian_x", "cartesian_z")
WARN_ABOVE = 1e-3
REFUSE_ABOVE = 5e-2

Range = tuple[float, float]


class Detector(Config):
    """One LArTPC.

    Parameters
    ----------
    name
        How it is asked for.
    pitch
        Distance between wires in cm, by code of the view (4 = U, 5 = V, 6 = W).
    wire_angle, angle_from
        Degrees as quoted, from the vertical or from the beam.
    box
        cm; [low, high] of x (drift), y (up), z (beam).
    gaps
        [low, high] in x of dead strips between drift volumes, cm; None = none.
    scales
        1/cm, names of :data:`SCALE_NAMES`; left out, those of the box.
    confirmed
        Keys whose values come from a public file.
    """

    name: str
    pitch: dict[int, float]
    wire_angle: dict[int, float]
    angle_from: Literal["vertical", "beam"] = "vertical"
    box: tuple[Range, Range, Range]
    gaps: tuple[Range, ...] | None = None
    scales: dict[str, float] = Field(default_factory=dict)
    confirmed: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Detector:
        for key, values in (("pitch", self.pitch), ("wire_angle", self.wire_angle)):
            if set(values) != set(VIEWS):
                raise ValueError(f"{key} needs one value for each of the views 4, 5 and 6, not for {sorted(values)}")
        if not all(math.isfinite(value) and value > 0 for value in self.pitch.values()):
            raise ValueError("pitch must be above 0")
        if not all(low < high for low, high in self.box):
            raise ValueError("box needs three ranges [low, high] with low < high")
        if any(low > high for low, high in self.gaps or ()):
            raise ValueError("gaps needs ranges [low, high] with low <= high")
        if not self.scales:
            self.scales.update(self.box_scales())
        if set(self.scales) != set(SCALE_NAMES) or not all(value > 0 for value in self.scales.values()):
            raise ValueError(f"scales needs {', '.join(SCALE_NAMES)}, all above 0")
        for key in self.confirmed:
            if key not in type(self).model_fields:
                raise ValueError(f"confirmed names '{key}', which is no key.{nearest(key, type(self).model_fields)}")
        return self

    @property
    def angle(self) -> dict[int, float]:
        """Angle theta of the wires from the vertical in radians, by view; within (-pi/2, pi/2]."""
        if self.angle_from == "vertical":
            return {view: math.radians(angle) for view, angle in self.wire_angle.items()}
        turned = {view: 90.0 - angle for view, angle in self.wire_angle.items()}
        return {view: math.radians(angle - 180.0 if angle > 90.0 else angle) for view, angle in turned.items()}

    def box_scales(self) -> dict[str, float]:
        """Return the scales of the box: 1 / diagonal, 1 / extent in x, 1 / extent in z (1/cm)."""
        extent = [high - low for low, high in self.box]
        return {"polar_r": 1 / math.hypot(*extent), "cartesian_x": 1 / extent[0], "cartesian_z": 1 / extent[2]}


def detector_names() -> tuple[str, ...]:
    """Return the names of the table."""
    return tuple(_table())


def get_detector(detector: str | Path | Mapping[str, Any] | Detector) -> Detector:
    """Return a detector of the table, or the one of a YAML file or mapping of the same keys.

    Raises
    ------
    ConfigError
        For a name that is not in the table, and for a file or mapping with impossible values.
    """
    if isinstance(detector, Detector):
        return detector
    if isinstance(detector, Mapping):
        return build(Detector, detector, where=f"detector {detector.get('name', '')}".rstrip())
    if str(detector) in _table():
        return _table()[str(detector)]
    if str(detector).endswith((".yaml", ".yml")):
        return build(Detector, {"name": Path(detector).stem} | load_yaml(detector), where=str(detector))
    raise ConfigError(
        f"detector '{detector}' is not in the table.{nearest(str(detector), _table())} Mend: one of the names, or a "
        "YAML file (*.yaml) with pitch, wire_angle and box"
    )


def check_constants(
    detector: Detector,
    *,
    scales: Mapping[str, float] | None = None,
    pitches: Mapping[int, float] | None = None,
    where: str,
) -> None:
    """Hold the constants of a file against those of the table.

    A relative difference above :data:`WARN_ABOVE` is logged as a warning, one above :data:`REFUSE_ABOVE` is refused.

    Parameters
    ----------
    scales
        1/cm, by name.
    pitches
        cm, by code of the view.
    where
        The file, for messages.

    Raises
    ------
    DataError
        When a constant contradicts the table.
    """
    pairs = [(f"scale {name}", value, detector.scales[name]) for name, value in (scales or {}).items()]
    pairs += [(f"pitch of view {VIEWS[view]}", value, detector.pitch[view]) for view, value in (pitches or {}).items()]
    for name, found, wanted in pairs:
        off = abs(found - wanted) / wanted
        line = f"{where}: {name} is {found:.7g}, that of detector '{detector.name}' is {wanted:.7g}"
        if not off <= REFUSE_ABOVE:
            raise DataError(f"{line}; mend: name the detector that the file is of, or none")
        if off > WARN_ABOVE:
            log.warning("%s", line)


@lru_cache(maxsize=1)
def _table() -> dict[str, Detector]:
    return {
        name: build(Detector, {"name": name} | values, where=f"{_TABLE.name}: {name}")
        for name, values in load_yaml(_TABLE).items()
    }
