"""Reader of CMS TICL dumper files: ROOT files of layout A or B to events of tracksters.

Every entry becomes one event, in both layouts, also without tracksters, with one, or without edges (``drop_small``
leaves those out, in both layouts). Entries are read in chunks.

B entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom._version import __version__
from hitloom.data import ticl_layout as layout
from hitloom.data.files import reason
from hitloom.data.jagged import Jagged
from hitloom.data.root_read import find_root, opened, read_columns, same_counts
from hitloom.data.root_records import Column
from hitloom.data.splits import SPLITS
from hitloom.data.ticl_dumper import dumper_event
from hitloom.data.ticl_files import TiclFile, look_at
from hitloom.data.ticl_graph import check_graph, graph_event
from hitloom.data.trackster_truth import as_calo_particles
from hitloom.errors import DataError, nearest
from hitloom.event import Event


@dataclass(frozen=True, kw_only=True)
class TiclSource:
    """Files that were looked at, and what shall be read from them.

    Attributes
    ----------
    event_ids : (B,) int64
        Of all entries in order: as the tree ``hitloom`` says where every file has one and no id comes twice, else
        counted from 0.
    """

    files: tuple[TiclFile, ...]
    layout: str
    truth: str
    collection: str
    event_ids: NDArray[np.int64]

    @property
    def num_events(self) -> int:
        return len(self.event_ids)

    def splits(self) -> dict[str, list[int]] | None:
        """Return the event ids of train, val and test where the files lie in such folders."""
        if all(file.split is None for file in self.files):
            return None
        found: dict[str, list[int]] = {name: [] for name in SPLITS}
        start = 0
        for file in self.files:
            stop = start + file.num_entries
            if file.split is not None:
                found[file.split] += self.event_ids[start:stop].tolist()
            start = stop
        return found


def open_ticl(
    source: str | Path,
    *,
    layout_name: str | None = None,
    truth: str | None = None,
    collection: str = layout.COLLECTION,
) -> TiclSource:
    """Look at a file or at all ``*.root`` files of a folder.

    Parameters
    ----------
    layout_name : {"A", "B"} or None
        None = B where the first file has layer clusters, tracksters and sim tracksters, else A where it has that.
    truth : {"SC", "CP"} or None
        SimClusters or CaloParticles as objects. None = SC, or what the file itself says, or what it has alone. Layout A
        holds one of them.
    collection : str
        Tracksters of layout B.

    Raises
    ------
    DataError
        When there is no file, one is damaged or lacks the trees.
    """
    for kind, value, valid in (("layout", layout_name, layout.LAYOUTS), ("truth", truth, layout.TRUTHS)):
        if value is not None and value not in valid:
            raise DataError(f"unknown {kind} '{value}'.{nearest(value, valid)}")
    chosen = _Choice(layout_name, truth, collection)
    looked = (look_at(path, split, chosen.trees) for path, split in find_root(source))
    files = tuple(file for file in looked if file is not None)
    if not files:
        raise DataError(f"{source}: no file with events in it")
    sizes = [file.num_entries for file in files]
    event_ids = np.arange(sum(sizes))
    if all(file.event_ids is not None or not size for file, size in zip(files, sizes, strict=True)):
        named = [file.event_ids for file in files if file.event_ids is not None]
        joined = np.concatenate(named) if named else event_ids
        if len(joined) == len(event_ids) and len(np.unique(joined)) == len(joined):
            event_ids = joined
    return TiclSource(
        files=files,
        layout=str(chosen.layout),
        truth=str(chosen.truth),
        collection=collection,
        event_ids=event_ids,
    )


class _Choice:
    """Layout and truth to read: as asked for, else as the first file has them."""

    def __init__(self, layout_name: str | None, truth: str | None, collection: str) -> None:
        self.layout, self.truth, self.collection = layout_name, truth, collection

    def trees_needed(self) -> list[str]:
        return [layout.GRAPH_TREE] if self.layout == "A" else [self.collection, "clusters"]

    def trees(self, path: Path, names: list[str], provenance: dict[str, Any]) -> list[str]:
        """Return the trees to read of a file that has trees of these names."""
        said = str(provenance.get("truth", "SC"))
        if self.truth is None:
            only_cp = "simtrackstersCP" in names and not {"simtrackstersSC", layout.GRAPH_TREE} & set(names)
            self.truth = "CP" if only_cp else said
        if self.layout is None:
            whole = {self.collection, "clusters", f"simtracksters{self.truth}"} <= set(names)
            self.layout = "A" if layout.GRAPH_TREE in names and not whole and self.truth == said else "B"
        if self.layout == "A" and self.truth != said:
            raise DataError(f"{path}: layout A holds matches to {said} alone; mend: layout B for truth {self.truth}")
        for tree in self.trees_needed():
            if tree not in names:
                raise DataError(f"{path}: tree '{tree}' of layout {self.layout} is missing.{nearest(tree, names)}")
        trees = [*self.trees_needed(), layout.EXTRA_TREE]
        sim = [f"simtracksters{truth}" for truth in layout.TRUTHS[: 1 + layout.TRUTHS.index(self.truth)]]
        return trees if self.layout == "A" else [*trees, *sim, "associations", "TICLGraph", layout.GRAPH_TREE]


def _check_entries(root: Any, file: TiclFile) -> None:
    for tree in file.trees[1:]:
        try:
            number = int(root[file.full_name(tree)].num_entries)
        except Exception as error:  # uproot raises what its parts raise: every kind of error
            raise DataError(f"{file.path}: tree '{file.full_name(tree)}' cannot be read: {reason(error)}") from None
        if number != file.num_entries:
            raise DataError(
                f"{file.path}: tree '{file.full_name(tree)}' has {number} entries, but "
                f"'{file.full_name(file.trees[0])}' has {file.num_entries}; the file is damaged or was merged badly"
            )


def read_ticl(
    source: str | Path | TiclSource,
    *,
    layout_name: str | None = None,
    truth: str | None = None,
    collection: str = layout.COLLECTION,
    skeleton_features: bool = False,
    drop_small: bool = False,
    skip: int = 0,
    limit: int | None = None,
    chunk_size: int = 50,
) -> Iterator[Event]:
    """Return an iterator over the events of a file or folder, files by name and entries in order.

    Parameters
    ----------
    layout_name, truth, collection
        As in :func:`open_ticl`; of no meaning when ``source`` is opened already.
    skeleton_features : bool
        Seven edge features instead of five; layout B only.
    drop_small : bool
        Leave out events with at most one trackster or fewer than two edges.
    skip, limit : int
        Entries to leave out at the front, and to read at most.
    chunk_size : int
        Entries read at a time.

    Raises
    ------
    DataError
        At once when the files are not what they should be, else when a damaged or impossible entry is reached; the
        message names file, tree, branch and entry.
    """
    if not isinstance(source, TiclSource):
        source = open_ticl(source, layout_name=layout_name, truth=truth, collection=collection)
    if skeleton_features and source.layout == "A":
        raise DataError(f"{source.files[0].path}: layout A has no layer clusters for skeleton features; mend: layout B")
    return _events(source, skeleton_features, drop_small, skip, limit, chunk_size)


def _events(
    source: TiclSource, skeleton_features: bool, drop_small: bool, skip: int, limit: int | None, chunk_size: int
) -> Iterator[Event]:
    before, end = 0, source.num_events if limit is None else min(source.num_events, skip + limit)
    for file in source.files:
        size = file.num_entries
        low, high = max(skip - before, 0), min(end - before, size)
        if low < high:
            with opened(file.path) as root:
                _check_entries(root, file)
                for start in range(low, high, chunk_size):
                    stop = min(start + chunk_size, high)
                    ids = source.event_ids[before + start : before + stop].tolist()
                    for event in _chunk(root, file, source, start, stop, ids, skeleton_features):
                        if not (drop_small and (event.num_points <= 1 or event.edge_index.shape[1] < 2)):
                            yield event
        before += size


def _chunk(
    root: Any, file: TiclFile, source: TiclSource, start: int, stop: int, ids: Sequence[int], skeleton_features: bool
) -> Iterator[Event]:
    def columns(
        tree: str, wanted: dict[str, Column], optional: Sequence[str] = (), infinite: Sequence[str] = ()
    ) -> dict[str, Jagged]:
        return read_columns(
            root, file.path, file.full_name(tree), wanted, optional=optional, start=start, stop=stop, infinite=infinite
        )

    provenance = file.provenance | {
        "converted_from": "ticl", "layout": source.layout, "truth": source.truth, "hitloom": __version__,
    }  # fmt: skip
    if source.layout == "A":
        graph = columns(layout.GRAPH_TREE, _without_label(layout.GRAPH), layout.GRAPH_OPTIONAL)
        where = f"{file.path}: tree '{file.full_name(layout.GRAPH_TREE)}'"
        check_graph(graph, where, start)
        extra = {}
        if layout.EXTRA_TREE in file.trees:
            extra = columns(layout.EXTRA_TREE, layout.EXTRA_OBJECTS, list(layout.EXTRA_OBJECTS))
        for row, event_id in enumerate(ids):
            event = graph_event(graph, row, f"{where}: entry {start + row}", extra=extra)
            event.event_id, event.source = int(event_id), f"ticl {file.path.name}"
            event.provenance = json.dumps(provenance)
            yield event.validate()
        return
    # a file of hitloom knows which SimClusters make which CaloParticle
    summed = source.truth == "CP" and "object_parent" in file.extras and file.provenance.get("truth") == "SC"
    truth = "SC" if summed else source.truth
    trees = _dumper_trees(columns, file, source.collection, truth)
    provenance["collection"] = source.collection
    where = f"{file.path}: tree"
    same_counts(trees["clusters"], list(trees["clusters"]), f"{where} 'clusters'", start)
    same_counts(trees["tracksters"], list(trees["tracksters"]), f"{where} '{source.collection}'", start)
    for row, event_id in enumerate(ids):
        event = dumper_event(
            trees,
            row,
            collection=source.collection,
            truth=truth,
            event_id=int(event_id),
            source=f"{file.path}: entry {start + row}",
            provenance=provenance,
            skeleton_features=skeleton_features,
        )
        if summed:
            event = as_calo_particles(event)
        event.source = f"ticl {file.path.name}"
        event.provenance = json.dumps(provenance)
        yield event.validate()


def _without_label(columns: dict[str, Column]) -> dict[str, Column]:
    return {name: column for name, column in columns.items() if name != "edge_label"}


def _dumper_trees(columns: Any, file: TiclFile, collection: str, truth: str) -> dict[str, dict[str, Jagged]]:
    """Return the columns of the trees that layout B needs, of the optional ones where the file has them."""

    def some(table: dict[str, Column], names: Sequence[str]) -> dict[str, Column]:
        return {name: table[name] for name in names}

    multiplicity = ("vertices_multiplicity",)
    trees = {
        "clusters": columns(
            "clusters", some(layout.CLUSTERS, (*layout.CLUSTERS_NEEDED, "cluster_type")), ("cluster_type",)
        ),
        "tracksters": columns(collection, some(layout.TRACKSTERS, layout.TRACKSTERS_NEEDED), infinite=multiplicity),
    }
    sim = f"simtracksters{truth}"
    if sim in file.trees:
        wanted = some(layout.SIM_TRACKSTERS, (*layout.SIM_NEEDED, *layout.SIM_OPTIONAL))
        trees["sim"] = columns(sim, wanted, layout.SIM_OPTIONAL, multiplicity)
    if sim in file.trees and "associations" in file.trees:
        branches = list(layout.association_branches(collection, truth).items())[:3]
        found = columns("associations", dict(branches), [name for name, _ in branches])
        if len(found) == 3:
            trees["associations"] = found
    if "TICLGraph" in file.trees:
        trees["TICLGraph"] = columns("TICLGraph", some(layout.CANDIDATE_GRAPH, ("outer",)))
    if layout.EXTRA_TREE in file.trees:
        # objects and shares are those of the truth that was written
        wanted = dict(layout.EXTRA_PARTS)
        if file.provenance.get("truth", "SC") == truth:
            wanted |= layout.EXTRA_OBJECTS | layout.EXTRA_SHARES
        trees["hitloom"] = columns(layout.EXTRA_TREE, wanted, list(wanted))
    elif layout.GRAPH_TREE in file.trees and truth == "SC":
        # layout A beside it knows which sim tracksters are pile-up
        pileup = {"simTrackster_isPU": layout.GRAPH["simTrackster_isPU"]}
        trees["graph"] = columns(layout.GRAPH_TREE, pileup, list(pileup))
    return trees
