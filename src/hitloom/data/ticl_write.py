"""Writer of CMS TICL dumper files: both layouts, with the names, types and nesting of :mod:`hitloom.data.ticl_layout`.

The trees hold real ``std::vector`` branches. The file appears under its name when all events are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hitloom.data import ticl_columns as columns_of
from hitloom.data import ticl_layout as layout
from hitloom.data.file_writer import FileWriter
from hitloom.data.jagged import Jagged
from hitloom.data.root_records import Column
from hitloom.data.root_trees import RootTreeWriter
from hitloom.data.split_folders import write_split_folder
from hitloom.data.trackster_truth import as_calo_particles, truth_type
from hitloom.errors import DataError, nearest
from hitloom.event import Event

Trees = dict[str, dict[str, Column]]
_NEEDED = {
    "A": ("x", "edge_index", "edge_attr", "edge_y", "object_index", "match_score", "match_energy"),
    "B": ("x", "part_pos", "part_x", "part_layer", "part_energy", "member_index", "member_fraction", "edge_index"),
}


class TiclWriter(FileWriter):
    """Write events of tracksters into one ROOT file, one by one.

    Parameters
    ----------
    layouts : sequence of {"A", "B"}
        Which trees to write.
    folder : str
        Folder inside the file that holds the trees.
    collection : str
        Name of the tracksters in layout B.
    extra : bool
        Whether to add the tree ``hitloom`` and the provenance, so that reading gives back all of the event.
    chunk_size : int
        Events held in memory at a time, one basket of each branch.

    Raises
    ------
    DataError
        When the path is taken, there is no event, an event lacks what the layout holds, or fields differ between
        events. Nothing half-written is left.

    Examples
    --------
    >>> with TiclWriter("events.root") as writer:  # doctest: +SKIP
    ...     writer.write(event)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        layouts: Sequence[str] = layout.LAYOUTS,
        folder: str = layout.FOLDERS[0],
        collection: str = layout.COLLECTION,
        extra: bool = True,
        overwrite: bool = False,
        chunk_size: int = 50,
    ) -> None:
        super().__init__(path, overwrite=overwrite, chunk_size=chunk_size)
        for name in layouts:
            if name not in layout.LAYOUTS:
                raise DataError(f"unknown layout '{name}'.{nearest(name, layout.LAYOUTS)}")
        self.layouts, self.folder, self.collection = tuple(layouts), folder, collection
        self.extra = extra
        self._trees: Trees = {}
        self._file: RootTreeWriter | None = None

    def _begin(self, first: Event) -> None:
        self._trees = _trees(first, self.layouts, self.collection)
        if not self.extra:
            del self._trees[layout.EXTRA_TREE]
        placed = {f"{self.folder}/{name}": columns for name, columns in self._trees.items()}
        texts = {}
        if self.extra and "provenance" in first:
            texts[f"{self.folder}/{layout.PROVENANCE_KEY}"] = first.provenance
        self._file = self._stack.enter_context(RootTreeWriter(self.path, placed, texts=texts))

    def _write_chunk(self, chunk: list[Event]) -> None:
        assert self._file is not None
        entries = [_entries(event, self.layouts, self.collection, self._trees) for event in chunk]
        for name, columns in self._trees.items():
            self._file.extend(
                f"{self.folder}/{name}", _stacked([entry[name] for entry in entries], columns, name, chunk)
            )


def write_ticl(
    events: Iterable[Event],
    path: str | Path,
    *,
    layouts: Sequence[str] = layout.LAYOUTS,
    folder: str = layout.FOLDERS[0],
    collection: str = layout.COLLECTION,
    extra: bool = True,
    overwrite: bool = False,
    chunk_size: int = 50,
) -> int:
    """Write events of tracksters into one ROOT file and return their number; arguments as in :class:`TiclWriter`."""
    return TiclWriter(
        path,
        layouts=layouts,
        folder=folder,
        collection=collection,
        extra=extra,
        overwrite=overwrite,
        chunk_size=chunk_size,
    ).write_all(events)


