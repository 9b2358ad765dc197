"""CLUE3D: layer clusters to tracksters, by density along and across the layers (TICL of CMS).

Each layer cluster follows the nearest one of higher density in the layers around it, seen from the collision point;
a dense one that has none near founds a trackster. Rule and parameters: RecoHGCal/TICL of CMS; CLUE itself: Rovere et
al., Front. Big Data 2020, 591315.

M layer clusters, L links. Lengths cm, energies GeV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from hitloom.config import Config
from hitloom.errors import DataError
from hitloom.grouping import _clue3d
from hitloom.grouping._clue import follow
from hitloom.ops._threads import run_blocks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_GRAIN = 2048


class Clue3dSettings(Config):
    """Parameters of CLUE3D; the defaults are those of recent TICL sequences.

    Attributes
    ----------
    critical_density
        Least density of a seed, GeV.
    critical_self_density
        A seed's own energy makes up more than this share of its density.
    density_sibling_layers
        Layers before and behind that are looked at.
    projective
        Distances across, in the plane of the cluster that asks; otherwise in eta and phi.
    density_xy_distance_sqr, density_eta_phi_distance_sqr
        Squared reach of the density, cm2 or 1.
    kernel_density_factor
        Share of the energy of neighbours in the density.
    density_on_same_layer, nearest_higher_on_same_layer
        Whether clusters of the same layer count.
    own_radius
        Clusters whose own radius is their reach and their critical distance, in place of the fixed ones.
    rescale_density_by_z
        Divide the density by the depth of the layers looked at, per cm.
    distance_with_z
        The nearest higher cluster is the nearest in space, not across.
    critical_xy_distance, critical_eta_phi_distance
        A seed has its nearest higher cluster farther than this, cm or 1 ...
    critical_z_distance_layers
        ... or more layers away than this.
    outlier_multiplier
        Clusters below the critical density are outliers when their nearest higher one is farther than so many critical
        distances.
    max_eta_phi
        Largest difference in eta and in phi to a nearest higher cluster; None = any.
    min_num_layer_clusters
        Smaller tracksters are dropped.
    min_num_hits
        Smaller layer clusters are not looked at.
    """

    critical_density: float = Field(default=0.6, ge=0)
    critical_self_density: float = Field(default=0.15, ge=0)
    density_sibling_layers: int = Field(default=3, ge=0)
    projective: bool = True
    density_xy_distance_sqr: float = Field(default=3.24, gt=0)
    density_eta_phi_distance_sqr: float = Field(default=0.0008, gt=0)
    kernel_density_factor: float = Field(default=0.2, ge=0)
    density_on_same_layer: bool = False
    nearest_higher_on_same_layer: bool = False
    own_radius: Literal["none", "scintillator", "all"] = "scintillator"
    rescale_density_by_z: bool = False
    distance_with_z: bool = False
    critical_xy_distance: float = Field(default=1.8, gt=0)
    critical_eta_phi_distance: float = Field(default=0.025, gt=0)
    critical_z_distance_layers: int = Field(default=5, ge=0)
    outlier_multiplier: float = Field(default=2.0, gt=0)
    max_eta_phi: float | None = Field(default=None, gt=0)
    min_num_layer_clusters: int = Field(default=2, ge=1)
    min_num_hits: int = Field(default=2, ge=1)


CLUE3D_PRESETS: dict[str, Clue3dSettings] = {
    "oldest": Clue3dSettings(
        critical_density=4.0,
        density_sibling_layers=5,
        density_xy_distance_sqr=16.0,
        nearest_higher_on_same_layer=True,
        own_radius="none",
        distance_with_z=True,
        critical_xy_distance=4.0,
        critical_eta_phi_distance=0.035,
    ),
    "later": Clue3dSettings(critical_density=4.0),
    "recent": Clue3dSettings(),
}


@dataclass(frozen=True, kw_only=True)
class Clue3dResult:
    """Tracksters of one event.

    Attributes
    ----------
    labels : (M,) int64
        Trackster of each layer cluster, numbered from 0 by the rows of their seeds; -1 = in none.
    leader : (M,) int64
        The layer cluster that a member of a trackster follows; -1 for seeds and for those in none.
    is_seed : (M,) bool
        Seeds, of tracksters too small to be kept as well.
    used : (M,) bool
        Layer clusters that were looked at: neither masked nor too small.
    density : (M,) float64
        GeV (per cm when rescaled by z); 0 where not looked at.
    delta : (M,) float64
        Transverse distance to the nearest higher cluster, cm (or in eta and phi); infinite when there is none.
    delta_layers : (M,) float64
        Layers to it, infinite when there is none.
    nearest_higher : (M,) int64
        Its row; -1 = none.
    """

    labels: Ints
    leader: Ints
    is_seed: Bools
    used: Bools
    density: Floats
    delta: Floats
    delta_layers: Floats
    nearest_higher: Ints

    @property
    def num_tracksters(self) -> int:
        """Number of tracksters; layer clusters in none do not count as one."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def links(self) -> Ints:
        """Leader row above follower row (2, L): each trackster of n layer clusters is a tree of n - 1 links."""
        follower = np.flatnonzero(self.leader >= 0)
        return np.stack([self.leader[follower], follower])


