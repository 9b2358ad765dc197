"""The TrackML detector as an object: its 18,728 modules, their axes, channels, layers and regions.

Legend: S modules, N points. Axes u, v, w of a module: xyz = R uvw + centre, w the normal. Lengths mm.
Facts: ``detectors.csv``; channel formula and shifts checked to 7.5 um on every hit of a real event (docs/data.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.data.trackml_files import COLUMNS, parse, read_file
from hitloom.data.truth_edges import module_key
from hitloom.errors import DataError

VOLUMES = (7, 8, 9, 12, 13, 14, 16, 17, 18)
BARRELS = (8, 13, 17)
PIXELS = (7, 8, 9)
LAYERS: tuple[tuple[int, int], ...] = tuple(
    (volume, 2 * number)
    for volume, count in zip(VOLUMES, (7, 4, 7, 6, 4, 6, 6, 2, 6), strict=True)
    for number in range(1, count + 1)
)
REGIONS = {7: 1, 12: 2, 16: 2, 8: 3, 13: 4, 17: 4, 9: 5, 14: 6, 18: 6}
SHIFT = {8: 0.018, 13: -0.030, 17: -0.028}  # mm along u, from channels to positions; 0 elsewhere


def layer_index(volume: ArrayLike, layer: ArrayLike) -> NDArray[np.int64]:
    """Return (N,) the layer as 0..47: volumes 7, 8, 9, 12, 13, 14, 16, 17, 18, layers ascending.

    Raises
    ------
    DataError
        When there is no such layer.
    """
    volume, layer = np.asarray(volume, dtype=np.int64), np.asarray(layer, dtype=np.int64)
    table = np.full((max(VOLUMES) + 2, 16), -1, dtype=np.int64)
    for number, (own_volume, own_layer) in enumerate(LAYERS):
        table[own_volume, own_layer] = number
    index = table[np.clip(volume, -1, max(VOLUMES) + 1), np.clip(layer, -1, 15)]
    if index.size and index.min() < 0:
        bad = int(index.argmin())
        raise DataError(f"volume {volume.flat[bad]}, layer {layer.flat[bad]}: no such layer of the TrackML detector")
    return index


def region(volume: ArrayLike) -> NDArray[np.int64]:
    """Return (N,) 1..6: endcap- pixel, endcap- strip, barrel pixel, barrel strip, endcap+ pixel, endcap+ strip."""
    volume = np.asarray(volume, dtype=np.int64)
    table = np.full(max(VOLUMES) + 2, -1, dtype=np.int64)
    table[list(REGIONS)] = list(REGIONS.values())
    result = table[np.clip(volume, -1, max(VOLUMES) + 1)]
    if result.size and result.min() < 0:
        raise DataError(f"volume {volume.flat[int(result.argmin())]}: no such volume of the TrackML detector")
    return result


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackMLGeometry:
    """The modules as columns (S,), sorted by (volume, layer, module); centre (S, 3), rotation (S, 3, 3).

    ``half_u_low`` and ``half_u_high`` are the half lengths in u at v = -half_v and +half_v (module_minhu,
    module_maxhu); ``thickness`` is module_t.
    """

    volume: NDArray[np.int64]
    layer: NDArray[np.int64]
    module: NDArray[np.int64]
    centre: NDArray[np.float64]
    rotation: NDArray[np.float64]
    thickness: NDArray[np.float64]
    half_u_low: NDArray[np.float64]
    half_u_high: NDArray[np.float64]
    half_v: NDArray[np.float64]
    pitch_u: NDArray[np.float64]
    pitch_v: NDArray[np.float64]

    @classmethod
    def read(cls, path: str | Path) -> TrackMLGeometry:
        """Read a ``detectors.csv``, plain or gz, with or without its unnamed first column.

        Raises
        ------
        DataError
            When the file is damaged, a module is there twice, or a rotation is none.
        """
        return cls.from_bytes(read_file(Path(path)), where=str(path))

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str) -> TrackMLGeometry:
        """Read the text of a ``detectors.csv``."""
        table = parse(data, "detectors", where=where)
        columns = {name: table[name].to_numpy() for name in COLUMNS["detectors"]}
        ids = [columns[name] for name in ("volume_id", "layer_id", "module_id")]
        key = module_key(*ids)
        order = np.argsort(key)
        if (np.diff(key[order]) == 0).any():
            row = order[int((np.diff(key[order]) == 0).argmax())]
            raise DataError(f"{where}: volume, layer, module {[int(part[row]) for part in ids]} is there twice")
        rotation = np.stack([columns[f"rot_{row}{axis}"] for row in "xyz" for axis in "uvw"], 1).reshape(-1, 3, 3)
        if not np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-4):
            raise DataError(f"{where}: a rotation matrix is not orthogonal; the file is damaged")
        return cls(
            volume=ids[0][order],
            layer=ids[1][order],
            module=ids[2][order],
            centre=np.stack([columns[name] for name in ("cx", "cy", "cz")], 1)[order],
            rotation=rotation[order],
            thickness=columns["module_t"][order],
            half_u_low=columns["module_minhu"][order],
            half_u_high=columns["module_maxhu"][order],
            half_v=columns["module_hv"][order],
            pitch_u=columns["pitch_u"][order],
            pitch_v=columns["pitch_v"][order],
        )

    def __len__(self) -> int:
        return int(self.volume.size)

    def rows_of(self, volume: ArrayLike, layer: ArrayLike, module: ArrayLike) -> NDArray[np.int64]:
        """Return (N,) rows of modules by their three ids.

        Raises
        ------
        DataError
            When a module is not in the table.
        """
        key, wanted = module_key(self.volume, self.layer, self.module), module_key(volume, layer, module)
        rows = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        unknown = key[rows] != wanted
        if unknown.any():
            bad = int(unknown.argmax())
            ids = ", ".join(str(np.asarray(part).flat[bad]) for part in (volume, layer, module))
            raise DataError(f"volume, layer, module {ids}: no such module in the detector table")
        return rows

    def to_global(self, rows: NDArray[np.int64], uvw: ArrayLike) -> NDArray[np.float64]:
        """Return (N, 3) x, y, z of local points (N, 3)."""
        return np.einsum("nij,nj->ni", self.rotation[rows], np.asarray(uvw, dtype=np.float64)) + self.centre[rows]

    def to_local(self, rows: NDArray[np.int64], xyz: ArrayLike) -> NDArray[np.float64]:
        """Return (N, 3) u, v, w of global points (N, 3)."""
        return np.einsum("nij,ni->nj", self.rotation[rows], np.asarray(xyz, dtype=np.float64) - self.centre[rows])

    @property
    def shift(self) -> NDArray[np.float64]:
        """(S,) mm along u that positions have beyond their channels."""
        table = np.zeros(max(VOLUMES) + 2)
        table[list(SHIFT)] = list(SHIFT.values())
        return table[np.clip(self.volume, 0, max(VOLUMES) + 1)]

    @property
    def num_channels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(S,) channels in u and in v, counted on the widest edge."""
        num_u, num_v = 2 * self.half_u_high / self.pitch_u, 2 * self.half_v / self.pitch_v
        return np.rint(num_u).astype(np.int64), np.rint(num_v).astype(np.int64)

    def channel_to_local(self, rows: NDArray[np.int64], m0: ArrayLike, m1: ArrayLike) -> NDArray[np.float64]:
        """Return (N, 3) u, v, w = 0 of (mean) channels: u = (m0 + 0.5) pitch_u - half_u_high + shift."""
        u = (np.asarray(m0) + 0.5) * self.pitch_u[rows] - self.half_u_high[rows] + self.shift[rows]
        v = (np.asarray(m1) + 0.5) * self.pitch_v[rows] - self.half_v[rows]
        return np.stack([u, v, np.zeros_like(u)], axis=-1)

    def local_to_channel(self, rows: NDArray[np.int64], u: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
        """Return (N, 2) fractional channels, the inverse of :meth:`channel_to_local`."""
        m0 = (np.asarray(u) - self.shift[rows] + self.half_u_high[rows]) / self.pitch_u[rows] - 0.5
        m1 = (np.asarray(v) + self.half_v[rows]) / self.pitch_v[rows] - 0.5
        return np.stack([m0, m1], axis=-1)

    def inside(
        self, rows: NDArray[np.int64], u: ArrayLike, v: ArrayLike, *, tolerance: float = 0.0
    ) -> NDArray[np.bool_]:
        """Return (N,) bool: whether u, v lie on the module (a rectangle or trapezoid), enlarged by ``tolerance`` mm."""
        u, v = np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)
        half_v = self.half_v[rows]
        along = np.clip((v + half_v) / (2 * half_v), 0, 1)
        half_u = self.half_u_low[rows] + along * (self.half_u_high - self.half_u_low)[rows]
        return (np.abs(u) <= half_u + tolerance) & (np.abs(v) <= half_v + tolerance)

    def neighbours(self, rows: NDArray[np.int64], num_neighbours: int) -> NDArray[np.int64]:
        """Return (N, num_neighbours) rows of the nearest other modules of the same layer, by centre, nearest first.

        Raises
        ------
        DataError
            When a layer has too few modules.
        """
        from scipy.spatial import cKDTree

        result = np.zeros((rows.size, num_neighbours), dtype=np.int64)
        key = module_key(self.volume, self.layer, np.zeros_like(self.layer))
        for own in np.unique(key[rows]):
            members, asked = np.flatnonzero(key == own), np.flatnonzero(key[rows] == own)
            if members.size <= num_neighbours:
                raise DataError(f"num_neighbours: {num_neighbours} asked in a layer of {members.size} modules")
            _, near = cKDTree(self.centre[members]).query(self.centre[rows[asked]], k=num_neighbours + 1)
            near = members[near.reshape(asked.size, -1)]
            keep = near != rows[asked, None]
            keep[keep.all(1), -1] = False
            result[asked] = near[keep].reshape(asked.size, num_neighbours)
        return result
