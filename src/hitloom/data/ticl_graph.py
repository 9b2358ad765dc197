"""Layout A of CMS TICL dumper files, the tree ``GNNTraining``, to events of tracksters without layer clusters.

Shape letters: N tracksters, E edges, K objects (sim tracksters).
"""

from __future__ import annotations

import numpy as np
import torch

from hitloom.data.jagged import Jagged
from hitloom.data.root_read import check_rows, same_counts
from hitloom.data.tensors import floats
from hitloom.data.ticl_layout import EDGE_BRANCHES
from hitloom.data.trackster_event import MM_PER_CM
from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, TIME_ERROR
from hitloom.data.trackster_truth import CROSS, pair_class
from hitloom.errors import DataError
from hitloom.event import FIELDS, Event

Columns = dict[str, Jagged]
_SIM = {"true_energy": "object_energy", "raw_energy": "object_raw_energy", "pdgID": "object_pdg"}
_EDGES = ("edgeIndex_in", "edgeIndex_out", *EDGE_BRANCHES.values(), "edge_weight")


def check_graph(columns: Columns, where: str, start: int) -> None:
    """Check that the branches of one event have the same number of tracksters, sim tracksters and edges.

    Raises
    ------
    DataError
        Naming branch and entry.
    """
    nodes = [name for name in columns if name.startswith("node_")]
    same_counts(columns, [*nodes, *_EDGES], where, start)
    same_counts(columns, [name for name in columns if name.startswith("simTrackster_")], where, start)
    wanted = columns["edgeIndex_out"]
    for name in _EDGES:
        for entry in range(columns[name].num_entries):
            if not np.array_equal(columns[name].entry_counts(entry), wanted.entry_counts(entry)):
                raise DataError(
                    f"{where}: branch '{name}': entry {start + entry} has other numbers of edges than 'edgeIndex_out'"
                )


def graph_event(columns: Columns, entry: int, where: str, *, extra: Columns | None = None) -> Event:
    """Return the event of one entry of the columns; identity and provenance are left to the caller.

    ``extra`` holds columns of the objects from the tree ``hitloom``.

    Without a branch ``simTrackster_isPU`` the event has no split into signal and pile-up. An edge between signal and
    pile-up has the target 0.

    Raises
    ------
    DataError
        When an index is outside its table.
    """
    number = len(columns["node_raw_energy"].entry(entry))
    x = np.stack([columns[f"node_{name}"].entry(entry) for name in NODE_FEATURES], 1).astype(np.float32)
    names = list(NODE_FEATURES)
    if "node_time_error" in columns:
        x = np.concatenate([x, columns["node_time_error"].entry(entry)[:, None].astype(np.float32)], 1)
        names.append(TIME_ERROR)
    edges = np.stack([columns[name].entry(entry).astype(np.int64) for name in ("edgeIndex_in", "edgeIndex_out")])
    for row, name in zip(edges, ("edgeIndex_in", "edgeIndex_out"), strict=True):
        check_rows(row, 0, number, f"{where}: branch '{name}'", "a trackster")
    links = [columns[EDGE_BRANCHES[name]].entry(entry) for name in EDGE_FEATURES]
    event = Event(
        pos=floats(x[:, :3].astype(np.float64) * MM_PER_CM),
        x=torch.from_numpy(x),
        feature_names=names,
        energy=floats(x[:, NODE_FEATURES.index("raw_energy")]),
        time=floats(x[:, NODE_FEATURES.index("time")]),
        edge_index=torch.from_numpy(edges),
        edge_attr=floats(np.stack(links, 1)),
        edge_feature_names=list(EDGE_FEATURES),
        edge_y=floats(columns["edge_weight"].entry(entry)).clamp(0, 1),
    )
    _set_objects(event, columns, entry, where)
    for name, column in (extra or {}).items():
        values = column.entry(entry)
        if len(values) != event.num_objects:
            raise DataError(f"{where}: {len(values)} values of '{name}', but {event.num_objects} sim tracksters")
        if FIELDS[name].dtype.is_floating_point:
            event[name] = floats(values)
        else:
            event[name] = torch.from_numpy(values.astype(np.int64)).to(FIELDS[name].dtype)
    event.edge_y = torch.where(pair_class(event) == CROSS, 0.0, event.edge_y)
    return event


def _set_objects(event: Event, columns: Columns, entry: int, where: str) -> None:
    match = columns["node_match_idx"].entry(entry).astype(np.int64)
    sim = [name for name in columns if name.startswith("simTrackster_")]
    number = len(columns[sim[0]].entry(entry)) if sim else int(match.max(initial=-1)) + 1
    check_rows(match, -1, number, f"{where}: branch 'node_match_idx'", "a sim trackster, -1 = none,")
    event.object_id = torch.arange(number)
    for name, field in _SIM.items():
        if f"simTrackster_{name}" in columns:
            values = columns[f"simTrackster_{name}"].entry(entry)
            event[field] = torch.from_numpy(values.astype(np.int64)) if field == "object_pdg" else floats(values)
    if "simTrackster_isPU" in columns:
        event.object_is_signal = torch.from_numpy(columns["simTrackster_isPU"].entry(entry) == 0)
    event.object_index = torch.from_numpy(match)
    for name, field in {"node_match_score": "match_score", "node_match_sharedE": "match_energy"}.items():
        event[field] = torch.where(event.object_index >= 0, floats(columns[name].entry(entry)), -1.0)
    rows = torch.nonzero(event.object_index >= 0).reshape(-1)
    raw = event.energy[rows].double()
    shared = event.match_energy[rows].double()
    event.share_index = torch.stack([rows, event.object_index[rows]])
    event.share_fraction = torch.where(raw > 0, shared / torch.where(raw > 0, raw, 1.0), 0.0).float()
