"""Results on disk: written event by event, resumable, never mixed with those of another checkpoint or store.

While an inference runs, what is finished lies in ``.results-<split>.part``, a file for each event or batch; at the
end they become ``results-<split>.parquet`` in one step. A run that is stopped goes on where it was.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from hitloom.data.files import atomic_file, reason
from hitloom.data.results_format import header_of, record_of, result_of, schema_of, table_of, write_file
from hitloom.errors import DataError, nearest
from hitloom.result import Result

_AHEAD_EVENTS, _AHEAD_POINTS = 256, 20_000  # read at once: at most so many events, of so many points together
IDENTITY = ("checkpoint_fingerprint", "store_fingerprint")


def results_path(folder: str | Path, split: str) -> Path:
    """Return the results file of a split.

    Raises
    ------
    DataError
        When the name of the split holds anything but letters, digits, ``-`` and ``_``.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", split):
        raise DataError(f"split: letters, digits, - and _ were wanted, not '{split}'")
    return Path(folder) / f"results-{split}.parquet"


class ResultWriter:
    """Write the results of one split.

    Parameters
    ----------
    folder : path
    split : str
    meta : mapping, JSON
        How the results are made: checkpoint fingerprint, store, system, versions, whether the input is truth-selected.
    identity : names of entries of ``meta``
        Results that differ in one of them are stale.
    redo : bool
        Replace stale results; otherwise they are refused.
    order : sequence of event ids or None
        Order of the events in the file (that of the store lets a reader go through both at once); default ascending.

    Raises
    ------
    DataError
        When stale results are there and ``redo`` is false, ``meta`` lacks an entry of ``identity``, or an event comes
        twice.

    Examples
    --------
    >>> with ResultWriter("results", "val", meta=meta) as writer:  # doctest: +SKIP
    ...     for event in events:
    ...         if event.event_id not in writer.done:
    ...             writer.write(reconstruct(event))
    """

    def __init__(
        self,
        folder: str | Path,
        split: str,
        *,
        meta: Mapping[str, Any],
        identity: Sequence[str] = IDENTITY,
        redo: bool = False,
        order: Sequence[int] | None = None,
    ) -> None:
        self.path = results_path(folder, split)
        missing = [name for name in identity if name not in meta]
        if missing:
            raise DataError(f"{self.path}: meta lacks '{missing[0]}', by which stale results are told")
        self.meta = json.loads(json.dumps(dict(meta)))
        self.identity = tuple(identity)
        self._order = None if order is None else {int(event_id): place for place, event_id in enumerate(order)}
        self._parts = self.path.with_name(f".results-{split}.part")
        self._files: dict[int, Path] = {}
        if self.path.exists():
            self._adopt_finished(redo)
        if self._parts.exists():
            self._adopt_parts(redo)

    @property
    def done(self) -> frozenset[int]:
        """Ids of the events that need no inference any more."""
        return frozenset(self._files)

    def _adopt_finished(self, redo: bool) -> None:
        try:
            _, meta, records = header_of(self.path)
        except DataError:
            if not redo:
                raise
            return
        if self._is_stale(meta, self.path, redo):
            return
        self._files |= {record["event_id"]: self.path for record in records}

    def _adopt_parts(self, redo: bool) -> None:
        for file in sorted(self._parts.glob("*.parquet")):
            try:
                _, meta, records = header_of(file)
            except DataError:
                file.unlink()
                continue
            if self._is_stale(meta, self._parts, redo):
                shutil.rmtree(self._parts)
                return
            self._files = {record["event_id"]: file for record in records} | self._files

    def _is_stale(self, meta: Mapping[str, Any], where: Path, redo: bool) -> bool:
        differs = [name for name in self.identity if meta.get(name) != self.meta[name]]
        if differs and not redo:
            name = differs[0]
            raise DataError(
                f"{where}: holds results with {name} {meta.get(name)!r}, but now it is {self.meta[name]!r}; mend: "
                "another folder, or redo them"
            )
        return bool(differs)

    def __enter__(self) -> ResultWriter:
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.path.parent}: cannot write results there: {reason(error)}") from None
        return self

    def write(self, *results: Result) -> None:
        """Keep the results of some events, at once on disk, as one file."""
        for result in results:
            if int(result.event_id) in self._files:
                raise DataError(
                    f"{self.path}: the result of event {result.event_id} came twice; mend: skip what is in 'done'"
                )
        path = self._parts / f"{results[0].event_id}.parquet"
        with atomic_file(path) as part:
            tables = [(record_of(result), table_of(result)) for result in results]
            write_file(part, schema=schema_of(results[0]), meta=self.meta, tables=tables)
        self._files |= {int(result.event_id): path for result in results}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        if not self._files or any(file != self.path for file in self._files.values()):
            self._merge()
        shutil.rmtree(self._parts)

    def _merge(self) -> None:
        order = self._order or {}
        event_ids = sorted(self._files, key=lambda event_id: (order.get(event_id, len(order)), event_id))
        if not event_ids:
            self.path.unlink(missing_ok=True)  # stale results that were to be redone, and nothing came
            return
        first = self._files[event_ids[0]]
        schema = header_of(first)[0].schema_arrow.remove_metadata()

        def tables() -> Iterator[tuple[dict[str, Any], pa.Table]]:
            finished = _read_finished(self.path) if self.path in self._files.values() else {}
            opened, part = None, {}
            for event_id in event_ids:
                file = self._files[event_id]
                if file not in (self.path, opened):
                    opened, part = file, _read_finished(file)
                record, table = (finished if file == self.path else part)[event_id]()
                table = table.replace_schema_metadata(None)
                if not table.schema.equals(schema):
                    raise DataError(
                        f"{self.path}: event {event_id} has columns {table.column_names}, others {schema.names}, or "
                        "another embedding width; mend: redo the results"
                    )
                yield record, table

        with atomic_file(self.path) as part:
            write_file(part, schema=schema, meta=self.meta, tables=tables())


