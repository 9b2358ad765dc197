"""CLUE: clusters of energy by density, in any number of dimensions (Rovere et al., Front. Big Data 2020, 591315).

Every point follows the nearest point of higher density; points far from any such one found a cluster when they are
dense, else they are outliers. Cells only speed up the search: the answer is exact and depends on no tiling, and
densities are summed in fixed point, so it depends on no order of summation either.

N points, D dimensions, L links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import ConfigError, DataError, nearest
from hitloom.grouping import _clue
from hitloom.ops._threads import run_blocks

Variant = Literal["original", "reset"]
Metric = Literal["euclidean", "box"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_GRAIN = 2048


@dataclass(frozen=True, kw_only=True)
class FlatKernel:
    """Share ``height`` of the weight of every other point within the density radius."""

    height: float = 0.5


@dataclass(frozen=True, kw_only=True)
class ExponentialKernel:
    """Share ``height * exp(-rate * distance)``; ``rate`` in 1 / unit of the points."""

    rate: float
    height: float = 1.0


@dataclass(frozen=True, kw_only=True)
class GaussKernel:
    """Share ``height * exp(-(distance - mean)^2 / (2 width^2))``; ``mean`` and ``width`` in units of the points."""

    width: float
    mean: float = 0.0
    height: float = 1.0


Kernel = FlatKernel | ExponentialKernel | GaussKernel


@dataclass(frozen=True, kw_only=True)
class ClueResult:
    """Clusters of one set of points.

    Attributes
    ----------
    labels : (N,) int64
        Cluster of each point, numbered from 0 by the rows of the seeds; -1 = in no cluster.
    is_seed : (N,) bool
    density : (N,) float64
        In units of the weights.
    delta : (N,) float64
        Distance to the nearest higher point, infinite when there is none.
    nearest_higher : (N,) int64
        Its row; -1 = none.
    """

    labels: Ints
    is_seed: Bools
    density: Floats
    delta: Floats
    nearest_higher: Ints

    @property
    def num_clusters(self) -> int:
        """Number of clusters; points in none do not count as one."""
        return int(self.is_seed.sum())

    @property
    def links(self) -> Ints:
        """Leader row above follower row (2, L): each cluster of n points is a tree of n - 1 links below its seed."""
        follower = np.flatnonzero((self.labels >= 0) & ~self.is_seed)
        return np.stack([self.nearest_higher[follower], follower])


def clue(
    points: ArrayLike,
    weights: ArrayLike,
    *,
    density_radius: float,
    min_density: float | ArrayLike,
    outlier_distance: float,
    seeding_distance: float,
    kernel: Kernel = FlatKernel(),
    periods: Sequence[float | None] | None = None,
    variant: Variant = "original",
    metric: Metric = "euclidean",
    cell_size: float | None = None,
) -> ClueResult:
    """Cluster weighted points.

    Parameters
    ----------
    points : (N, D)
        Coordinates, in any unit; they are not rescaled.
    weights : (N,)
        Energies, not negative.
    density_radius, outlier_distance, seeding_distance : float
        In the unit of the points. The original algorithm has ``seeding_distance = density_radius`` and
        ``outlier_distance`` typically twice that.
    min_density : float or (N,)
        Least density of a seed.
    kernel : FlatKernel, ExponentialKernel or GaussKernel
        Share of the weight of other points within the density radius; a point's own weight counts in full.
    periods : sequence of float or None
        Period of each coordinate, None where it has none; coordinates wider than their period are folded into it.
    variant : {'original', 'reset'}
        original: a seed has its nearest higher point beyond ``seeding_distance``, an outlier beyond
        ``outlier_distance``. reset (CLUEstering 2): a nearest higher point beyond ``seeding_distance`` is dropped;
        points with none are seeds or outliers by their density; higher points must have a density above 0.
    metric : {'euclidean', 'box'}
        What "within" and "beyond" a distance mean. box (CLUEstering 2): within it, or beyond it, along every
        coordinate; the nearest is the nearest in the Euclidean distance all the same.
    cell_size : float, optional
        Width of a search cell; changes speed alone.

    Returns
    -------
    ClueResult

    Raises
    ------
    DataError
        When shapes disagree, a coordinate is not finite, or a weight is negative or not finite.
    ConfigError
        When a distance is not above 0, or a setting unknown.

    Notes
    -----
    Higher means a larger density; of equal densities the larger row is higher. Of equally near higher points the
    highest is the nearest. Distances on a limit count as within.

    Examples
    --------
    >>> found = clue([[0.0], [0.4], [9.0]], [1, 2, 1],
    ...              density_radius=1, min_density=1.5, outlier_distance=2, seeding_distance=1)
    >>> found.labels.tolist(), found.num_clusters
    ([0, 0, -1], 1)
    """
    x, w = _checked(points, weights)
    num, dim = x.shape
    for name, value in (("density_radius", density_radius), ("cell_size", cell_size)):
        if value is not None and not (0 < value < np.inf):
            raise ConfigError(f"clue: {name} came as {value}, wanted a finite number above 0")
    for name, value in (("outlier_distance", outlier_distance), ("seeding_distance", seeding_distance)):
        if not value > 0:
            raise ConfigError(f"clue: {name} came as {value}, wanted a number above 0")
    if variant not in get_args(Variant):
        raise ConfigError(f"clue: unknown variant '{variant}'.{nearest(variant, get_args(Variant))}")
    if metric not in get_args(Metric):
        raise ConfigError(f"clue: unknown metric '{metric}'.{nearest(metric, get_args(Metric))}")
    threshold = np.broadcast_to(np.asarray(min_density, dtype=np.float64), (num,))
    if num == 0:
        none = np.zeros(0, np.int64)
        empty = np.zeros(0)
        return ClueResult(labels=none, is_seed=none.astype(bool), density=empty, delta=empty, nearest_higher=none)
    period = _checked_periods(periods, dim)
    x = _folded(x, period)
    grid = _clue.make_grid(x, period, float(cell_size if cell_size is not None else density_radius / 2))
    box = metric == "box"
    density, rank = _densities(grid, w, kernel, radius=float(density_radius), box=box)
    lowest = int((density <= 0).sum()) if variant == "reset" else 0
    higher, delta = _nearest_higher(
        grid, rank, reach=float(outlier_distance), start=density_radius / 2, box=box, lowest=lowest
    )
    far = higher < 0
    beyond = far | (_smallest_gap(x, higher, period) > seeding_distance if box else delta > seeding_distance)
    if variant == "reset":
        higher, delta = np.where(beyond, -1, higher), np.where(beyond, np.inf, delta)
        far = beyond
    is_seed = beyond & (density >= threshold)
    is_outlier = far & (density < threshold)
    descending = np.argsort(rank)[::-1]
    labels = _clue.follow(descending, higher, is_seed, is_outlier)
    return ClueResult(labels=labels, is_seed=is_seed, density=density, delta=delta, nearest_higher=higher)


def _densities(grid: _clue.Grid, weights: Floats, kernel: Kernel, *, radius: float, box: bool) -> tuple[Floats, Ints]:
    """Return densities (N,) and ranks (N,) of the input's rows, 0 = the lowest."""
    num = len(weights)
    numbers = _kernel_numbers(kernel)
    total = float(weights.sum()) * max(1.0, numbers[1])
    scale = 2.0 ** (61 - int(np.frexp(total)[1])) if total > 0 else 1.0
    bits = 61 - num.bit_length()
    coarse, fine = np.empty(num, np.int64), np.empty(num, np.int64)
    limit, width = _limits(radius, box)
    sorted_weights = weights[grid.order]

    def run(begin: int, end: int) -> None:
        _clue.densities(begin, end, grid, sorted_weights, numbers, limit, radius, width, scale, bits, coarse, fine)

    run_blocks(run, num, grain=_GRAIN)
    back = np.empty(num, np.int64)
    back[grid.order] = np.arange(num)
    coarse, fine = coarse[back], fine[back]
    rank = np.empty(num, np.int64)
    rank[np.lexsort((np.arange(num), fine, coarse))] = np.arange(num)
    return (coarse + fine / 2.0**bits) / scale, rank


