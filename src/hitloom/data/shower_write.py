"""Writer of ROOT files of 2D clusters, in the layout that :mod:`hitloom.data.shower_files` reads.

The views of a slice come one after the other and become one entry. Beside the branches of the layout ``event`` (number
of the slice) and what the simulation knows of the particles are written; other software passes over them. The file
appears under its name when all is written.

N clusters, M hits, K particles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.file_writer import FileWriter
from hitloom.data.jagged import Jagged
from hitloom.data.lartpc_detectors import get_detector
from hitloom.data.root_read import EVENT
from hitloom.data.root_records import Column
from hitloom.data.root_trees import RootTreeWriter
from hitloom.data.shower_branches import (
    BEAM_COLUMN,
    CLUSTER_COLUMNS,
    CLUSTER_ID,
    CLUSTER_VIEW,
    EVENT_DATA,
    EXTRA_COLUMNS,
    EXTRA_TRUTH,
    HIT_BRANCHES,
    HIT_CLUSTER,
    HIT_COLUMNS,
    HIT_MC,
    MC_BEAM,
    MC_ID,
    MC_PDG,
    NO_GAP,
    PITCH_COLUMNS,
    POLAR,
    SCALE_BRANCHES,
    SCALE_COLUMNS,
    TREE,
    TRUTH_COLUMNS,
    VIEW_DATA,
    VOLUMES,
)
from hitloom.data.shower_columns import hit_columns, part_column_names
from hitloom.data.shower_layout import is_shower_event, slice_number, view_code
from hitloom.data.shower_truth import hit_owners
from hitloom.data.split_folders import write_split_folder
from hitloom.errors import DataError
from hitloom.event import Event

Columns = dict[str, NDArray[Any]]


class PandoraWriter(FileWriter):
    """Write views into one file; the views of one slice follow each other.

    Clusters are numbered through the slice, in the order of their ``point_id`` where these differ between the views,
    else view by view; likewise hits by ``part_id``.

    Parameters
    ----------
    tree : str
        Name of the tree of clusters.
    extras : bool
        Whether ``event`` and what the simulation knows of particles are written too.
    chunk_size : int
        Slices held in memory at a time, one basket of each branch.

    Raises
    ------
    DataError
        When the path is taken, there is no event, an event is no wire view, a slice comes back after another, events
        differ in what they have, or wire pitches contradict each other. Nothing half-written is left.

    Examples
    --------
    >>> with PandoraWriter("clusters.root") as writer:  # doctest: +SKIP
    ...     writer.write(event)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        tree: str = TREE,
        extras: bool = True,
        overwrite: bool = False,
        chunk_size: int = 200,
    ) -> None:
        super().__init__(path, overwrite=overwrite, chunk_size=3 * chunk_size)
        self.tree, self.extras = tree, extras
        self.num_slices = 0
        self._written: set[int] = set()
        self._fields: tuple[str, ...] = ()
        self._columns: dict[str, Column] = {}
        self._pitches: dict[int, float] = {}
        self._constants: dict[str, Any] = {}
        self._file: RootTreeWriter | None = None

    def _begin(self, first: Event) -> None:
        _check_view(first)
        self._fields, self._constants = _fields(first), first.provenance_dict()
        there = set(self._fields)
        columns = ({EVENT: Column("Long64_t")} if self.extras else {}) | CLUSTER_COLUMNS | HIT_COLUMNS
        columns |= {branch: Column("float", 1) for branch in POLAR.values()}
        if not set(VOLUMES) <= there:
            columns = {name: kind for name, kind in columns.items() if name not in map(HIT_BRANCHES.get, VOLUMES)}
        if "part_share_index" in there:
            columns |= TRUTH_COLUMNS | (BEAM_COLUMN if "object_is_signal" in there else {})
            known = [name for field, names in EXTRA_TRUTH.items() if field in there for name in names]
            columns |= {name: EXTRA_COLUMNS[name] for name in known if self.extras}
        self._columns = columns
        trees = {self.tree: columns, self.tree + VIEW_DATA: PITCH_COLUMNS}
        if "scales" in self._constants:
            trees[self.tree + EVENT_DATA] = SCALE_COLUMNS
        self._file = self._stack.enter_context(RootTreeWriter(self.path, trees))

    def _flush(self) -> None:
        """Write whole slices: the views of the last one wait, as more of them may come."""
        last = slice_number(self._waiting[-1])
        waiting = [event for event in self._waiting if slice_number(event) == last]
        chunk, self._waiting = self._waiting[: len(self._waiting) - len(waiting)], waiting
        if chunk:
            self._write_chunk(chunk)

    def _write_chunk(self, chunk: list[Event]) -> None:
        assert self._file is not None
        slices: list[list[Event]] = []
        for event in chunk:
            self._check(event)
            if slices and slice_number(slices[-1][0]) == slice_number(event):
                slices[-1].append(event)
            else:
                slices.append([event])
        rows = []
        for views in slices:
            number = slice_number(views[0])
            if number in self._written or len({view_code(view) for view in views}) < len(views):
                raise DataError(f"{self.path}: slice {number} comes twice; the views of a slice must follow each other")
            self._written.add(number)
            rows.append(_slice_columns(views))
        self.num_slices += len(rows)
        table = {name: Jagged.of_lists([row[name] for row in rows]) for name in self._columns if name != EVENT}
        if self.extras:
            table[EVENT] = Jagged(np.array([slice_number(views[0]) for views in slices], dtype=np.int64))
        self._file.extend(self.tree, table)

    def _check(self, event: Event) -> None:
        _check_view(event)
        found = _fields(event)
        if found != self._fields:
            name = min(set(found) ^ set(self._fields))
            raise DataError(
                f"{event.describe()}: {'has' if name in found else 'lacks'} '{name}', unlike the first event; events "
                "of one file must have the same fields"
            )
        if event.num_parts:
            pitch = event.part_x[:, part_column_names(event).index("pitch")]
            known = self._pitches.setdefault(view_code(event), float(pitch[0]))
            if not bool((pitch == known).all()):
                raise DataError(
                    f"{event.describe()}: wire pitch {float(pitch[pitch != known][0]):.7g} cm, but the view had "
                    f"{known:.7g} before; mend: events of one detector in a file"
                )

    def _finish(self) -> None:
        assert self._file is not None
        if self._waiting:
            self._write_chunk(self._waiting)
        pitches = dict(self._pitches)
        if self._constants.get("detector"):
            pitches = dict(get_detector(self._constants["detector"]).pitch) | pitches
        views = sorted(pitches)
        self._file.extend(
            self.tree + VIEW_DATA,
            {"view": Jagged(np.array(views)), "pitch": Jagged(np.array([pitches[view] for view in views]))},
        )
        if "scales" in self._constants:
            scales = self._constants["scales"]
            row = {branch: Jagged(np.array([scales[name]])) for name, branch in SCALE_BRANCHES.items()}
            self._file.extend(self.tree + EVENT_DATA, row)


