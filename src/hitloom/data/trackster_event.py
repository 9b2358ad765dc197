"""From layer clusters, tracksters and truth to the event: one point for each trackster.

Every source of calorimeter events ends here. No event is dropped: one without tracksters, or with a single one, is an
event without edges. Lengths of the tables and of ``x`` are cm, those of ``pos`` and ``part_pos`` mm.

Shape letters: M layer clusters, N tracksters, V memberships, E edges, K objects, S shares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hitloom.data.layer_clusters import CaloTruth, LayerClusters, Tracksters
from hitloom.data.tensors import floats, integers
from hitloom.data.trackster_features import (
    EDGE_FEATURES,
    NODE_FEATURES,
    SKELETON_EDGE_FEATURES,
    TIME_ERROR,
    edge_features,
    node_features,
    vertex_distances,
)
from hitloom.data.trackster_graph import candidate_graph
from hitloom.data.trackster_quantities import (
    NUM_EM_LAYERS,
    NUM_LAYERS,
    PcaCleaning,
    trackster_quantities,
)
from hitloom.data.trackster_truth import as_calo_particles, set_truth
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event

MM_PER_CM = 10.0
PART_FEATURES: tuple[str, ...] = ("num_hits", "time", "time_error", "radius", "scintillator")
"""Columns of ``part_x``; the radius in cm."""

__all__ = ["PART_FEATURES", "as_calo_particles", "trackster_event"]


def trackster_event(
    clusters: LayerClusters,
    tracksters: Tracksters,
    truth: CaloTruth | None = None,
    *,
    event_id: int,
    source: str,
    provenance: Mapping[str, Any] | None = None,
    geometry: Any = None,
    truth_type: Literal["SC", "CP"] = "SC",
    skeleton_features: bool = False,
    cms_compatible: bool = False,
    cleaning: PcaCleaning | None = None,
) -> Event:
    """Return the event of one collision.

    Parameters
    ----------
    clusters, tracksters, truth
        The three tables; without truth the event has none.
    event_id, source, provenance
        Who the event is; ``provenance`` is stored as JSON, with the truth type added.
    geometry : EndcapGeometry or None
        Gives the number of layers and of the electromagnetic ones; None = 47 and 26.
    truth_type : {"SC", "CP"}
        Whether the objects are the particles of ``truth`` or the sums of those with one ``parent``.
    skeleton_features : bool
        Whether edges get :data:`~hitloom.data.trackster_features.SKELETON_EDGE_FEATURES` (7) instead of 5.
    cms_compatible, cleaning
        As in :func:`~hitloom.data.trackster_quantities.trackster_quantities`.

    Raises
    ------
    DataError
        When a column holds NaN or a negative energy, or an index is outside its table.
    ConfigError
        When the truth type is unknown.
    """
    if truth_type not in ("SC", "CP"):
        raise ConfigError(f"truth '{truth_type}' is unknown; wanted SC (SimCluster) or CP (CaloParticle)")
    where = f"{source}[event {event_id}]"
    _check(clusters, tracksters, truth, where)
    layers = {"num_layers": NUM_LAYERS, "num_em_layers": NUM_EM_LAYERS}
    if geometry is not None:
        layers = {"num_layers": geometry.num_layers, "num_em_layers": geometry.num_em_layers}
    quantities = trackster_quantities(clusters, tracksters, **layers, cms_compatible=cms_compatible, cleaning=cleaning)
    # as the event holds them, so that graph and features of edges can be made again from the event
    nodes = node_features(quantities, tracksters.id_probabilities).astype(np.float32)
    edges = candidate_graph(*(nodes[:, NODE_FEATURES.index(f"barycenter_{name}")] for name in ("eta", "phi", "z")))
    links = edge_features(nodes, edges)
    if skeleton_features:
        links = np.concatenate([links, vertex_distances(clusters, tracksters, edges)], 1)
    event = Event(
        pos=floats(nodes[:, :3].astype(np.float64) * MM_PER_CM),
        x=floats(nodes),
        feature_names=[*NODE_FEATURES, TIME_ERROR],
        energy=floats(quantities.raw_energy),
        time=floats(quantities.time),
        edge_index=torch.from_numpy(edges),
        edge_attr=floats(links),
        edge_feature_names=list(SKELETON_EDGE_FEATURES if skeleton_features else EDGE_FEATURES),
        member_index=integers(tracksters.member_index),
        member_fraction=floats(tracksters.member_fraction),
        event_id=event_id,
        source=source,
        provenance=_provenance(provenance, cms_compatible, cleaning),
        **_parts(clusters),
    )
    if truth is not None:
        for name, values in object_columns(truth).items():
            event[name] = values
        event.part_share_index = integers(truth.share_index)
        event.part_share_fraction = floats(truth.share_fraction)
        set_truth(event)
        if truth_type == "CP":
            event = as_calo_particles(event)
    return event.validate()


def _provenance(given: Mapping[str, Any] | None, cms_compatible: bool, cleaning: PcaCleaning | None) -> str:
    """Return the stored text: what was given, the truth type, and options that change what features mean."""
    options: dict[str, Any] = {"truth": "SC"}
    if cms_compatible:
        options["cms_compatible"] = True
    if cleaning is not None:
        options["pca_cleaning"] = asdict(cleaning)
    return json.dumps({**(given or {}), **options})


def _parts(clusters: LayerClusters) -> dict[str, Any]:
    number = len(clusters)
    columns = [np.asarray(getattr(clusters, name), np.float64) for name in PART_FEATURES]
    return {
        "part_pos": floats(np.stack([clusters.x, clusters.y, clusters.z], 1) * MM_PER_CM),
        "part_energy": floats(clusters.energy),
        "part_layer": integers(clusters.layer),
        "part_id": torch.arange(number),
        "part_x": floats(np.stack(columns, 1)),
        "part_feature_names": list(PART_FEATURES),
    }


def object_columns(truth: CaloTruth) -> dict[str, Tensor]:
    """Return the columns (K,) of the event's objects."""
    return {
        "object_id": integers(truth.object_id),
        "object_parent": integers(truth.parent),
        "object_pdg": integers(truth.pdg),
        "object_charge": floats(truth.charge),
        "object_energy": floats(truth.energy),
        "object_pt": floats(truth.pt),
        "object_eta": floats(truth.eta),
        "object_phi": floats(truth.phi),
        "object_is_signal": torch.from_numpy(np.asarray(truth.is_signal, dtype=np.bool_)),
    }


