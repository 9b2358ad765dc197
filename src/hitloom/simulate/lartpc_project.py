"""Points of a detector seen by the wires of one view.

A view sees the drift coordinate x, and across its wires ``w = z cos(theta) - y sin(theta)``; theta is the angle of the
wires from the vertical.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def wire_coordinate(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Return w of points (..., 3), in their unit: (...,)."""
    return points[..., 2] * math.cos(angle) - points[..., 1] * math.sin(angle)


def project(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Return (x, w) of points (..., 3): (..., 2). Vertices are projected the same way."""
    return np.stack([points[..., 0], wire_coordinate(points, angle)], axis=-1)
