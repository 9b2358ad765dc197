"""Magnetic field of the tracker: a finite solenoid, or the same everywhere.

TrackML does not supply its field. The turning of true momenta between consecutive hits of a real event shows an
effective Bz that falls from 2.00 T in the middle to 0.45 T at 2.0-2.5 m and changes sign beyond, where the radial
component rules. A least-squares fit of a current sheet to those turnings gives the numbers below
(docs/simulation.md compares them bin by bin); they are close to the dimensions of the ATLAS solenoid.

The field is computed here and given to ACTS as a map: ACTS' own ``SolenoidBField`` (48.1.0) is right on the axis only;
off the axis it breaks div B = 0 and is 4 to 10 % low.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.errors import require_extra

if TYPE_CHECKING:
    from hitloom.simulate.tracker_config import TrackerConfig

SOLENOID_RADIUS = 1215.0  # mm
SOLENOID_LENGTH = 5160.0  # mm
_NUM_COILS = 258  # one per 20 mm
_STEP = 25.0  # mm, grid of the map, interpolated linearly
_MAX_R, _MAX_Z = 1500.0, 4500.0  # mm; slow particles stray beyond the detector before ACTS drops them
_INSIDE = 1150.0  # mm; from here to the coils, where no module is, the field is taken as constant in r


def solenoid_field(r: np.ndarray, z: np.ndarray, *, field_tesla: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (Br, Bz) in T of the solenoid at cylindrical ``r`` and ``z`` in mm, ``field_tesla`` in its centre.

    A sum of current loops; one loop in elliptic integrals: J. D. Jackson, Classical Electrodynamics, section 5.5.
    """
    from scipy.special import ellipe, ellipk

    def loops(r: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        radial, axial = np.zeros(np.broadcast(r, z).shape), np.zeros(np.broadcast(r, z).shape)
        for coil in (np.arange(_NUM_COILS) + 0.5) / _NUM_COILS * SOLENOID_LENGTH - SOLENOID_LENGTH / 2:
            along = z - coil
            near2, far2 = (SOLENOID_RADIUS - r) ** 2 + along**2, (SOLENOID_RADIUS + r) ** 2 + along**2
            first, second = ellipk(1.0 - near2 / far2), ellipe(1.0 - near2 / far2)
            size2 = r**2 + along**2
            scale = 1.0 / (near2 * np.sqrt(far2))
            axial += scale * ((SOLENOID_RADIUS**2 - size2) * second + near2 * first)
            radial += scale * along / r * ((SOLENOID_RADIUS**2 + size2) * second - near2 * first)
        return radial, axial

    r = np.maximum(np.asarray(r, dtype=np.float64), 1e-3)
    radial, axial = loops(r, np.asarray(z, dtype=np.float64))
    centre = loops(np.array([1e-3]), np.array([0.0]))[1][0]
    return field_tesla * radial / centre, field_tesla * axial / centre


def acts_field(*, config: TrackerConfig) -> Any:
    """Return the ACTS field provider of the configuration; the solenoid as a map in (r, z)."""
    require_extra("acts", "sim")
    import acts

    if config.field == "constant":
        return acts.ConstantBField(acts.Vector3(0.0, 0.0, config.field_tesla * acts.UnitConstants.T))
    return _solenoid_map(config.field_tesla)


@lru_cache(maxsize=2)
def _solenoid_map(field_tesla: float) -> Any:
    import acts

    z, r = np.meshgrid(np.arange(-_MAX_Z, _MAX_Z + 1, _STEP), np.arange(0.0, _MAX_R + 1, _STEP), indexing="ij")
    radial, axial = solenoid_field(np.minimum(r, _INSIDE), z, field_tesla=field_tesla)
    # ACTS takes maps from files only: lines of r, z, Br, Bz, with r running fastest
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "solenoid.txt"
        columns = [values.ravel() for values in (r, z, radial, axial)]
        np.savetxt(path, np.stack(columns, axis=1), fmt="%.8g")
        return acts.MagneticFieldMapRz(str(path), lengthUnit=1.0, bFieldUnit=acts.UnitConstants.T)
