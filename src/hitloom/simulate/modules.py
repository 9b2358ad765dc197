"""The 18,728 modules of the generic detector: where they are, their cells, and their TrackML numbers.

Legend: S modules. Local axes u, v, w of a module: global = R (u, v, w) + centre, w the normal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hitloom.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Readout:
    """Cells of a volume: pitches and module_t in mm, sensor depth in units of module_t, drift shift s in mm."""

    pitch_u: float
    pitch_v: float
    thickness: float
    depth_factor: float
    shift: float
    is_pixel: bool


def _endcap(pitch_u: float, pitch_v: float, thickness: float, is_pixel: bool) -> Readout:
    return Readout(
        pitch_u=pitch_u, pitch_v=pitch_v, thickness=thickness, depth_factor=2.0, shift=0.0, is_pixel=is_pixel
    )


READOUT = {
    7: _endcap(0.05, 0.05625, 0.15, True),
    8: Readout(pitch_u=0.05, pitch_v=0.05625, thickness=0.15, depth_factor=1.0, shift=0.018, is_pixel=True),
    9: _endcap(0.05, 0.05625, 0.15, True),
    12: _endcap(0.08, 1.2, 0.25, False),
    13: Readout(pitch_u=0.08, pitch_v=1.2, thickness=0.25, depth_factor=1.0, shift=-0.030, is_pixel=False),
    14: _endcap(0.08, 1.2, 0.25, False),
    16: _endcap(0.12, 10.4, 0.35, False),
    17: Readout(pitch_u=0.12, pitch_v=10.8, thickness=0.35, depth_factor=1.0, shift=-0.028, is_pixel=False),
    18: _endcap(0.12, 10.4, 0.35, False),
}


@dataclass(frozen=True, kw_only=True)
class ModuleTable:
    """Modules as columns (S,) sorted by (volume, layer, sensitive); centre (S, 3), rotation (S, 3, 3); mm.

    ``half_u_low`` and ``half_u_high`` are the half lengths in u at v = -half_v and +half_v. ``module`` is the id
    given to hits: the ACTS sensitive id, or TrackML's after :meth:`with_trackml_ids`.
    """

    volume: np.ndarray
    layer: np.ndarray
    sensitive: np.ndarray
    module: np.ndarray
    centre: np.ndarray
    rotation: np.ndarray
    half_u_low: np.ndarray
    half_u_high: np.ndarray
    half_v: np.ndarray

    def __len__(self) -> int:
        return len(self.volume)

    def readout(self, name: str) -> np.ndarray:
        """Return (S,) of one number of :class:`Readout`, by volume."""
        table = np.zeros(max(READOUT) + 1)
        for volume, readout in READOUT.items():
            table[volume] = getattr(readout, name)
        return table[self.volume]

    @property
    def half_u(self) -> np.ndarray:
        """(S,) the larger half length in u: channel 0 starts at -half_u."""
        return np.maximum(self.half_u_low, self.half_u_high)

    def rows_of(self, volume: np.ndarray, layer: np.ndarray, sensitive: np.ndarray) -> np.ndarray:
        """Return the row of each (volume, layer, sensitive)."""
        keys = (self.volume << 40) | (self.layer << 24) | self.sensitive
        wanted = (volume << 40) | (layer << 24) | sensitive
        rows = np.searchsorted(keys, wanted)
        if len(wanted) and not np.array_equal(keys[np.minimum(rows, len(keys) - 1)], wanted):
            raise DataError("simulated event: a hit lies on a module that is not in the geometry")
        return rows

    def to_local(self, rows: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        """Return (N, 3) u, v, w of global points."""
        return np.einsum("nij,ni->nj", self.rotation[rows], xyz - self.centre[rows])

    def to_global(self, rows: np.ndarray, uvw: np.ndarray) -> np.ndarray:
        """Return (N, 3) x, y, z of local points."""
        return np.einsum("nij,nj->ni", self.rotation[rows], uvw) + self.centre[rows]

    def outside_by(self, rows: np.ndarray, uvw: np.ndarray) -> np.ndarray:
        """Return (N,) mm by which points lie outside their module in u or v, 0 inside."""
        along = (uvw[:, 1] + self.half_v[rows]) / (2 * self.half_v[rows])
        width = self.half_u_low[rows] + np.clip(along, 0, 1) * (self.half_u_high - self.half_u_low)[rows]
        beyond = np.maximum(np.abs(uvw[:, 0]) - width, np.abs(uvw[:, 1]) - self.half_v[rows])
        return np.maximum(beyond, 0.0)

    def with_trackml_ids(self, path: Path) -> ModuleTable:
        """Return the table with TrackML's module ids, matched by position to a ``detectors.csv``.

        Raises
        ------
        DataError
            When the file is not that table, or a module has no partner with the same place, axes and size.
        """
        from hitloom.simulate.module_map import trackml_module_ids

        return replace(self, module=trackml_module_ids(table=self, path=path))


def module_table(*, geometry: Any) -> ModuleTable:
    """Read the sensitive surfaces of an ACTS tracking geometry."""
    import acts

    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    surfaces: list[Any] = []
    geometry.visitSurfaces(surfaces.append)
    ids, numbers = [], []
    for surface in surfaces:
        identifier, transform = surface.geometryId, surface.localToGlobalTransform(context)
        rotation, centre, bounds = transform.rotation, transform.translation, surface.bounds.values()
        # rectangle: (min u, min v, max u, max v); trapezoid: (half u at -v, half u at +v, half v, angle)
        sizes = (bounds[2], bounds[2], bounds[3]) if bounds[0] < 0 else tuple(bounds[:3])
        ids.append((identifier.volume, identifier.layer, identifier.sensitive))
        numbers.append(
            [centre[i] for i in range(3)] + [rotation[i, j] for i in range(3) for j in range(3)] + list(sizes)
        )
    volume, layer, sensitive = np.array(ids, dtype=np.int64).T
    order = np.lexsort((sensitive, layer, volume))
    values = np.array(numbers)[order]
    return ModuleTable(
        volume=volume[order],
        layer=layer[order],
        sensitive=sensitive[order],
        module=sensitive[order],
        centre=values[:, :3],
        rotation=values[:, 3:12].reshape(-1, 3, 3),
        half_u_low=values[:, 12],
        half_u_high=values[:, 13],
        half_v=values[:, 14],
    )
