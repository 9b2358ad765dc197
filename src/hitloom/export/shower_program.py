"""The C++ program that grows showers with the three exported parts: how it is run, and whether it does as the system.

It is built like the other programs (:mod:`hitloom.export.cpp_program`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch

from hitloom.event import Event
from hitloom.export.cpp_program import call
from hitloom.export.pandora import SIDECAR, read_sidecar
from hitloom.export.pandora_check import system_groups
from hitloom.export.parity import ParityError
from hitloom.export.served_showers import Grown, read_groups, write_views
from hitloom.systems.showers.system import Showers

PROGRAM = "grow_showers"


def run(program: str | Path, folder: str | Path, events: Iterable[Event], *, similarity: bool = False) -> list[Grown]:
    """Run the program on views and return their groups, with the first similarity where it is asked for.

    Raises
    ------
    DataError
        When the program refuses its input; the message is its own.
    """
    read_sidecar(folder)
    with tempfile.TemporaryDirectory() as place:
        source, results = Path(place) / "events.txt", Path(place) / "results.txt"
        write_views(events, source)
        more = ("--similarity",) if similarity else ()
        call(program, Path(folder) / SIDECAR, source, results, *more)
        return list(read_groups(results))


def check_groups(program: str | Path, folder: str | Path, system: Showers, events: Iterable[Event]) -> dict[str, int]:
    """Compare the groups of the program with those of the system; return numbers of views, clusters and groups.

    Raises
    ------
    ParityError
        When a group differs; the message names the view.
    """
    chosen = list(events)
    most = read_sidecar(folder)["settings"]["MaxIterations"]
    num_groups = 0
    for event, found in zip(chosen, run(program, folder, chosen), strict=True):
        system.needs.check(event)
        with torch.inference_mode():
            wanted = system_groups(system, event, system(event), most)
        if not torch.equal(found.labels, wanted):
            differ = int((found.labels != wanted).sum())
            raise ParityError(
                f"{event.describe()}: the C++ program groups {differ} of {len(wanted)} clusters otherwise than the "
                "system"
            )
        num_groups += int(wanted.max()) + 1 if len(wanted) else 0
    return {
        "num_views": len(chosen),
        "num_clusters": sum(event.num_points for event in chosen),
        "num_groups": num_groups,
    }
