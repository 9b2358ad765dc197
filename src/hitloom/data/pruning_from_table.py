"""The one way from tables of tracksters to events, for every layout of files.

Links become rows, layers are looked up, and that is all: nothing is re-centred, clipped or scaled here, which is the
business of a network's inputs. B tracksters (entries), E links.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitloom.data.endcap_geometry import get_geometry
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.data.pruning_table import (
    ID,
    LABEL,
    LAYER,
    MEND,
    ORIGIN,
    PRUNE_SCORE,
    TARGET,
    TableOptions,
    TracksterTable,
)
from hitloom.data.trackster_event import MM_PER_CM
from hitloom.errors import DataError
from hitloom.event import Event

_log = logging.getLogger(__name__)


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
    x = np.stack([columns[name].values for name in names], axis=1).astype(np.float32)
    pos = (np.stack([columns[name].values for name in names[:3]], 1) * MM_PER_CM).astype(np.float32)
    layer = columns[LAYER].values if LAYER in columns else get_geometry(options.geometry).layer_at(x[:, 2])
    points: dict[str, NDArray[Any]] = {"pos": pos, "x": x, "energy": x[:, 3], "time": x[:, 4]}
    points |= {name: values.astype(np.int64) for name, values in (("layer", layer), ("point_id", columns[ID].values))}
    if LABEL in columns:
        points["point_y"] = columns[LABEL].values.astype(np.float32)
    bounds = np.concatenate([[0], np.cumsum(columns[ID].counts[0])]).tolist()
    edge_bounds = np.concatenate([[0], np.cumsum(edge_counts)]).tolist()
    for row in range(table.num_entries):
        low, high = bounds[row : row + 2]
        is_dropped = options.drop_without_positive and LABEL in columns and not points["point_y"][low:high].any()
        if low == high or is_dropped:
            continue
        # copies: a slice would keep the whole table in memory, and go with the event to other processes
        found: dict[str, Any] = {name: torch.from_numpy(values[low:high].copy()) for name, values in points.items()}
        found["edge_index"] = torch.from_numpy(edges[:, edge_bounds[row] : edge_bounds[row + 1]].copy())
        yield Event.of_values(
            found | {"feature_names": list(names), "event_id": int(table.event_ids[row]), "source": source}
        )


def _rows_of_links(
    table: TracksterTable, options: TableOptions, dropped: LinkCounts
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the links (2, E of all) as rows of their tracksters, and the number (B,) of each trackster."""
    ids, sizes = table.columns[ID], table.columns[ID].counts[0]
    ends = [table.links[ORIGIN], table.links[TARGET]]
    entry = np.repeat(np.arange(table.num_entries), sizes)
    link_entry = np.repeat(np.arange(table.num_entries), ends[0].counts[0])
    # a key for each layer cluster and for each end of a link: equal when identifier and entry are
    names, place = np.unique(np.concatenate([one.values.astype(np.int64) for one in (ids, *ends)]), return_inverse=True)
    keys = np.concatenate([entry, link_entry, link_entry]) * len(names) + place
    own, of_links = keys[: len(entry)], keys[len(entry) :].reshape(2, -1)
    order = np.argsort(own, kind="stable")
    twice = np.flatnonzero(np.diff(own[order]) == 0)
    if len(twice):
        item = int(order[twice[0]])
        raise DataError(
            f"{table.where(ID, int(entry[item]))} holds {int(ids.values[item])} more than once; identifiers must be "
            f"unique in a trackster; {MEND}"
        )
    spot = np.searchsorted(own[order], of_links)
    known: NDArray[np.bool_] = np.append(own[order], -1)[spot] == of_links
    point = np.append(order, -1)[spot]
    is_unknown = ~known.all(0)
    is_own = ~is_unknown & (point[0] == point[1])
    usable = np.flatnonzero(~is_unknown & ~is_own)
    _, first = np.unique(point[0, usable] * len(entry) + point[1, usable], return_index=True)
    is_repeated = np.zeros(len(link_entry), dtype=np.bool_)
    is_repeated[np.delete(usable, first)] = True
    if options.strict_edges:
        _refuse(table, link_entry, known, is_own, is_repeated)
    dropped.unknown += int(is_unknown.sum())
    dropped.own += int(is_own.sum())
    dropped.repeated += int(is_repeated.sum())
    kept = ~(is_unknown | is_own | is_repeated)
    rows = point[:, kept] - (np.cumsum(sizes) - sizes)[link_entry[kept]]
    return rows, np.bincount(link_entry[kept], minlength=table.num_entries)


def _refuse(table: TracksterTable, link_entry: Any, known: Any, is_own: Any, is_repeated: Any) -> None:
    """Raise at the first link that is not as it should be."""
    mend = "mend: write the links again, or read without strict edges"
    for bad, name, text in (
        (~known[0], ORIGIN, "an identifier that is not in its trackster"),
        (~known[1], TARGET, "an identifier that is not in its trackster"),
        (is_own, TARGET, "a link from a layer cluster to itself"),
        (is_repeated, TARGET, "a link that came before"),
    ):
        if bad.any():
            item = int(np.argmax(bad))
            value = int(table.links[name].values[item])
            raise DataError(f"{table.where(name, int(link_entry[item]))} holds {value}: {text}; {mend}")