def _nearest_higher(
    grid: _clue.Grid, rank: Ints, *, reach: float, start: float, box: bool, lowest: int
) -> tuple[Ints, Floats]:
    """Return row (N,) of the nearest higher point within ``reach``, -1 = none, and its distance (N,)."""
    num = len(rank)
    row, found = np.empty(num, np.int64), np.empty(num)
    limit, width = _limits(reach, box)
    sorted_rank = rank[grid.order]

    def run(begin: int, end: int) -> None:
        _clue.nearest_higher(begin, end, grid, sorted_rank, limit, reach, start, width, lowest, row, found)

    run_blocks(run, num, grain=_GRAIN)
    higher, delta = np.empty(num, np.int64), np.empty(num)
    higher[grid.order] = np.where(row >= 0, grid.order[row], -1)
    delta[grid.order] = np.sqrt(found)
    return higher, delta


def _limits(distance: float, box: bool) -> tuple[float, float]:
    """Return the largest squared distance and the largest difference of a coordinate that are within ``distance``."""
    return (np.finfo(np.float64).max, distance) if box else (distance * distance, np.inf)


def _smallest_gap(points: Floats, other: Ints, period: Floats) -> Floats:
    """Return the smallest difference (N,) of any coordinate to the points of rows ``other``."""
    gap = np.abs(points - points[other])
    return np.minimum(gap, np.abs(period - gap)).min(1)


