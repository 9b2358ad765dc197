"""What one wire view of a LArTPC event looks like as an :class:`~hitloom.event.Event`.

One event of a file (a slice of Pandora) becomes three events here, one for each wire view; ``event_id`` is
``10 * slice + code of the view`` (4 = U, 5 = V, 6 = W). The points are 2D clusters, their constituents are hits.

Points (N clusters, in the order of the source):

- ``pos`` (mm): energy-weighted mean of the hits (plain mean where all energies are 0), as (x, 0, z);
- ``energy`` (GeV): sum over the hits; ``point_id``: ``cluster_id`` of the source; ``layer``: code of the view;
- ``x`` with the columns :data:`CLUSTER_FEATURES`: number of hits, and the tier (how often clusters were merged before).

Constituents (M hits):

- ``part_pos`` (mm): (x, 0, z), drift and wire coordinate relative to the projected vertex;
- ``part_x`` with the columns :data:`HIT_FEATURES` as the file has them (cm, MIP), absent ones left out: ``x_gap``
  where the detector has no drift gaps, the two volumes where the file names none;
- ``part_energy`` (GeV): MIP times 2.0 MeV/cm times pitch; ``part_point_index``: the cluster; ``part_id``: row of the
  hit among those of the slice.

Truth, where it is known:

- ``part_share_index`` / ``part_share_fraction``: the one particle of each hit that has truth, fraction 1;
- ``share_index`` / ``share_fraction``: share of ALL hits of a cluster that are of a particle; one entry for each pair
  that occurs, ordered by cluster, then particle; a cluster's shares sum to less than 1 where hits have no truth;
- ``object_index``: particle with most hits of the cluster, of equal ones the first; -1 = no hit has truth;
- ``object_id`` = ``mc_id`` of the slice, ``object_pdg``; ``object_is_signal`` = from the beam, where known; the
  simulation adds ``object_energy``, ``object_momentum``, ``object_vertex`` (mm) and ``object_parent`` (``mc_id``, -1).
  Only particles with a hit in the view.

``provenance`` holds ``detector`` (a name of :mod:`hitloom.data.lartpc_detectors`, or null) and ``scales``
(``polar_r``, ``cartesian_x``, ``cartesian_z``, 1/cm) where the source gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hitloom.event import Event

VIEWS: dict[int, str] = {4: "U", 5: "V", 6: "W"}
"""Codes of the wire views in files, and their letters."""

CLUSTER_FEATURES: tuple[str, ...] = ("num_hits", "tier")
HIT_FEATURES: tuple[str, ...] = (
    "x",
    "z",
    "x_width",
    "x_gap",
    "pitch",
    "energy",
    "tpc_volume",
    "daughter_volume",
)
"""Columns of ``part_x``, in this order: cm, MIP; the last two are numbers of volumes."""

VIEWS_STRIDE = 10
"""``event_id`` is so many times the number of the slice, plus the code of the view."""

MIP_MEV_PER_CM = 2.0
"""Energy loss that one MIP of hit energy stands for."""


def is_shower_event(event: Event) -> bool:
    """Return whether the points of an event are the 2D clusters of one wire view."""
    return tuple(event.column_names()) == CLUSTER_FEATURES


def view_code(event: Event) -> int:
    """Return the code of the view (4, 5 or 6) of one event."""
    return int(event.event_id) % VIEWS_STRIDE


def slice_number(event: Event) -> int:
    """Return the number of the slice that an event is a view of."""
    return int(event.event_id) // VIEWS_STRIDE


def shower_event_id(slice_: int, view: int) -> int:
    """Return the identifier of one view of a slice."""
    return VIEWS_STRIDE * slice_ + view