def _check(clusters: LayerClusters, tracksters: Tracksters, truth: CaloTruth | None, where: str) -> None:
    """Raise :class:`DataError` for what would turn into NaN or a crash further on."""
    for name in ("x", "y", "z", "energy", "layer", "num_hits", "time", "time_error", "radius", "scintillator"):
        values = np.asarray(getattr(clusters, name))
        if values.shape != (len(clusters),):
            raise DataError(
                f"{where}: layer clusters: '{name}' has shape {values.shape}, but there are {len(clusters)} energies"
            )
        bad = ~np.isfinite(values) if name != "energy" else ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{where}: layer clusters: '{name}' of row {row} is {values[row]}; mend or drop the layer cluster"
            )
    tables = [
        (tracksters.member_index, tracksters.member_fraction, "member_index", "a trackster", tracksters.num_tracksters)
    ]
    if truth is not None:
        tables.append((truth.share_index, truth.share_fraction, "share_index", "an object", truth.num_objects))
    for index, fraction, name, kind, size in tables:
        for row, (rows, what, high) in enumerate(
            zip(index, ("a layer cluster", kind), (len(clusters), size), strict=True)
        ):
            if rows.size and not 0 <= rows.min() <= rows.max() < high:
                wrong = int(rows.min() if rows.min() < 0 else rows.max())
                raise DataError(f"{where}: '{name}' row {row} holds {wrong}; wanted {what} from 0 to {high - 1}")
        if not np.isfinite(fraction).all():
            raise DataError(f"{where}: the fractions of '{name}' hold NaN or infinity")
