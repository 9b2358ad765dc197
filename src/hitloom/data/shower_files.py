"""ROOT files of 2D clusters and their reader: one :class:`~hitloom.event.Event` for each wire view.

B slices of all files.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hitloom.data.root_read import branch_names, find_root, opened, tree_names
from hitloom.data.shower_branches import CLUSTER_ID, HIT_CLUSTER
from hitloom.data.shower_layout import VIEWS
from hitloom.data.shower_root import PandoraFile, file_views, look
from hitloom.errors import DataError
from hitloom.event import Event

_log = logging.getLogger("hitloom")


@dataclass(frozen=True, kw_only=True)
class PandoraSource:
    """Files that were looked at, the number of each of their slices, and the views that are wanted."""

    files: tuple[PandoraFile, ...]
    slices: NDArray[np.int64]
    views: tuple[int, ...]

    @cached_property
    def _split_of_slice(self) -> dict[int, str | None]:
        splits = [file.split for file in self.files for _ in range(file.num_entries)]
        return dict(zip(self.slices.tolist(), splits, strict=True))

    def split_of_slice(self, number: int) -> str | None:
        """Return the split of a slice: the folder train, val or test of its file."""
        return self._split_of_slice[number]


def open_pandora(
    source: str | Path,
    *,
    tree: str | None = None,
    detector: str | None = None,
    views: Sequence[int] = tuple(VIEWS),
    first_slice: int | None = None,
) -> PandoraSource:
    """Look at a file, or at all ``*.root`` files of a folder.

    Parameters
    ----------
    tree : str or None
        The tree of clusters; None = ``clusters``, or the only one with its branches.
    detector : str or None
        Name of :mod:`hitloom.data.lartpc_detectors`, to hold constants against; None = recognised by them.
    views : sequence of int
        Codes of the views that are wanted, of 4 (U), 5 (V) and 6 (W).
    first_slice : int or None
        Slices are counted from here; None = numbered as the files say, where all do and no number comes twice, else
        counted from 0.

    Raises
    ------
    DataError
        When there is no file, or one is not what it should be.
    """
    for view in views:
        if view not in VIEWS:
            raise DataError(f"unknown view {view}; valid views: 4 (U), 5 (V), 6 (W)")
    files = tuple(look(path, split, tree=tree, detector=detector) for path, split in find_root(source))
    first = files[0]
    for file in files[1:]:
        if file.num_entries and (file.has_gap, file.has_truth) != (first.has_gap, first.has_truth):
            raise DataError(
                f"{file.path}: differs from {first.path.name} in having drift gaps or truth; mend: read them one by one"
            )
    total = sum(file.num_entries for file in files)
    numbers = np.arange(total) + (first_slice or 0)
    if first_slice is None and all(file.slices is not None for file in files):
        stored = np.concatenate([file.slices for file in files if file.slices is not None])
        if len(np.unique(stored)) == total:
            numbers = stored
    return PandoraSource(files=files, slices=numbers, views=tuple(sorted(set(views))))


def read_pandora(
    path: str | Path | PandoraSource,
    *,
    tree: str | None = None,
    detector: str | None = None,
    views: Sequence[int] = tuple(VIEWS),
    skip: int = 0,
    limit: int | None = None,
    rows: NDArray[np.int64] | None = None,
    first_slice: int | None = None,
    chunk_size: int = 200,
) -> Iterator[Event]:
    """Return an iterator over the views of all slices: files by name, slices in order, then U, V, W.

    Views without clusters are left out; their number is logged.

    Parameters
    ----------
    path : path, or files that were opened by :func:`open_pandora`
        Of opened files tree, detector, views and numbers are known; those given here are of no meaning then.
    skip, limit : int
        Slices to leave out at the front, and to read at most.
    rows : array of int, optional
        Instead of these, the places of the slices that are wanted, ascending, counted through all files.
    chunk_size : int
        Slices read at a time.

    Raises
    ------
    DataError
        At once when the files are not what they should be, else when a damaged or impossible entry is reached; the
        message names file, tree, branch and entry.
    """
    if not isinstance(path, PandoraSource):
        path = open_pandora(path, tree=tree, detector=detector, views=views, first_slice=first_slice)
    wanted = np.arange(len(path.slices))[skip:][:limit] if rows is None else np.asarray(rows, dtype=np.int64)
    return _events(path, wanted, chunk_size)


def _events(source: PandoraSource, rows: NDArray[np.int64], chunk_size: int) -> Iterator[Event]:
    before, number = 0, 0
    for file in source.files:
        size = file.num_entries
        mine = rows[(rows >= before) & (rows < before + size)] - before
        slices = source.slices[before : before + size]
        for event in file_views(file, slices, rows=mine, views=source.views, chunk_size=chunk_size):
            number += 1
            yield event
        before += size
    wanted = len(rows) * len(source.views)
    if number < wanted:
        _log.info("%d of %d views hold no cluster and are left out", wanted - number, wanted)


def is_pandora_file(path: Path) -> bool:
    """Return whether a ROOT file holds a tree of 2D clusters."""
    try:
        with opened(path) as file:
            names = {name.rpartition(";")[0] for name in tree_names(file, path)}
            return any({CLUSTER_ID, HIT_CLUSTER} <= branch_names(file, path, name) for name in names)
    except DataError:  # what is wrong with it is said by the reader that is chosen then
        return False