def clue3d(
    *,
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    energy: ArrayLike,
    layer: ArrayLike,
    num_hits: ArrayLike,
    radius: ArrayLike,
    scintillator: ArrayLike,
    settings: Clue3dSettings | None = None,
    masked: ArrayLike | None = None,
) -> Clue3dResult:
    """Make tracksters of layer clusters. All columns (M,).

    Parameters
    ----------
    x, y, z : cm
        z is signed; the two endcaps never mix.
    energy : GeV
    layer : int
        Counts away from the collision, from any number.
    num_hits : int
    radius : cm
    scintillator : bool
    settings : Clue3dSettings, optional
        None = the preset "recent" of :data:`CLUE3D_PRESETS`.
    masked : bool, optional
        Layer clusters to leave out, for a further iteration on what is left over.

    Returns
    -------
    Clue3dResult

    Raises
    ------
    DataError
        When columns differ in length, a number is not finite, an energy negative, or z = 0.

    Notes
    -----
    Of equal densities the larger row is higher, of equally near higher clusters the highest is the nearest. Densities
    are summed in fixed point: they depend neither on the order of the rows nor on the cells of the search.
    """
    chosen = settings or Clue3dSettings()
    names = ("x", "y", "z", "energy", "radius")
    floats = {name: np.asarray(v, dtype=np.float64) for name, v in zip(names, (x, y, z, energy, radius), strict=True)}
    integers = {"layer": np.asarray(layer, dtype=np.int64), "num_hits": np.asarray(num_hits, dtype=np.int64)}
    flags = {"scintillator": np.asarray(scintillator, dtype=bool)}
    num = len(floats["x"])
    flags["masked"] = np.zeros(num, bool) if masked is None else np.asarray(masked, dtype=bool)
    _check(floats, floats | integers | flags)
    used = ~flags["masked"] & (integers["num_hits"] >= chosen.min_num_hits)
    rows = np.flatnonzero(used)
    labels, leader, higher = (np.full(num, -1, np.int64) for _ in range(3))
    is_seed, density = np.zeros(num, bool), np.zeros(num)
    delta, delta_layers = np.full(num, np.inf), np.full(num, np.inf)
    if len(rows):
        part = {name: column[rows] for name, column in (floats | integers | flags).items()}
        density[rows], local = _climb(part, chosen)
        higher[rows] = np.where(local.row >= 0, rows[local.row], -1)
        delta[rows] = local.delta
        follows = local.row >= 0
        delta_layers[rows[follows]] = np.abs(part["layer"] - part["layer"][local.row])[follows]
        is_seed[rows], outlier = _seeds(part, density[rows], delta[rows], delta_layers[rows], chosen)
        found = follow(local.descending, local.row, is_seed[rows], outlier)
        labels[rows] = _kept(found, chosen.min_num_layer_clusters)
        leader = np.where((labels >= 0) & ~is_seed, higher, -1)
    return Clue3dResult(
        labels=labels,
        leader=leader,
        is_seed=is_seed,
        used=used,
        density=density,
        delta=delta,
        delta_layers=delta_layers,
        nearest_higher=higher,
    )


@dataclass(frozen=True, kw_only=True)
class _Higher:
    """Nearest higher row (M,), its transverse distance (M,), and rows from the highest density to the lowest (M,)."""

    row: Ints
    delta: Floats
    descending: Ints


