"""The truth of one event as plain arrays: which particle owns each hit, and the table of particles.

Shape letters: N hits, K particles (rows of the table), T truth edges. Units: mm, GeV, rad.
A hit's particle is a row of the table; -1 is noise. Identity across events is (event, particle id).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.errors import DataError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_FLOAT_COLUMNS = ("pt", "eta", "phi", "vertex_radius", "vertex_z")


def as_integers(values: ArrayLike, name: str) -> IntArray:
    """Return ``values`` as int64; a float array is refused, because digits of an id would be lost.

    Raises
    ------
    DataError
        When the dtype is not an integer type, or a value does not fit into int64.
    """
    array = _as_array(values)
    if array.size == 0 and array.dtype.kind == "f":
        return np.zeros(array.shape, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise DataError(f"{name}: integers were wanted, not {array.dtype}; mend: read the column as int64")
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{name}: the value {int(array.max())} does not fit into int64; mend: renumber the ids")
    return array.astype(np.int64, copy=False)


def _as_array(values: Any) -> NDArray[Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


@dataclass(frozen=True, kw_only=True, eq=False)
class EventTruth:
    """Truth of one event.

    Attributes
    ----------
    object_index : (N,) int64
        Row of the particle that owns each hit, -1 = noise.
    object_id : (K,) int64
        Particle ids, unique in the event and not 0 (0 is noise).
    num_points : (K,) int64
        Hits of each particle before any cut ("original" universe); counted from ``object_index`` when not given.
    pt, eta, phi, vertex_radius, vertex_z : (K,) float64 or None
        GeV, -, rad, mm, mm. None = not known; a selection or an axis that needs one then raises or is left out.
    is_signal, reconstructable : (K,) bool or None
    weight : (N,) float64 or None
        Importance of each hit in the TrackML score; ``weight_name`` says which (for example "TrackML phase 2").
    total_weight : float or None
        Weight of the whole event, where hits were removed before these arrays; default is the sum of ``weight``.
    truth_edge_index : (2, T) int64 or None
        Consecutive hits of one particle.
    extra : mapping of str to (K,) arrays
        Further columns that a :class:`~hitloom.metrics.Condition` may name.

    Raises
    ------
    DataError
        When a shape, dtype or value is impossible; one line names the column.
    """

    object_index: IntArray
    object_id: IntArray
    num_points: IntArray = None  # type: ignore[assignment]
    pt: FloatArray | None = None
    eta: FloatArray | None = None
    phi: FloatArray | None = None
    vertex_radius: FloatArray | None = None
    vertex_z: FloatArray | None = None
    is_signal: BoolArray | None = None
    reconstructable: BoolArray | None = None
    weight: FloatArray | None = None
    weight_name: str = "given"
    total_weight: float | None = None
    truth_edge_index: IntArray | None = None
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        index = as_integers(self.object_index, "object_index")
        ids = as_integers(self.object_id, "object_id")
        if index.ndim != 1 or ids.ndim != 1:
            raise DataError(f"object_index and object_id: one dimension was wanted, not {index.ndim} and {ids.ndim}")
        if index.size and (index.min() < -1 or index.max() >= ids.size):
            bad = int(index.min() if index.min() < -1 else index.max())
            raise DataError(f"object_index: {bad} is no row of the {ids.size} particles and not -1 (noise)")
        if (ids == 0).any():
            raise DataError("object_id: the id 0 means noise; mend: number particles from 1, mark noise by row -1")
        if np.unique(ids).size != ids.size:
            raise DataError("object_id: ids repeat within the event; mend: one row per particle")
        self._set("object_index", index)
        self._set("object_id", ids)
        counted = np.bincount(index[index >= 0], minlength=ids.size).astype(np.int64)
        if self.num_points is None:
            self._set("num_points", counted)
        else:
            self._set("num_points", self._column("num_points", as_integers(self.num_points, "num_points"), ids.size))
            if (self.num_points < counted).any():
                row = int(np.argmax(self.num_points < counted))
                raise DataError(
                    f"num_points: particle {int(ids[row])} is said to have {int(self.num_points[row])} hits, "
                    f"but {int(counted[row])} hits name it"
                )
        for name in _FLOAT_COLUMNS:
            self._convert(name, np.float64, ids.size)
        for name in ("is_signal", "reconstructable"):
            self._convert(name, np.bool_, ids.size)
        self._convert("weight", np.float64, index.size)
        for name, values in self.extra.items():
            self._column(name, _as_array(values), ids.size)
        if self.truth_edge_index is not None:
            edges = as_integers(self.truth_edge_index, "truth_edge_index")
            if (
                edges.ndim != 2
                or edges.shape[0] != 2
                or (edges.size and not 0 <= edges.min() <= edges.max() < index.size)
            ):
                raise DataError(f"truth_edge_index: rows of {index.size} hits in shape (2, T) were wanted")
            self._set("truth_edge_index", edges)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @staticmethod
    def _column(name: str, values: NDArray[Any], size: int) -> NDArray[Any]:
        if values.shape != (size,):
            raise DataError(f"{name}: shape ({size},) was wanted, not {values.shape}")
        return values

    def _convert(self, name: str, dtype: Any, size: int) -> None:
        value = getattr(self, name)
        if value is not None:
            self._set(name, self._column(name, _as_array(value).astype(dtype), size))

    @property
    def num_hits(self) -> int:
        """Number of hits in the arrays."""
        return int(self.object_index.size)

    @property
    def num_objects(self) -> int:
        """Number of particles in the table, with or without hits."""
        return int(self.object_id.size)

    def fingerprint(self) -> str:
        """Return a digest of who owns which hit: equal for equal truth, whatever was predicted."""
        digest = hashlib.sha256()
        for array in (self.object_index, self.object_id, self.num_points):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    @classmethod
    def from_particle_ids(
        cls,
        particle_id: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        hit_columns: Mapping[str, ArrayLike] | None = None,
    ) -> EventTruth:
        """Build truth from one particle id per hit (N,), 0 = noise; the table lists the ids in ascending order.

        Parameters
        ----------
        weight : (N,) or None
        hit_columns : mapping or None
            Particle quantities repeated on every hit (N,): ``pt``, ``eta``, ``phi``, ``vertex_radius``,
            ``vertex_z``, or others.

        Raises
        ------
        DataError
            When two hits of one particle disagree (beyond 1e-5 relative): never an average.

        Examples
        --------
        >>> EventTruth.from_particle_ids([7, 0, 7], hit_columns={"pt": [2.0, 0.0, 2.0]}).pt.tolist()
        [2.0]
        """
        ids = as_integers(particle_id, "particle_id")
        table = np.unique(ids[ids != 0])
        index = np.searchsorted(table, ids)
        index[ids == 0] = -1
        first = np.zeros(table.size, dtype=np.int64)
        first[index[ids != 0][::-1]] = np.flatnonzero(ids != 0)[::-1]
        columns: dict[str, NDArray[Any]] = {}
        for name, raw in (hit_columns or {}).items():
            values = cls._column(name, _as_array(raw), ids.size)
            columns[name] = values[first]
            differs = ~np.isclose(values, np.append(columns[name], 0)[index], rtol=1e-5, atol=0, equal_nan=True)
            if (differs & (ids != 0)).any():
                bad = int(ids[np.argmax(differs & (ids != 0))])
                raise DataError(f"{name}: hits of particle {bad} disagree; mend: take it from the particle table")
        known = {name: columns.pop(name, None) for name in _FLOAT_COLUMNS}
        return cls(
            object_index=index,
            object_id=table,
            weight=None if weight is None else _as_array(weight),
            extra=columns,
            pt=known["pt"],
            eta=known["eta"],
            phi=known["phi"],
            vertex_radius=known["vertex_radius"],
            vertex_z=known["vertex_z"],
        )


def truth_from_event(event: Any, *, weight_name: str = "as in the event") -> EventTruth:
    """Read the truth of a :class:`hitloom.event.Event` (one event, not a batch).

    ``weight_name`` says which weights ``point_weight`` holds (for example "TrackML phase 1"); scores repeat it.

    Raises
    ------
    DataError
        When the event has no ``object_index`` or no ``object_id``.
    """

    def get(name: str) -> NDArray[Any] | None:
        return _as_array(event[name]) if name in event and event[name] is not None else None

    index, ids = get("object_index"), get("object_id")
    if index is None or ids is None:
        missing = "object_index" if index is None else "object_id"
        where = event.describe() if hasattr(event, "describe") else "event"
        raise DataError(f"{where}: '{missing}' is needed for an evaluation and not in the event")
    vertex = get("object_vertex")
    return EventTruth(
        object_index=index,
        object_id=ids,
        num_points=get("object_num_points"),  # type: ignore[arg-type]
        pt=get("object_pt"),
        eta=get("object_eta"),
        phi=get("object_phi"),
        vertex_radius=None if vertex is None else np.hypot(vertex[:, 0], vertex[:, 1]),
        vertex_z=None if vertex is None else vertex[:, 2],
        is_signal=get("object_is_signal"),
        weight=get("point_weight"),
        weight_name=weight_name,
        truth_edge_index=get("truth_edge_index"),
    )
