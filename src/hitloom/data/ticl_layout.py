"""Names, types and nesting of the trees in CMS TICL dumper files, both layouts.

Layout A is one tree ``GNNTraining``: tracksters as nodes, candidate edges, the match of each trackster. Layout B is the
trees from which those are made: layer clusters, tracksters with their layer clusters, sim tracksters, associations, the
candidate graph. All lie in one folder, named after the module that wrote them. One entry is one event.

Files that hitloom writes have one tree more, ``hitloom``, with what neither layout has room for (event numbers, the
exact shares and positions, the particles at the vertex), and the text ``hitloom_provenance``. Other readers pass over
both.
"""

from __future__ import annotations

from hitloom.data.root_records import Column
from hitloom.data.trackster_features import NODE_FEATURES

FOLDERS = ("ticlDumper", "ticlDumperGNN")
GRAPH_TREE = "GNNTraining"
COLLECTION = "ticlTrackstersCLUE3DHigh"
EXTRA_TREE = "hitloom"
PROVENANCE_KEY = "hitloom_provenance"
LAYOUTS = ("A", "B")
TRUTHS = ("SC", "CP")
NO_BOUNDARY = -999.0

_FLOATS, _NESTED = Column("float", 1), Column("float", 2)
_INTS = Column("int", 1)
_UNSIGNED, _NESTED_UNSIGNED = Column("unsigned int", 1), Column("unsigned int", 2)
_NUMBER = Column("unsigned int")
_LONG, _LONGS = Column("Long64_t"), Column("Long64_t", 1)

EDGE_BRANCHES: dict[str, str] = {
    "delta_raw_energy": "edge_raw_energy",
    "delta_barycenter_z": "edge_barycenter_z",
    "distance_xy": "edge_barycenter_xy",
    "delta_time": "edge_time",
    "angle_eVector0": "edge_eigenvector0",
}
"""Branch of layout A for each edge feature; the file has the time before the angle, the contract after it."""

GRAPH: dict[str, Column] = {
    **{f"node_{name}": _FLOATS for name in NODE_FEATURES},
    "node_time_error": _FLOATS,
    "node_match_idx": _INTS,
    "node_match_sharedE": _FLOATS,
    "node_match_score": _FLOATS,
    "simTrackster_raw_energy": _FLOATS,
    "simTrackster_true_energy": _FLOATS,
    "simTrackster_isPU": _INTS,
    "simTrackster_pdgID": _INTS,
    "edgeIndex_in": _NESTED_UNSIGNED,
    "edgeIndex_out": _NESTED_UNSIGNED,
    **dict.fromkeys(EDGE_BRANCHES.values(), _NESTED),
    "edge_label": Column("int", 2),
    "edge_weight": _NESTED,
}
"""Layout A."""
GRAPH_OPTIONAL = (
    "simTrackster_raw_energy",
    "simTrackster_true_energy",
    "simTrackster_isPU",
    "simTrackster_pdgID",
    "node_time_error",
    "edge_label",
)
"""Branches that older files lack."""

VERTICES: dict[str, Column] = {
    "vertices_indexes": _NESTED_UNSIGNED,
    **{
        f"vertices_{name}": _NESTED
        for name in (
            "x",
            "y",
            "z",
            "time",
            "timeErr",
            "energy",
            "correctedEnergy",
            "correctedEnergyUncertainty",
            "multiplicity",
        )
    },
}
TRACKSTERS: dict[str, Column] = {
    "NTracksters": _NUMBER,
    "NClusters": _NUMBER,
    **dict.fromkeys(
        (
            "time",
            "timeError",
            "regressed_energy",
            "raw_energy",
            "raw_em_energy",
            "raw_pt",
            "raw_em_pt",
            *NODE_FEATURES[:14],
        ),
        _FLOATS,
    ),
    "id_probabilities": _NESTED,
    **VERTICES,
}
"""A collection of tracksters of layout B."""
TRACKSTERS_NEEDED = (
    *NODE_FEATURES[:14],
    "raw_energy",
    "raw_em_energy",
    "time",
    "timeError",
    "id_probabilities",
    "vertices_indexes",
    "vertices_multiplicity",
)
BOUNDARY = tuple(f"boundary{name}" for name in ("X", "Y", "Z", "Eta", "Phi", "Px", "Py", "Pz"))
SIM_TRACKSTERS: dict[str, Column] = {
    **TRACKSTERS,
    "regressed_pt": _FLOATS,
    "pdgID": _INTS,
    "trackIdx": Column("int", 2),
    "timeBoundary": _FLOATS,
    **dict.fromkeys(BOUNDARY, _FLOATS),
    **{f"track_{name}": _NESTED for name in BOUNDARY},
}
"""Sim tracksters of layout B: ``simtrackstersSC`` and ``simtrackstersCP``."""
SIM_NEEDED = ("vertices_indexes", "vertices_multiplicity", "pdgID", "regressed_energy", "regressed_pt")
SIM_OPTIONAL = ("barycenter_eta", "barycenter_phi")
CLUSTERS: dict[str, Column] = {
    "seedID": _UNSIGNED,
    **dict.fromkeys(
        (
            "energy",
            "correctedEnergy",
            "correctedEnergyUncertainty",
            "position_x",
            "position_y",
            "position_z",
            "position_eta",
            "position_phi",
        ),
        _FLOATS,
    ),
    "cluster_layer_id": _UNSIGNED,
    "cluster_type": _INTS,
    "cluster_time": _FLOATS,
    "cluster_timeErr": _FLOATS,
    "cluster_number_of_hits": _UNSIGNED,
}
"""Layer clusters of layout B."""
CLUSTERS_NEEDED = (
    "energy",
    "position_x",
    "position_y",
    "position_z",
    "cluster_layer_id",
    "cluster_time",
    "cluster_timeErr",
    "cluster_number_of_hits",
)
CANDIDATE_GRAPH: dict[str, Column] = {"inner": _NESTED_UNSIGNED, "outer": _NESTED_UNSIGNED}
"""``TICLGraph``: for each trackster its neighbours with smaller and with larger |z|."""
SCINTILLATOR_TYPE = 6
"""Smallest ``cluster_type`` of scintillator; below are the silicon thicknesses of both sections (unconfirmed)."""

EXTRA_EVENT: dict[str, Column] = {"event": _LONG}
EXTRA_OBJECTS: dict[str, Column] = {
    "object_id": _LONGS,
    "object_parent": _LONGS,
    **{f"object_{name}": _FLOATS for name in ("charge", "energy", "pt", "eta", "phi", "raw_energy")},
    "object_is_signal": _INTS,
}
EXTRA_SHARES: dict[str, Column] = {"part_share_fraction": _NESTED}
EXTRA_PARTS: dict[str, Column] = {
    "part_id": _LONGS,
    **{f"part_pos_{axis}": _FLOATS for axis in "xyz"},
    "part_radius": _FLOATS,
    "part_scintillator": _INTS,
    "node_z_min": _FLOATS,
    "node_z_max": _FLOATS,
}


def association_branches(collection: str, truth: str) -> dict[str, Column]:
    """Return the six branches of ``associations`` between a collection of tracksters and one kind of sim trackster."""
    branches: dict[str, Column] = {}
    for direction in ("recoToSim", "simToReco"):
        name = f"{collection}_{direction}_{truth}"
        branches |= {name: _NESTED_UNSIGNED, f"{name}_score": _NESTED, f"{name}_sharedE": _NESTED}
    return branches
