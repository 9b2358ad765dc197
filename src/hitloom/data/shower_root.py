"""Reader of ROOT files of 2D clusters: one :class:`~hitloom.event.Event` for each wire view of each slice.

Layout of the files: :mod:`hitloom.data.shower_branches`; of the events: :mod:`hitloom.data.shower_layout`.

B entries (slices), N clusters, M hits, K particles of one entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.jagged import Jagged
from hitloom.data.root_read import (
    branch_names,
    check_rows,
    opened,
    read_columns,
    same_counts,
    stored_event_ids,
    tree_names,
)
from hitloom.data.shower_branches import (
    BEAM_COLUMN,
    CLUSTER_COLUMNS,
    CLUSTER_ID,
    CLUSTER_VIEW,
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
    TREE,
    TRUTH_COLUMNS,
    VOLUMES,
)
from hitloom.data.shower_constants import ShowerConstants, check_views, read_constants
from hitloom.data.shower_layout import VIEWS
from hitloom.data.shower_view import shower_view
from hitloom.errors import DataError
from hitloom.event import Event

_GAP = HIT_BRANCHES["x_gap"]
_OPTIONAL = (*(HIT_BRANCHES[name] for name in ("x_gap", *VOLUMES)), *BEAM_COLUMN, *EXTRA_COLUMNS)
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class PandoraFile:
    """One file, looked at once: its tree, constants and branches, how many slices, and their numbers where it has them.

    ``has_gap``: whether hits have a distance from a drift gap; False where all of them hold the largest float.
    """

    path: Path
    split: str | None
    tree: str
    num_entries: int
    constants: ShowerConstants
    branches: tuple[str, ...]
    has_gap: bool
    slices: NDArray[np.int64] | None = None

    @property
    def has_truth(self) -> bool:
        return HIT_MC in self.branches


def look(path: Path, split: str | None, *, tree: str | None, detector: str | None) -> PandoraFile:
    """Look at a file.

    Raises
    ------
    DataError
        When it is damaged, has no tree of clusters or several, lacks a branch, or its constants contradict each other.
    """
    with opened(path) as file:
        names = {name.rpartition(";")[0] for name in tree_names(file, path)}
        chosen = find_cluster_tree(path, names, tree, file)
        branches = branch_names(file, path, chosen)
        columns = CLUSTER_COLUMNS | HIT_COLUMNS | (TRUTH_COLUMNS if set(TRUTH_COLUMNS) & branches else {})
        read_columns(file, path, chosen, columns, optional=_OPTIONAL, stop=0)  # says what is missing
        number = int(file[chosen].num_entries)
        return PandoraFile(
            path=path, split=split, tree=chosen, num_entries=number, branches=tuple(sorted(branches)),
            constants=read_constants(file, path, chosen, names, detector),
            has_gap=_GAP in branches and _first_gap(file, path, chosen, number) < NO_GAP / 10,
            slices=stored_event_ids(file, path, chosen) if number else None,
        )  # fmt: skip


def find_cluster_tree(path: Path, names: set[str], wanted: str | None, file: Any) -> str:
    """Return the tree of clusters: the one asked for, else ``clusters``, else the only one with its branches.

    Raises
    ------
    DataError
        When there is none, or several and none is asked for.
    """
    there = ", ".join(sorted(names)) or "no tree"
    if wanted is not None:
        if wanted not in names:
            raise DataError(f"{path}: no tree '{wanted}'; it holds {there}; mend: name one with --clusters-tree")
        return wanted
    found = [name for name in sorted(names) if {CLUSTER_ID, HIT_CLUSTER} & branch_names(file, path, name)]
    if TREE in found or len(found) == 1:
        return TREE if TREE in found else found[0]
    kind = "several trees" if found else "no tree"
    raise DataError(f"{path}: {kind} of clusters; it holds {there}; mend: name one with --clusters-tree")


def _first_gap(file: Any, path: Path, tree: str, number: int) -> float:
    """Return the first distance from a gap that a file holds; 0 where it has no hit."""
    for start in range(0, number, 100):
        found = read_columns(
            file, path, tree, {_GAP: HIT_COLUMNS[_GAP]}, start=start, stop=min(start + 100, number), infinite=[_GAP]
        )
        if len(found[_GAP].values):
            return abs(float(found[_GAP].values[0]))
    return 0.0


def file_views(
    file: PandoraFile,
    slices: NDArray[np.int64],
    *,
    rows: NDArray[np.int64],
    views: Sequence[int] = tuple(VIEWS),
    chunk_size: int = 200,
) -> Iterator[Event]:
    """Yield the views of the entries ``rows`` (ascending), U, V and W of a slice one after the other.

    A view without clusters is left out.

    Parameters
    ----------
    slices : (B,) int64
        Number of each slice of the file.

    Raises
    ------
    DataError
        Naming file, tree, branch and entry.
    """
    where = f"{file.path}: tree '{file.tree}'"
    columns = CLUSTER_COLUMNS | HIT_COLUMNS | (TRUTH_COLUMNS | BEAM_COLUMN | EXTRA_COLUMNS if file.has_truth else {})
    if not file.has_gap:
        columns.pop(_GAP, None)
    with opened(file.path) as root:
        for low in range(0, file.num_entries, chunk_size):
            high = min(low + chunk_size, file.num_entries)
            wanted = rows[np.searchsorted(rows, low) : np.searchsorted(rows, high)]
            if not len(wanted):
                continue
            low, high = int(wanted[0]), int(wanted[-1]) + 1
            found = read_columns(
                root, file.path, file.tree, columns, optional=_OPTIONAL, start=low, stop=high, infinite=[_GAP]
            )
            _check_chunk(found, where, low, file)
            for row in wanted.tolist():
                yield from _slice_views(found, row - low, f"{where}: entry {row}", int(slices[row]), file, views)


def from_beam(file: PandoraFile, *, chunk_size: int = 1000) -> NDArray[np.bool_]:
    """Return (B,) whether more than half of the hits of a slice that have truth are of particles from the beam.

    Raises
    ------
    DataError
        When the file does not say which particles are.
    """
    if not file.has_truth or MC_BEAM not in file.branches:
        raise DataError(
            f"{file.path}: tree '{file.tree}': branch '{MC_BEAM}' is missing, so beam slices are not known; mend: no "
            "--balance"
        )
    result = np.zeros(file.num_entries, dtype=bool)
    with opened(file.path) as root:
        for low in range(0, file.num_entries, chunk_size):
            high = min(low + chunk_size, file.num_entries)
            found = read_columns(root, file.path, file.tree, TRUTH_COLUMNS | BEAM_COLUMN, start=low, stop=high)
            for row in range(high - low):
                at = {name: column.entry(row) for name, column in found.items()}
                owner, objects = _particles(at, f"{file.path}: tree '{file.tree}': entry {low + row}")
                beam = objects["object_is_signal"][owner[owner >= 0]]
                result[low + row] = 2 * int(beam.sum()) > len(beam)
    return result


def _check_chunk(found: dict[str, Jagged], where: str, low: int, file: PandoraFile) -> None:
    same_counts(found, list(CLUSTER_COLUMNS), where, low)
    same_counts(found, [*HIT_COLUMNS, HIT_MC], where, low)
    same_counts(found, [MC_ID, MC_PDG, MC_BEAM, *EXTRA_COLUMNS], where, low)
    view = found[CLUSTER_VIEW]
    for code in set(np.unique(view.values).tolist()) - set(VIEWS):
        entry = view.entry_of(int(np.argmax(view.values == code)))
        check_views(np.array([code]), f"{where}: branch '{CLUSTER_VIEW}': entry {low + entry}")
    if file.has_gap:
        none = np.abs(found[_GAP].values) > NO_GAP / 10
        if none.any():
            entry = found[_GAP].entry_of(int(np.argmax(none)))
            raise DataError(
                f"{where}: branch '{_GAP}': entry {low + entry} says that there is no drift gap, but other hits have "
                "one; mend: read files of different detectors one by one"
            )


def _slice_views(
    found: dict[str, Jagged], row: int, where: str, slice_: int, file: PandoraFile, views: Sequence[int]
) -> Iterator[Event]:
    at = {name: column.entry(row) for name, column in found.items()}
    cluster = _rows_of_clusters(at, where)
    owner, objects = _particles(at, where) if file.has_truth else (None, None)
    view_of_hit = at[CLUSTER_VIEW][cluster]
    hits = {name: at[branch] for name, branch in HIT_BRANCHES.items() if branch in at}
    for view in views:
        clusters = np.flatnonzero(at[CLUSTER_VIEW] == view)
        if not len(clusters):
            continue
        if view not in file.constants.pitches:
            raise DataError(f"{where}: view {VIEWS[view]} has clusters, but the file says no wire pitch of it")
        mine = np.flatnonzero(view_of_hit == view)
        columns = {name: column[mine] for name, column in hits.items()}
        columns["pitch"] = np.full(len(mine), file.constants.pitches[view], dtype=np.float32)
        yield shower_view(
            columns,
            np.searchsorted(clusters, cluster[mine]),
            slice_=slice_,
            view=view,
            point_id=at[CLUSTER_ID][clusters],
            part_id=mine,
            owner=None if owner is None else owner[mine],
            objects=objects,
            source=f"pandora {file.path.name}",
            provenance=file.constants.provenance(),
        )


def _rows_of_clusters(at: Columns, where: str) -> NDArray[np.int64]:
    """Return (M,) the row of the cluster of each hit."""
    ids, wanted = at[CLUSTER_ID], at[HIT_CLUSTER]
    rows, known = _rows_of(wanted, ids, f"{where}: branch '{CLUSTER_ID}'")
    if not known.all():
        raise DataError(
            f"{where}: branch '{HIT_CLUSTER}' holds {int(wanted[~known][0])}, which is none of the {len(ids)} clusters"
        )
    empty = np.bincount(rows, minlength=len(ids)) == 0
    if empty.any():
        raise DataError(
            f"{where}: cluster {int(ids[empty][0])} has no hit; mend: write the file again, or leave the slice out"
        )
    return rows


def _particles(at: Columns, where: str) -> tuple[NDArray[np.int64], Columns]:
    """Return (M,) the row of the particle of each hit, -1 = none, and the columns of the particles."""
    real = at[MC_ID] >= 0
    owner, known = _rows_of(at[HIT_MC], at[MC_ID][real], f"{where}: branch '{MC_ID}'")
    known |= at[HIT_MC] == -1
    if not known.all():
        raise DataError(
            f"{where}: branch '{HIT_MC}' holds {int(at[HIT_MC][~known][0])}, which is none of the {int(real.sum())} "
            "particles, nor -1 = none"
        )
    owner = np.where(at[HIT_MC] == -1, -1, owner)
    objects = {"object_id": at[MC_ID][real], "object_pdg": at[MC_PDG][real]}
    if MC_BEAM in at:
        check_rows(at[MC_BEAM][real], 0, 2, f"{where}: branch '{MC_BEAM}'", "a flag")
        objects["object_is_signal"] = at[MC_BEAM][real] == 1
    for name, branches in EXTRA_TRUTH.items():
        if all(branch in at for branch in branches):
            columns = [at[branch][real] for branch in branches]
            objects[name] = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
    return owner, objects


def _rows_of(
    wanted: NDArray[np.integer], ids: NDArray[np.integer], where: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the row of each identifier among ``ids``, and which are there."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    twice = ordered[1:] == ordered[:-1]
    if twice.any():
        raise DataError(f"{where} holds {int(ordered[1:][twice][0])} more than once; identifiers must be unique")
    if not len(ids):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(ordered, wanted), len(ids) - 1)
    return order[place], ordered[place] == wanted
