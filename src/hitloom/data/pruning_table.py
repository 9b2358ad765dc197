"""Tracksters of layer clusters as columns, whatever file they come from, and the one way from there to events.

Every reader of tracksters ends here: checks, links from identifiers to rows, layers, events. Nothing is re-centred,
clipped or scaled; that is the business of a network's inputs.

B tracksters (entries), N layer clusters, E links.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitloom.data.endcap_geometry import get_geometry
from hitloom.data.jagged import Jagged
from hitloom.data.pruning_layout import PRUNING_FEATURES, SEED_HIGH, SEED_LOW
from hitloom.data.root_read import same_counts
from hitloom.data.root_records import Column
from hitloom.data.trackster_event import MM_PER_CM
from hitloom.errors import DataError
from hitloom.event import Event

_log = logging.getLogger(__name__)

ID, LABEL, LAYER, PRUNE_SCORE = "id", "label", "layer", "prune_score"
ORIGIN, TARGET = "origin", "target"
# types as they are written; flags and labels may also come as other numbers
NEEDED: dict[str, Column] = {ID: Column("Long64_t", 1)} | {
    name: Column("int" if name in (SEED_HIGH, SEED_LOW) else "float", 1) for name in PRUNING_FEATURES
}
OPTIONAL: dict[str, Column] = {LABEL: Column("int", 1), LAYER: Column("int", 1), PRUNE_SCORE: Column("float", 1)}
READ: dict[str, Column] = {
    name: column if name in (ID, LAYER) else Column("float", 1) for name, column in (NEEDED | OPTIONAL).items()
}
LINKS: dict[str, Column] = {ORIGIN: Column("Long64_t", 1), TARGET: Column("Long64_t", 1)}
_MEND = "mend: write the file again, or leave the trackster out"


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What becomes of tracksters and links that are not as one expects.

    Attributes
    ----------
    strict_edges : bool
        A link to a layer cluster that is not in the trackster, from one to itself, or that comes twice is an error;
        otherwise it is dropped, and one warning tells the numbers.
    drop_without_positive : bool
        Leave out labelled tracksters with nothing to prune, as the published reader of JSON files does.
    drop_empty : bool
        Leave out entries without layer clusters; otherwise they are an error.
    geometry : str
        Layers where the file has none: nearest in |z|, see :func:`hitloom.data.endcap_geometry.get_geometry`.
    """

    strict_edges: bool = False
    drop_without_positive: bool = False
    drop_empty: bool = False
    geometry: str = "hgcal-v17"


