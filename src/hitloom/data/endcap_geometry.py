"""Geometry of a calorimeter endcap: layers, sections, radii and absorber depth as a table.

The table is data: ``geometries/*.csv`` ship with the package, any other file of the same columns loads as well. Both
endcaps have the same layers, mirrored in z. Lengths are cm, as in the models of the detector. Letter: L layers.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import ConfigError, nearest

SECTIONS = ("em", "silicon", "mixed")
COLUMNS = (
    "layer", "z", "section", "inner_radius", "outer_radius", "scintillator_radius",
    "radiation_lengths", "interaction_lengths", "mip_loss",
)  # fmt: skip
_PLACES = ("front_z", "em_border_z", "back_z")
_FOLDER = Path(__file__).with_name("geometries")

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class EndcapGeometry:
    """Layers of one endcap, first from the collision first; all arrays (L,).

    Attributes
    ----------
    name : str
    front_z, em_border_z, back_z : float, cm
        Where the calorimeter starts, where its electromagnetic section ends, where it ends.
    z : float, cm
        |z| of the sensors.
    section : int
        Row of :data:`SECTIONS`: electromagnetic, hadronic with silicon only, hadronic with silicon and scintillator.
    inner_radius, outer_radius, scintillator_radius : float, cm
        Sensors lie between the first two; beyond the third they are scintillator (infinite where there is none).
    radiation_lengths, interaction_lengths : float
        Absorber between the layer before (or the front) and this one.
    mip_loss : float, GeV
        Mean loss of a minimum-ionising particle in that absorber.
    """

    name: str
    front_z: float
    em_border_z: float
    back_z: float
    z: FloatArray
    section: IntArray
    inner_radius: FloatArray
    outer_radius: FloatArray
    scintillator_radius: FloatArray
    radiation_lengths: FloatArray
    interaction_lengths: FloatArray
    mip_loss: FloatArray

    @property
    def num_layers(self) -> int:
        return len(self.z)

    @property
    def num_em_layers(self) -> int:
        """Number of layers of the electromagnetic section, the first ones."""
        return int((self.section == 0).sum())

    def layer_at(self, z: ArrayLike) -> IntArray:
        """Return the number (from 1) of the layer nearest to each ``z`` in cm, of either sign."""
        borders = (self.z[1:] + self.z[:-1]) / 2
        return 1 + np.searchsorted(borders, np.abs(np.asarray(z, dtype=np.float64))).astype(np.int64)

    def is_em(self, z: ArrayLike) -> NDArray[np.bool_]:
        """Return whether each ``z`` in cm, of either sign, lies in the electromagnetic section."""
        return np.asarray(np.abs(np.asarray(z, dtype=np.float64)) <= self.em_border_z)

    def section_at(self, layer: ArrayLike) -> IntArray:
        """Return the row of :data:`SECTIONS` of each layer number."""
        return self.section[np.asarray(layer) - 1]

    def is_inside(self, layer: ArrayLike, radius: ArrayLike) -> NDArray[np.bool_]:
        """Return whether a sensor of the layer covers the radius in cm."""
        row, radius = np.asarray(layer) - 1, np.asarray(radius)
        return np.asarray((radius >= self.inner_radius[row]) & (radius <= self.outer_radius[row]))

    def is_scintillator(self, layer: ArrayLike, radius: ArrayLike) -> NDArray[np.bool_]:
        """Return whether the sensor of the layer at the radius in cm is a scintillator tile."""
        return np.asarray(np.asarray(radius) > self.scintillator_radius[np.asarray(layer) - 1])


def geometry_names() -> list[str]:
    """Return the names of the tables that ship with hitloom."""
    return sorted(path.stem for path in _FOLDER.glob("*.csv"))


@lru_cache(maxsize=4)
def get_geometry(name: str = "hgcal-v17") -> EndcapGeometry:
    """Return a geometry by the name of a shipped table, or the path of a ``.csv`` file.

    Raises
    ------
    ConfigError
        When there is no such table, or it is not what it should be: file, column and mend.
    """
    path = Path(name) if name.endswith(".csv") else _FOLDER / f"{name}.csv"
    if not path.is_file():
        if name.endswith(".csv"):
            raise ConfigError(f"{name}: there is no such geometry file")
        raise ConfigError(f"geometry '{name}' is unknown.{nearest(name, geometry_names())} A path of a .csv works too.")
    return read_geometry(path)


def read_geometry(path: str | Path) -> EndcapGeometry:
    """Read a table: lines ``# front_z = ...``, ``# em_border_z``, ``# back_z``, then :data:`COLUMNS`, one row a layer.

    Raises
    ------
    ConfigError
        See :func:`get_geometry`.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the geometry: {error}") from None
    places = _places(path, [line for line in lines if line.startswith("#")])
    rows = list(csv.DictReader(line for line in lines if line.strip() and not line.startswith("#")))
    if not rows:
        raise ConfigError(f"{path}: a header and one row per layer were wanted, there are no rows")
    missing = [name for name in COLUMNS if name not in rows[0]]
    if missing:
        raise ConfigError(f"{path}: column '{missing[0]}' is missing. Wanted: {', '.join(COLUMNS)}.")
    values: dict[str, Any] = {
        name: np.array([_number(path, row, name) for row in rows]) for name in COLUMNS if name != "section"
    }
    del values["layer"]
    values |= places
    section = np.array([_section(path, row) for row in rows], dtype=np.int64)
    geometry = EndcapGeometry(name=path.stem, section=section, **values)
    _check(path, geometry)
    return geometry


def _places(path: Path, comments: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in comments:
        key, separator, value = line.lstrip("# ").partition("=")
        if separator and key.strip() in _PLACES:
            try:
                found[key.strip()] = float(value)
            except ValueError:
                raise ConfigError(f"{path}: '{line.strip()}': a number in cm was wanted") from None
    missing = [name for name in _PLACES if name not in found]
    if missing:
        raise ConfigError(f"{path}: a line '# {missing[0]} = <cm>' is missing above the table")
    return found


def _number(path: Path, row: dict[str, str], name: str) -> float:
    text = (row[name] or "").strip()
    if not text and name == "scintillator_radius":
        return float("inf")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value) or value < 0:
        raise ConfigError(f"{path}: layer {row['layer']}, column '{name}': {text!r} is not a number >= 0")
    return value


def _section(path: Path, row: dict[str, str]) -> int:
    name = (row["section"] or "").strip()
    if name not in SECTIONS:
        raise ConfigError(
            f"{path}: layer {row['layer']}, column 'section': '{name}' is unknown.{nearest(name, SECTIONS)}"
        )
    return SECTIONS.index(name)


def _check(path: Path, geometry: EndcapGeometry) -> None:
    for name, good in (
        ("z", np.diff(geometry.z, prepend=geometry.front_z, append=geometry.back_z) > 0),
        ("section", np.diff(geometry.section, prepend=0) >= 0),
        ("outer_radius", geometry.outer_radius > geometry.inner_radius),
        ("em_border_z", (geometry.z <= geometry.em_border_z) == (geometry.section == 0)),
    ):
        if not good.all():
            layer = int(np.flatnonzero(~good)[0]) + 1
            raise ConfigError(f"{path}: '{name}' of layer {layer} does not fit the layers before it or the borders")
