"""Magnetic field of the tracker: a finite solenoid, or the same everywhere.

TrackML does not supply its field. The turning of true momenta between consecutive hits of a real event shows an
effective Bz that falls from 2.00 T in the middle to 0.45 T at 2.0-2.5 m and changes sign beyond, where the radial
component rules. A least-squares fit of a current sheet to those turnings gives the numbers below
(docs/simulation.md compares them bin by bin); they are close to the dimensions of the ATLAS solenoid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hitloom.errors import require_extra

if TYPE_CHECKING:
    from hitloom.simulate.tracker_config import TrackerConfig

SOLENOID_RADIUS = 1215.0  # mm
SOLENOID_LENGTH = 5160.0  # mm
_NUM_COILS = 258  # one per 20 mm
_MAP_R = (0.0, 1250.0)  # mm, extent of the interpolated map
_MAP_Z = (-3300.0, 3300.0)
_MAP_BINS = (126, 661)  # grid points: 10 mm apart


def acts_field(*, config: TrackerConfig) -> Any:
    """Return the ACTS field provider of the configuration.

    The solenoid is summed coil by coil (ACTS ``SolenoidBField``) once onto a 10 mm grid in (r, z), which is then
    interpolated.
    """
    require_extra("acts", "sim")
    import acts

    tesla = config.field_tesla * acts.UnitConstants.T
    if config.field == "constant":
        return acts.ConstantBField(acts.Vector3(0.0, 0.0, tesla))
    solenoid = acts.SolenoidBField(radius=SOLENOID_RADIUS, length=SOLENOID_LENGTH, nCoils=_NUM_COILS, bMagCenter=tesla)
    return acts.solenoidFieldMap(rlim=_MAP_R, zlim=_MAP_Z, nbins=_MAP_BINS, field=solenoid)
