"""Writer of files of tracksters for pruning, in the layouts that :mod:`hitloom.data.pruning_files` reads.

Beside the branches of the layout, ``event`` (number of the event), ``layer`` and, where the events have such a column,
``prune_score`` are written; other software passes over them. What a file has no branch for (particles and shares)
stays in the event store alone. The file appears under its name when all is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.file_writer import FileWriter
from hitloom.data.files import atomic_file
from hitloom.data.jagged import Jagged
from hitloom.data.pruning_json import json_text
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.data.pruning_table import ID, LABEL, LAYER, LINKS, NEEDED, OPTIONAL, ORIGIN, PRUNE_SCORE, TARGET
from hitloom.data.root_read import EVENT
from hitloom.data.root_records import Column
from hitloom.data.root_trees import RootTreeWriter
from hitloom.data.split_folders import write_split_folder
from hitloom.errors import DataError, nearest
from hitloom.event import Event

WRITTEN = ("root", "json")
Columns = dict[str, NDArray[Any]]


class PruningWriter(FileWriter):
    """Write tracksters into one file, one by one.

    Parameters
    ----------
    layout : {"root", "json"} or None
        None = by the end of the path, ``.json`` or any other.
    tracksters, edges : str
        Names of the two trees; a cycle ``;1`` may stand behind.
    extras : bool
        Whether ``event`` and ``layer`` are written too.
    chunk_size : int
        Tracksters held in memory at a time, one basket of each branch.

    Raises
    ------
    DataError
        When the path is taken, there is no event, an event is no trackster of layer clusters, or events differ in what
        they have. Nothing half-written is left.

    Examples
    --------
    >>> with PruningWriter("tracksters.root") as writer:  # doctest: +SKIP
    ...     writer.write(event)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        layout: str | None = None,
        tracksters: str = "Tracksters",
        edges: str = "Edges",
        extras: bool = True,
        overwrite: bool = False,
        chunk_size: int = 1000,
    ) -> None:
        super().__init__(path, overwrite=overwrite, chunk_size=chunk_size)
        self.layout = layout or ("json" if self.path.suffix == ".json" else "root")
        if self.layout not in WRITTEN:
            raise DataError(f"layout '{self.layout}' cannot be written.{nearest(self.layout, WRITTEN)}")
        self.trees = (_without_cycle(tracksters), _without_cycle(edges))
        self.extras = extras
        self._columns: dict[str, Column] = {}
        self._file: RootTreeWriter | IO[str] | None = None

    def _begin(self, first: Event) -> None:
        there = point_columns(first, extras=self.extras)
        self._columns = {name: column for name, column in (NEEDED | OPTIONAL).items() if name in there}
        if self.layout == "json":
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self._stack.enter_context(atomic_file(self.path))
            self._file = self._stack.enter_context(part.open("w", encoding="utf-8"))
            self._file.write("[")
            return
        number = {EVENT: Column("Long64_t")} if self.extras else {}
        trees = {self.trees[0]: number | self._columns, self.trees[1]: LINKS}
        self._file = self._stack.enter_context(RootTreeWriter(self.path, trees))

    def _write_chunk(self, chunk: list[Event]) -> None:
        rows = [self._row(event) for event in chunk]
        if isinstance(self._file, RootTreeWriter):
            table = {name: Jagged.of_lists([row[name] for row in rows]) for name in self._columns}
            if self.extras:
                table[EVENT] = Jagged(np.array([int(event.event_id) for event in chunk], dtype=np.int64))
            self._file.extend(self.trees[0], table)
            ends = [linked_ids(event) for event in chunk]
            self._file.extend(
                self.trees[1],
                {name: Jagged.of_lists([end[row] for end in ends]) for row, name in enumerate((ORIGIN, TARGET))},
            )
            return
        assert self._file is not None
        for place, (event, row) in enumerate(zip(chunk, rows, strict=True), self.num_events - len(chunk)):
            numbers = {EVENT: int(event.event_id)} if self.extras else {}
            self._file.write(("\n" if not place else ",\n") + json_text(row, _parents(event), **numbers))

    def _row(self, event: Event) -> Columns:
        found = point_columns(event, extras=self.extras)
        if set(found) != set(self._columns):
            name = min(set(found) ^ set(self._columns))
            raise DataError(
                f"{event.describe()}: {'has' if name in found else 'lacks'} '{name}', unlike the first event; events "
                "of one file must have the same fields"
            )
        return found

    def _finish(self) -> None:
        if self._file is not None and not isinstance(self._file, RootTreeWriter):
            self._file.write("\n]\n")


