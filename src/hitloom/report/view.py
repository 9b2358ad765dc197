"""What an event display shows: hits, found tracks and true particles of one event, each with how it fared.

Shape letters: N points, K true objects, C found tracks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hitloom.report.outline import Floats, Ints, Surface

PT_STEPS = (0.5, 1.0)
"""Thresholds of the pt filter, GeV."""

ALWAYS = 99
"""pt class of what has no pt of its own (tracks without a particle): it passes every threshold."""

TRACK_STATUS = {
    "matched": "double majority: more than half of the track's hits come from one particle, "
    "and the track holds more than half of that particle's hits",
    "partial": "more than half of the track's hits come from one particle, of which it holds half or less",
    "fake": "no particle owns more than half of the track's hits",
    "short": "fewer hits than a valid track",
}
PARTICLE_STATUS = {
    "found": "a valid track matches the particle by double majority",
    "missed": "a particle with enough hits that no valid track matches by double majority",
    "other": "a particle with too few hits to be found",
}


@dataclass(frozen=True, kw_only=True)
class EventView:
    """Arrays behind a display.

    Attributes
    ----------
    event_id, source : int, str
    position : (N, 3) float32
        Hit positions, mm.
    hit_id : (N,) int64
    label : (N,) int64
        Found track of each hit, a row of the track columns; -1 = unassigned.
    particle : (N,) int64
        Row of the true particle, -1 = noise.
    track_name : (C,) int64
        Candidate number as stored in the result.
    track_status, particle_status : (C,) and (K,) str
        Keys of :data:`TRACK_STATUS` and :data:`PARTICLE_STATUS`.
    track_particle : (C,) int64
        Row of the particle that owns most hits of the track, -1 = noise.
    track_hits, track_purity : (C,)
        Hits of the track and share of them that its particle owns.
    particle_id : (K,) int64
    particle_pt, particle_eta : (K,) float
    particle_vertex : (K, 3) float
        Production vertex in mm, zeros when unknown.
    surfaces : tuple of Surface
        Detector layers as the hits outline them.
    notes : tuple of str
        What the display leaves out.
    """

    event_id: int
    source: str
    position: Floats
    hit_id: Ints
    label: Ints
    particle: Ints
    track_name: Ints
    track_status: NDArray[np.str_]
    track_particle: Ints
    track_hits: Ints
    track_purity: Floats
    particle_id: Ints
    particle_pt: Floats
    particle_eta: Floats
    particle_vertex: Floats
    particle_status: NDArray[np.str_]
    surfaces: tuple[Surface, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def num_hits(self) -> int:
        return len(self.hit_id)

    def track_pt(self) -> Floats:
        """Return (C,) pt of the particle that owns the track, NaN for noise."""
        return _take(self.particle_pt, self.track_particle)

    def hit_pt(self) -> Floats:
        """Return (N,) pt of the true particle, NaN for noise."""
        return _take(self.particle_pt, self.particle)

    def track_class(self) -> Ints:
        """Return (C,) pt class of each track; a fake has none, so it passes every threshold."""
        owned = pt_class(self.track_pt())
        return np.where((self.track_status == "fake") | (self.track_particle < 0), ALWAYS, owned)

    def hit_class(self) -> Ints:
        """Return (N,) pt class of each hit: its track's, and its particle's where it has no track."""
        own = pt_class(self.hit_pt())
        return np.where(self.label >= 0, _take(self.track_class(), self.label, missing=0), own)

    def ids(self) -> list[str]:
        """Return the true particle of every hit as text, ``"noise"`` where there is none."""
        names = [*(str(int(value)) for value in self.particle_id), "noise"]
        return [names[row] for row in self.particle]


def pt_class(pt: Floats) -> Ints:
    """Return how many thresholds of :data:`PT_STEPS` each pt passes (strictly); 0 for NaN."""
    return np.sum([np.nan_to_num(pt, nan=-1.0) > step for step in PT_STEPS], axis=0).astype(np.int64)


def limit(view: EventView, max_hits: int) -> EventView:
    """Return a view of at most about ``max_hits`` hits, so that a browser stays quick; a note says what is left out.

    The pt threshold rises through :data:`PT_STEPS` until the hits of tracks and particles above it fit; unassigned
    noise goes first. When even the highest threshold leaves too many, whole tracks are thinned evenly.
    """
    if view.num_hits <= max_hits:
        return view
    particle_class = np.append(pt_class(view.particle_pt), -1)
    for step, threshold in enumerate(PT_STEPS, start=1):
        track_kept = np.append(view.track_class() >= step, False)
        keep = track_kept[view.label] | (particle_class[view.particle] >= step)
        if int(keep.sum()) <= max_hits:
            note = f"only tracks and particles of pt > {threshold:g} GeV, and tracks without a particle"
            return _select(view, keep, f"{note}: {int(keep.sum()):,} of {view.num_hits:,} hits")
    stride = int(np.ceil(int(keep.sum()) / max_hits))
    chosen = np.where(view.label >= 0, view.label, view.particle) % stride == 0
    note = f"every {stride}th track or particle of pt > {PT_STEPS[-1]:g} GeV"
    keep &= chosen
    return _select(view, keep, f"{note}: {int(keep.sum()):,} of {view.num_hits:,} hits")


def _select(view: EventView, keep: NDArray[np.bool_], note: str) -> EventView:
    return replace(
        view,
        position=view.position[keep],
        hit_id=view.hit_id[keep],
        label=view.label[keep],
        particle=view.particle[keep],
        notes=(*view.notes, f"This event is too large to draw whole; shown: {note}."),
    )


def _take(values: NDArray, rows: Ints, missing: float = np.nan) -> NDArray:
    """Return ``values[rows]`` with ``missing`` where a row is negative."""
    padded = np.append(values, np.asarray([missing]).astype(values.dtype))
    return padded[np.where(rows >= 0, rows, len(values))]