def _kernel_numbers(kernel: Kernel) -> tuple[int, float, float, float]:
    match kernel:
        case FlatKernel():
            numbers = (_clue.FLAT, kernel.height, 0.0, 1.0)
        case ExponentialKernel():
            numbers = (_clue.EXPONENTIAL, kernel.height, kernel.rate, 1.0)
        case GaussKernel():
            numbers = (_clue.GAUSS, kernel.height, kernel.mean, kernel.width)
        case _:
            raise ConfigError(f"clue: kernel came as {kernel!r}, wanted a FlatKernel, ExponentialKernel or GaussKernel")
    if not (0 <= kernel.height < np.inf) or numbers[2] < 0 or not numbers[3] > 0:
        raise ConfigError(f"clue: {kernel} came, wanted height, rate and mean of at least 0 and a width above 0")
    return numbers[0], float(numbers[1]), float(numbers[2]), float(numbers[3])


def _checked(points: ArrayLike, weights: ArrayLike) -> tuple[Floats, Floats]:
    x = np.ascontiguousarray(np.asarray(points, dtype=np.float64))
    w = np.asarray(weights, dtype=np.float64)
    if x.size == 0 and x.ndim < 2:
        x = x.reshape(0, 1)
    if x.ndim != 2 or x.shape[1] == 0 or w.shape != (len(x),):
        raise DataError(f"clue: points {x.shape} and weights {w.shape} came, wanted (N, D) and (N,)")
    for name, bad in (("coordinates", ~np.isfinite(x).all(1)), ("weight", ~((w >= 0) & (w < np.inf)))):
        if bad.any():
            row = int(bad.argmax())
            value: Any = x[row].tolist() if name == "coordinates" else float(w[row])
            wanted = "finite numbers" if name == "coordinates" else "a finite number of at least 0"
            raise DataError(f"clue: point {row} came with {name} {value}, wanted {wanted}; mend: drop it")
    return x, w


def _checked_periods(periods: Sequence[float | None] | None, dim: int) -> Floats:
    given = [None] * dim if periods is None else list(periods)
    if len(given) != dim:
        raise ConfigError(f"clue: {len(given)} periods came, wanted one for each of {dim} coordinates")
    result = np.array([np.inf if period is None else period for period in given], dtype=np.float64)
    if not (result > 0).all():
        raise ConfigError(f"clue: periods came as {given}, wanted numbers above 0 or None")
    return result


def _folded(points: Floats, period: Floats) -> Floats:
    """Fold coordinates that span more than their period into one; others stay as they are, to the last bit."""
    wide = np.isfinite(period) & (np.ptp(points, axis=0) > period)
    if wide.any():
        points = points.copy()
        points[:, wide] = np.mod(points[:, wide], period[wide])
    return points