def write_pandora(
    events: Iterable[Event],
    path: str | Path,
    *,
    tree: str = TREE,
    extras: bool = True,
    overwrite: bool = False,
    chunk_size: int = 200,
) -> int:
    """Write views into one file and return their number; arguments as in :class:`PandoraWriter`."""
    return PandoraWriter(path, tree=tree, extras=extras, overwrite=overwrite, chunk_size=chunk_size).write_all(events)


def write_pandora_folder(
    events: Iterable[Event],
    folder: str | Path,
    *,
    split_of: Mapping[int, str],
    tree: str = TREE,
    overwrite: bool = False,
) -> int:
    """Write ``<folder>/<split>/clusters.root`` for each split; see :func:`~.split_folders.write_split_folder`."""
    return write_split_folder(
        events,
        folder,
        split_of=split_of,
        file_name="clusters.root",
        open_writer=lambda path: PandoraWriter(path, tree=tree),
        overwrite=overwrite,
    )


def _check_view(event: Event) -> None:
    if not is_shower_event(event) or not {"part_x", "part_point_index", "layer"} <= set(event.keys()):
        raise DataError(f"{event.describe()}: is no wire view of 2D clusters with hits; nothing of it fits this file")


def _fields(event: Event) -> tuple[str, ...]:
    """Return what decides the branches of a file: columns of hits and fields of truth."""
    truth = ("part_share_index", "object_is_signal", *EXTRA_TRUTH)
    return (*part_column_names(event), *(name for name in truth if name in event))


