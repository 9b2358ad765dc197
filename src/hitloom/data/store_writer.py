"""Writer of the event store: shards ``events-00000.parquet`` in a folder, one event per row group."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hitloom.data.files import refuse_existing, replace_folder, temporary_name
from hitloom.data.splits import write_splits
from hitloom.data.store_schema import SIZES, schema_of, table_of
from hitloom.errors import DataError
from hitloom.event import Event

SPLITS_FILE = "splits.json"


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"events-{number:05d}.parquet"


def is_store(path: Path) -> bool:
    """Whether a folder holds nothing but an event store."""
    if not path.is_dir():
        return False
    names = [entry.name for entry in path.iterdir()]
    shards = [name for name in names if name.startswith("events-") and name.endswith(".parquet")]
    return bool(shards) and set(names) <= {*shards, SPLITS_FILE}


class EventWriter:
    """Write events into a new store; the folder appears under its name when all is written.

    Parameters
    ----------
    path : path of a folder
        Must not exist, unless ``overwrite``.
    provenance : dict
        What made the events (settings, seeds, versions); JSON, stored with the events.
    overwrite : bool
        Replace an existing *store* at the end; anything else there is never touched.
    events_per_shard : int
        Events per Parquet file.

    Raises
    ------
    DataError
        When the path is taken, an event is not valid, differs in its fields from the first, repeats an id, or no
        event was written. Then nothing is left and what was there stays.

    Examples
    --------
    >>> with EventWriter("events", provenance={"seed": 1}) as writer:  # doctest: +SKIP
    ...     writer.write(event)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        provenance: dict[str, Any],
        overwrite: bool = False,
        events_per_shard: int = 100,
    ) -> None:
        if events_per_shard < 1:
            raise DataError(f"events_per_shard: at least 1 was wanted, not {events_per_shard}")
        self.path = Path(path)
        if self.path.suffix == ".parquet":
            raise DataError(f"{path}: a store is a folder of Parquet files; mend: a path without '.parquet'")
        refuse_existing(self.path, overwrite=overwrite, may_replace=is_store)
        self.provenance = provenance
        self.events_per_shard = events_per_shard
        self.num_events = 0
        self._ids: set[int] = set()
        self._schema: pa.Schema | None = None
        self._shard: pq.ParquetWriter | None = None
        self._part: Path | None = None

    def __enter__(self) -> EventWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._part = temporary_name(self.path)
        self._part.mkdir()
        return self

    def write(self, event: Event) -> None:
        """Append one event."""
        if self._part is None:
            raise DataError(f"{self.path}: the writer is not open; mend: with EventWriter(...) as writer")
        event.validate()
        if "event_id" not in event:
            raise DataError(f"{event.describe()}: 'event_id' is missing; every stored event needs one")
        event_id = int(event.event_id)
        if event_id in self._ids:
            raise DataError(f"{self.path}: event id {event_id} came twice; ids must be unique in a store")
        if self._schema is None:
            self._schema = schema_of(event, provenance=self.provenance)
        table = table_of(event, self._schema)
        if self.num_events % self.events_per_shard == 0:
            self._next_shard(self._part / shard_name(self.num_events // self.events_per_shard))
        assert self._shard is not None
        self._shard.write_table(table)
        self._ids.add(event_id)
        self.num_events += 1

    def record_split(self, lists: Mapping[str, Sequence[int]]) -> None:
        """Record which event ids belong to train, val and test, where the source has decided it."""
        if self._part is None:
            raise DataError(f"{self.path}: the writer is not open; mend: with EventWriter(...) as writer")
        write_splits(self._part / SPLITS_FILE, lists=lists)

    def _next_shard(self, path: Path) -> None:
        if self._shard is not None:
            self._shard.close()
        assert self._schema is not None
        floats = [f"{column.name}.list.element" for column in self._schema if column.type == pa.list_(pa.float32())]
        self._shard = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            write_statistics=["event_id", *SIZES],
            use_byte_stream_split=floats,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        part, self._part = self._part, None
        assert part is not None
        try:
            if self._shard is not None:
                self._shard.close()
            if kind is None:
                if not self.num_events:
                    raise DataError(f"{self.path}: no event was written, so there is no store")
                replace_folder(part, self.path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
