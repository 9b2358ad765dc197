"""Hits of an event as measurements on module planes: local coordinates and their variances.

Shape letters: N hits. Lengths mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hitloom.baselines.geometry import Floats, Ints, ModulePlanes, geometry_id
from hitloom.errors import DataError
from hitloom.event import Event

# Standard deviation of hit minus true crossing along u and v, in mm, by volume: what the public full-truth TrackML
# event shows (both endcaps of a kind pooled).
RESOLUTION_MM: dict[int, tuple[float, float]] = {
    7: (0.013, 0.009),
    8: (0.006, 0.012),
    9: (0.013, 0.009),
    12: (0.017, 0.30),
    13: (0.017, 0.26),
    14: (0.017, 0.30),
    16: (0.024, 2.85),
    17: (0.024, 3.1),
    18: (0.024, 2.85),
}

# A hit farther than this from the plane of its module is on another module: the numbers are not those of ACTS.
MAX_OFF_PLANE_MM = 0.1


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Measurements of one event.

    Attributes
    ----------
    geometry_id : (N,) int64
        Module of each hit, as ACTS numbers it.
    local : (N, 2) float64
        Coordinates u, v on the module, mm.
    variance : (N, 2) float64
        Variances of u and v, mm².
    """

    geometry_id: Ints
    local: Floats
    variance: Floats


def measurements_of(
    event: Event,
    planes: ModulePlanes,
    *,
    resolution_mm: dict[int, tuple[float, float]] = RESOLUTION_MM,
    modules: Literal["id", "position"] = "id",
) -> Measurements:
    """Return every hit of ``event`` as a measurement on its module.

    Parameters
    ----------
    event : Event
        Needs ``pos``, ``volume``, ``layer`` and, for ``modules="id"``, ``module``.
    planes : ModulePlanes
        The modules of the detector.
    resolution_mm : dict
        Standard deviations along u and v by volume.
    modules : "id" or "position"
        Trust the event's module numbers, or look each hit's module up by its position.

    Raises
    ------
    DataError
        When a field is missing, a volume has no resolution, a module does not exist, or a hit is not on its module.
    """
    where = event.describe()
    wanted = ("pos", "volume", "layer") + (("module",) if modules == "id" else ())
    for name in wanted:
        if name not in event:
            raise DataError(f"{where}: field '{name}' is missing; a track finder on module planes needs it")
    pos = event.pos.detach().cpu().numpy().astype(np.float64)
    volume, layer = (event[name].cpu().numpy() for name in ("volume", "layer"))
    unknown = sorted(set(np.unique(volume).tolist()) - set(resolution_mm))
    if unknown:
        raise DataError(f"{where}: volume {unknown[0]} has no resolution; known volumes: {sorted(resolution_mm)}")
    if modules == "id":
        rows = planes.rows(geometry_id(volume, layer, event.module.cpu().numpy()), where=where)
    else:
        rows = planes.find(volume, layer, pos)
    uvw = planes.to_local(rows, pos)
    off = np.abs(uvw[:, 2])
    if len(off) and off.max() > MAX_OFF_PLANE_MM:
        worst = int(np.argmax(off))
        raise DataError(
            f"{where}: point {worst} is {off[worst]:.3g} mm off the plane of its module (volume {volume[worst]}, "
            f"layer {layer[worst]}), at most {MAX_OFF_PLANE_MM} mm wanted; TrackML's endcap module numbers are not "
            f"those of ACTS: use modules='position'"
        )
    return Measurements(
        geometry_id=planes.ids[rows],
        local=np.ascontiguousarray(uvw[:, :2]),
        variance=_variance(volume, resolution_mm),
    )


def _variance(volume: NDArray[np.int64], resolution_mm: dict[int, tuple[float, float]]) -> Floats:
    table = np.full((max(resolution_mm) + 1, 2), np.nan)
    for key, sigma in resolution_mm.items():
        table[key] = np.square(sigma)
    return table[volume].reshape(-1, 2)
