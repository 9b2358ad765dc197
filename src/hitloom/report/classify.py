"""How each found track and each true particle of one event fared, for the display.

Shape letters: N points, K true objects, C found tracks.
"""

from __future__ import annotations

import numpy as np

from hitloom.event import Event
from hitloom.report.join import join
from hitloom.report.outline import surfaces
from hitloom.report.view import EventView
from hitloom.result import Result


def view_of(event: Event, result: Result, *, min_hits: int = 3) -> EventView:
    """Return the arrays of a display: matching by double majority, targets of any pt with at least ``min_hits`` hits.

    Raises
    ------
    DataError
        When event and result do not belong together, or the event has no truth.
    """
    from hitloom.metrics.matching import contingency, match_tracks
    from hitloom.metrics.truth import truth_from_event

    joined = join(event, result)
    truth = truth_from_event(event)
    table = contingency(joined.labels, truth)
    strict = match_tracks(table, "double_majority", min_track_hits=min_hits)
    majority = match_tracks(table, "purity50", min_track_hits=min_hits)
    status = np.where(majority.track_particle >= 0, "partial", "fake").astype("<U8")
    status[strict.track_particle >= 0] = "matched"
    status[table.track_size < min_hits] = "short"
    particle_status = np.where(strict.found, "found", "missed").astype("<U8")
    particle_status[table.particle_size < min_hits] = "other"
    label = np.full(event.num_points, -1, dtype=np.int64)
    assigned = joined.labels >= 0
    label[assigned] = np.searchsorted(table.track_id, joined.labels[assigned])
    num_objects = truth.num_objects
    unknown = np.full(num_objects, np.nan)
    position = event.pos.cpu().numpy()
    return EventView(
        event_id=result.event_id,
        source=str(event.source) if "source" in event else "",
        position=position,
        hit_id=joined.point_id,
        label=label,
        particle=truth.object_index,
        track_name=table.track_id,
        track_status=status,
        track_particle=table.owner,
        track_hits=table.track_size,
        track_purity=table.owner_shared / np.maximum(table.track_size, 1),
        particle_id=truth.object_id,
        particle_pt=unknown if truth.pt is None else truth.pt,
        particle_eta=unknown if truth.eta is None else truth.eta,
        particle_vertex=(event.object_vertex.cpu().numpy() if "object_vertex" in event else np.zeros((num_objects, 3))),
        particle_status=particle_status,
        surfaces=tuple(surfaces(position, _surface_key(event))),
    )


def _surface_key(event: Event) -> np.ndarray:
    key = np.zeros(event.num_points, dtype=np.int64)
    for name in ("volume", "layer"):
        if name in event:
            _, code = np.unique(event[name].cpu().numpy(), return_inverse=True)
            key = key * (int(code.max(initial=0)) + 1) + code
    return key