@dataclass
class LinkCounts:
    """Links that were dropped while a file was read."""

    unknown: int = 0
    own: int = 0
    repeated: int = 0

    def warn(self, path: Path) -> None:
        """Tell the numbers in one warning, when there are any."""
        if self.unknown or self.own or self.repeated:
            _log.warning(
                "%s: links dropped: %d with an end that is not in the trackster, %d from a layer cluster to itself, "
                "%d that came twice",
                path, self.unknown, self.own, self.repeated,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where columns of tracksters stand in a file, for messages.

    Attributes
    ----------
    trees : dict
        Tree of the table ``columns`` and of ``links``; empty where the file has no trees.
    called : str
        What the file calls a column.
    renamed : dict
        Names in the file by ours, where they differ.
    """

    path: Path
    trees: Mapping[str, str] = field(default_factory=dict)
    called: str = "branch"
    renamed: Mapping[str, str] = field(default_factory=dict)

    def table(self, name: str) -> str:
        """Return the place of the table ``columns`` or ``links``."""
        return f"{self.path}: tree '{self.trees[name]}'" if name in self.trees else str(self.path)

    def column(self, name: str, entry: int) -> str:
        """Return the place of an entry of a column."""
        table = self.table("links" if name in LINKS else "columns")
        return f"{table}: {self.called} '{self.renamed.get(name, name)}': entry {entry}"


@dataclass(frozen=True, kw_only=True)
class TracksterTable:
    """Some tracksters of a file, as columns.

    Attributes
    ----------
    place : Place
    columns : dict of Jagged
        :data:`NEEDED` and what is there of :data:`OPTIONAL`, one list of N for each trackster.
    links : dict of Jagged
        :data:`LINKS`: identifiers of layer clusters, one list of E for each trackster.
    event_ids : (B,) int64
    entries : (B,) int64
        Number of the entry in the file that each trackster comes from.
    """

    place: Place
    columns: dict[str, Jagged]
    links: dict[str, Jagged]
    event_ids: NDArray[np.int64]
    entries: NDArray[np.int64]

    @property
    def num_entries(self) -> int:
        return len(self.event_ids)

    def where(self, name: str, row: int) -> str:
        """Return where the list of a trackster stands, for a message."""
        return self.place.column(name, int(self.entries[row]))

    def check(self, options: TableOptions) -> None:
        """Check sizes, labels, flags, layers and scores.

        Raises
        ------
        DataError
            Naming file, column and entry.
        """
        for name, table in (("columns", self.columns), ("links", self.links)):
            named = {self.place.renamed.get(column, column): lists for column, lists in table.items()}
            first = int(self.entries[0]) if self.num_entries else 0
            same_counts(named, list(named), self.place.table(name), first, called=self.place.called)
        sizes = self.columns[ID].counts[0]
        if not options.drop_empty and not sizes.all():
            raise DataError(
                f"{self.where(ID, int(np.argmin(sizes)))} holds no layer cluster; mend: leave the entry out, or ask to "
                "drop empty tracksters"
            )
        binary = "0 or 1 was wanted"
        self._check(LABEL, lambda label: (label == 0) | (label == 1), "0 (keep) or 1 (prune) was wanted")
        self._check(SEED_HIGH, lambda flag: (flag == 0) | (flag == 1), binary)
        self._check(SEED_LOW, lambda flag: (flag == 0) | (flag == 1), binary)
        self._check(LAYER, lambda layer: layer >= 0, "a layer from 1 was wanted")
        self._check(PRUNE_SCORE, lambda score: (score >= 0) & (score <= 1), "a probability was wanted")

    def _check(self, name: str, is_good: Callable[[NDArray[Any]], NDArray[np.bool_]], wanted: str) -> None:
        if name not in self.columns:
            return
        lists = self.columns[name]
        bad = ~is_good(lists.values)
        if bad.any():
            item = int(np.argmax(bad))
            raise DataError(f"{self.where(name, lists.entry_of(item))} holds {lists.values[item]}; {wanted}; {_MEND}")


def table_events(table: TracksterTable, options: TableOptions, counts: LinkCounts, *, source: str) -> Iterator[Event]:
    """Yield one event for each trackster of a table; see :mod:`hitloom.data.pruning_layout`.

    A column ``prune_score`` becomes the tenth column of ``x``.

    Raises
    ------
    DataError
        Naming file, column and entry, when something in the table is impossible.
    """
    table.check(options)
    edges, edge_counts = _rows_of_links(table, options, counts)
    columns = table.columns
    names = [*PRUNING_FEATURES, *([PRUNE_SCORE] if PRUNE_SCORE in columns else [])]
    x = torch.from_numpy(np.stack([columns[name].values for name in names], axis=1).astype(np.float32))
    pos = torch.from_numpy((np.stack([columns[name].values for name in names[:3]], 1) * MM_PER_CM).astype(np.float32))
    layer = columns[LAYER].values if LAYER in columns else get_geometry(options.geometry).layer_at(x[:, 2].numpy())
    ints = {"layer": layer, "point_id": columns[ID].values}
    point_columns = {name: torch.from_numpy(values.astype(np.int64)) for name, values in ints.items()}
    if LABEL in columns:
        point_columns["point_y"] = torch.from_numpy(columns[LABEL].values.astype(np.float32))
    links = torch.from_numpy(edges)
    sizes = columns[ID].counts[0]
    ends, edge_ends = np.cumsum(sizes).tolist(), np.cumsum(edge_counts).tolist()
    for row, (size, end, edge_end) in enumerate(zip(sizes.tolist(), ends, edge_ends, strict=True)):
        if not size:
            continue
        own = slice(end - size, end)
        label = point_columns["point_y"][own] if LABEL in columns else None
        if options.drop_without_positive and label is not None and not bool(label.any()):
            continue
        event = Event(
            pos=pos[own].clone(), x=x[own].clone(), feature_names=list(names), energy=x[own, 3].clone(),
            time=x[own, 4].clone(), edge_index=links[:, edge_end - int(edge_counts[row]) : edge_end].clone(),
            event_id=int(table.event_ids[row]), source=source,
        )  # fmt: skip
        for name, values in point_columns.items():
            event[name] = values[own].clone()
        yield event


def _rows_of_links(
    table: TracksterTable, options: TableOptions, dropped: LinkCounts
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the links (2, E of all) as rows of their tracksters, and the number (B,) of each trackster."""
    ids, num_entries = table.columns[ID], table.num_entries
    ends = [table.links[ORIGIN], table.links[TARGET]]
    entry = np.repeat(np.arange(num_entries), ids.counts[0])
    link_entry = np.repeat(np.arange(num_entries), ends[0].counts[0])
    parts = [one.values.astype(np.int64) for one in (ids, *ends)]
    found, place = np.unique(np.concatenate(parts), return_inverse=True)
    # key: the same for two identifiers exactly when they are equal and in the same entry
    key = np.concatenate([entry, link_entry, link_entry]) * len(found) + place
    own, of_links = key[: len(entry)], key[len(entry) :].reshape(2, -1)
    order = np.argsort(own, kind="stable")
    ordered = own[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        item = int(order[twice[0]])
        raise DataError(
            f"{table.where(ID, int(entry[item]))} holds {int(ids.values[item])} more than once; identifiers must be "
            f"unique in a trackster; {_MEND}"
        )
    spot = np.minimum(np.searchsorted(ordered, of_links), max(len(ordered) - 1, 0))
    known = ordered[spot] == of_links if len(ordered) else np.zeros_like(of_links, dtype=bool)
    unknown = ~known.all(0)
    ends_at = order[spot] if len(ordered) else np.zeros_like(of_links)
    own_link = ~unknown & (ends_at[0] == ends_at[1])
    usable = np.flatnonzero(~unknown & ~own_link)
    _, first = np.unique(ends_at[0, usable] * len(entry) + ends_at[1, usable], return_index=True)
    repeated = np.zeros(len(unknown), dtype=bool)
    repeated[np.delete(usable, first)] = True
    if options.strict_edges:
        _refuse(table, link_entry, known, own_link, repeated)
    dropped.unknown += int(unknown.sum())
    dropped.own += int(own_link.sum())
    dropped.repeated += int(repeated.sum())
    kept = ~(unknown | own_link | repeated)
    start = np.cumsum(ids.counts[0]) - ids.counts[0]
    rows = ends_at[:, kept] - start[link_entry[kept]]
    return np.ascontiguousarray(rows), np.bincount(link_entry[kept], minlength=num_entries)


def _refuse(table: TracksterTable, link_entry: Any, known: Any, own_link: Any, repeated: Any) -> None:
    """Raise at the first link that is not as it should be."""
    mend = "mend: write the links again, or read without strict edges"
    for bad, name, text in (
        (~known[0], ORIGIN, "an identifier that is not in its trackster"),
        (~known[1], TARGET, "an identifier that is not in its trackster"),
        (own_link, TARGET, "a link from a layer cluster to itself"),
        (repeated, TARGET, "a link that came before"),
    ):
        if bad.any():
            item = int(np.argmax(bad))
            value = int(table.links[name].values[item])
            raise DataError(f"{table.where(name, int(link_entry[item]))} holds {value}: {text}; {mend}")
