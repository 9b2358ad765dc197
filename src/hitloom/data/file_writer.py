"""What writers of one file of many events share: events in chunks, and a file that appears when all is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from hitloom.errors import DataError
from hitloom.event import Event


class FileWriter(ABC):
    """Context that takes events one by one and hands them on in chunks.

    What a subclass enters into ``_stack`` in :meth:`_begin` is left when the writer is: with the exception where there
    was one, so that nothing half-written stays.

    Parameters
    ----------
    path : path of a file
    overwrite : bool
    chunk_size : int
        Events held in memory at a time.

    Raises
    ------
    DataError
        When the path is taken, or there was no event.
    """

    def __init__(self, path: str | Path, *, overwrite: bool, chunk_size: int) -> None:
        self.path = Path(path)
        if self.path.is_dir() or (self.path.exists() and not overwrite):
            raise DataError(f"{path}: already exists; mend: another path, or ask to overwrite")
        self.chunk_size = chunk_size
        self.num_events = 0
        self._begun = False
        self._waiting: list[Event] = []
        self._stack = ExitStack()

    @abstractmethod
    def _begin(self, first: Event) -> None:
        """Open the file for events like the first one."""

    @abstractmethod
    def _write_chunk(self, chunk: list[Event]) -> None:
        """Write some events, the last of ``num_events``."""

    def _finish(self) -> None:  # noqa: B027 (most files need nothing)
        """Write what stands behind all events."""

    def __enter__(self) -> Self:
        return self

    def write(self, event: Event) -> None:
        """Append one event."""
        if not self._begun:
            self._begin(event)
            self._begun = True
        self._waiting.append(event)
        self.num_events += 1
        if len(self._waiting) >= self.chunk_size:
            self._flush()

    def write_all(self, events: Iterable[Event]) -> int:
        """Append all events, close the file and return their number."""
        with self:
            for event in events:
                self.write(event)
        return self.num_events

    def _flush(self) -> None:
        chunk, self._waiting = self._waiting, []
        self._write_chunk(chunk)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._begun:
            if kind is None:
                raise DataError(f"{self.path}: no event to write")
            return
        with ExitStack() as stack:
            stack.push(self._stack)
            if error is not None:
                raise error
            if self._waiting:
                self._flush()
            self._finish()
