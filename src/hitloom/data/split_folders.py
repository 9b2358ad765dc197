"""Folders ``train``, ``val`` and ``test`` with one file of events each, written event by event, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from hitloom.data.files import refuse_existing, replace_folder, temporary_name
from hitloom.data.splits import SPLITS
from hitloom.errors import DataError
from hitloom.event import Event


class FileWriter(Protocol):
    """Writes one file: opened and closed by ``with``, complete at the end of it."""

    num_events: int

    def write(self, event: Event) -> None:
        """Append one event."""

    def __enter__(self) -> Any: ...

    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> Any: ...


def write_split_folder(
    events: Iterable[Event],
    folder: str | Path,
    *,
    split_of: Mapping[int, str],
    file_name: str,
    open_writer: Callable[[Path], FileWriter],
    overwrite: bool = False,
) -> int:
    """Write ``<folder>/<split>/<file_name>`` for each split that has events, and return the number of events.

    Parameters
    ----------
    split_of : mapping
        Split of an event id; events without one are left out.
    open_writer : callable
        Gives the writer of a path.

    Raises
    ------
    DataError
        When the folder is taken, or no event has a split. Nothing is left then.
    """
    folder, suffix = Path(folder), Path(file_name).suffix
    refuse_existing(folder, overwrite=overwrite, may_replace=lambda path: _holds_only(path, suffix))
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(folder)
    writers: dict[str, FileWriter] = {}
    try:
        with ExitStack() as stack:
            for event in events:
                split = split_of.get(int(event.event_id), "")
                if split and split not in writers:
                    writers[split] = stack.enter_context(open_writer(part / split / file_name))
                if split:
                    writers[split].write(event)
        if not writers:
            raise DataError(f"{folder}: no event to write (none is in train, val or test)")
        replace_folder(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sum(writer.num_events for writer in writers.values())


def _holds_only(path: Path, suffix: str) -> bool:
    """Whether a folder holds nothing but train, val and test with files of this kind."""
    if not path.is_dir() or not {entry.name for entry in path.iterdir()} <= set(SPLITS):
        return False
    return all(entry.suffix == suffix for split in path.iterdir() for entry in split.iterdir())
