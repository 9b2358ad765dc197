"""The ACTS generic detector, and on which of its modules a hit lies.

Shape letters: N hits, S modules. Lengths mm.

The generic detector is the detector of the TrackML data. Module numbers of ACTS agree with TrackML's in the barrels
and differ in the endcaps, so a number is only a hint here: a hit is placed by its number where it lies on that
module, and by its position elsewhere. Either numbering works, and no table of one in terms of the other is needed.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hitloom.errors import DataError, require_extra
from hitloom.simulate.modules import ModuleTable, module_table

PIXEL_VOLUMES = (7, 8, 9)
SHORT_STRIP_VOLUMES = (12, 13, 14)
LONG_STRIP_VOLUMES = (16, 17, 18)

# A hit is on a module when it is this near its plane and at most this far beyond its edges: the centre of a long
# strip may lie outside a trapezoid, and positions in files are rounded.
PLANE_TOLERANCE_MM = 0.05
EDGE_TOLERANCE_MM = 1.0
_NUM_CANDIDATES = 8  # modules of the layer with the nearest centres that a search by position looks at

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@functools.cache
def generic_detector() -> Any:
    """Return the ACTS generic detector (built once, about half a second; needs the ``sim`` extra)."""
    require_extra("acts", "sim")
    import acts
    from acts.examples import GenericDetector

    quiet = acts.logging.FATAL
    return GenericDetector(logLevel=quiet, surfaceLogLevel=quiet, layerLogLevel=quiet, volumeLogLevel=quiet)


@functools.cache
def generic_modules() -> ModuleTable:
    """Return the 18,728 sensitive modules of :func:`generic_detector`."""
    return module_table(geometry=generic_detector().trackingGeometry())


def geometry_ids(modules: ModuleTable, rows: Ints) -> Ints:
    """Return the 64-bit ACTS identifiers (N,) of module rows (N,): volume, layer and sensitive number packed."""
    return (modules.volume[rows] << 56) | (modules.layer[rows] << 36) | (modules.sensitive[rows] << 8)


def module_rows(
    modules: ModuleTable, *, volume: Ints, layer: Ints, module: Ints | None, pos: Floats, where: str = "event"
) -> Ints:
    """Return the row (N,) of the module on which each hit lies.

    Parameters
    ----------
    modules : ModuleTable
        The S modules, sorted by volume, layer and sensitive number.
    volume, layer, module : (N,) int64
        The hit's own numbers; ``module`` may be of ACTS, of TrackML, or None.
    pos : (N, 3) float64
        Positions, mm.

    Raises
    ------
    DataError
        When a layer does not exist or a hit is on none of its layer's modules.
    """
    num_points = len(pos)
    rows = np.zeros(num_points, dtype=np.int64)
    lost = np.ones(num_points, dtype=bool)
    if module is not None and num_points:
        keys = _keys(modules.volume, modules.layer, modules.sensitive)
        wanted = _keys(volume, layer, module)
        rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        lost = keys[rows] != wanted
        lost[~lost] = _misfit(modules, rows[~lost], pos[~lost]) > 1.0
    if lost.any():
        rows[lost], misfit = _nearest(modules, volume[lost], layer[lost], pos[lost], where=where)
        if misfit.max() > 1.0:
            worst = int(np.flatnonzero(lost)[misfit.argmax()])
            raise DataError(
                f"{where}: point {worst} at {np.round(pos[worst], 2).tolist()} mm is on no module of volume "
                f"{volume[worst]}, layer {layer[worst]} of the generic detector ({PLANE_TOLERANCE_MM} mm off its "
                f"plane, {EDGE_TOLERANCE_MM} mm beyond its edges allowed); use events of this detector"
            )
    return rows


def _keys(volume: Ints, layer: Ints, module: Ints) -> Ints:
    return (volume << 40) | (layer << 24) | module


def _misfit(modules: ModuleTable, rows: Ints, pos: Floats) -> Floats:
    """Return (N,) distance to the module's plane or beyond its edges in units of the tolerance; 1 is still on it."""
    local = modules.to_local(rows, pos)
    return np.maximum(np.abs(local[:, 2]) / PLANE_TOLERANCE_MM, modules.outside_by(rows, local) / EDGE_TOLERANCE_MM)


def _nearest(modules: ModuleTable, volume: Ints, layer: Ints, pos: Floats, *, where: str) -> tuple[Ints, Floats]:
    """Return row (N,) and misfit (N,) of the module of its layer that each point fits best."""
    rows = np.zeros(len(pos), dtype=np.int64)
    misfit = np.full(len(pos), np.inf)
    layers, owner = np.unique(np.stack([volume, layer], axis=1), axis=0, return_inverse=True)
    for number, (one_volume, one_layer) in enumerate(layers.tolist()):
        hits = np.flatnonzero(owner.reshape(-1) == number)
        members = np.flatnonzero((modules.volume == one_volume) & (modules.layer == one_layer))
        if not len(members):
            raise DataError(
                f"{where}: {len(hits)} points lie on volume {one_volume}, layer {one_layer}, which the generic "
                f"detector does not have; volumes 7, 8, 9, 12, 13, 14, 16, 17, 18 with even layers wanted"
            )
        count = min(_NUM_CANDIDATES, len(members))
        candidates = members[cKDTree(modules.centre[members]).query(pos[hits], k=count)[1].reshape(-1, count)]
        away = _misfit(modules, candidates.reshape(-1), np.repeat(pos[hits], count, axis=0)).reshape(-1, count)
        best = away.argmin(axis=1)
        rows[hits] = candidates[np.arange(len(hits)), best]
        misfit[hits] = away[np.arange(len(hits)), best]
    return rows, misfit
