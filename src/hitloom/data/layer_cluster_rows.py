"""Reader of layer clusters in the rows of TracksterViewer: ``cluster,x,y,z,energy,label``, no header, cm and GeV.

Rows ``genpart,x,y,label`` and the labels are not read. The files hold neither layers nor hits, radii, sensors or times:

- layer: planes are depths |z| that lie at most ``PLANE_GAP`` apart, counted from the front; give the planes of several
  events (:func:`plane_depths`) so that a plane that one event leaves empty is counted in it too;
- every layer cluster has ``ASSUMED_HITS`` hits, so that none is too small for CLUE3D, and radius 0;
- every one lies in silicon; times are absent.

M layer clusters, L planes.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hitloom.data.layer_clusters import NO_TIME, NO_TIME_ERROR, FloatArray, LayerClusters
from hitloom.errors import DataError

PLANE_GAP = 0.5
"""Largest distance in |z| of neighbours in one plane, cm."""
ASSUMED_HITS = 2


def plane_depths(paths: Iterable[str | Path]) -> FloatArray:
    """Return the front |z| (L,) of the planes that any of the files has layer clusters on, cm, ascending."""
    depths = np.sort(np.abs(np.concatenate([_rows(Path(path))[:, 2] for path in paths])))
    return depths[np.diff(depths, prepend=-np.inf) > PLANE_GAP]


def read_layer_cluster_rows(path: str | Path, *, planes: FloatArray | None = None) -> LayerClusters:
    """Return the layer clusters of one file, plain or gzipped; ``planes`` (L,) None = those of this file.

    Raises
    ------
    DataError
        When the file is missing or no text, a row is not as wanted, or a layer cluster lies before the first plane.
    """
    x, y, z, energy = _rows(Path(path)).T
    fronts = plane_depths([path]) if planes is None else planes
    layer = np.searchsorted(fronts, np.abs(z), side="right")
    if (layer == 0).any():
        raise DataError(f"{path}: a layer cluster at |z| {np.abs(z).min()} lies before the first plane")
    number = len(x)
    return LayerClusters(
        x=x,
        y=y,
        z=z,
        energy=energy,
        layer=layer,
        num_hits=np.full(number, ASSUMED_HITS),
        time=np.full(number, NO_TIME),
        time_error=np.full(number, NO_TIME_ERROR),
        radius=np.zeros(number),
        scintillator=np.zeros(number, dtype=bool),
    )


def _rows(path: Path) -> NDArray[np.float64]:
    """Return x, y, z and energy (M, 4) of the rows ``cluster``."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            found = [(number, row) for number, row in enumerate(csv.reader(file), 1) if row and row[0] == "cluster"]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable text file ({error}); wanted rows cluster,x,y,z,energy,label") from None
    if not found:
        raise DataError(f"{path}: no row 'cluster'; wanted rows cluster,x,y,z,energy,label")
    values = np.empty((len(found), 4))
    for place, (number, row) in enumerate(found):
        try:
            values[place] = [float(cell) for cell in row[1:5]]
        except ValueError:
            raise DataError(f"{path}: row {number}: '{','.join(row)}'; wanted cluster,x,y,z,energy,label") from None
    bad = ~np.isfinite(values).all(1) | (values[:, 3] < 0)
    if bad.any():
        raise DataError(f"{path}: row {found[int(bad.argmax())][0]} holds no finite numbers or a negative energy")
    return values
