"""Layout B of CMS TICL dumper files, the trees of layer clusters, tracksters and truth, to events of tracksters.

The quantities of tracksters are those of the file; what no branch holds (numbers of layer clusters and hits, extent,
densities) and the features of edges are computed. The candidate graph is that of ``TICLGraph``, or built where the tree
is missing. Scores are those of ``associations``, or computed from the shares where the tree is missing.

Shape letters: N tracksters, E edges, M layer clusters, V memberships, K objects, S shares, P pairs with a score.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.data.jagged import Jagged
from hitloom.data.layer_clusters import CaloTruth, LayerClusters, Tracksters
from hitloom.data.root_read import check_rows
from hitloom.data.tensors import floats
from hitloom.data.ticl_layout import SCINTILLATOR_TYPE
from hitloom.data.trackster_event import MM_PER_CM, trackster_event
from hitloom.data.trackster_features import NODE_FEATURES, TIME_ERROR, edge_features, vertex_distances
from hitloom.data.trackster_truth import edge_targets, match_fields, share_fields
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.associations import Associations

Columns = dict[str, Jagged]
IntArray = NDArray[np.int64]
_STORED = (*NODE_FEATURES[:14], "raw_energy", "raw_em_energy", "time")


def dumper_event(
    trees: dict[str, Columns],
    entry: int,
    *,
    collection: str,
    truth: str,
    event_id: int,
    source: str,
    provenance: dict[str, Any],
    skeleton_features: bool,
) -> Event:
    """Return the event of one entry.

    Parameters
    ----------
    trees : dict
        Columns of ``clusters`` and ``tracksters``; where the file has them also of ``sim``, ``associations``,
        ``TICLGraph`` and ``hitloom``, and the flag of pile-up from layout A as ``graph``.
    truth : {"SC", "CP"}
        What the objects in ``sim`` are.

    Raises
    ------
    DataError
        When an index is outside its table, or lists that belong together differ in length.
    """
    extra = trees.get("hitloom", {})
    clusters = _clusters(trees["clusters"], extra, entry)
    tracksters = _tracksters(trees["tracksters"], len(clusters), entry, f"{source}: tree '{collection}'")
    objects = None
    pileup = trees.get("graph", {}).get("simTrackster_isPU")
    if "sim" in trees:
        objects = _objects(trees["sim"], extra, len(clusters), entry, f"{source}: tree 'simtracksters{truth}'")
        if pileup is not None:
            objects = replace(objects, is_signal=_signal(pileup.entry(entry), objects, source))
    event = trackster_event(
        clusters, tracksters, objects, event_id=event_id, source=source, provenance=provenance,
        skeleton_features=skeleton_features,
    )  # fmt: skip
    _set_stored(event, trees["tracksters"], extra, entry)
    if "TICLGraph" in trees:
        event.edge_index = _edges(trees["TICLGraph"], event.num_points, entry, f"{source}: tree 'TICLGraph'")
    edges = event.edge_index.numpy()
    links = edge_features(event.x.double().numpy(), edges)
    if skeleton_features:
        links = np.concatenate([links, vertex_distances(clusters, tracksters, edges)], 1)
    event.edge_attr = floats(links)
    if objects is not None:
        if "associations" in trees:
            _set_scores(event, trees["associations"], entry, f"{source}: tree 'associations'")
        event.edge_y = edge_targets(event)
        for name in _unknown_objects(trees["sim"], extra, pileup is not None):
            del event[name]
    return event


def _signal(pileup: NDArray[np.int64], objects: CaloTruth, source: str) -> NDArray[np.bool_]:
    if len(pileup) != objects.num_objects:
        raise DataError(
            f"{source}: {objects.num_objects} sim tracksters, but 'simTrackster_isPU' of layout A has {len(pileup)}"
        )
    return pileup == 0


def _unknown_objects(sim: Columns, extra: Columns, pileup_known: bool) -> list[str]:
    """Return the fields of objects of which no branch says anything: decays, charges and pile-up in files of others."""
    if "object_id" in extra:
        return []
    places = [f"object_{name}" for name in ("eta", "phi") if f"barycenter_{name}" not in sim]
    return ["object_parent", "object_charge", *places, *([] if pileup_known else ["object_is_signal"])]


def _clusters(columns: Columns, extra: Columns, entry: int) -> LayerClusters:
    def column(name: str) -> NDArray[np.float64]:
        return columns[name].entry(entry).astype(np.float64)

    number = len(column("energy"))
    if "cluster_type" in columns:
        scintillator = columns["cluster_type"].entry(entry) >= SCINTILLATOR_TYPE
    else:
        scintillator = np.zeros(number, np.bool_)
    return LayerClusters(
        x=column("position_x"),
        y=column("position_y"),
        z=column("position_z"),
        energy=column("energy"),
        layer=columns["cluster_layer_id"].entry(entry).astype(np.int64),
        num_hits=columns["cluster_number_of_hits"].entry(entry).astype(np.int64),
        time=column("cluster_time"),
        time_error=column("cluster_timeErr"),
        radius=extra["part_radius"].entry(entry).astype(np.float64) if "part_radius" in extra else np.zeros(number),
        scintillator=extra["part_scintillator"].entry(entry) > 0 if "part_scintillator" in extra else scintillator,
    )


def _vertices(columns: Columns, number: int, num_clusters: int, entry: int, where: str) -> tuple[IntArray, NDArray]:
    """Return (2, V) layer cluster above owner, and the share of each, from a collection of (sim) tracksters."""
    index, multiplicity = columns["vertices_indexes"], columns["vertices_multiplicity"]
    counts = index.entry_counts(entry)
    if len(counts) != number or not np.array_equal(counts, multiplicity.entry_counts(entry)):
        raise DataError(f"{where}: 'vertices_indexes' and 'vertices_multiplicity' have lists of different length")
    rows = index.entry(entry).astype(np.int64)
    check_rows(rows, 0, num_clusters, f"{where}: branch 'vertices_indexes'", "a layer cluster")
    shares = multiplicity.entry(entry).astype(np.float64)
    if (shares <= 0).any():
        raise DataError(f"{where}: branch 'vertices_multiplicity' holds {shares.min():g}; more than 0 was wanted")
    return np.stack([rows, np.repeat(np.arange(number), counts)]), 1.0 / shares


def _tracksters(columns: Columns, num_clusters: int, entry: int, where: str) -> Tracksters:
    number = len(columns["raw_energy"].entry(entry))
    member_index, member_fraction = _vertices(columns, number, num_clusters, entry, where)
    sizes = columns["id_probabilities"].entry_counts(entry)
    if len(sizes) != number or (sizes != 8).any():
        raise DataError(f"{where}: branch 'id_probabilities': 8 numbers for each trackster were wanted")
    return Tracksters(
        num_tracksters=number,
        member_index=member_index,
        member_fraction=member_fraction,
        id_probabilities=columns["id_probabilities"].entry(entry).reshape(number, 8).astype(np.float64),
    )


def _objects(columns: Columns, extra: Columns, num_clusters: int, entry: int, where: str) -> CaloTruth:
    number = len(columns["pdgID"].entry(entry))
    share_index, share_fraction = _vertices(columns, number, num_clusters, entry, where)
    share_fraction = np.minimum(share_fraction, 1.0)
    if "part_share_fraction" in extra:
        share_fraction = extra["part_share_fraction"].entry(entry).astype(np.float64)

    def column(*names: str) -> NDArray[np.float64]:
        """Return the first column that the file has, else zeros."""
        for name in names:
            for table in (extra, columns):
                if name in table:
                    return table[name].entry(entry).astype(np.float64)
        return np.zeros(number)

    rows = np.arange(number)
    known = "object_id" in extra
    return CaloTruth(
        object_id=extra["object_id"].entry(entry) if known else rows,
        parent=extra["object_parent"].entry(entry) if "object_parent" in extra else rows,
        pdg=columns["pdgID"].entry(entry).astype(np.int64),
        charge=column("object_charge"),
        energy=column("object_energy", "regressed_energy"),
        pt=column("object_pt", "regressed_pt"),
        eta=column("object_eta", "barycenter_eta"),
        phi=column("object_phi", "barycenter_phi"),
        is_signal=extra["object_is_signal"].entry(entry) > 0 if "object_is_signal" in extra else rows >= 0,
        share_index=share_index,
        share_fraction=share_fraction,
    )


def _set_stored(event: Event, columns: Columns, extra: Columns, entry: int) -> None:
    """Put the quantities that the file holds in place of the computed ones."""
    names = event.feature_names
    for name in _STORED:
        event.x[:, names.index(name)] = floats(columns[name].entry(entry))
    event.x[:, names.index(TIME_ERROR)] = floats(columns["timeError"].entry(entry))
    for name in ("z_min", "z_max"):
        if f"node_{name}" in extra:
            event.x[:, names.index(name)] = floats(extra[f"node_{name}"].entry(entry))
    event.pos = (event.x[:, :3].double() * MM_PER_CM).float()
    event.energy = event.x[:, names.index("raw_energy")].clone()
    event.time = event.x[:, names.index("time")].clone()
    if "part_pos_x" in extra:
        event.part_pos = floats(np.stack([extra[f"part_pos_{axis}"].entry(entry) for axis in "xyz"], 1))
    if "part_id" in extra:
        event.part_id = torch.from_numpy(extra["part_id"].entry(entry).astype(np.int64))


def _edges(columns: Columns, number: int, entry: int, where: str) -> Tensor:
    counts = columns["outer"].entry_counts(entry)
    if len(counts) != number:
        raise DataError(f"{where}: branch 'outer' has {len(counts)} lists, but there are {number} tracksters")
    outer = columns["outer"].entry(entry).astype(np.int64)
    check_rows(outer, 0, number, f"{where}: branch 'outer'", "a trackster")
    return torch.from_numpy(np.stack([np.repeat(np.arange(number), counts), outer]))


def _set_scores(event: Event, columns: Columns, entry: int, where: str) -> None:
    """Put matches and shares by the scores of the file in place of the computed ones."""
    name = next(iter(columns))
    counts = columns[name].entry_counts(entry)
    for other in columns:
        if len(counts) != event.num_points or not np.array_equal(counts, columns[other].entry_counts(entry)):
            raise DataError(f"{where}: branch '{other}': lists of other length than the tracksters or '{name}'")
    thing = columns[name].entry(entry).astype(np.int64)
    check_rows(thing, 0, event.num_objects, f"{where}: branch '{name}'", "a sim trackster")
    track = np.repeat(np.arange(event.num_points), counts)
    score = columns[f"{name}_score"].entry(entry).astype(np.float64)
    shared = columns[f"{name}_sharedE"].entry(entry).astype(np.float64)
    order = np.lexsort((thing, track))
    order = order[(shared[order] > 0) | (score[order] < 1)]
    found = Associations(
        pair_index=np.stack([track, thing])[:, order],
        reco_to_sim=score[order],
        sim_to_reco=np.ones(len(order)),
        shared_energy=shared[order],
        trackster_energy=event.energy.double().numpy(),
        object_energy=event.object_raw_energy.double().numpy(),
    )
    for field, values in (match_fields(found) | share_fields(found)).items():
        event[field] = values
