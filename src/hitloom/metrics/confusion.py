"""What went wrong with which track: lists of ids for the event display.

The kinds, each with its definition, are :data:`CONFUSION`. A track may be of several kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.metrics.matching import contingency, match_tracks
from hitloom.metrics.selection import Selection
from hitloom.metrics.truth import EventTruth, IntArray

CONFUSION: dict[str, str] = {
    "good": "valid track with 2 n_cp > n_c and 2 n_cp > n_p for its majority particle",
    "merged": "valid track with more than half of the hits of at least two particles of >= min_particle_hits",
    "clone": "particle with several valid tracks of 2 n_cp > n_c; largest overlap first",
    "split": "particle of >= min_particle_hits with more than half of its hits in valid tracks, but in no single one",
    "noise": "valid track whose majority owner is noise",
    "mixed": "valid track, not owned by noise, in which no particle has more than half of the hits",
    "missed": "target particle with no track of double majority",
}


def track_confusion(
    labels: ArrayLike, truth: EventTruth, selection: Selection, *, in_input: ArrayLike | None = None
) -> dict[str, Any]:
    """Return the lists of :data:`CONFUSION` for one event, ready for JSON.

    Tracks are labels (int); particles are ids as strings. ``good``, ``noise`` and ``mixed`` list tracks, ``missed``
    particles; ``merged`` lists ``{"track", "particles"}``; ``clone`` and ``split`` list ``{"particle", "tracks"}``.
    """
    table = contingency(
        labels, truth, universe=selection.universe, particles_from=selection.particles_from, in_input=in_input
    )
    valid = table.track_size >= selection.min_track_hits
    double = match_tracks(table, "double_majority", min_track_hits=selection.min_track_hits)
    pure = match_tracks(table, "purity50", min_track_hits=selection.min_track_hits).track_particle
    target = selection.target(truth, table.particle_size, table.is_particle)
    pair_size = table.particle_size[table.pair_particle]
    pair_valid = valid[table.pair_track]
    long_enough = pair_size >= selection.min_particle_hits

    holds = pair_valid & long_enough & (2 * table.pair_shared > pair_size)
    num_held = np.bincount(table.pair_track[holds], minlength=table.track_id.size)
    held = holds & (num_held[table.pair_track] >= 2)

    pair_pure = pure[table.pair_track] == table.pair_particle
    num_pure = np.bincount(table.pair_particle[pair_pure], minlength=truth.num_objects)
    clones = pair_pure & (num_pure[table.pair_particle] >= 2)

    in_valid = np.bincount(table.pair_particle, weights=table.pair_shared * pair_valid, minlength=truth.num_objects)
    largest = np.zeros(truth.num_objects, dtype=np.int64)
    np.maximum.at(largest, table.pair_particle[pair_valid], table.pair_shared[pair_valid])
    broken = (2 * in_valid > table.particle_size) & (2 * largest <= table.particle_size)
    splits = pair_valid & long_enough & broken[table.pair_particle]

    def tracks(mask: Any) -> list[int]:
        return [int(label) for label in table.track_id[mask]]

    def by_particle(pairs: Any) -> list[dict[str, Any]]:
        chosen = np.flatnonzero(pairs)
        chosen = chosen[np.lexsort((table.pair_track[chosen], -table.pair_shared[chosen], table.pair_particle[chosen]))]
        groups = _groups(table.pair_particle[chosen], table.track_id[table.pair_track[chosen]])
        return [{"particle": str(int(truth.object_id[row])), "tracks": members} for row, members in groups]

    merged = _groups(table.pair_track[held], truth.object_id[table.pair_particle[held]])
    return {
        "good": tracks(double.track_particle >= 0),
        "merged": [{"track": int(table.track_id[track]), "particles": [str(i) for i in ids]} for track, ids in merged],
        "clone": by_particle(clones),
        "split": by_particle(splits),
        "noise": tracks(valid & (table.owner < 0)),
        "mixed": tracks(valid & (table.owner >= 0) & (pure < 0)),
        "missed": [str(int(i)) for i in truth.object_id[target & ~double.found]],
        "definitions": dict(CONFUSION),
        "selection": selection.text(),
    }


def _groups(key: IntArray, value: IntArray) -> list[tuple[int, list[int]]]:
    """Return (key, its values) for runs of equal, grouped keys."""
    if key.size == 0:
        return []
    first = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    return [
        (int(key[start]), [int(v) for v in part]) for start, part in zip(first, np.split(value, first[1:]), strict=True)
    ]
