"""Learning a module map: statistics of the true doublets and triplets of each sequence of modules.

Events come one by one; what is kept grows with the sequences that were seen and not with the number of events.
Shape letters: N points, T truth edges, P sequences in an event, R rows of the map, Q quantities, M modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hitloom.data._module_map_kernels import many_doublets, many_triplets
from hitloom.data.conditions import Conditions
from hitloom.data.edge_labels import same_object
from hitloom.data.features import pseudorapidity
from hitloom.data.truth_edges import module_key, point_groups, truth_edges
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
_BITS = 21  # of a module in the code of a sequence
_COMPACT = 200_000  # sequences that wait before they are merged


def hit_rows(event: Event) -> FloatArray:
    """Return (N, 6) float64: r, phi, z, eta, x, y of every point."""
    x, y, z = event.pos.cpu().double().numpy().T
    r = np.hypot(x, y)
    return np.stack([r, np.arctan2(y, x), z, pseudorapidity(r, z), x, y], axis=1)


def cells(event: Event, eta_width: float) -> IntArray:
    """Return (N,) int64, equal for points of the same cell: a module, or a bin of pseudorapidity in a layer.

    Parameters
    ----------
    eta_width : float
        Width of the bins; 0 = cells are modules.

    Raises
    ------
    ConfigError
        When the width is neither 0 nor at least 0.01.
    DataError
        When the event does not say on which module (or layer) its points lie.
    """
    if eta_width == 0:
        return point_groups(event)
    if not eta_width >= 0.01:
        raise ConfigError(f"module map: eta_width 0 or at least 0.01 was wanted (got {eta_width})")
    point_groups(event, "layer")
    layer = event.layer.cpu().numpy()
    volume = event.volume.cpu().numpy() if "volume" in event else np.zeros_like(layer)
    place = np.floor(hit_rows(event)[:, 3] / eta_width).astype(np.int64)
    return module_key(volume, layer, place + (1 << 23))


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of sequences of modules.

    Attributes
    ----------
    code : (R,) int64
        The sequence.
    count : (R,) int64
    low, high, mean, square : (R, Q) float64
        Least and greatest value, mean, and sum of the squared deviations from it.
    """

    code: IntArray
    count: IntArray
    low: FloatArray
    high: FloatArray
    mean: FloatArray
    square: FloatArray

    @classmethod
    def of(cls, code: IntArray, values: FloatArray) -> Statistics:
        """Return the statistics of single values (P, Q)."""
        count = np.ones(code.size, dtype=np.int64)
        return cls(code=code, count=count, low=values, high=values, mean=values, square=np.zeros_like(values)).merged()

    @classmethod
    def joined(cls, parts: list[Statistics]) -> Statistics:
        """Return the statistics of all parts together."""
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__}
        return cls(**columns).merged()

    def merged(self) -> Statistics:
        """Return one row for each sequence, sorted by code (parallel variance, T. Chan et al. 1979)."""
        order = np.argsort(self.code, kind="stable")
        code = self.code[order]
        start = np.flatnonzero(np.diff(code, prepend=code[:1] - 1) != 0)
        if not start.size:
            return self
        weight = self.count[order][:, None].astype(np.float64)
        count = np.add.reduceat(self.count[order], start)
        mean = np.add.reduceat(weight * self.mean[order], start) / count[:, None]
        group = np.repeat(np.arange(start.size), np.diff(np.append(start, code.size)))
        deviation = self.square[order] + weight * (self.mean[order] - mean[group]) ** 2
        return Statistics(
            code=code[start],
            count=count,
            low=np.minimum.reduceat(self.low[order], start),
            high=np.maximum.reduceat(self.high[order], start),
            mean=mean,
            square=np.add.reduceat(deviation, start),
        )


