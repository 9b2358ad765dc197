"""What one trackster of layer clusters looks like as an :class:`~hitloom.event.Event`.

One event is one trackster that CLUE3D made; its points are layer clusters, in the order of the source.

- ``pos`` (mm), ``energy`` (GeV), ``time`` (ns), ``layer`` (from 1) and ``point_id`` (the identifier of the layer
  cluster in its collision);
- ``x`` holds the nine columns :data:`PRUNING_FEATURES` as files and the published network have them: cm, GeV, ns, rad;
- ``edge_index`` holds the links of CLUE3D once and directed, leader (origin) above follower (target): n - 1 links of n
  layer clusters where CLUE3D made them; reverse links and self loops are the business of a network;
- ``point_y`` is the label: 1 = the layer cluster does not belong to the particle that the trackster stands for;
- truth where it is known: ``object_*`` columns of the particles that left energy in the trackster, with
  ``object_raw_energy`` = what each left in the layer clusters of the whole collision; ``share_index`` and
  ``share_fraction`` = share of each layer cluster that a particle made; ``object_index`` = the particle of the largest
  share of a layer cluster, -1 = none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hitloom.event import Event

SEED_HIGH, SEED_LOW = "isSeedCLUE3DHigh", "isSeedCLUE3DLow"
PRUNING_FEATURES: tuple[str, ...] = (
    "pos_x",
    "pos_y",
    "pos_z",
    "energy",
    "time",
    "eta",
    "phi",
    SEED_HIGH,
    SEED_LOW,
)
"""Columns of ``x`` of a trackster event, in the order of the published network."""


def is_trackster_event(event: Event) -> bool:
    """Return whether the points of an event are the layer clusters of one trackster."""
    names = event.column_names()
    return all(name in names for name in (PRUNING_FEATURES[0], SEED_HIGH, SEED_LOW))
