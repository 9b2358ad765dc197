"""Tables for scripts: one row a trackster, a candidate and an object.

Shape letters: N tracksters, C candidates, K objects.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.event import Event
from hitloom.metrics.associations import event_associations
from hitloom.report.tracksters.counts import Labels

OBJECT_COLUMNS = ("pdg", "charge", "energy", "pt", "eta", "phi", "is_signal", "raw_energy", "parent")
Columns = dict[str, NDArray[Any]]


class TracksterTables:
    """Collects rows over events; ``write`` makes ``tracksters.csv``, ``candidates.csv`` and ``objects.csv``."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Columns]] = {"tracksters": [], "candidates": [], "objects": []}

    def add(self, event_id: int, event: Event, labels: Labels) -> None:
        """Add one event with the labels (N,) of its tracksters, from 0 without gaps."""
        object_id = np.append(event.object_id.numpy(), -1)
        index = event.object_index.numpy()
        features = {name: event.x[:, column].numpy() for column, name in enumerate(event.column_names())}
        self._append(
            "tracksters",
            event_id,
            {
                "trackster": np.arange(event.num_points),
                "candidate": labels,
                "object": index,
                "object_id": object_id[index],
                "match_score": event.match_score.numpy(),
                "match_energy": event.match_energy.numpy(),
                **features,
            },
        )
        energy = event.energy.double().numpy()
        number = int(labels.max(initial=-1)) + 1
        candidates: Columns = {
            "candidate": np.arange(number),
            "num_tracksters": np.bincount(labels, minlength=number),
            "raw_energy": np.bincount(labels, energy, minlength=number),
        }
        things: Columns = {"object": np.arange(event.num_objects), "object_id": event.object_id.numpy()}
        things |= {name: event[f"object_{name}"].numpy() for name in OBJECT_COLUMNS if f"object_{name}" in event}
        if "member_index" in event and "part_share_index" in event:
            best_of_candidate, best_of_object = _best_pairs(event, labels)
            candidates |= best_of_candidate | {"object_id": object_id[best_of_candidate["object"]]}
            things |= best_of_object
        self._append("candidates", event_id, candidates)
        self._append("objects", event_id, things)

    def _append(self, name: str, event_id: int, columns: Columns) -> None:
        number = len(next(iter(columns.values())))
        self.parts[name].append({"event_id": np.full(number, event_id, dtype=np.int64), **columns})

    def write(self, folder: Path) -> None:
        """Write the files into ``folder``; ids as integers, floats with every digit of their precision."""
        import pyarrow as pa
        from pyarrow import csv

        for name, parts in self.parts.items():
            columns = parts[0] if parts else {"event_id": np.zeros(0, dtype=np.int64)}
            table = pa.table({key: np.concatenate([part[key] for part in parts or [columns]]) for key in columns})
            csv.write_csv(table, folder / f"{name}.csv", csv.WriteOptions(quoting_style="needed"))


def _best_pairs(event: Event, labels: Labels) -> tuple[Columns, Columns]:
    """Return of each candidate the object with the lowest recoToSim score, of each object the best candidate."""
    found = event_associations(event, labels=labels)
    track, thing = found.pair_index

    def best(owner: NDArray[Any], other: NDArray[Any], score: NDArray[Any], number: int) -> tuple[Any, Any, Any]:
        order = np.lexsort((other, score, owner))[::-1]  # the first of each owner is written last
        row, value, energy = np.full(number, -1), np.full(number, 1.0), np.zeros(number)
        row[owner[order]], value[owner[order]] = other[order], score[order]
        energy[owner[order]] = found.shared_energy[order]
        return row, value, energy

    of_candidate = best(track, thing, found.reco_to_sim, found.num_tracksters)
    of_object = best(thing, track, found.sim_to_reco, found.num_objects)
    share = np.zeros(found.num_objects)
    np.maximum.at(share, thing, found.shared_fraction())
    names = ("score", "shared_energy")
    candidates: Columns = {"object": of_candidate[0]}
    candidates |= {f"reco_to_sim_{name}": value for name, value in zip(names, of_candidate[1:], strict=True)}
    things: Columns = {"best_candidate": of_object[0]}
    things |= {f"sim_to_reco_{name}": value for name, value in zip(names, of_object[1:], strict=True)}
    return candidates, things | {"largest_shared_fraction": share}
