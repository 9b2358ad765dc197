"""Cells of the calorimeter: spots of energy in, measured cells and what each particle left in them out.

Silicon cells are hexagons of one area in each region of radius; scintillator tiles are squares in (ln r, phi), 288 in a
ring. Energies stay on the scale of the particles; the unit of noise and thresholds is the layer's energy of a
minimum-ionising particle. Letters: S spots, C cells, A contributions (a particle in a cell).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from hitloom.data.endcap_geometry import EndcapGeometry, get_geometry
from hitloom.errors import ConfigError
from hitloom.simulate.calorimeter_config import CalorimeterConfig, ResponseConfig
from hitloom.simulate.calorimeter_showers import Spots, mip_weights

TILES_IN_RING = 288
_TILE = 2 * np.pi / TILES_IN_RING
_TILE_ORIGIN = 20.0  # cm, inside every tile
_SCINTILLATOR = 3  # the region after the three of silicon
_OFFSET, _BITS = 1024, 11


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Measured cells, by key; columns (C,), and the contributions to them, columns (A,).

    ``side`` +1 or -1, ``layer`` from 1, ``x``, ``y`` cm, ``region`` 0 to 2 silicon, 3 scintillator, ``energy`` GeV
    after calibration, ``mips`` before, ``time`` ns or not a number. ``owner_cell`` rows of the cells, ``owner`` rows of
    the particles, ``owner_energy`` GeV: the sum over the particles of a cell is its energy less positive noise.
    """

    key: np.ndarray
    side: np.ndarray
    layer: np.ndarray
    region: np.ndarray
    x: np.ndarray
    y: np.ndarray
    energy: np.ndarray
    mips: np.ndarray
    time: np.ndarray
    owner_cell: np.ndarray
    owner: np.ndarray
    owner_energy: np.ndarray

    def __len__(self) -> int:
        return len(self.key)


def cell_keys(
    *, side: np.ndarray, layer: np.ndarray, x: np.ndarray, y: np.ndarray, geometry: EndcapGeometry,
    response: ResponseConfig,
) -> np.ndarray:  # fmt: skip
    """Return the int64 key of the cell at each place: side, layer, region and two indices.

    Raises
    ------
    ConfigError
        When the cells are too small, or the layers too many, for a key.
    """
    radius = np.hypot(x, y)
    region = np.digitize(radius, response.thickness_radii)
    tile = geometry.is_scintillator(layer, radius)
    region[tile] = _SCINTILLATOR
    first, second = np.empty(len(x), dtype=np.int64), np.empty(len(x), dtype=np.int64)
    first[tile] = np.floor(np.log(radius[tile] / _TILE_ORIGIN) / _TILE)
    second[tile] = np.floor(np.arctan2(y[tile], x[tile]) / _TILE).astype(np.int64) % TILES_IN_RING
    for number, area in enumerate(response.cell_areas):
        inside = region == number
        first[inside], second[inside] = _hexagon(x[inside], y[inside], area)
    indices = np.abs(np.concatenate([first, second]))
    if indices.max(initial=0) >= _OFFSET or geometry.num_layers > 127:
        raise ConfigError(
            f"response.cell_areas {response.cell_areas} cm2 make more than {_OFFSET} cells along a radius, or the "
            "geometry has more than 127 layers; mend: larger cells"
        )
    key = (side > 0).astype(np.int64)
    for value, bits in ((layer, 7), (region, 2), (first + _OFFSET, _BITS), (second + _OFFSET, _BITS)):
        key = (key << bits) | value
    return key


def cell_places(key: np.ndarray, *, response: ResponseConfig) -> tuple[np.ndarray, ...]:
    """Return side, layer, region, x and y in cm of the middle of the cells, the inverse of :func:`cell_keys`."""
    mask = (1 << _BITS) - 1
    second, first = (key & mask) - _OFFSET, ((key >> _BITS) & mask) - _OFFSET
    region, layer = (key >> (2 * _BITS)) & 3, (key >> (2 * _BITS + 2)) & 127
    side = np.where(key >> (2 * _BITS + 9) > 0, 1, -1)
    radius, phi = _TILE_ORIGIN * np.exp((first + 0.5) * _TILE), (second + 0.5) * _TILE
    x, y = radius * np.cos(phi), radius * np.sin(phi)
    for number, area in enumerate(response.cell_areas):
        inside = region == number
        size = _hexagon_size(area)
        x[inside] = size * np.sqrt(3.0) * (first[inside] + second[inside] / 2)
        y[inside] = size * 1.5 * second[inside]
    return side, layer, region, x, y


def _hexagon_size(area: float) -> float:
    """Distance from the middle to a corner."""
    return float(np.sqrt(2 * area / (3 * np.sqrt(3.0))))


def _hexagon(x: np.ndarray, y: np.ndarray, area: float) -> tuple[np.ndarray, np.ndarray]:
    """Axial indices of the hexagons that hold the points."""
    size = _hexagon_size(area)
    q, r = (x / np.sqrt(3.0) - y / 3) / size, 2 / 3 * y / size
    cube = np.stack([q, r, -q - r])
    rounded = np.round(cube)
    worst = np.abs(rounded - cube).argmax(0)
    columns = np.arange(len(x))
    rounded[worst, columns] -= rounded.sum(0)
    return rounded[0].astype(np.int64), rounded[1].astype(np.int64)


