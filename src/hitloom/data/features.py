"""Features of a point from its position and from the cells of its cluster.

Shape letters: N points, M cells. Lengths mm, angles rad. Computed in float64, returned in float32.

The nine cell features are those of Exa.TrkX, acorn and EggNet (trackml.md section 7): for the cluster box
``a = (n_u pitch_u, n_v pitch_v, 2 thickness)`` in the module's axes, its pseudorapidity and azimuth there and after
the rotation to global axes. All three lengths are positive, so the sign of the inclination is lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError

POSITION_FEATURES = ("r", "phi", "z", "eta", "cos_phi", "sin_phi")
CELL_FEATURES = ("cell_count", "cell_val", "leta", "lphi", "lx", "ly", "lz", "geta", "gphi")
EXTRA_CELL_FEATURES = ("depth", "ly_signed", "gphi_signed", "cos_gphi", "sin_gphi", "cos_lphi", "sin_lphi")

_MIN_TRANSVERSE = 1e-6  # mm; keeps the pseudorapidity of a point on the z axis finite (below 25)


def pseudorapidity(transverse: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
    """Return -ln tan(theta/2) with tan(theta) = transverse / z, finite everywhere; 0 at the origin."""
    transverse = np.maximum(np.asarray(transverse, dtype=np.float64), _MIN_TRANSVERSE)
    return np.arcsinh(np.asarray(z, dtype=np.float64) / transverse)


def position_features(pos: ArrayLike) -> NDArray[np.float32]:
    """Return :data:`POSITION_FEATURES` of global positions.

    Parameters
    ----------
    pos : (N, 3)
        x, y, z in mm.

    Returns
    -------
    (N, 6) float32
        r (cylindrical, mm), phi, z, eta, cos phi, sin phi.

    Examples
    --------
    >>> position_features([[3.0, 4.0, 0.0]])[0, [0, 2, 3, 4]].tolist()
    [5.0, 0.0, 0.0, 0.6000000238418579]
    """
    x, y, z = np.asarray(pos, dtype=np.float64).reshape(-1, 3).T
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    columns = [r, phi, z, pseudorapidity(r, z), np.cos(phi), np.sin(phi)]
    return np.stack(columns, axis=1).astype(np.float32)


def _cluster_box(index: NDArray[np.int64], channel: NDArray[np.int64], num_points: int) -> NDArray[np.int64]:
    """Return (N,) max - min + 1 of the channel over the cells of each point; 0 without cells."""
    low = np.full(num_points, np.iinfo(np.int64).max)
    high = np.full(num_points, np.iinfo(np.int64).min)
    np.minimum.at(low, index, channel)
    np.maximum.at(high, index, channel)
    size = np.zeros(num_points, dtype=np.int64)
    hit = np.bincount(index, minlength=num_points) > 0
    size[hit] = high[hit] - low[hit] + 1
    return size


def _checked(
    point_index: ArrayLike, ch0: ArrayLike, ch1: ArrayLike, num_points: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    index = np.asarray(point_index, dtype=np.int64)
    if index.size and (index.min() < 0 or index.max() >= num_points):
        wrong = int(index.min() if index.min() < 0 else index.max())
        raise DataError(f"cells: point_index holds {wrong}; wanted rows from 0 to {num_points - 1}")
    return index, np.asarray(ch0, dtype=np.int64), np.asarray(ch1, dtype=np.int64)


def cell_shape_features(
    *,
    point_index: ArrayLike,
    ch0: ArrayLike,
    ch1: ArrayLike,
    value: ArrayLike,
    pitch_u: ArrayLike,
    pitch_v: ArrayLike,
    thickness: ArrayLike,
    rotation: ArrayLike,
) -> NDArray[np.float32]:
    """Return :data:`CELL_FEATURES` of every point, joined by ``point_index`` and never by order.

    Parameters
    ----------
    point_index : (M,) int
        Row of the point that each cell belongs to.
    ch0, ch1 : (M,) int
        Channels along u and v.
    value : (M,)
        Signal of each cell.
    pitch_u, pitch_v, thickness : (N,)
        Of each point's module, mm; ``thickness`` is module_t, half of lz.
    rotation : (N, 3, 3)
        Module axes: xyz = rotation @ uvw.

    Returns
    -------
    (N, 9) float32
        A point without cells gets 0 everywhere but lz.

    Raises
    ------
    DataError
        When a cell names a point that is not there.
    """
    pitch_u, pitch_v = np.asarray(pitch_u, dtype=np.float64), np.asarray(pitch_v, dtype=np.float64)
    num_points = len(pitch_u)
    index, ch0, ch1 = _checked(point_index, ch0, ch1, num_points)
    count = np.bincount(index, minlength=num_points)
    total = np.bincount(index, weights=np.asarray(value, dtype=np.float64), minlength=num_points)
    lx = _cluster_box(index, ch0, num_points) * pitch_u
    ly = _cluster_box(index, ch1, num_points) * pitch_v
    lz = 2 * np.asarray(thickness, dtype=np.float64)
    gx, gy, gz = _rotate(rotation, lx, ly, lz)
    angles = np.stack(
        [
            pseudorapidity(np.hypot(lx, ly), lz),
            np.arctan2(ly, lx),
            pseudorapidity(np.hypot(gx, gy), gz),
            np.arctan2(gy, gx),
        ]
    )
    leta, lphi, geta, gphi = np.where(count > 0, angles, 0.0)
    return np.stack([count, total, leta, lphi, lx, ly, lz, geta, gphi], axis=1).astype(np.float32)


def extra_cell_features(
    *,
    point_index: ArrayLike,
    ch0: ArrayLike,
    ch1: ArrayLike,
    pitch_u: ArrayLike,
    pitch_v: ArrayLike,
    thickness: ArrayLike,
    rotation: ArrayLike,
    is_barrel: ArrayLike,
) -> NDArray[np.float32]:
    """Return :data:`EXTRA_CELL_FEATURES`: what the nine of the publications lose.

    ``depth`` is the sensor's depth as cluster lengths show it (mm): 1 x module_t in the barrels, 2 x module_t in the
    endcaps (trackml.md section 4; lz is 2 x everywhere). ``ly_signed`` is ly with the sign of the covariance of ch0
    and ch1 (0 counts as +): which diagonal the cluster follows. ``gphi_signed`` is gphi of (lx, ly_signed, lz). The
    cosines and sines do not jump at +-pi.

    Returns
    -------
    (N, 7) float32
        A point without cells gets 0 everywhere but depth.
    """
    pitch_u, pitch_v = np.asarray(pitch_u, dtype=np.float64), np.asarray(pitch_v, dtype=np.float64)
    thickness = np.asarray(thickness, dtype=np.float64)
    num_points = len(pitch_u)
    index, ch0, ch1 = _checked(point_index, ch0, ch1, num_points)
    count = np.bincount(index, minlength=num_points)
    lx = _cluster_box(index, ch0, num_points) * pitch_u
    ly = _cluster_box(index, ch1, num_points) * pitch_v
    mean0, mean1 = (np.bincount(index, ch, num_points) / np.maximum(count, 1) for ch in (ch0, ch1))
    covariance = np.bincount(index, (ch0 - mean0[index]) * (ch1 - mean1[index]), num_points)
    ly_signed = np.where(covariance < -1e-9, -ly, ly)
    gx, gy, _ = _rotate(rotation, lx, ly, 2 * thickness)
    gx_signed, gy_signed, _ = _rotate(rotation, lx, ly_signed, 2 * thickness)
    local, turned = np.arctan2(ly, lx), np.arctan2(gy, gx)
    angles = [np.arctan2(gy_signed, gx_signed), np.cos(turned), np.sin(turned), np.cos(local), np.sin(local)]
    depth = np.where(np.asarray(is_barrel, dtype=bool), thickness, 2 * thickness)
    return np.stack([depth, ly_signed, *np.where(count > 0, np.stack(angles), 0.0)], axis=1).astype(np.float32)


def _rotate(
    rotation: ArrayLike, u: NDArray[np.float64], v: NDArray[np.float64], w: NDArray[np.float64]
) -> NDArray[np.float64]:
    matrices = np.asarray(rotation, dtype=np.float64).reshape(-1, 3, 3)
    return np.einsum("nij,jn->in", matrices, np.stack([u, v, w]))
