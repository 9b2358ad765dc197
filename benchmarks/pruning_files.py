"""Reading tracksters for pruning from a ROOT file: chunks of entries against one read for each entry, and a plain loop.

Contestants give a PyG graph of every trackster (features, links in rows, labels), and they must be equal; ours holds
more fields and is checked. ``entry by entry`` is the design of the published loader: one read of every branch for
each trackster, identifiers to rows by a dictionary. ``one read`` reads each branch once, as ours does, and loops over
the tracksters in Python.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uproot
from torch_geometric.data import Data

from _bench import Contest, parser, print_table, set_threads
from hitloom.data.pruning_files import read_pruning, write_pruning
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.event import Event

POINTS = [*PRUNING_FEATURES, "id", "label"]


def tracksters(number: int, seed: int = 0) -> list[Event]:
    """Return random trees of 3 to 60 layer clusters."""
    rng = np.random.default_rng(seed)
    events = []
    for event_id in range(number):
        size = int(rng.integers(3, 61))
        x = torch.from_numpy(rng.normal(size=(size, 9)).astype(np.float32))
        x[:, 7:] = (x[:, 7:] > 1).float()
        leaders = [int(rng.integers(0, node)) for node in range(1, size)]
        events.append(
            Event(
                pos=10 * x[:, :3],
                x=x,
                feature_names=list(PRUNING_FEATURES),
                layer=torch.ones(size, dtype=torch.int64),
                point_id=torch.from_numpy(rng.permutation(10_000)[:size]),
                event_id=event_id,
                edge_index=torch.tensor([leaders, list(range(1, size))]),
                point_y=torch.from_numpy((rng.random(size) < 0.1).astype(np.float32)),
            )
        )
    return events


def ours(path: Path) -> list[Event]:
    """Read with hitloom."""
    return list(read_pruning(path))


def entry_by_entry(path: Path) -> list[Data]:
    """Read every branch anew for each trackster."""
    found = []
    with uproot.open(path) as file:
        points, links = file["Tracksters;1"], file["Edges;1"]
        for row in range(points.num_entries):
            own = points.arrays(POINTS, entry_start=row, entry_stop=row + 1, library="np")
            ends = links.arrays(entry_start=row, entry_stop=row + 1, library="np")
            found.append(_trackster(own, ends, 0))
    return found


def one_read(path: Path) -> list[Data]:
    """Read every branch once, then loop."""
    with uproot.open(path) as file:
        points = file["Tracksters;1"].arrays(POINTS, library="np")
        links = file["Edges;1"].arrays(library="np")
    return [_trackster(points, links, row) for row in range(len(points["id"]))]


def _trackster(points: Any, links: Any, entry: int) -> Data:
    x = np.stack([points[name][entry] for name in PRUNING_FEATURES], axis=1).astype(np.float32)
    rows = {name: row for row, name in enumerate(points["id"][entry].tolist())}
    edges = np.array([[rows[name] for name in links[end][entry].tolist()] for end in ("origin", "target")])
    label = points["label"][entry].astype(np.float32)
    return Data(x=torch.from_numpy(x), edge_index=torch.from_numpy(edges), point_y=torch.from_numpy(label))


def main() -> None:
    """Write a file, read it in turn and print the table."""
    arguments = parser(__doc__ or "").parse_args()
    set_threads(arguments.threads)
    number = 100 if arguments.quick else 1000
    contest = Contest(rounds=arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tracksters.root"
        write_pruning(tracksters(number), path)
        readers = {"hitloom": ours, "one read": one_read, "entry by entry": entry_by_entry}
        contest.run({name: lambda read=read: read(path) for name, read in readers.items()}, warm_up=lambda: ours(path))
    for name in readers:
        for one, other in zip(contest.result["hitloom"], contest.result[name], strict=True):
            if not all(torch.equal(one[field], other[field]) for field in ("x", "edge_index", "point_y")):
                raise SystemExit(f"{name}: another trackster than hitloom's")
    base = contest.median("hitloom", arguments.clock)
    rows = []
    for name in readers:
        seconds = contest.median(name, arguments.clock)
        rows.append([name, f"{1e3 * seconds / number:.3f}", f"{seconds / base:.1f}"])
    print(f"{number} tracksters of 3 to 60 layer clusters, clock {arguments.clock}, {arguments.threads} threads")
    print_table(["reader", "ms per trackster", "times hitloom"], rows)


if __name__ == "__main__":
    main()