def write_ticl_folder(
    events: Iterable[Event],
    folder: str | Path,
    *,
    split_of: Mapping[int, str],
    layouts: Sequence[str] = layout.LAYOUTS,
    collection: str = layout.COLLECTION,
    overwrite: bool = False,
) -> int:
    """Write ``<folder>/<split>/histo.root`` for each split that has events, and return the number of events.

    Parameters
    ----------
    split_of : mapping
        Split of an event id; events without one are left out.

    Raises
    ------
    DataError
        When the folder is taken, or no event has a split. Nothing is left then.
    """
    return write_split_folder(
        events,
        folder,
        split_of=split_of,
        file_name="histo.root",
        open_writer=lambda path: TiclWriter(path, layouts=layouts, collection=collection),
        overwrite=overwrite,
    )


def _trees(event: Event, layouts: Sequence[str], collection: str) -> Trees:
    """Return the trees that an event like this one fills."""
    for name in layouts:
        _check(event, name)
    has_truth = "part_share_index" in event
    trees: Trees = {}
    extra = dict(layout.EXTRA_EVENT)
    objects = {name: column for name, column in layout.EXTRA_OBJECTS.items() if name in event}
    extra |= objects
    if "A" in layouts:
        graph = columns_of.graph_entry(event)
        trees[layout.GRAPH_TREE] = {name: column for name, column in layout.GRAPH.items() if name in graph}
    if "B" in layouts:
        trees |= {collection: layout.TRACKSTERS, "clusters": layout.CLUSTERS, "TICLGraph": layout.CANDIDATE_GRAPH}
        extra |= {name: column for name, column in layout.EXTRA_PARTS.items() if name != "part_id" or name in event}
        if has_truth:
            extra |= layout.EXTRA_SHARES
            trees["associations"] = {}
            for truth in _truths(event):
                trees[f"simtracksters{truth}"] = layout.SIM_TRACKSTERS
                trees["associations"] |= layout.association_branches(collection, truth)
    trees[layout.EXTRA_TREE] = extra
    return trees


def _truths(event: Event) -> tuple[str, ...]:
    own = truth_type(event)
    return ("SC", "CP") if own == "SC" and "object_parent" in event else (own,)


def _entries(event: Event, layouts: Sequence[str], collection: str, trees: Trees) -> dict[str, columns_of.Entry]:
    entries: dict[str, columns_of.Entry] = {}
    for name in layouts:
        _check(event, name)
    if "A" in layouts:
        entries[layout.GRAPH_TREE] = columns_of.graph_entry(event)
    if "B" in layouts:
        clusters = columns_of.cluster_table(event)
        entries["clusters"] = columns_of.cluster_entry(event, clusters)
        entries[collection] = columns_of.trackster_entry(event, clusters)
        entries["TICLGraph"] = columns_of.candidate_entry(event)
        if "associations" in trees:
            entries["associations"] = {}
            for truth in _truths(event):
                seen = as_calo_particles(event) if truth == "CP" else event
                entries[f"simtracksters{truth}"] = columns_of.sim_trackster_entry(seen, clusters)
                entries["associations"] |= columns_of.association_entry(seen, collection, truth)
    if layout.EXTRA_TREE in trees:
        entries[layout.EXTRA_TREE] = columns_of.extra_entry(event, trees[layout.EXTRA_TREE])
    return entries


def _check(event: Event, layout_name: str) -> None:
    for name in (*_NEEDED[layout_name], "event_id"):
        if name not in event:
            raise DataError(
                f"{event.describe()}: field '{name}' is needed for layout {layout_name} of a ROOT file and not in the "
                "event; mend: write the other layout, or events with tracksters, layer clusters and truth"
            )


def _stacked(
    entries: Sequence[Mapping[str, Any]], columns: Mapping[str, Column], tree: str, events: Sequence[Event]
) -> dict[str, Jagged]:
    """Return the columns of one tree for several entries."""
    for entry, event in zip(entries, events, strict=True):
        missing = [name for name in columns if name not in entry]
        if missing:
            raise DataError(
                f"{event.describe()}: nothing for branch '{missing[0]}' of tree '{tree}', which the first event "
                "filled; events of one file must have the same fields"
            )
    build = (lambda parts: Jagged(np.array(parts)), Jagged.of_lists, Jagged.of_nested)
    return {name: build[column.depth]([entry[name] for entry in entries]) for name, column in columns.items()}
