"""Loud sentences about a result that cannot be right, so that a chain which yields nothing does not do so silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hitloom.metrics.matching import Contingency

# What can be wrong with the labels of one event; {events} is filled in.
KINDS: dict[str, str] = {
    "no hits": "no hits in {events}",
    "all unassigned": "all unassigned: no hit has a label in {events}",
    "no tracks": "no tracks: hits are labelled, but no track is long enough to be valid in {events}",
    "everything one cluster": "everything one cluster: one track holds at least 90 % of all hits in {events}",
}
TRUTH_SELECTED = "truth-selected input: hits were chosen by truth before the network saw them"


def label_findings(table: Contingency, *, min_track_hits: int) -> list[str]:
    """Return the kinds that hold for the labels of one event."""
    num_points = int(table.particle_size.sum()) + table.num_noise_points
    if num_points == 0:
        return ["no hits"]
    if table.track_id.size == 0:
        return ["all unassigned"]
    if (table.track_size < min_track_hits).all():
        return ["no tracks"]
    several = int((table.particle_size >= min_track_hits).sum()) >= 2
    if several and 10 * int(np.max(table.track_size)) >= 9 * num_points:
        return ["everything one cluster"]
    return []


def label_sentences(events: Mapping[str, Sequence[str]], num_events: int) -> list[str]:
    """Return one sentence per kind, naming all events, or the first five and how many."""
    result = []
    for kind, text in KINDS.items():
        names = events.get(kind, ())
        if not names:
            continue
        if len(names) == num_events:
            where = "the only event" if num_events == 1 else f"all {num_events} events"
        else:
            where = f"{len(names)} of {num_events} events ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        result.append(text.format(events=where))
    return result


def target_sentences(preset: str, target: str, num_target: int, num_found: Mapping[str, int]) -> list[str]:
    """Return what is wrong with a target, all events together; ``num_found`` is matching -> found targets."""
    if num_target == 0:
        return [f"no target particles: '{preset}' '{target}' has nothing to find; check its selection"]
    if not any(num_found.values()):
        return [
            f"efficiency 0: '{preset}' '{target}': none of {num_target} target particles is found by "
            + ", ".join(num_found)
        ]
    return []
