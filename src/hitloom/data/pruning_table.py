"""Tracksters of layer clusters as columns, whatever file they come from, and the checks of what is in them.

:mod:`hitloom.data.pruning_from_table` makes events of them. B tracksters (entries), N layer clusters, E links.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.jagged import Jagged
from hitloom.data.pruning_layout import PRUNING_FEATURES, SEED_HIGH, SEED_LOW
from hitloom.data.root_read import same_counts
from hitloom.data.root_records import Column
from hitloom.errors import DataError

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
MEND = "mend: write the file again, or leave the trackster out"


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
            raise DataError(f"{self.where(name, lists.entry_of(item))} holds {lists.values[item]}; {wanted}; {MEND}")
