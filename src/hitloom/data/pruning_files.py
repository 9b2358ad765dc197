"""Files of tracksters for pruning, and their reader: one :class:`~hitloom.event.Event` for each trackster.

Three layouts, told apart by what is there: ``root`` (two aligned trees), ``json`` (a list of objects) and
``collisions`` (one tree, labelled by the majority rule). What the events hold: :mod:`hitloom.data.pruning_layout`.

B entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.pruning_collisions import COLLISION_BRANCHES, collision_tables, collision_tree
from hitloom.data.pruning_from_table import LinkCounts, table_events
from hitloom.data.pruning_json import PARENTS, json_event_ids, json_table, load_json
from hitloom.data.pruning_labels import ALL_NOISE, MAJORITIES
from hitloom.data.pruning_root import check_renamed, count_entries, find_tree, root_tables
from hitloom.data.pruning_table import LINKS, READ, TableOptions, TracksterTable
from hitloom.data.pruning_tracksters import TRACKSTERS_PER_COLLISION
from hitloom.data.pruning_write import write_pruning
from hitloom.data.root_read import find_root, opened, stored_event_ids, tree_names
from hitloom.errors import DataError, nearest
from hitloom.event import Event

__all__ = [
    "LAYOUTS",
    "PruningOptions",
    "count_tracksters",
    "is_pruning_file",
    "open_pruning",
    "read_pruning",
    "write_pruning",
]

LAYOUTS = ("root", "json", "collisions")
TREES = ("Tracksters;1", "Edges;1")


@dataclass(frozen=True, kw_only=True)
class PruningOptions(TableOptions):
    """How files of tracksters are read.

    Attributes
    ----------
    layout : {"root", "json", "collisions"} or None
        None = as the file is.
    tracksters, edges : str
        The two trees of layout ``root``; with a cycle (``;1``) exactly that one, without the highest.
    collisions : str or None
        The tree of layout ``collisions``; None = the first that has its branches.
    branches : mapping
        Names in the file by those of the layout, where they differ.
    majority, all_noise : str
        Labels of layout ``collisions``, see :func:`hitloom.data.pruning_labels.majority_labels`.
    """

    layout: str | None = None
    tracksters: str = TREES[0]
    edges: str = TREES[1]
    collisions: str | None = None
    branches: Mapping[str, str] = field(default_factory=dict)
    majority: str = "count"
    all_noise: str = "keep"

    def __post_init__(self) -> None:
        for name, value, valid in (
            ("layout", self.layout, LAYOUTS),
            ("majority", self.majority, MAJORITIES),
            ("all_noise", self.all_noise, ALL_NOISE),
        ):
            if value is not None and value not in valid:
                raise DataError(f"unknown {name} '{value}'.{nearest(value, valid)}")
        check_renamed(self.branches, sorted({*READ, *LINKS, PARENTS, *COLLISION_BRANCHES}))


@dataclass(frozen=True, kw_only=True)
class PruningFile:
    """One file, looked at once: its layout, trees, number of entries and, where it says them, numbers of the events."""

    path: Path
    split: str | None
    layout: str
    num_entries: int
    trees: tuple[str, ...] = ()
    event_ids: NDArray[np.int64] | None = None
    records: list[dict[str, Any]] = field(default_factory=list, repr=False)


@dataclass(frozen=True, kw_only=True)
class PruningSource:
    """Files that were looked at, and how they are read.

    Attributes
    ----------
    event_ids : (B,) int64
        Of all entries; in the layout ``collisions`` the numbers of the collisions.
    """

    files: tuple[PruningFile, ...]
    options: PruningOptions
    event_ids: NDArray[np.int64]

    @property
    def num_entries(self) -> int:
        """Tracksters, or collisions where an entry is one."""
        return len(self.event_ids)

    @property
    def layout(self) -> str:
        return self.files[0].layout

    @cached_property
    def _split_of_number(self) -> dict[int, str | None]:
        splits = [file.split for file in self.files for _ in range(file.num_entries)]
        return dict(zip(self.event_ids.tolist(), splits, strict=True))

    def split_of(self, event: Event) -> str | None:
        """Return the split of an event that was read: the folder train, val or test of its file."""
        number = int(event.event_id)
        return self._split_of_number[number // TRACKSTERS_PER_COLLISION if self.layout == "collisions" else number]


def open_pruning(
    source: str | Path, options: PruningOptions | None = None, *, first_event_id: int | None = None
) -> PruningSource:
    """Look at a file, or at all files of a folder: ``*.root``, or ``*.json`` when there are none.

    Parameters
    ----------
    first_event_id : int or None
        Events are counted from here; None = numbered as the files say, where all do and no number comes twice, else
        counted from 0. In the layout ``collisions`` these are the numbers of the collisions.

    Raises
    ------
    DataError
        When there is no file, one is damaged, lacks a tree, or trees have different numbers of entries.
    """
    options = options or PruningOptions()
    found = _find(Path(source))
    files = tuple(_look(path, split, options) for path, split in found)
    total = sum(file.num_entries for file in files)
    numbers = np.arange(total) + (first_event_id or 0)
    if first_event_id is None and all(file.event_ids is not None for file in files):
        stored = np.concatenate([file.event_ids for file in files if file.event_ids is not None])
        if len(np.unique(stored)) == total:
            numbers = stored
    if len({file.layout for file in files}) > 1:
        raise DataError(f"{source}: files of different layouts; mend: read them one by one")
    return PruningSource(files=files, options=options, event_ids=numbers)


def _find(source: Path) -> list[tuple[Path, str | None]]:
    """Return the files of a path with the split that the folder train, val or test says."""
    if source.is_dir() and not any(source.rglob("*.root")):
        return find_root(source, "*.json")
    return find_root(source)


def _look(path: Path, split: str | None, options: PruningOptions) -> PruningFile:
    if options.layout == "json" or (options.layout is None and path.suffix == ".json"):
        records = load_json(path)
        return PruningFile(
            path=path, split=split, layout="json", num_entries=len(records),
            event_ids=json_event_ids(records), records=records,
        )  # fmt: skip
    with opened(path) as file:
        names = tree_names(file, path)
        tree = ""
        if options.layout == "collisions" or (options.layout is None and not _has_tracksters(names, options)):
            tree = collision_tree(file, path, names, options.collisions, options.branches)
        if options.layout == "collisions" and not tree:
            raise DataError(
                f"{path}: no tree with the branches of collisions; it holds {', '.join(sorted(names)) or 'no tree'}; "
                "mend: name one with --collisions-tree, and its branches with --branch"
            )
        if tree:
            number = count_entries(file, path, [tree])
            return PruningFile(path=path, split=split, layout="collisions", num_entries=number, trees=(tree,))
        trees = (
            find_tree(path, names, options.tracksters, "--tracksters-tree"),
            find_tree(path, names, options.edges, "--edges-tree"),
        )
        number = count_entries(file, path, trees)
        ids = stored_event_ids(file, path, trees[0]) if number else None
        return PruningFile(path=path, split=split, layout="root", num_entries=number, trees=trees, event_ids=ids)


def _has_tracksters(names: list[str], options: PruningOptions) -> bool:
    wanted = options.tracksters.split(";")[0]
    return any(name.rpartition(";")[0] == wanted for name in names)


def is_pruning_file(path: Path) -> bool:
    """Return whether a ROOT file holds the trees of tracksters, or one of collisions, under their usual names."""
    try:
        with opened(path) as file:
            names = tree_names(file, path)
            return _has_tracksters(names, PruningOptions()) or bool(collision_tree(file, path, names, None, {}))
    except DataError:  # what is wrong with it is said by the reader that is chosen then
        return False


def count_tracksters(path: str | Path, *, tracksters: str = TREES[0], edges: str = TREES[1]) -> int:
    """Return the number of tracksters of a file or folder, of ROOT files from their headers alone.

    Raises
    ------
    DataError
        As :func:`open_pruning`.
    """
    return open_pruning(path, PruningOptions(tracksters=tracksters, edges=edges)).num_entries


def read_pruning(
    path: str | Path | PruningSource,
    *,
    layout: str | None = None,
    tracksters: str = TREES[0],
    edges: str = TREES[1],
    collisions: str | None = None,
    branches: Mapping[str, str] | None = None,
    strict_edges: bool = False,
    drop_without_positive: bool = False,
    drop_empty: bool = False,
    majority: str = "count",
    all_noise: str = "keep",
    geometry: str = "hgcal-v17",
    skip: int = 0,
    limit: int | None = None,
    first_event_id: int | None = None,
    chunk_size: int = 1000,
) -> Iterator[Event]:
    """Return an iterator over the tracksters of a file or folder, files by name and entries in order.

    Parameters
    ----------
    path : path, or files that were opened by :func:`open_pruning`
        Of opened files the options are known; those given here are of no meaning then.
    layout, tracksters, edges, collisions, branches, majority, all_noise
        See :class:`PruningOptions`.
    strict_edges, drop_without_positive, drop_empty, geometry
        See :class:`~hitloom.data.pruning_table.TableOptions`.
    skip, limit : int
        Entries to leave out at the front, and to read at most.
    first_event_id : int or None
        See :func:`open_pruning`.
    chunk_size : int
        Entries read at a time (collisions: a hundredth of it).

    Raises
    ------
    DataError
        At once when the files are not what they should be, else when a damaged or impossible entry is reached; the
        message names file, tree, branch and entry.
    """
    if not isinstance(path, PruningSource):
        options = PruningOptions(
            layout=layout, tracksters=tracksters, edges=edges, collisions=collisions, branches=branches or {},
            strict_edges=strict_edges, drop_without_positive=drop_without_positive, drop_empty=drop_empty,
            majority=majority, all_noise=all_noise, geometry=geometry,
        )  # fmt: skip
        path = open_pruning(path, options, first_event_id=first_event_id)
    return _events(path, skip, limit, chunk_size)


def _events(source: PruningSource, skip: int, limit: int | None, chunk_size: int) -> Iterator[Event]:
    before, end = 0, source.num_entries if limit is None else min(source.num_entries, skip + limit)
    for file in source.files:
        size = file.num_entries
        low, high = max(skip - before, 0), min(end - before, size)
        if low < high:
            dropped = LinkCounts()
            try:
                ids = source.event_ids[before : before + size]
                for table in _tables(file, source.options, ids, low, high, chunk_size):
                    yield from table_events(table, source.options, dropped, source=f"pruning {file.path.name}")
            finally:
                dropped.warn(file.path)
        before += size


def _tables(
    file: PruningFile, options: PruningOptions, ids: NDArray[np.int64], low: int, high: int, chunk_size: int
) -> Iterator[TracksterTable]:
    if file.layout == "json":
        for start in range(low, high, chunk_size):
            stop = min(start + chunk_size, high)
            yield json_table(
                file.path, file.records[start:stop], ids[start:stop], first=start, renamed=options.branches
            )
    elif file.layout == "collisions":
        yield from collision_tables(
            file.path, file.trees[0], ids, start=low, stop=high, chunk_size=max(chunk_size // 100, 1),
            renamed=options.branches, majority=options.majority, all_noise=options.all_noise,
        )  # fmt: skip
    else:
        yield from root_tables(
            file.path, (file.trees[0], file.trees[1]), ids, start=low, stop=high, chunk_size=chunk_size,
            renamed=options.branches,
        )  # fmt: skip


def option_facts(options: PruningOptions) -> dict[str, Any]:
    """Return the options as a record for the provenance of a store."""
    return {one.name: getattr(options, one.name) for one in fields(options)} | {"branches": dict(options.branches)}
