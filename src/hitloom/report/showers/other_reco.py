"""Another reconstruction of the same slices, from a ROOT file of its own: its clusters are its groups.

The file holds its own hits and truth, so it is counted on its own events; slices are matched by their number.
"""

from __future__ import annotations

from pathlib import Path

import torch

from hitloom.data.shower_files import read_pandora
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.report.sources import Opened
from hitloom.result import Result


def open_reconstruction(path: Path, *, name: str) -> Opened:
    """Return the clusters of a ROOT file as results, and its events.

    Raises
    ------
    DataError
        When the file is missing, not what it should be, or holds no cluster.
    """
    events: list[Event] = list(read_pandora(path))
    if not events:
        raise DataError(f"baseline {name}: {path} holds no cluster; mend: the file of another reconstruction")
    items = [
        Result(event_id=int(event.event_id), point_id=event.point_id, labels=torch.arange(event.num_points))
        for event in events
    ]
    return Opened(name=str(path), items=items, meta={"reconstruction": str(path.name)}, own_events=events)
