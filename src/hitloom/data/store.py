"""The event store: a folder of Parquet files (or one file), one event per row group.

Each field of :data:`hitloom.event.FIELDS` is a list column with its unit and meaning in the column's metadata, so the
files can be read with awkward, pandas or pyarrow without hitloom. B events.
"""

from __future__ import annotations

import hashlib
import json
import operator
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from torch_geometric.data import Batch

from hitloom.data.collation import collate_events
from hitloom.data.event_columns import EventColumns
from hitloom.data.files import reason
from hitloom.data.shower_layout import CLUSTER_FEATURES, VIEWS_STRIDE
from hitloom.data.splits import check_split_name, divide, read_splits
from hitloom.data.store_schema import SIZES, TEXT, check_schema, header, header_names
from hitloom.data.store_writer import SPLITS_FILE, EventWriter, shard_name
from hitloom.errors import DataError, nearest
from hitloom.event import FIELDS, Event

__all__ = ["EventStore", "EventWriter"]

_MAX_OPEN = 4
# events asked for in order are read ahead: at most so many of them, of so many points together
_AHEAD_EVENTS, _AHEAD_POINTS, _MAX_GAP = 64, 20_000, 4


class EventStore(Sequence[Event]):
    """Events of a store, read when they are asked for; small ones that are asked for in order, some ahead.

    :meth:`keep_in_memory` reads all of them at once. Can be sent to other processes: each opens the files anew.

    Parameters
    ----------
    path : folder or Parquet file

    Raises
    ------
    DataError
        When the path is no event store, a file of it is damaged or missing, or of another format version.

    Examples
    --------
    >>> store = EventStore("events")  # doctest: +SKIP
    >>> store[0].num_points, len(store.indices("val"))  # doctest: +SKIP
    (5527, 12)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._shards = _shard_paths(self.path)
        self._open: dict[tuple[int, int], pq.ParquetFile] = {}
        self._memory: EventColumns | None = None
        self._ahead: tuple[int, tuple[str, ...], EventColumns] | None = None
        self._last = -1
        first = self._file(0)
        self.schema: pa.Schema = first.schema_arrow
        self._ends: list[int] = []
        self._rows: list[NDArray[np.int64]] = []
        for number, shard in enumerate(self._shards):
            file = self._file(number)
            if not file.schema_arrow.equals(self.schema, check_metadata=True):
                raise DataError(f"{shard}: its columns or header differ from those of {self._shards[0].name}")
            self._rows.append(_identities(file, shard))
            self._ends.append((self._ends[-1] if self._ends else 0) + len(self._rows[-1]))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: Any) -> Event:
        return self.read(index)

    def __iter__(self) -> Iterator[Event]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int, fields: Sequence[str] | None = None) -> Event:
        """Return event ``index`` with these fields only (default: all); ``event_id`` is always there.

        Raises
        ------
        DataError
            When a field is not in the store; the message gives the nearest one.
        IndexError
            When there is no such event.
        """
        index = operator.index(index)
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"{self.path}: event {index} of {len(self)}")
        for name in fields or ():
            self._check_field(name)
        if self._memory is not None:
            return self._memory.event(place, fields)
        wanted = self._columns(fields)
        begin, names, columns = self._ahead or (0, (), None)
        if columns is None or names != wanted or not begin <= place < begin + len(columns):
            begin, columns = place, self._read(place, self._num_ahead(place), wanted)
            self._ahead = (begin, wanted, columns) if len(columns) > 1 else None
        self._last = place
        return columns.event(place - begin)

    def keep_in_memory(self, *, max_bytes: int | None = None) -> bool:
        """Read all events into memory, if they take at most so many bytes there; return whether they are.

        Forked workers share them.
        """
        if self._memory is None:
            if max_bytes is not None and self.num_bytes > max_bytes:
                return False
            wanted = self._columns(None)
            starts = [0, *self._ends[:-1]]
            parts = [self._read(start, end - start, wanted) for start, end in zip(starts, self._ends, strict=True)]
            self._memory, self._ahead = EventColumns.joined(parts), None
        return True

    def batch(self, rows: Sequence[int]) -> Batch:
        """Return a batch of the events of these rows.

        Raises
        ------
        IndexError
            When there is no such event.
        """
        if self._memory is None:
            return collate_events([self.read(row) for row in rows])
        wrong = [row for row in rows if not 0 <= row < len(self)]
        if wrong:
            raise IndexError(f"{self.path}: event {wrong[0]} of {len(self)}")
        return self._memory.batch(rows)

    @property
    def num_bytes(self) -> int:
        """Bytes of all fields in memory, from the file footers alone."""
        metadata = [self._file(number).metadata for number in range(len(self._shards))]
        return sum(one.row_group(row).total_byte_size for one in metadata for row in range(one.num_row_groups))

    def _columns(self, fields: Sequence[str] | None) -> tuple[str, ...]:
        """Return the columns to read for these fields."""
        if fields is None:
            return tuple(name for name in self.schema.names if name not in SIZES[1:])
        columns = ["event_id", "num_points", *dict.fromkeys(fields)]
        columns += [name for name in TEXT[:1] if name in self.schema.names and name not in fields]
        return tuple(columns)

    def _num_ahead(self, place: int) -> int:
        """Return how many events from ``place`` on to read at once: one, unless the events come in order."""
        if not 0 < place - self._last <= _MAX_GAP:
            return 1
        number = bisect_right(self._ends, place)
        row = place - (self._ends[number - 1] if number else 0)
        points = np.cumsum(self._rows[number][row : row + _AHEAD_EVENTS, 1])
        return max(1, int((points <= _AHEAD_POINTS).sum()))

    def _read(self, place: int, num_events: int, columns: tuple[str, ...]) -> EventColumns:
        """Return ``num_events`` events of one file, from ``place`` on."""
        number = bisect_right(self._ends, place)
        row = place - (self._ends[number - 1] if number else 0)
        try:
            groups = list(range(row, row + num_events))
            table = self._file(number).read_row_groups(groups, columns=list(columns), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            many = f"events in rows {row} to {row + num_events - 1}" if num_events > 1 else f"event in row {row}"
            raise DataError(f"{self._shards[number]}: {many} cannot be read: {reason(error)}") from None
        return EventColumns.of_table(table, self.schema)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the event fields in the store."""
        return tuple(name for name in self.schema.names if name in FIELDS)

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns of ``x``."""
        return header_names(self.schema, "feature_names")

    @property
    def event_ids(self) -> NDArray[np.int64]:
        """(B,) ids in the order of the store, from the file footers alone."""
        return np.concatenate(self._rows)[:, 0]

    @property
    def num_points(self) -> NDArray[np.int64]:
        """(B,) number of points of each event, from the file footers alone."""
        return np.concatenate(self._rows)[:, 1]

    @property
    def num_objects(self) -> NDArray[np.int64]:
        """(B,) number of objects of each event, from the file footers alone."""
        return np.concatenate(self._rows)[:, 2]

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the events, as given to the writer."""
        return dict(json.loads(header(self.schema, "provenance", where=str(self.path))))

    def fingerprint(self) -> str:
        """Return 16 hex digits that change with the ids and sizes of the events, the fields and the feature names.

        The cut into files does not matter, and neither do the values of the fields.
        """
        columns = [f"{column.name}:{column.type}:{sorted((column.metadata or {}).items())}" for column in self.schema]
        names = [
            header_names(self.schema, key) for key in ("feature_names", "part_feature_names", "edge_feature_names")
        ]
        digest = hashlib.sha256(json.dumps([columns, names]).encode())
        digest.update(np.concatenate(self._rows).astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def indices(
        self,
        split: str,
        *,
        fractions: Sequence[float] | None = None,
        counts: Sequence[int] | None = None,
        seed: int | None = None,
    ) -> list[int]:
        """Return the rows of a split (train, val, test), ascending.

        Without arguments the recorded division of the store is used (``hitloom data split``), else 80/10/10 by the
        hash of (seed 0, event id), or of the number of the slice for wire views; see :mod:`hitloom.data.splits`.

        Raises
        ------
        DataError
            When the split or the division is not valid.
        """
        check_split_name(split)
        plan: dict[str, Any] = {"fractions": fractions, "counts": counts}
        if fractions is None and counts is None:
            plan = self.recorded_split()
        plan["seed"] = plan.get("seed", 0) if seed is None else seed
        assigned = divide(self.event_ids, group=self.split_group, **plan)
        return [int(row) for row in np.flatnonzero(assigned == split)]

    @property
    def split_group(self) -> int:
        """Events whose ids agree after division by this number are never in different splits: views of one slice."""
        return VIEWS_STRIDE if tuple(self.feature_names) == CLUSTER_FEATURES else 1

    def recorded_split(self) -> dict[str, Any]:
        """Return the division that ``hitloom data split`` recorded: seed and fractions, counts or lists; else empty."""
        return read_splits(self.path / SPLITS_FILE)

    def _check_field(self, name: str) -> None:
        if name not in self.schema.names:
            valid = [*self.fields, *(text for text in TEXT if text in self.schema.names)]
            raise DataError(f"{self.path}: field '{name}' is not in the store.{nearest(name, valid)}")

    def _file(self, number: int) -> pq.ParquetFile:
        key = (os.getpid(), number)
        file = self._open.get(key)
        if file is None:
            file = _open_parquet(self._shards[number])
            while len(self._open) >= _MAX_OPEN:
                self._open.pop(next(iter(self._open)))
            self._open[key] = file
        return file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}, "_ahead": None}