def _slice_columns(views: Sequence[Event]) -> Columns:
    """Return the branches of one entry."""
    point_id = _numbered([view.point_id if "point_id" in view else None for view in views], views, "num_points")
    part_id = _numbered([view.part_id if "part_id" in view else None for view in views], views, "num_parts")
    parts: dict[str, list[NDArray[Any]]] = {CLUSTER_VIEW: [], HIT_CLUSTER: [], HIT_MC: []}
    for view, ids in zip(views, point_id, strict=True):
        parts[CLUSTER_VIEW].append(np.full(view.num_points, view_code(view)))
        parts[HIT_CLUSTER].append(ids[view.part_point_index.cpu().numpy()])
        names = part_column_names(view)
        wanted = [*POLAR, *(name for name in HIT_BRANCHES if name in names)]
        block = _hit_values(view, wanted)
        for name, values in zip(wanted, block, strict=True):
            parts.setdefault((POLAR | HIT_BRANCHES)[name], []).append(values)
        if "x_gap" not in names:
            parts.setdefault(HIT_BRANCHES["x_gap"], []).append(np.full(view.num_parts, NO_GAP))
        if "part_share_index" in view:
            ids_of = np.append(view.object_id.cpu().numpy(), -1)
            parts[HIT_MC].append(ids_of[hit_owners(view).cpu().numpy()])
    columns = {name: np.concatenate(values) for name, values in parts.items() if values}
    clusters, hits = np.argsort(np.concatenate(point_id)), np.argsort(np.concatenate(part_id))
    for name in columns:
        columns[name] = columns[name][clusters if name == CLUSTER_VIEW else hits]
    columns[CLUSTER_ID] = np.arange(len(clusters))
    return columns | (_object_columns(views) if HIT_MC in columns else {})


def _hit_values(view: Event, names: Sequence[str]) -> list[NDArray[np.float32]]:
    """Return the columns of hits as they are in the file; those of volumes are numbers, not flags."""
    at = part_column_names(view)
    polar = hit_columns(view, list(POLAR)).cpu().numpy()
    return [
        polar[:, list(POLAR).index(name)] if name in POLAR else view.part_x[:, at.index(name)].cpu().numpy()
        for name in names
    ]


def _numbered(ids: Sequence[Any], views: Sequence[Event], count: str) -> list[NDArray[np.int64]]:
    """Return new numbers 0, 1, ... through the slice: in the order of the ids, or view by view where these collide."""
    sizes = [int(getattr(view, count)) for view in views]
    if all(one is not None for one in ids):
        joined = np.concatenate([one.cpu().numpy() for one in ids])
        if len(np.unique(joined)) == len(joined):
            new = np.empty(len(joined), dtype=np.int64)
            new[np.argsort(joined)] = np.arange(len(joined))
            return np.split(new, np.cumsum(sizes)[:-1])
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])


def _object_columns(views: Sequence[Event]) -> Columns:
    """Return the branches of the particles of a slice: those of any view once, behind the null particle."""
    ids = np.concatenate([view.object_id.cpu().numpy() for view in views])
    kept, first = np.unique(ids, return_index=True)
    if len(kept) and kept[0] < 0:
        raise DataError(f"{views[0].describe()}: object_id {kept[0]}: identifiers of particles begin at 0 in this file")
    columns = {MC_ID: np.append(-1, kept)}
    branches = {"object_pdg": (MC_PDG,), "object_is_signal": (MC_BEAM,)} | EXTRA_TRUTH
    for field, names in branches.items():
        if field not in views[0]:
            continue
        values = np.concatenate([view[field].cpu().numpy() for view in views])[first].reshape(len(kept), -1)
        empty = -1 if field == "object_parent" else 0
        for place, name in enumerate(names):
            columns[name] = np.append(np.array([empty], values.dtype), values[:, place]).astype(np.float64)
    return columns
