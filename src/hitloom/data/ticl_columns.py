"""The entries of CMS TICL dumper trees that an event of tracksters makes: branch name to numbers, lists, nested lists.

A nested list is a pair (items, number of items in each inner list). Lengths in the files are cm.
Shape letters: N tracksters, E edges, M layer clusters, V memberships, K objects, S shares, P overlapping pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.data.layer_clusters import LayerClusters, Tracksters
from hitloom.data.ticl_layout import BOUNDARY, EDGE_BRANCHES, NO_BOUNDARY, SCINTILLATOR_TYPE
from hitloom.data.trackster_features import NODE_FEATURES, TIME_ERROR, node_features
from hitloom.data.trackster_quantities import NUM_EM_LAYERS, trackster_quantities
from hitloom.data.trackster_truth import event_associations
from hitloom.event import Event
from hitloom.metrics.associations import Associations

Entry = dict[str, Any]
IntArray = NDArray[np.int64]
MM_PER_CM = 10.0


def grouped(values: ArrayLike, owner: IntArray, number: int) -> tuple[NDArray[Any], IntArray]:
    """Return values as one list for each of ``number`` owners; the order within an owner stays."""
    return np.asarray(values)[np.argsort(owner, kind="stable")], np.bincount(owner, minlength=number)


def graph_entry(event: Event) -> Entry:
    """Return the entry of layout A."""
    names, x = event.column_names(), event.x.numpy()
    number = event.num_points
    entry: Entry = {f"node_{name}": x[:, names.index(name)] for name in NODE_FEATURES}
    if TIME_ERROR in names:
        entry["node_time_error"] = x[:, names.index(TIME_ERROR)]
    entry |= {
        "node_match_idx": event.object_index.numpy(),
        "node_match_sharedE": event.match_energy.numpy(),
        "node_match_score": event.match_score.numpy(),
    }
    for branch, name in {"raw_energy": "object_raw_energy", "true_energy": "object_energy"}.items():
        if name in event:
            entry[f"simTrackster_{branch}"] = event[name].numpy()
    if "object_is_signal" in event:
        entry["simTrackster_isPU"] = ~event.object_is_signal.numpy()
    if "object_pdg" in event:
        entry["simTrackster_pdgID"] = event.object_pdg.numpy()
    inner, outer = event.edge_index.numpy()
    target = event.edge_y.numpy()
    columns: dict[str, Any] = {"edgeIndex_in": inner, "edgeIndex_out": outer}
    columns |= {
        branch: event.edge_attr[:, event.edge_feature_names.index(name)].numpy()
        for name, branch in EDGE_BRANCHES.items()
    }
    columns |= {"edge_label": target > 0, "edge_weight": target}
    return entry | {branch: grouped(values, inner, number) for branch, values in columns.items()}


def cluster_table(event: Event) -> LayerClusters:
    """Return the layer clusters of an event; lengths cm, as 32-bit numbers have them."""
    names = event.part_feature_names
    position = (event.part_pos.double().numpy() / MM_PER_CM).astype(np.float32).astype(np.float64)
    column = {name: event.part_x[:, names.index(name)].double().numpy() for name in names}
    return LayerClusters(
        x=position[:, 0],
        y=position[:, 1],
        z=position[:, 2],
        energy=event.part_energy.double().numpy(),
        layer=event.part_layer.numpy(),
        num_hits=column["num_hits"].astype(np.int64),
        time=column["time"],
        time_error=column["time_error"],
        radius=column["radius"],
        scintillator=column["scintillator"] > 0,
    )


def cluster_entry(event: Event, clusters: LayerClusters) -> Entry:
    """Return the entry of ``clusters``."""
    number = len(clusters)
    rho = np.hypot(clusters.x, clusters.y)
    silicon = np.where(clusters.layer <= NUM_EM_LAYERS, 1, 4)
    return {
        "seedID": (event.part_id.numpy() if "part_id" in event else np.arange(number)) & 0xFFFFFFFF,
        "energy": clusters.energy,
        "correctedEnergy": clusters.energy,
        "correctedEnergyUncertainty": np.zeros(number),
        "position_x": clusters.x,
        "position_y": clusters.y,
        "position_z": clusters.z,
        "position_eta": np.arcsinh(clusters.z / np.maximum(rho, 1e-9)),
        "position_phi": np.arctan2(clusters.y, clusters.x),
        "cluster_layer_id": clusters.layer,
        "cluster_type": np.where(clusters.scintillator, SCINTILLATOR_TYPE, silicon),
        "cluster_time": clusters.time,
        "cluster_timeErr": clusters.time_error,
        "cluster_number_of_hits": clusters.num_hits,
    }


def trackster_entry(event: Event, clusters: LayerClusters) -> Entry:
    """Return the entry of the tracksters, from the stored features."""
    names, x = event.column_names(), event.x.numpy()
    number = event.num_points
    column = {name: x[:, names.index(name)] for name in names}
    axis = np.stack([column[f"eVector0_{name}"] for name in "xyz"], 1)
    sine = np.hypot(axis[:, 0], axis[:, 1])
    identity = np.zeros((number, 8))
    identity[:, :6] = np.stack([column[name] for name in NODE_FEATURES[18:24]], 1)
    entry: Entry = {name: column[name] for name in (*NODE_FEATURES[:14], "raw_energy", "raw_em_energy", "time")}
    entry["timeError"] = column.get(TIME_ERROR, np.full(number, -1.0))
    entry |= {"raw_pt": column["raw_energy"] * sine, "raw_em_pt": column["raw_em_energy"] * sine}
    entry |= {"regressed_energy": np.zeros(number)}
    entry["id_probabilities"] = identity.reshape(-1), np.full(number, 8)
    return entry | _vertices(clusters, event.member_index.numpy(), event.member_fraction.double().numpy(), number)


def sim_trackster_entry(event: Event, clusters: LayerClusters) -> Entry:
    """Return the entry of the sim tracksters: the objects with the layer clusters of which they made a share."""
    number = event.num_objects
    index, fraction = event.part_share_index.numpy(), event.part_share_fraction.double().numpy()
    tracksters = Tracksters(num_tracksters=number, member_index=index, member_fraction=fraction)
    quantities = trackster_quantities(clusters, tracksters)
    features = node_features(quantities)
    entry: Entry = {name: features[:, place] for place, name in enumerate(NODE_FEATURES[:18])}
    del entry["num_LCs"], entry["num_hits"]
    entry |= {"time": quantities.time, "timeError": quantities.time_error}
    entry |= {"raw_pt": quantities.raw_pt, "raw_em_pt": quantities.raw_em_pt}

    def of_objects(name: str) -> NDArray[Any]:
        return event[name].numpy() if name in event else np.zeros(number)

    entry |= {"regressed_energy": of_objects("object_energy"), "regressed_pt": of_objects("object_pt")}
    entry["pdgID"] = of_objects("object_pdg")
    none = np.zeros(number, np.int64)
    entry |= {"id_probabilities": (np.zeros(8 * number), np.full(number, 8)), "trackIdx": (np.zeros(0), none)}
    entry |= {name: np.full(number, NO_BOUNDARY) for name in (*BOUNDARY, "timeBoundary")}
    entry |= {f"track_{name}": (np.zeros(0), none) for name in BOUNDARY}
    return entry | _vertices(clusters, index, fraction, number)


def _vertices(clusters: LayerClusters, index: IntArray, fraction: NDArray[np.float64], number: int) -> Entry:
    row, owner = index
    safe = np.where(fraction > 0, fraction, 1.0)
    values = {
        "x": clusters.x[row],
        "y": clusters.y[row],
        "z": clusters.z[row],
        "time": clusters.time[row],
        "timeErr": clusters.time_error[row],
        "energy": clusters.energy[row],
        "correctedEnergy": clusters.energy[row],
        "correctedEnergyUncertainty": np.zeros(len(row)),
        "multiplicity": np.where(fraction > 0, 1.0 / safe, np.inf),
        "indexes": row,
    }
    entry: Entry = {f"vertices_{name}": grouped(column, owner, number) for name, column in values.items()}
    return entry | {"NTracksters": number, "NClusters": len(clusters)}


def association_entry(event: Event, collection: str, truth: str) -> Entry:
    """Return the six branches that relate tracksters and objects, all pairs that share energy."""
    found: Associations = event_associations(event)
    track, thing = found.pair_index
    entry: Entry = {}
    for direction, own, other, number, score in (
        ("recoToSim", track, thing, event.num_points, found.reco_to_sim),
        ("simToReco", thing, track, event.num_objects, found.sim_to_reco),
    ):
        name = f"{collection}_{direction}_{truth}"
        entry[name] = grouped(other, own, number)
        entry[f"{name}_score"] = grouped(score, own, number)
        entry[f"{name}_sharedE"] = grouped(found.shared_energy, own, number)
    return entry


def candidate_entry(event: Event) -> Entry:
    """Return the entry of ``TICLGraph``."""
    inner, outer = event.edge_index.numpy()
    return {"outer": grouped(outer, inner, event.num_points), "inner": grouped(inner, outer, event.num_points)}


def extra_entry(event: Event, columns: dict[str, Any]) -> Entry:
    """Return the entry of the tree ``hitloom`` with these columns."""
    entry: Entry = {"event": int(event.event_id)}
    for name in columns:
        if name.startswith("object_"):
            entry[name] = event[name].numpy()
        elif name == "part_id":
            entry[name] = event.part_id.numpy()
        elif name == "part_share_fraction":
            entry[name] = grouped(event.part_share_fraction, event.part_share_index[1].numpy(), event.num_objects)
        elif name.startswith("part_pos_"):
            entry[name] = event.part_pos[:, "xyz".index(name[-1])].numpy()
        elif name.startswith("part_"):
            entry[name] = event.part_x[:, event.part_feature_names.index(name[5:])].numpy()
        elif name.startswith("node_"):
            entry[name] = event.columns([name[5:]])[:, 0].numpy()
    return entry
