"""What a display of tracksters shows: layer clusters by trackster before linking, after linking, and by true object.

Shape letters: N tracksters, M layer clusters, P shown points, K objects, C candidates, E edges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.report.join import join
from hitloom.report.outline import Floats, Ints, Surface, surfaces
from hitloom.result import Result

MODES = {
    "before": "before linking",
    "after": "after linking",
    "truth": "truth",
}
"""By what points are coloured, with the headings of the pictures."""

OUTLINE_STEP = 8  # every so many layers one is outlined


@dataclass(frozen=True, kw_only=True)
class TracksterView:
    """Arrays behind a display.

    Attributes
    ----------
    event_id, source : int, str
    position : (P, 3) float, mm
        Layer clusters; where the event has none (layout A), the tracksters themselves.
    energy : (P,) float, GeV
    layer : (P,) int
    before, after, truth : (P,) int
        Trackster, candidate, and true object with the largest share of each point; -1 = none.
    trackster_energy, candidate_energy, object_energy : (N,), (C,) and (K,) float, GeV
        Sums of raw energies; of objects the energy that they left in all layer clusters.
    candidate_tracksters : (C,) int
        Number of tracksters in each candidate.
    object_pdg, object_is_signal : (K,)
    colour : mapping
        Mode -> (N,), (C,) or (K,) int: colour of each, equal where it is the largest part of the same object.
    barycentre : (N, 3) float, mm
    links : (2, L) int
        Tracksters that an edge joins inside one candidate.
    surfaces : tuple of Surface
    notes : tuple of str
    """

    event_id: int
    source: str
    position: Floats
    energy: Floats
    layer: Ints
    before: Ints
    after: Ints
    truth: Ints
    trackster_energy: Floats
    candidate_energy: Floats
    object_energy: Floats
    candidate_tracksters: Ints
    object_pdg: Ints
    object_is_signal: NDArray[np.bool_]
    colour: dict[str, Ints]
    barycentre: Floats
    links: Ints
    surfaces: tuple[Surface, ...] = ()
    notes: tuple[str, ...] = ()

    def owner(self, mode: str) -> Ints:
        """Return (P,) what each point belongs to in a mode, -1 = nothing."""
        owners: Ints = getattr(self, mode)
        return owners


def trackster_view(event: Event, result: Result) -> TracksterView:
    """Return the view of one event and its result.

    Raises
    ------
    DataError
        When the two do not belong together, or the event has no truth.
    """
    for name in ("energy", "object_index", "object_id"):
        if name not in event:
            raise DataError(f"{event.describe()}: field '{name}' is needed for the display and not in the event")
    given = join(event, result).labels
    raw = event.energy.double().numpy()
    _, after = np.unique(np.where(given < 0, -1, given), return_inverse=True)
    after = after - int((given < 0).any())
    num_candidates, num_objects = int(after.max(initial=-1)) + 1, event.num_objects
    if "part_pos" in event and "member_index" in event:
        position, energy = event.part_pos.double().numpy(), event.part_energy.double().numpy()
        layer = event.part_layer.numpy() if "part_layer" in event else np.zeros(len(energy), dtype=np.int64)
        before = _holder(event.member_index.numpy(), event.member_fraction.numpy(), len(energy))
        truth = _holder(event.part_share_index.numpy(), event.part_share_fraction.numpy(), len(energy))
    else:
        position, energy = event.pos.double().numpy(), raw
        layer, before = np.zeros(len(raw), dtype=np.int64), np.arange(len(raw))
        truth = event.object_index.numpy()
    owner = np.where(before >= 0, np.append(after, -1)[before], -1)
    colour = {"truth": _by_size(_sums(truth, energy, num_objects))}
    for mode, parts, number in (("before", before, len(raw)), ("after", owner, num_candidates)):
        colour[mode] = _same_colours(parts, truth, energy, number, colour["truth"])
    return TracksterView(
        event_id=result.event_id,
        source=str(event.source) if "source" in event else "",
        position=position,
        energy=energy,
        layer=layer,
        before=before,
        after=owner,
        truth=truth,
        trackster_energy=raw,
        candidate_energy=_sums(after, raw, num_candidates),
        object_energy=_sums(truth, energy, num_objects),
        candidate_tracksters=np.bincount(after[after >= 0], minlength=num_candidates),
        object_pdg=event.object_pdg.numpy() if "object_pdg" in event else np.zeros(num_objects, dtype=np.int64),
        object_is_signal=(
            event.object_is_signal.numpy() if "object_is_signal" in event else np.ones(num_objects, dtype=bool)
        ),
        colour=colour,
        barycentre=event.pos.double().numpy(),
        links=_links(event, after),
        surfaces=_outlined(position, layer),
    )


def limited(view: TracksterView, max_points: int) -> TracksterView:
    """Return the view with the ``max_points`` points of most energy; a note says what is left out."""
    number = len(view.energy)
    if number <= max_points:
        return view
    keep = np.sort(np.argsort(-view.energy, kind="stable")[:max_points])
    share = view.energy[keep].sum() / view.energy.sum()
    note = (
        f"This event is too large to draw whole; shown: the {max_points:,} of {number:,} layer clusters with most "
        f"energy, {share:.1%} of all energy."
    )
    parts = {name: getattr(view, name)[keep] for name in ("position", "energy", "layer", "before", "after", "truth")}
    return replace(view, **parts, notes=(*view.notes, note))


def _holder(index: Ints, fraction: Floats, num_points: int) -> Ints:
    """Return (M,) the column with the largest share of each row, -1 = none; the first of equals."""
    order = np.lexsort((index[1], -fraction, index[0]))
    rows = index[0][order]
    first = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
    holder = np.full(num_points, -1, dtype=np.int64)
    holder[rows[first]] = index[1][order][first]
    return holder


def _sums(owner: Ints, energy: Floats, number: int) -> Floats:
    """Return the energy (number,) of what each owns; owner -1 is nobody."""
    return np.asarray(np.bincount(owner[owner >= 0], energy[owner >= 0], minlength=number), dtype=np.float64)


def _by_size(energy: Floats) -> Ints:
    """Return the place of each in order of falling energy: neighbours in size get unlike colours."""
    place = np.empty(len(energy), dtype=np.int64)
    place[np.argsort(-energy, kind="stable")] = np.arange(len(energy))
    return place


def _same_colours(parts: Ints, truth: Ints, energy: Floats, number: int, truth_colour: Ints) -> Ints:
    """Return (number,) colours: that of an object for the part that holds most of it, new ones for all others."""
    colour = np.full(number, -1, dtype=np.int64)
    both = (parts >= 0) & (truth >= 0)
    if both.any():
        key, place = np.unique(parts[both] * len(truth_colour) + truth[both], return_inverse=True)
        shared = np.bincount(place, energy[both])
        order = np.argsort(-shared, kind="stable")
        part, thing = np.divmod(key[order], len(truth_colour))
        taken: set[int] = set()
        for one, other in zip(part.tolist(), thing.tolist(), strict=True):
            if colour[one] < 0 and other not in taken:
                colour[one] = truth_colour[other]
                taken.add(other)
    rest = np.flatnonzero(colour < 0)
    colour[rest] = len(truth_colour) + np.arange(len(rest))
    return colour


def _links(event: Event, after: Ints) -> Ints:
    if "edge_index" not in event:
        return np.empty((2, 0), dtype=np.int64)
    edges = event.edge_index.numpy()
    joined = (after[edges[0]] == after[edges[1]]) & (after[edges[0]] >= 0)
    return np.asarray(edges[:, joined])


def _outlined(position: Floats, layer: Ints) -> tuple[Surface, ...]:
    chosen = layer % OUTLINE_STEP == 1
    side = np.where(position[chosen, 2] < 0, -1, 1) if len(position) else np.empty(0, dtype=np.int64)
    return tuple(surfaces(position[chosen], layer[chosen] * side))