def write_pruning(
    events: Iterable[Event],
    path: str | Path,
    *,
    layout: str | None = None,
    tracksters: str = "Tracksters",
    edges: str = "Edges",
    extras: bool = True,
    overwrite: bool = False,
    chunk_size: int = 1000,
) -> int:
    """Write tracksters into one file and return their number; arguments as in :class:`PruningWriter`."""
    return PruningWriter(
        path, layout=layout, tracksters=tracksters, edges=edges, extras=extras, overwrite=overwrite,
        chunk_size=chunk_size,
    ).write_all(events)  # fmt: skip


def write_pruning_folder(
    events: Iterable[Event],
    folder: str | Path,
    *,
    split_of: Mapping[int, str],
    tracksters: str = "Tracksters",
    edges: str = "Edges",
    overwrite: bool = False,
) -> int:
    """Write ``<folder>/<split>/tracksters.root`` for each split; see :func:`~.split_folders.write_split_folder`."""
    return write_split_folder(
        events,
        folder,
        split_of=split_of,
        file_name="tracksters.root",
        open_writer=lambda path: PruningWriter(path, tracksters=tracksters, edges=edges),
        overwrite=overwrite,
    )


def point_columns(event: Event, *, extras: bool) -> Columns:
    """Return what a file holds of the layer clusters of a trackster, each column (N,).

    Raises
    ------
    DataError
        When the event is no trackster of layer clusters, or a label is neither 0 nor 1.
    """
    columns = {ID: _ids(event)}
    values = event.columns(PRUNING_FEATURES).detach().cpu().numpy()
    columns |= {name: values[:, place] for place, name in enumerate(PRUNING_FEATURES)}
    if "point_y" in event:
        label = event.point_y.detach().cpu().numpy()
        if not np.isin(label, (0, 1)).all():
            raise DataError(f"{event.describe()}: field 'point_y' holds something else than 0 and 1")
        columns[LABEL] = label
    if extras and "layer" in event:
        columns[LAYER] = event.layer.cpu().numpy()
    if PRUNE_SCORE in event.column_names():
        columns[PRUNE_SCORE] = event.columns([PRUNE_SCORE])[:, 0].detach().cpu().numpy()
    return columns


def linked_ids(event: Event) -> NDArray[np.int64]:
    """Return the identifiers (2, E) at the ends of the links, leader above follower."""
    edges = event.edge_index.cpu().numpy() if "edge_index" in event else np.zeros((2, 0), np.int64)
    return _ids(event)[edges]


def _ids(event: Event) -> NDArray[np.int64]:
    found: NDArray[np.int64] = event.point_id.cpu().numpy() if "point_id" in event else np.arange(event.num_points)
    return found


def _parents(event: Event) -> list[list[int]]:
    """Return the identifiers of the leaders of each layer cluster."""
    parents: list[list[int]] = [[] for _ in range(event.num_points)]
    origin = linked_ids(event)[0]
    for leader, follower in zip(origin.tolist(), event.edge_index[1].tolist(), strict=True):
        parents[follower].append(leader)
    return parents


def _without_cycle(name: str) -> str:
    name, _, cycle = name.partition(";")
    if cycle not in ("", "1"):
        raise DataError(f"tree '{name};{cycle}': a new file has cycle 1 alone; mend: the name without a cycle")
    return name
