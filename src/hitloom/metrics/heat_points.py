"""Values at places of a plane, pooled over events, and the map between them by the nearest place.

Shape letters: P places, G cells along an axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError

FloatArray = NDArray[np.float64]
Mode = Literal["mean", "sum"]


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """A map on a grid.

    Attributes
    ----------
    x, y : (G,)
        Centres of the cells.
    values : (G, G)
        Row = y, column = x; NaN where no place is near enough.
    """

    x: FloatArray
    y: FloatArray
    values: FloatArray

    def minus(self, other: HeatMap) -> HeatMap:
        """Return the difference of two maps on the same grid; NaN where either has none."""
        if not (np.array_equal(self.x, other.x) and np.array_equal(self.y, other.y)):
            raise DataError("two heat maps of different grids cannot be subtracted; mend: give both the same range")
        return HeatMap(x=self.x, y=self.y, values=self.values - other.values)


class HeatPoints:
    """Sums and counts of named values at places rounded to a step, so that the cost does not grow with the events.

    Parameters
    ----------
    names : sequence of str
        Values that every entry has.
    step : float
        Places are rounded to a multiple of this, in both directions.
    y_period : float or None
        Period of y, for an angle.
    """

    def __init__(self, *names: str, step: float = 0.1, y_period: float | None = None) -> None:
        self.names, self.step, self.y_period = names, step, y_period
        self.num_entries = 0
        self._keys = np.zeros((0, 2), dtype=np.int64)
        self._table = np.zeros((0, len(names) + 1))

    def add(self, x: ArrayLike, y: ArrayLike, values: Mapping[str, ArrayLike]) -> None:
        """Count entries (n,) at ``x``, ``y``.

        Raises
        ------
        DataError
            When a place or a value is not a number.
        """
        place = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
        columns = np.stack([np.asarray(values[name], dtype=np.float64) for name in self.names], axis=1)
        if not (np.isfinite(place).all() and np.isfinite(columns).all()):
            raise DataError("heat map: a place or a value is not a number")
        new = np.concatenate([columns, np.ones((len(columns), 1))], axis=1)
        keys = np.concatenate([self._keys, np.rint(place / self.step).astype(np.int64)])
        self._keys, row = np.unique(keys, axis=0, return_inverse=True)
        table = np.zeros((len(self._keys), len(self.names) + 1))
        np.add.at(table, row.reshape(-1), np.concatenate([self._table, new]))
        self._table = table
        self.num_entries += len(columns)

    @property
    def places(self) -> FloatArray:
        """Places (P, 2)."""
        return np.asarray(self._keys * self.step, dtype=np.float64)

    @property
    def counts(self) -> FloatArray:
        """Entries (P,) at each place."""
        return self._table[:, -1]

    def values(self, name: str, mode: Mode = "mean") -> FloatArray:
        """Return the mean or the sum (P,) of a value at each place."""
        column = self._table[:, self.names.index(name)]
        return column / self.counts if mode == "mean" else column

    def extent(self, margin: float = 0.02) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the ranges of x and y that hold all places, a little wider."""
        if not len(self._keys):
            return (0.0, 1.0), (0.0, 1.0)
        low, high = self.places.min(axis=0), self.places.max(axis=0)
        wide = margin * (high - low) + self.step
        return (float(low[0] - wide[0]), float(high[0] + wide[0])), (float(low[1] - wide[1]), float(high[1] + wide[1]))

    def grid(
        self,
        name: str,
        *,
        mode: Mode = "mean",
        num_cells: int = 200,
        x_range: tuple[float, float] | None = None,
        y_range: tuple[float, float] | None = None,
        max_distance: float = 1.0,
    ) -> HeatMap:
        """Return the map in which each cell holds the value of the place nearest to its centre.

        Parameters
        ----------
        mode : str
            mean or sum over the entries of a place.
        num_cells : int
            G, along each axis.
        x_range, y_range : (float, float) or None
            None = the range of the places.
        max_distance : float
            Cells farther than this from every place are NaN.
        """
        found = self.extent()
        x, y = (_centres(given or own, num_cells) for given, own in zip((x_range, y_range), found, strict=True))
        values = np.full((num_cells, num_cells), np.nan)
        if len(self._keys):
            from scipy.spatial import cKDTree  # loaded on demand

            places, rows = self.places, np.arange(len(self._keys))
            if self.y_period is not None:
                places = np.concatenate([places + np.array([0.0, turn * self.y_period]) for turn in (0, -1, 1)])
                rows = np.tile(rows, 3)
            cells = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
            distance, nearest = cKDTree(places).query(cells)
            filled = np.where(distance <= max_distance, self.values(name, mode)[rows[nearest]], np.nan)
            values = filled.reshape(num_cells, num_cells)
        return HeatMap(x=x, y=y, values=values)

    def arrays(self) -> dict[str, Any]:
        """Return the places, the counts and the sums as arrays by name."""
        sums = {name: self.values(name, "sum") for name in self.names}
        return {"x": self.places[:, 0], "y": self.places[:, 1], "count": self.counts} | sums


def _centres(edges: tuple[float, float], number: int) -> FloatArray:
    """Return the centres (G,) of equal cells within a range."""
    width = (edges[1] - edges[0]) / number
    return np.asarray(edges[0] + width * (np.arange(number) + 0.5), dtype=np.float64)