def _shard_paths(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such event store; mend: a folder written by 'hitloom simulate' or 'data convert'")
    shards = sorted(path.glob("events-*.parquet"))
    if not shards:
        raise DataError(f"{path}: not an event store (no events-*.parquet in it)")
    for number, shard in enumerate(shards):
        if shard.name != shard_name(number):
            raise DataError(f"{path}: {shard_name(number)} is missing, but {shard.name} is there; the store is damaged")
    return shards


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a whole Parquet file: {reason(error)}; mend: write the store again") from None
    check_schema(file.schema_arrow, where=str(path))
    return file


def _identities(file: pq.ParquetFile, path: Path) -> NDArray[np.int64]:
    """Return (B, 3) event id, num_points, num_objects of a file, from the statistics of its row groups."""
    wanted = ("event_id", *SIZES)
    leaves = {file.schema.column(number).path: number for number in range(len(file.schema.names))}
    metadata = file.metadata
    if metadata.num_rows != metadata.num_row_groups:
        raise DataError(
            f"{path}: {metadata.num_rows} events in {metadata.num_row_groups} row groups; one each is wanted"
        )
    values = np.zeros((metadata.num_row_groups, len(wanted)), dtype=np.int64)
    for row in range(metadata.num_row_groups):
        group = metadata.row_group(row)
        for column, name in enumerate(wanted):
            statistics = group.column(leaves[name]).statistics
            if statistics is None or not statistics.has_min_max:
                table = file.read(columns=list(wanted), use_threads=False)
                return np.stack([table[name].to_numpy() for name in wanted], axis=1)
            values[row, column] = statistics.min
    return values
