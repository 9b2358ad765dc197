"""Planes of the sensitive modules of the ACTS generic detector, as arrays.

Shape letters: N hits, S modules. Lengths mm.

The generic detector is the detector of the TrackML data. Its geometry comes out of the ``pyacts`` package, so the
module numbers here are those of ACTS: they agree with TrackML's in the barrels and differ in the endcaps. A hit
of TrackML data is therefore placed by position (:meth:`ModulePlanes.find`), a simulated one by number.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hitloom.errors import DataError, require_extra

VOLUME_SHIFT, LAYER_SHIFT, MODULE_SHIFT = 56, 36, 8
PIXEL_VOLUMES = (7, 8, 9)
SHORT_STRIP_VOLUMES = (12, 13, 14)
LONG_STRIP_VOLUMES = (16, 17, 18)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def geometry_id(volume: Ints, layer: Ints, module: Ints) -> Ints:
    """Pack volume, layer and module numbers (N,) into the 64-bit identifiers of ACTS (N,) int64."""
    parts = [np.asarray(part, dtype=np.int64) for part in (volume, layer, module)]
    return (parts[0] << VOLUME_SHIFT) | (parts[1] << LAYER_SHIFT) | (parts[2] << MODULE_SHIFT)


@dataclass(frozen=True, kw_only=True)
class ModulePlanes:
    """The planes of all modules.

    Attributes
    ----------
    ids : (S,) int64
        Geometry identifiers, ascending.
    center : (S, 3) float64
        Centres, mm.
    rotation : (S, 3, 3) float64
        Columns are the module's u, v and normal axes in global coordinates: ``global = rotation @ uvw + center``.
    """

    ids: Ints
    center: Floats
    rotation: Floats
    _trees: dict[int, tuple[Any, Ints]] = field(default_factory=dict, repr=False, compare=False)

    def rows(self, ids: Ints, *, where: str = "event") -> Ints:
        """Return the row (N,) of each identifier.

        Raises
        ------
        DataError
            When an identifier is not a module of the detector.
        """
        row = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        wrong = self.ids[row] != ids
        if wrong.any():
            first = int(np.argmax(wrong))
            value = int(ids[first])
            volume, layer = value >> VOLUME_SHIFT, (value >> LAYER_SHIFT) & 0xFFF
            raise DataError(
                f"{where}: point {first} lies on volume {volume}, layer {layer}, module "
                f"{(value >> MODULE_SHIFT) & 0xFFFFF}, which the generic detector does not have; "
                f"{int(wrong.sum())} such points; use events simulated with it, or modules='position'"
            )
        return row.astype(np.int64)

    def find(self, volume: Ints, layer: Ints, pos: Floats) -> Ints:
        """Return the row (N,) of the module whose plane passes nearest to each point (N, 3).

        Of the six modules of the same volume and layer with the nearest centres, the one with the smallest distance
        across the plane plus the distance beyond 0.6 of the module pitch along it wins.
        """
        result = np.full(len(pos), -1, dtype=np.int64)
        key = (volume << VOLUME_SHIFT) | (layer << LAYER_SHIFT)
        for value in np.unique(key):
            hits = np.flatnonzero(key == value)
            tree, members = self._tree(int(value))
            if not len(members):
                raise DataError(
                    f"volume {int(value) >> VOLUME_SHIFT} has no layer "
                    f"{(int(value) >> LAYER_SHIFT) & 0xFFF} in the generic detector (point {int(hits[0])})"
                )
            distance, nearest = tree.query(pos[hits], k=min(6, len(members)))
            candidates = members[nearest.reshape(len(hits), -1)]
            away = np.abs(
                np.einsum(
                    "nkj,nkj->nk",
                    pos[hits][:, None] - self.center[candidates],
                    self.rotation[candidates, :, 2],
                )
            )
            spread = distance.reshape(len(hits), -1)
            best = np.argmin(away + 1e-3 * (spread - spread[:, :1]), axis=1)
            result[hits] = candidates[np.arange(len(hits)), best]
        return result

    def to_local(self, rows: Ints, pos: Floats) -> Floats:
        """Return (N, 3) module coordinates u, v, w of global points (N, 3)."""
        return np.einsum("nij,ni->nj", self.rotation[rows], pos - self.center[rows])

    def to_global(self, rows: Ints, local: Floats) -> Floats:
        """Return (N, 3) global points of module coordinates (N, 2) or (N, 3)."""
        uvw = local if local.shape[1] == 3 else np.pad(local, ((0, 0), (0, 1)))
        return np.einsum("nij,nj->ni", self.rotation[rows], uvw) + self.center[rows]

    def _tree(self, value: int) -> tuple[Any, Ints]:
        if value not in self._trees:
            members = np.flatnonzero((self.ids >> LAYER_SHIFT) == (value >> LAYER_SHIFT))
            self._trees[value] = (cKDTree(self.center[members]) if len(members) else None, members)
        return self._trees[value]


@functools.cache
def generic_detector() -> Any:
    """Return the ACTS generic detector (built once, about half a second; needs the ``sim`` extra)."""
    require_extra("acts", "sim")
    import acts
    from acts.examples import GenericDetector

    quiet = acts.logging.ERROR
    return GenericDetector(logLevel=quiet, surfaceLogLevel=quiet, layerLogLevel=quiet, volumeLogLevel=quiet)


@functools.cache
def module_planes() -> ModulePlanes:
    """Return the planes of the 18,728 sensitive modules of :func:`generic_detector`."""
    detector = generic_detector()
    import acts

    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    ids: list[int] = []
    centers: list[list[float]] = []
    rotations: list[list[list[float]]] = []

    def visit(surface: Any) -> None:
        transform = surface.localToGlobalTransform(context)
        rotation, translation = transform.rotation, transform.translation
        ids.append(surface.geometryId.value)
        centers.append([translation[i] for i in range(3)])
        rotations.append([[rotation[i, j] for j in range(3)] for i in range(3)])

    detector.trackingGeometry().visitSurfaces(visit)
    order = np.argsort(np.array(ids, dtype=np.int64))
    return ModulePlanes(
        ids=np.array(ids, dtype=np.int64)[order],
        center=np.array(centers)[order],
        rotation=np.array(rotations)[order],
    )