def _read_finished(path: Path) -> dict[int, Any]:
    """Return a function per event id that reads its record and table."""
    file, _, records = header_of(path)
    readers: dict[int, Any] = {}
    group = 0
    for record in records:
        empty = record["num_points"] == 0

        def read(record: dict[str, Any] = record, group: int = group, empty: bool = empty) -> Any:
            table = file.schema_arrow.empty_table() if empty else file.read_row_group(group, use_threads=False)
            return record, table

        readers[int(record["event_id"])] = read
        group += not empty
    return readers


def _read_in_order(path: Path) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    """Yield record and table of every event; small events are read some at once."""
    file, _, records = header_of(path)
    place = group = 0
    while place < len(records):
        sizes = np.array([record["num_points"] for record in records[place : place + _AHEAD_EVENTS]])
        number = max(1, int((np.cumsum(sizes) <= _AHEAD_POINTS).sum()))
        groups = list(range(group, group + int((sizes[:number] > 0).sum())))
        table = file.read_row_groups(groups, use_threads=False) if groups else file.schema_arrow.empty_table()
        begin = 0
        for record in records[place : place + number]:
            yield record, table.slice(begin, record["num_points"])
            begin += record["num_points"]
        place, group = place + number, group + len(groups)


class StoredResults:
    """Results of one or several splits; can be iterated again and again, few events in memory at a time.

    Attributes
    ----------
    name : str
        The folder.
    meta : dict
        How the results were made.
    splits : tuple of str
    """

    def __init__(self, folder: str | Path, splits: Sequence[str]) -> None:
        self.name = str(folder)
        self.splits = tuple(splits)
        self._paths = [results_path(folder, split) for split in self.splits]
        self._headers = [header_of(path)[1:] for path in self._paths]
        self.meta: dict[str, Any] = self._headers[0][0]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Of each event: event_id, num_points, num_candidates, timing."""
        return [record for _, records in self._headers for record in records]

    @property
    def event_ids(self) -> list[int]:
        """Ids of the events, in order."""
        return [int(record["event_id"]) for record in self.records]

    @property
    def events(self) -> str | None:
        """The event store that the results were made from, as recorded under ``store``."""
        store = self.meta.get("store")
        return None if store is None else str(store)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Result]:
        for path in self._paths:
            for record, table in _read_in_order(path):
                yield result_of(table, record)


def open_results(folder: str | Path, split: str | None = None) -> StoredResults:
    """Open a folder of results: one split, or all that are there.

    Raises
    ------
    DataError
        When the folder holds no results, or not of this split, or a file is damaged.
    """
    folder = Path(folder)
    found = sorted(path.stem.removeprefix("results-") for path in folder.glob("results-*.parquet"))
    if not found:
        unfinished = any(folder.glob(".results-*.part"))
        hint = "; an inference there is unfinished, run it again to go on" if unfinished else ""
        raise DataError(f"{folder}: no results-*.parquet in it{hint}")
    if split is not None and split not in found:
        raise DataError(f"{folder}: no results of split '{split}'.{nearest(split, found)}")
    return StoredResults(folder, found if split is None else [split])


def read_results(folder: str | Path, split: str) -> Iterator[Result]:
    """Yield the results of a split, one event at a time; see :func:`open_results`."""
    return iter(open_results(folder, split))