def _climb(part: dict[str, NDArray[np.generic]], settings: Clue3dSettings) -> tuple[Floats, _Higher]:
    """Return densities (M,) and the nearest higher clusters."""
    xyz = {name: np.asarray(part[name], dtype=np.float64) for name in ("x", "y", "z")}
    layer, energy = np.asarray(part["layer"], dtype=np.int64), np.asarray(part["energy"], dtype=np.float64)
    num = len(energy)
    squared = settings.density_xy_distance_sqr if settings.projective else settings.density_eta_phi_distance_sqr
    planes = _clue3d.make_planes(**xyz, layer=layer, projective=settings.projective, reach=float(np.sqrt(squared)))
    limit = np.where(_by_own_radius(part, settings), np.asarray(part["radius"], dtype=np.float64) ** 2, squared)
    order, siblings = planes.order, settings.density_sibling_layers
    back = np.argsort(order)
    total = float(energy.sum())
    scale = 2.0 ** (61 - int(np.frexp(total)[1])) if total > 0 else 1.0
    bits = 61 - num.bit_length()
    coarse, fine = np.empty(num, np.int64), np.empty(num, np.int64)
    sorted_energy, sorted_limit = energy[order], limit[order]

    def sum_up(begin: int, end: int) -> None:
        _clue3d.neighbour_energy(
            begin, end, planes, sorted_energy, sorted_limit, siblings, settings.density_on_same_layer, scale, bits,
            coarse, fine,
        )  # fmt: skip

    run_blocks(sum_up, num, grain=_GRAIN)
    density = energy + settings.kernel_density_factor * ((coarse[back] + fine[back] / 2.0**bits) / scale)
    if settings.rescale_density_by_z:
        density = density / _depths(xyz["z"], layer, siblings)
    rank = np.empty(num, np.int64)
    ascending = np.lexsort((np.arange(num), density))
    rank[ascending] = np.arange(num)
    row, square = np.empty(num, np.int64), np.empty(num)
    sorted_rank = rank[order]
    box = np.inf if settings.max_eta_phi is None else settings.max_eta_phi
    start = float(np.sqrt(squared))

    def search(begin: int, end: int) -> None:
        _clue3d.nearest_higher(
            begin, end, planes, sorted_rank, start, siblings, settings.nearest_higher_on_same_layer,
            settings.distance_with_z, box, row, square,
        )  # fmt: skip

    run_blocks(search, num, grain=_GRAIN)
    higher = np.where(row >= 0, order[row], -1)[back]
    return density, _Higher(row=higher, delta=np.sqrt(square)[back], descending=ascending[::-1])


def _seeds(
    part: dict[str, NDArray[np.generic]],
    density: Floats,
    delta: Floats,
    delta_layers: Floats,
    settings: Clue3dSettings,
) -> tuple[Bools, Bools]:
    """Return which clusters are seeds (M,) and which are outliers (M,)."""
    critical = settings.critical_xy_distance if settings.projective else settings.critical_eta_phi_distance
    distance = np.where(_by_own_radius(part, settings), np.asarray(part["radius"], dtype=np.float64), critical)
    dense = density >= settings.critical_density
    alone = (delta > distance) | (delta_layers > settings.critical_z_distance_layers)
    energy = np.asarray(part["energy"], dtype=np.float64)
    seed = alone & dense & (energy > settings.critical_self_density * density)
    return seed, (delta > settings.outlier_multiplier * critical) & ~dense


def _by_own_radius(part: dict[str, NDArray[np.generic]], settings: Clue3dSettings) -> Bools:
    """Return the clusters (M,) whose own radius is their reach; radii are lengths, so none in eta and phi."""
    flags = np.asarray(part["scintillator"], dtype=bool)
    if settings.own_radius == "none" or not settings.projective:
        return np.zeros(len(flags), bool)
    return flags if settings.own_radius == "scintillator" else np.ones(len(flags), bool)


def _depths(z: Floats, layer: Ints, siblings: int) -> Floats:
    """Return the range of |z| (M,) of the layers of the event around each cluster, at least one cm."""
    numbers, inverse = np.unique(layer, return_inverse=True)
    mean = np.bincount(inverse, weights=np.abs(z)) / np.bincount(inverse)
    first = np.searchsorted(numbers, numbers - siblings)
    last = np.searchsorted(numbers, numbers + siblings, side="right") - 1
    return np.maximum(mean[last] - mean[first], 1.0)[inverse]


def _kept(labels: Ints, min_size: int) -> Ints:
    """Return labels (M,) of the tracksters of at least ``min_size`` members, numbered anew."""
    size = np.bincount(labels[labels >= 0], minlength=int(labels.max(initial=-1)) + 1)
    number = np.append(np.where(size >= min_size, np.cumsum(size >= min_size) - 1, -1), -1)
    return number[labels]


def _check(floats: dict[str, Floats], columns: dict[str, NDArray[np.generic]]) -> None:
    num = len(floats["x"])
    for name, column in columns.items():
        if column.shape != (num,):
            raise DataError(f"clue3d: column '{name}' came with shape {column.shape}, wanted ({num},) as x has")
    for name, values in floats.items():
        wrong = ~np.isfinite(values)
        wanted = "a finite number"
        if name in ("energy", "radius"):
            wrong, wanted = wrong | (values < 0), "a finite number of at least 0"
        if name == "z":
            wrong, wanted = wrong | (values == 0), "a finite number other than 0"
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"clue3d: layer cluster {row} came with {name} {values[row]}, wanted {wanted}")
