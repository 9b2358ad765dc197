"""Material surfaces of the ACTS geometry: thickness in interaction lengths, and which way they face.

Legend: Q surfaces with material, H crossings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hitloom.errors import HitloomError

_NUMBER = r"=([-+0-9.eE]+)"
_PLANE, _CYLINDER, _DISC = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class MaterialTable:
    """Surfaces as columns (Q,) sorted by ``geometry_id``.

    ``thickness`` in nuclear interaction lengths at right angles, ``normal`` (Q, 3) of planes and discs.
    """

    geometry_id: np.ndarray
    thickness: np.ndarray
    shape: np.ndarray
    normal: np.ndarray

    def path(self, geometry_id: np.ndarray, position: np.ndarray, momentum: np.ndarray) -> np.ndarray:
        """Return (H,) interaction lengths that tracks cross, slant included, 0 on surfaces without material."""
        rows = np.minimum(np.searchsorted(self.geometry_id, geometry_id), len(self.geometry_id) - 1)
        known = self.geometry_id[rows] == geometry_id
        normal = self.normal[rows]
        radial = position * [1.0, 1.0, 0.0]
        radial /= np.maximum(np.linalg.norm(radial, axis=1, keepdims=True), 1e-9)
        normal = np.where((self.shape[rows] == _CYLINDER)[:, None], radial, normal)
        cosine = np.abs((normal * momentum).sum(1)) / np.maximum(np.linalg.norm(momentum, axis=1), 1e-12)
        return np.where(known, self.thickness[rows] / np.maximum(cosine, 0.02), 0.0)


@lru_cache(maxsize=256)
def _thickness(text: str) -> float:
    """Return the thickness in interaction lengths from the ACTS description of a homogeneous slab."""
    length, thickness = (re.search(rf"\b{name}{_NUMBER}", text) for name in ("l0", "t"))
    if length is None or thickness is None:
        raise HitloomError("the ACTS material description changed; this version of pyacts is not supported")
    return float(thickness[1]) / float(length[1])


def material_table(*, geometry: Any) -> MaterialTable:
    """Read every surface with homogeneous material of an ACTS tracking geometry."""
    import acts

    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    rows = []
    for surface in geometry.extractMaterialSurfaces():
        thickness = _thickness(surface.surfaceMaterial.toString())
        kind = str(surface.type)
        shape = _CYLINDER if "Cylinder" in kind else _DISC if "Disc" in kind else _PLANE
        rotation = surface.localToGlobalTransform(context).rotation
        normal = [0.0, 0.0, 1.0] if shape == _DISC else [rotation[i, 2] for i in range(3)]
        rows.append((surface.geometryId.value, thickness, shape, normal))
    rows.sort(key=lambda row: row[0])
    return MaterialTable(
        geometry_id=np.array([row[0] for row in rows], dtype=np.int64),
        thickness=np.array([row[1] for row in rows]),
        shape=np.array([row[2] for row in rows]),
        normal=np.array([row[3] for row in rows]),
    )
