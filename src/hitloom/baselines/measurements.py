"""Hits of an event as measurements on module planes: local coordinates and their variances.

Shape letters: N hits. Lengths mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hitloom.baselines.geometry import Floats, Ints, generic_modules, geometry_ids, module_rows
from hitloom.errors import DataError
from hitloom.event import Event

# Standard deviation of hit minus true crossing along u and v, in mm, by volume: what the public TrackML event with
# truth shows (the two sides of an endcap pooled).
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

# Mean of hit minus true crossing along u, in mm, by volume; 0 elsewhere. The barrels of TrackML read out a drift shift
# that their positions keep by half. A track fit needs it taken off: in volume 8 it is larger than the resolution.
BIAS_U_MM: dict[int, float] = {8: 0.009, 13: -0.015, 17: -0.014}


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Measurements of one event.

    Attributes
    ----------
    geometry_id : (N,) int64
        Module of each hit, as ACTS numbers it.
    local : (N, 2) float64
        Coordinates u, v on the module, mm, the bias taken off.
    variance : (N, 2) float64
        Variances of u and v, mm².
    """

    geometry_id: Ints
    local: Floats
    variance: Floats


def measurements_of(
    event: Event, *, resolution_mm: Mapping[int, tuple[float, float]], bias_u_mm: Mapping[int, float]
) -> Measurements:
    """Return every hit of ``event`` as a measurement on its module.

    Parameters
    ----------
    event : Event
        Needs ``pos``, ``volume`` and ``layer``; ``module`` is a hint, see :mod:`hitloom.baselines.geometry`.
    resolution_mm : mapping
        Standard deviations along u and v by volume.
    bias_u_mm : mapping
        Mean of measured minus true u by volume, taken off; 0 for volumes not named.

    Raises
    ------
    DataError
        When a field is missing, a volume has no resolution, or a hit is on no module.
    """
    where = event.describe()
    for name in ("pos", "volume", "layer"):
        if name not in event:
            raise DataError(f"{where}: field '{name}' is missing; a track finder on module planes needs it")
    pos = event.pos.detach().cpu().numpy().astype(np.float64)
    volume, layer = (event[name].cpu().numpy() for name in ("volume", "layer"))
    unknown = sorted(set(np.unique(volume).tolist()) - set(resolution_mm))
    if unknown:
        raise DataError(f"{where}: volume {unknown[0]} has no resolution; resolution_mm has {sorted(resolution_mm)}")
    modules = generic_modules()
    module = event.module.cpu().numpy() if "module" in event else None
    rows = module_rows(modules, volume=volume, layer=layer, module=module, pos=pos, where=where)
    local = modules.to_local(rows, pos)[:, :2]
    variance = np.zeros_like(local)
    for key, sigma in resolution_mm.items():
        here = volume == key
        variance[here] = np.square(sigma)
        local[here, 0] -= bias_u_mm.get(key, 0.0)
    return Measurements(geometry_id=geometry_ids(modules, rows), local=local, variance=variance)