def make_cells(spots: Spots, *, config: CalorimeterConfig, seed: tuple[int, int]) -> Cells:
    """Collect spots in cells, add noise, drop what is below the threshold, calibrate and time the rest.

    Spots outside the sensors are lost.
    """
    geometry, response = get_geometry(config.geometry), config.response
    rng = np.random.default_rng([*seed, 4])
    inside = geometry.is_inside(spots.layer, np.hypot(spots.x, spots.y))
    key, (owner_cell, owner), amount, late = _collected(spots, inside, geometry, response)
    extra = _noise_keys(geometry, response, rng)
    extra = np.setdiff1d(extra, key)
    all_keys = np.concatenate([key, extra])
    order = np.argsort(all_keys, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    key, owner_cell = all_keys[order], place[owner_cell]
    side, layer, region, x, y = cell_places(key, response=response)
    mip = mip_weights(geometry)[layer - 1]
    signal = np.bincount(owner_cell, weights=amount, minlength=len(key))
    time = np.bincount(owner_cell, weights=amount * late, minlength=len(key)) / np.maximum(signal, 1e-30)
    noise = rng.normal(size=len(key)) * response.noise
    tail = ndtr(-response.threshold / response.noise) if response.noise > 0 else 0.0
    empty = signal == 0
    noise[empty] = -response.noise * ndtri(tail * np.maximum(rng.random(int(empty.sum())), 1e-12))
    mips = signal / mip + noise
    keep = (mips >= response.threshold) & (mips > 0)
    factor = np.asarray(response.calibration)[geometry.section_at(layer)]
    energy = mips * mip * factor
    # negative noise takes from all particles of the cell alike, positive noise belongs to none
    scale = factor * np.minimum(1.0, mips * mip / np.maximum(signal, 1e-30))
    timed = (mips >= response.time_threshold) & (region != _SCINTILLATOR) & ~empty
    time = np.where(timed, time + response.time_resolution * rng.normal(size=len(key)), np.nan)
    rows = np.flatnonzero(keep)
    new = np.full(len(key), -1, dtype=np.int64)
    new[rows] = np.arange(len(rows))
    owned = keep[owner_cell]
    return Cells(
        key=key[rows], side=side[rows], layer=layer[rows], region=region[rows], x=x[rows], y=y[rows],
        energy=energy[rows], mips=mips[rows], time=time[rows],
        owner_cell=new[owner_cell[owned]], owner=owner[owned], owner_energy=(amount * scale[owner_cell])[owned],
    )  # fmt: skip


def _collected(
    spots: Spots, inside: np.ndarray, geometry: EndcapGeometry, response: ResponseConfig
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Sum spots by cell and particle: cell keys, (row of the key, particle), energy and mean time of each sum."""
    key = cell_keys(
        side=spots.side[inside], layer=spots.layer[inside], x=spots.x[inside], y=spots.y[inside], geometry=geometry,
        response=response,
    )  # fmt: skip
    cells, row = np.unique(key, return_inverse=True)
    num_particles = int(spots.particle.max()) + 1 if len(spots) else 1
    pairs, pair = np.unique(row.reshape(-1) * num_particles + spots.particle[inside], return_inverse=True)
    energy = np.bincount(pair, weights=spots.energy[inside], minlength=len(pairs))
    time = np.bincount(pair, weights=(spots.energy * spots.time)[inside], minlength=len(pairs))
    return cells, (pairs // num_particles, pairs % num_particles), energy, time / np.maximum(energy, 1e-30)


def _noise_keys(geometry: EndcapGeometry, response: ResponseConfig, rng: np.random.Generator) -> np.ndarray:
    """Keys of cells that noise alone lifts above the threshold: a Poisson number on every layer, evenly spread."""
    if response.noise == 0 or response.threshold == 0:
        return np.zeros(0, dtype=np.int64)
    probability = ndtr(-response.threshold / response.noise)
    radii = [0.0, *response.thickness_radii, np.inf]
    radius, phi, plane = [], [], []
    for side in (-1, 1):
        for row in range(geometry.num_layers):
            end = min(geometry.outer_radius[row], geometry.scintillator_radius[row])
            for number, area in enumerate(response.cell_areas):
                low, high = max(geometry.inner_radius[row], radii[number]), min(end, radii[number + 1])
                if low >= high:
                    continue
                num = rng.poisson(probability * np.pi * (high**2 - low**2) / area)
                radius.append(np.sqrt(rng.uniform(low**2, high**2, size=num)))
                phi.append(rng.uniform(-np.pi, np.pi, size=num))
                plane.append(np.tile([side, row + 1], (num, 1)))
    r, angle = np.concatenate(radius), np.concatenate(phi)
    side, layer = np.concatenate(plane).T
    return np.unique(
        cell_keys(
            side=side, layer=layer, x=r * np.cos(angle), y=r * np.sin(angle), geometry=geometry, response=response
        )
    )