class ModuleNumbers:
    """Small numbers for module keys, in the order of first appearance."""

    def __init__(self) -> None:
        self.sorted_keys = np.zeros(0, dtype=np.int64)
        self.number = np.zeros(0, dtype=np.int64)

    def __call__(self, keys: IntArray) -> IntArray:
        """Return the number of each key; unknown ones get the next free numbers."""
        new = np.setdiff1d(keys, self.sorted_keys)
        if new.size:
            count = self.number.size + new.size
            if count > 1 << _BITS:
                raise DataError(f"module map: {count} modules; at most {1 << _BITS} are possible")
            joined = np.concatenate([self.sorted_keys, new])
            number = np.concatenate([self.number, np.arange(self.number.size, count)])
            order = np.argsort(joined)
            self.sorted_keys, self.number = joined[order], number[order]
        return self.number[np.searchsorted(self.sorted_keys, keys)]

    def keys(self) -> IntArray:
        """Return the key of each number."""
        keys = np.empty_like(self.sorted_keys)
        keys[self.number] = self.sorted_keys
        return keys


def consecutive(edges: IntArray) -> tuple[IntArray, IntArray]:
    """Return pairs of columns of ``edges`` (2, T): the first ends where the second begins."""
    by_source = np.argsort(edges[0], kind="stable")
    source = edges[0][by_source]
    first, last = (np.searchsorted(source, edges[1], side) for side in ("left", "right"))
    many = last - first
    inner = np.repeat(np.arange(edges.shape[1]), many)
    place = np.arange(inner.size) - np.repeat(np.cumsum(many) - many, many)
    return inner, by_source[first[inner] + place]


def fit_statistics(
    events: Iterable[Event],
    *,
    conditions: Mapping[str, Any] | Conditions,
    definition: str,
    order: int,
    eta_width: float,
) -> tuple[Statistics, IntArray]:
    """Return statistics of sequences of ``order`` (2 or 3) modules, and the module keys (M,) of their code.

    Raises
    ------
    DataError
        When there is no event, an event lacks truth or modules, or no sequence was found.
    """
    if not isinstance(conditions, Conditions):
        conditions = Conditions.parse(conditions, where="module map")
    numbers = ModuleNumbers()
    parts: list[Statistics] = []
    waiting, num_events = 0, 0
    for event in events:
        num_events += 1
        edges = _chosen_edges(event, conditions, definition)
        module = cells(event, eta_width)[edges]
        code = numbers(module.reshape(-1)).reshape(module.shape)
        hits = hit_rows(event)
        doublets = many_doublets(hits, edges[0], edges[1])
        if order == 2:
            found = Statistics.of((code[0] << _BITS) | code[1], doublets)
        else:
            inner, outer = consecutive(edges)
            three = many_triplets(hits, edges[0][inner], edges[1][inner], edges[1][outer], eta_width > 0)
            sequence = (((code[0][inner] << _BITS) | code[1][inner]) << _BITS) | code[1][outer]
            found = Statistics.of(sequence, np.concatenate([doublets[inner], doublets[outer], three], axis=1))
        parts.append(found)
        waiting += found.code.size
        if waiting > max(_COMPACT, parts[0].code.size):
            parts, waiting = [Statistics.joined(parts)], 0
    total = Statistics.joined(parts) if parts else None
    if total is None or not total.code.size:
        reason = "no event came" if not num_events else f"no true sequence of {order} modules in {num_events} events"
        raise DataError(f"module map: {reason}; mend: other conditions, or more events")
    return total, numbers.keys()


def split_code(code: IntArray, order: int) -> IntArray:
    """Return the modules (R, order) of sequences."""
    mask = (1 << _BITS) - 1
    return np.stack([(code >> (_BITS * (order - 1 - place))) & mask for place in range(order)], axis=1)


def _chosen_edges(event: Event, conditions: Conditions, definition: str) -> IntArray:
    """Return the truth edges (2, T) of the objects that pass."""
    edges: Tensor = event.truth_edge_index if definition == "stored" else truth_edges(event, definition)
    edges = edges[:, same_object(edges, event)]
    if conditions.items:
        passed = conditions.object_mask(event)
        edges = edges[:, passed[Event.object_key(event)[edges[0]]]]
    return edges.cpu().numpy()
