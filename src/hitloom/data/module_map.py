"""Module map: which modules a particle crosses one after the other, and how it lies then; a graph builder.

A row is a triplet of modules (or a doublet). Learned from true triplets of hits, it holds the range of four quantities
of the inner and of the outer doublet, and of two of the triplet. Doublets of hits within all ranges are edges.
C. Biscarat et al. (arXiv:2103.00916) describe the method; conventions are those of acorn. Instead of modules a map may
use cells: where a detector is symmetric under rotation, all azimuths of a layer within a bin of pseudorapidity. Such a
map needs far fewer events; its diff_dydx is taken with the x axis through the middle hit.

Shape letters: N points, E edges, M modules, R rows, Q quantities (4 for doublets, 10 for triplets), D pairs of modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.data._module_map_kernels import find_doublets, mark_doublets
from hitloom.data.conditions import Conditions
from hitloom.data.module_map_fit import cells, fit_statistics, hit_rows, split_code
from hitloom.errors import ConfigError, DataError, nearest
from hitloom.event import Event

Method = Literal["minmax", "meanrms", "hybrid"]
METHODS: tuple[str, ...] = get_args(Method)
DOUBLET_QUANTITIES = ("z0", "dphi", "phislope", "deta")
TRIPLET_QUANTITIES = ("diff_dzdr", "diff_dydx")
LOW, HIGH, MEAN, RMS = range(4)
IntArray = NDArray[np.int64]
_ALL = Conditions(items=())


@dataclass(frozen=True, kw_only=True)
class _Search:
    """A map made ready for the search with one choice of settings.

    Attributes
    ----------
    pairs : (D, 2) int64
        Distinct pairs of modules.
    pair_bounds : (D, 4, 2) float64
        The widest bounds of the rows that hold the pair.
    row_pairs : (R, 2) int64
        The pairs of each row of triplets.
    bounds : (R, Q, 2) float64
    """

    pairs: IntArray
    pair_bounds: NDArray[np.float64]
    row_pairs: IntArray
    bounds: NDArray[np.float64]


class ModuleMap:
    """A learned map.

    Parameters
    ----------
    modules : (M,) int64
        Keys of modules (:func:`hitloom.data.truth_edges.point_groups`) or cells, ascending.
    rows : (R, 3) or (R, 2) int64
        Places in ``modules``, inner first; triplets or doublets.
    occurrence : (R,) int64
        True sequences that the row was learned from.
    statistics : (R, Q, 4) float32
        Least, greatest, mean and rms (standard deviation) of each quantity, NaN where mean and rms are not known. Q:
        :data:`DOUBLET_QUANTITIES` of the inner doublet; of triplets also those of the outer one and
        :data:`TRIPLET_QUANTITIES`.
    eta_width : float
        Width in pseudorapidity of the cells; 0 = modules.

    Raises
    ------
    DataError
        When a shape or value is impossible.
    """

    def __init__(
        self,
        *,
        modules: IntArray,
        rows: IntArray,
        occurrence: IntArray,
        statistics: NDArray[np.float32],
        eta_width: float = 0.0,
    ) -> None:
        num_quantities = {2: 4, 3: 10}.get(rows.shape[1] if rows.ndim == 2 else 0)
        if num_quantities is None or statistics.shape != (len(rows), num_quantities, 4) or len(occurrence) != len(rows):
            raise DataError(
                f"module map: rows {rows.shape}, occurrence {occurrence.shape} and statistics {statistics.shape} do "
                "not belong together; (R, 3), (R,) and (R, 10, 4) were wanted, or (R, 2), (R,) and (R, 4, 4)"
            )
        if rows.size and (rows.min() < 0 or rows.max() >= modules.size or np.any(np.diff(modules) <= 0)):
            raise DataError("module map: rows must be places in an ascending list of modules")
        if not (statistics[..., LOW] <= statistics[..., HIGH]).all():
            row = int(np.argwhere(~(statistics[..., LOW] <= statistics[..., HIGH]))[0, 0])
            raise DataError(f"module map: row {row} has a range whose lower end is not below its upper end")
        self.modules, self.rows, self.occurrence, self.statistics = modules, rows, occurrence, statistics
        self.eta_width = eta_width
        self._ready: tuple[Any, _Search] | None = None

    @classmethod
    def fit(
        cls,
        events: Iterable[Event],
        *,
        conditions: Mapping[str, Any] | Conditions = _ALL,
        min_occurrence: int = 1,
        definition: str = "modulewise",
        doublets_only: bool = False,
        eta_width: float = 0.0,
    ) -> ModuleMap:
        """Learn a map from the truth edges of events.

        Parameters
        ----------
        events : iterable of Event
            Read once, one after the other.
        conditions : mapping
            On objects: whose edges count (:mod:`hitloom.data.conditions`).
        min_occurrence : int
            Rows seen less often are left out.
        definition : str
            Of the truth edges (:func:`hitloom.data.truth_edges.truth_edges`), or ``stored``.
        doublets_only : bool
            A map of doublets: wider than one of triplets, and complete with fewer events.
        eta_width : float
            0 = learn modules; else cells of this width in pseudorapidity, each all azimuths of a layer.

        Raises
        ------
        ConfigError
            When a condition or the definition does not exist, or the width is below 0.01.
        DataError
            When there is no event, an event lacks truth or modules, or no row is left.
        """
        order = 2 if doublets_only else 3
        total, keys = fit_statistics(
            events, conditions=conditions, definition=definition, order=order, eta_width=eta_width
        )
        enough = total.count >= min_occurrence
        if not enough.any():
            raise DataError(
                f"module map: none of the {enough.size} rows was seen {min_occurrence} times; mend: a smaller "
                "min_occurrence, or more events"
            )
        count = total.count[enough]
        rms = np.sqrt(total.square[enough] / count[:, None])
        statistics = np.stack([total.low[enough], total.high[enough], total.mean[enough], rms], axis=2)
        rows = keys[split_code(total.code[enough], order)]
        return cls.of_keys(rows=rows, occurrence=count, statistics=_outwards(statistics), eta_width=eta_width)

    @classmethod
    def of_keys(
        cls, *, rows: IntArray, occurrence: IntArray, statistics: NDArray[np.float32], eta_width: float = 0.0
    ) -> ModuleMap:
        """Return the map of rows of module keys, sorted by them.

        Raises
        ------
        DataError
            When a sequence of modules occurs twice.
        """
        order = np.lexsort(rows.T[::-1])
        rows = rows[order]
        same = (rows[1:] == rows[:-1]).all(axis=1)
        if same.any():
            raise DataError(f"module map: the modules {rows[int(np.argmax(same))].tolist()} have more than one row")
        modules, place = np.unique(rows, return_inverse=True)
        return cls(
            modules=modules,
            rows=place.reshape(rows.shape).astype(np.int64),
            occurrence=occurrence[order],
            statistics=statistics[order],
            eta_width=eta_width,
        )

    @property
    def order(self) -> int:
        """Modules of a row: 3 for triplets, 2 for doublets."""
        return int(self.rows.shape[1])

    @property
    def num_rows(self) -> int:
        """Number of rows R."""
        return len(self.rows)

    @property
    def num_doublets(self) -> int:
        """Number of distinct pairs of consecutive modules."""
        return len(self._pairs()[0])

    def bounds(
        self,
        *,
        method: str = "minmax",
        tolerance: float = 0.0,
        threshold_factor: float = 4.0,
        occurrence_threshold: int = 5,
    ) -> NDArray[np.float64]:
        """Return the bounds (R, Q, 2) that doublets and triplets must keep.

        ``minmax``: least and greatest value seen. ``meanrms``: mean -+ ``threshold_factor`` * rms, but never beyond
        least and greatest. ``hybrid``: meanrms for rows seen more than ``occurrence_threshold`` times, else minmax.
        Each bound is then moved outwards by ``tolerance`` * its absolute value.

        Raises
        ------
        ConfigError
            When there is no such method, or a setting is negative.
        DataError
            When the map knows no mean and rms, and the method needs them.
        """
        if method not in METHODS:
            raise ConfigError(f"module map: no method '{method}'.{nearest(method, METHODS)}")
        if not (tolerance >= 0 and threshold_factor > 0):
            raise ConfigError(
                f"module map: tolerance >= 0 and threshold_factor > 0 were wanted (got {tolerance}, {threshold_factor})"
            )
        known = self.statistics.astype(np.float64)
        low, high = known[..., LOW], known[..., HIGH]
        if method != "minmax":
            if np.isnan(known[..., MEAN:]).any():
                raise DataError(f"module map: it has no mean and rms, which '{method}' needs; mend: method minmax")
            width = threshold_factor * known[..., RMS]
            near_low = np.maximum(low, np.minimum(known[..., MEAN] - width, high))
            near_high = np.minimum(high, np.maximum(known[..., MEAN] + width, low))
            narrow = np.full(self.num_rows, True) if method == "meanrms" else self.occurrence > occurrence_threshold
            low, high = np.where(narrow[:, None], near_low, low), np.where(narrow[:, None], near_high, high)
        return np.stack([low - tolerance * np.abs(low), high + tolerance * np.abs(high)], axis=2)

    def edges(
        self,
        event: Event,
        *,
        method: str = "minmax",
        tolerance: float = 0.0,
        threshold_factor: float = 4.0,
        occurrence_threshold: int = 5,
    ) -> Tensor:
        """Return the edges (2, E) int64 of an event or a batch: doublets of passing triplets, each once.

        The inner point, nearer to the origin, stands above the outer one. Settings: :meth:`bounds`.

        Raises
        ------
        ConfigError, DataError
            As :meth:`bounds`, and when the points have no modules.
        """
        settings = (method, tolerance, threshold_factor, occurrence_threshold)
        if self._ready is None or self._ready[0] != settings:
            bounds = self.bounds(
                method=method,
                tolerance=tolerance,
                threshold_factor=threshold_factor,
                occurrence_threshold=occurrence_threshold,
            )
            self._ready = settings, self._make_search(bounds)
        search = self._ready[1]
        module, hits = cells(event, self.eta_width), hit_rows(event)
        batch = event.batch.cpu().numpy() if event.get("batch") is not None else np.zeros(len(hits), dtype=np.int64)
        found = [self._edges_of(np.flatnonzero(batch == one), module, hits, search) for one in np.unique(batch)]
        edges = np.concatenate(found, axis=1) if found else np.zeros((2, 0), dtype=np.int64)
        return torch.from_numpy(edges).to(event.pos.device)

    def _edges_of(self, points: IntArray, module: IntArray, hits: NDArray[np.float64], search: _Search) -> IntArray:
        """Return the edges (2, E) among ``points``, rows of one event."""
        place = np.searchsorted(self.modules, module[points]).clip(max=self.modules.size - 1)
        known = self.modules[place] == module[points]
        points, place = points[known], place[known]
        by_module = np.argsort(place, kind="stable")
        points = points[by_module]
        start = np.searchsorted(place[by_module], np.arange(self.modules.size + 1))
        hits = hits[points]
        first, ends, values = find_doublets(hits, start, search.pairs, search.pair_bounds)
        if self.order == 3:
            turned = self.eta_width > 0
            ends = ends[mark_doublets(hits, first, ends, values, search.row_pairs, search.bounds, turned)]
        source, target = points[ends].T
        size = (hits[:, 0] ** 2 + hits[:, 2] ** 2)[ends].T
        turned = (size[0] > size[1]) | ((size[0] == size[1]) & (source > target))
        # a pair may have been found from either side
        code = np.unique(np.where(turned, target * module.size + source, source * module.size + target))
        return np.stack(np.divmod(code, module.size))

    def _pairs(self) -> tuple[IntArray, IntArray]:
        """Return the distinct pairs (D, 2) of consecutive modules, and the pairs of each row (R, order - 1)."""
        code = self.rows[:, :-1] * self.modules.size + self.rows[:, 1:]
        pairs, place = np.unique(code, return_inverse=True)
        return np.stack(np.divmod(pairs, self.modules.size), axis=1), place.reshape(code.shape)

    def _make_search(self, bounds: NDArray[np.float64]) -> _Search:
        pairs, row_pairs = self._pairs()
        pair_bounds = np.empty((len(pairs), 4, 2))
        pair_bounds[..., 0], pair_bounds[..., 1] = np.inf, -np.inf
        for place in range(self.order - 1):
            own = bounds[:, 4 * place : 4 * place + 4]
            np.minimum.at(pair_bounds[..., 0], row_pairs[:, place], own[..., 0])
            np.maximum.at(pair_bounds[..., 1], row_pairs[:, place], own[..., 1])
        return _Search(pairs=pairs, pair_bounds=pair_bounds, row_pairs=row_pairs, bounds=bounds)

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the map as tensors, for a checkpoint."""
        tensors = {name: torch.from_numpy(getattr(self, name)) for name in _TENSORS}
        return tensors | {"eta_width": torch.tensor([self.eta_width], dtype=torch.float64)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ModuleMap:
        """Return the map that :meth:`to_tensors` gave.

        Raises
        ------
        DataError
            When a tensor is missing.
        """
        missing = [name for name in _TENSORS if name not in tensors]
        if missing:
            raise DataError(f"module map: tensor '{missing[0]}' is missing; {', '.join(_TENSORS)} were wanted")
        arrays = {name: tensors[name].cpu().numpy() for name in _TENSORS}
        return cls(
            modules=arrays["modules"],
            rows=arrays["rows"],
            occurrence=arrays["occurrence"],
            statistics=arrays["statistics"],
            eta_width=float(tensors["eta_width"]) if "eta_width" in tensors else 0.0,
        )

    @classmethod
    def read(cls, path: str | Path) -> ModuleMap:
        """Read a text file of 24 columns, see :mod:`hitloom.data.module_map_files`."""
        from hitloom.data.module_map_files import read_module_map

        return read_module_map(path)

    def write(self, path: str | Path) -> None:
        """Write a text file of 24 columns, see :mod:`hitloom.data.module_map_files`; mean and rms are not in it."""
        from hitloom.data.module_map_files import write_module_map

        write_module_map(self, path)


_TENSORS = ("modules", "rows", "occurrence", "statistics")


def _outwards(statistics: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``statistics`` (R, Q, 4) in float32, least and greatest values rounded away from each other."""
    rounded = statistics.astype(np.float32)
    low, high = rounded[..., LOW], rounded[..., HIGH]
    rounded[..., LOW] = np.where(low > statistics[..., LOW], np.nextafter(low, np.float32(-np.inf)), low)
    rounded[..., HIGH] = np.where(high < statistics[..., HIGH], np.nextafter(high, np.float32(np.inf)), high)
    return rounded
