"""Transverse momentum, eta and phi of a track from its own hits: a circle fit and a slope, all tracks at once.

For the fake rate of an algorithm that reconstructs tracks of every momentum: an unmatched track has no particle whose
pt could be cut on, so it is cut on its own.

Shape letters: N hits, C tracks. Units: mm, GeV, rad, T.

Circle: A r^2 + B x + C y + D = 0 with the smallest algebraic distance under Taubin's normalisation (G. Taubin, IEEE
Trans. PAMI 13 (1991) 1115), in centred coordinates, where the solution is the smallest eigenvector of a 3 x 3 matrix
of moments. With a beam spot the circle is forced through it: then u = x/r^2, v = y/r^2 lie on the straight line
A + B u + C v = 0, fitted by total least squares with weights r^4 (conformal mapping: M. Hansroul et al., NIM A 270
(1988) 498). Straight tracks need no special case: the curvature 2 A / sqrt(B^2 + C^2 - 4 A D) goes to 0.
Slope: least squares of z against the arc length from the point nearest to the beam line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError
from hitloom.metrics.truth import FloatArray, IntArray, as_integers
from hitloom.units import GEV_PER_TESLA_MM

_Total = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackKinematics:
    """Parameters of every track of an event.

    Attributes
    ----------
    track_id : (C,) int64
        Labels, ascending.
    num_points : (C,) int64
    pt : (C,) float64
        GeV; inf for exactly straight tracks, NaN where fewer than 3 hits (2 with a beam spot) differ.
    eta, phi : (C,) float64
        Direction at the point of closest approach to the beam line.
    charge : (C,) int64
        Sign of a unit charge in a field along +z (a positive one turns towards -phi); 0 = straight or unknown.
    """

    track_id: IntArray
    num_points: IntArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    charge: IntArray

    def of_tracks(self, track_id: IntArray) -> dict[str, FloatArray]:
        """Return pt, eta, phi for these labels.

        Raises
        ------
        DataError
            When a label has no entry.
        """
        position = np.searchsorted(self.track_id, track_id)
        known = position < self.track_id.size
        known[known] = self.track_id[position[known]] == track_id[known]
        if not known.all():
            missing = int(track_id[~known][0])
            raise DataError(f"kinematics: track {missing} has no fitted parameters; mend: one entry for each label")
        return {name: getattr(self, name)[position] for name in ("pt", "eta", "phi")}


def track_kinematics(
    pos: ArrayLike,
    labels: ArrayLike,
    *,
    field_tesla: float = 2.0,
    beam_spot: tuple[float, float] | None = None,
) -> TrackKinematics:
    """Fit every track.

    Parameters
    ----------
    pos : (N, 3)
        Hit positions in mm.
    labels : (N,) int
        Track of each hit, -1 = unassigned.
    field_tesla : float
        Field along z, taken as constant.
    beam_spot : (x, y) or None
        mm. Given: the circle goes through it, which steadies short tracks and biases displaced ones.

    Returns
    -------
    TrackKinematics
        Hits more than half a turn from the point of closest approach are taken on the near half.

    Raises
    ------
    DataError
        When the shapes do not fit or the field is 0.
    """
    if hasattr(pos, "detach"):
        pos = pos.detach().cpu().numpy()
    points: NDArray[np.float64] = np.asarray(pos, dtype=np.float64)
    labels = as_integers(labels, "labels")
    if points.shape != (labels.size, 3):
        raise DataError(f"pos: shape ({labels.size}, 3) was wanted, not {points.shape}")
    if field_tesla == 0:
        raise DataError("field_tesla: a field other than 0 was wanted; without one there is no pt")
    assigned = labels >= 0
    track_id, track = np.unique(labels[assigned], return_inverse=True)
    num_tracks = int(track_id.size)
    spot = (0.0, 0.0) if beam_spot is None else beam_spot
    x, y, z = points[assigned, 0] - spot[0], points[assigned, 1] - spot[1], points[assigned, 2]
    count = np.bincount(track, minlength=num_tracks)

    def total(values: FloatArray) -> FloatArray:
        return np.bincount(track, weights=values, minlength=num_tracks).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        if beam_spot is None:
            a, b, c, d = _taubin(x, y, track, total, count)
        else:
            a, b, c, d = _through_origin(x, y, track, total)
        # Point of the circle nearest to the beam line, direction t there, normal n = towards the centre times sign.
        norm = np.sqrt(b * b + c * c - 4 * a * d)
        curvature = 2 * a / norm
        gradient = np.hypot(b, c)
        nx, ny = b / gradient, c / gradient
        distance = 2 * d / (norm + gradient)  # signed, from the beam line to the circle along -n
        px, py = -distance * nx, -distance * ny
        tx, ty = -ny, nx
        along = (x - px[track]) * tx[track] + (y - py[track]) * ty[track]
        across = (x - px[track]) * nx[track] + (y - py[track]) * ny[track]
        k = curvature[track]
        angle = np.arctan2(k * along, 1 + k * across)
        straight = np.abs(k * along) < 1e-12
        arc = np.where(straight, along, angle / np.where(straight, 1.0, k))
        forward = np.where(total(arc) >= 0, 1.0, -1.0)
        arc = arc * forward[track]
        tx, ty = tx * forward, ty * forward
        mean_arc, mean_z = total(arc) / count, total(z) / count
        ds, dz = arc - mean_arc[track], z - mean_z[track]
        slope = total(ds * dz) / total(ds * ds)
        pt = GEV_PER_TESLA_MM * abs(field_tesla) / np.abs(curvature)
    unusable = ~np.isfinite(curvature) | ~np.isfinite(slope)
    # The centre is at -n / curvature, and -n points to the left of t: a positive product means a turn towards +phi.
    turn_left = np.sign(np.nan_to_num(curvature) * forward) * np.sign(field_tesla)
    return TrackKinematics(
        track_id=track_id,
        num_points=count.astype(np.int64),
        pt=np.where(unusable, np.nan, pt),
        eta=np.where(unusable, np.nan, np.arcsinh(slope)),
        phi=np.where(unusable, np.nan, np.arctan2(ty, tx)),
        charge=np.where(unusable, 0, -turn_left).astype(np.int64),
    )


def _taubin(
    x: FloatArray, y: FloatArray, track: IntArray, total: _Total, count: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return A, B, C, D (C,) of the circle A r^2 + B x + C y + D = 0 of each track; NaN where hits do not fix one."""
    mean_x, mean_y = total(x) / count, total(y) / count
    dx, dy = x - mean_x[track], y - mean_y[track]
    squared = dx * dx + dy * dy
    spread = total(squared) / count
    scale = 2 * np.sqrt(spread)
    columns = ((squared - spread[track]) / np.where(scale > 0, scale, 1.0)[track], dx, dy)
    moments = np.empty((count.size, 3, 3))
    for i in range(3):
        for j in range(i, 3):
            moments[:, i, j] = moments[:, j, i] = total(columns[i] * columns[j])
    values, vectors = np.linalg.eigh(moments)
    fixed = (count >= 3) & (values[:, 1] > 1e-12 * values[:, 2])
    a = np.where(fixed, vectors[:, 0, 0] / scale, np.nan)
    b, c = vectors[:, 1, 0], vectors[:, 2, 0]
    d = -spread * a
    return (
        a,
        b - 2 * a * mean_x,
        c - 2 * a * mean_y,
        d + a * (mean_x * mean_x + mean_y * mean_y) - b * mean_x - c * mean_y,
    )


def _through_origin(
    x: FloatArray, y: FloatArray, track: IntArray, total: _Total
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return A, B, C, D = 0 (C,) of the circle through the origin."""
    squared = x * x + y * y
    inverse = np.divide(1.0, squared, out=np.zeros_like(squared), where=squared > 0)
    u, v, weight = x * inverse, y * inverse, squared * squared
    weights = total(weight)
    mean_u, mean_v = total(weight * u) / weights, total(weight * v) / weights
    du, dv = u - mean_u[track], v - mean_v[track]
    angle = 0.5 * np.arctan2(
        2 * total(weight * du * dv), total(weight * du * du) - total(weight * dv * dv)
    )  # of the line in the (u, v) plane
    b, c = -np.sin(angle), np.cos(angle)
    return -(b * mean_u + c * mean_v), b, c, np.zeros_like(b)
