"""Branches of ROOT files of 2D clusters, as Pandora writes them in training mode: one entry for each slice.

Tree ``<T>`` holds lists per cluster, per true particle and per hit, the three views of a slice together;
``<T>_view_data`` the wire pitch of each view, ``<T>_event_data`` (newer files) the scales of lengths. Files that were
put together repeat the rows of the latter two.

Beside them, files that were written here may hold ``event`` (number of the slice) and what the simulation knows of
particles; other software passes over these.
"""

from __future__ import annotations

from hitloom.data.root_records import Column

TREE = "clusters"
VIEW_DATA, EVENT_DATA = "_view_data", "_event_data"

_INT, _FLOAT = Column("int", 1), Column("float", 1)
CLUSTER_ID, CLUSTER_VIEW = "cluster_id", "cluster_view"
HIT_CLUSTER, HIT_MC = "hit_cluster_id", "hit_mc_id"
MC_ID, MC_PDG, MC_BEAM = "mc_id", "mc_pdg", "mc_is_from_beam"

HIT_BRANCHES: dict[str, str] = {
    "x": "hit_x_rel_pos",
    "z": "hit_z_rel_pos",
    "x_width": "hit_x_width",
    "x_gap": "hit_x_gap_dist",
    "energy": "hit_energy",
    "tpc_volume": "hit_tpc_vol_id",
    "daughter_volume": "hit_daughter_vol_id",
}
"""Branch of each column of hits."""

VOLUMES = ("tpc_volume", "daughter_volume")
POLAR: dict[str, str] = {"r": "hit_r_rel_pos", "cos": "hit_ctheta_rel_pos", "sin": "hit_stheta_rel_pos"}
"""Branches that follow from x and z: written, not read."""

CLUSTER_COLUMNS = {CLUSTER_ID: _INT, CLUSTER_VIEW: _INT}
HIT_COLUMNS = {HIT_CLUSTER: _INT} | {
    branch: _INT if name in VOLUMES else _FLOAT for name, branch in HIT_BRANCHES.items()
}
TRUTH_COLUMNS = {MC_ID: _INT, MC_PDG: _INT, HIT_MC: _INT}
EXTRA_TRUTH: dict[str, tuple[str, ...]] = {
    "object_energy": ("mc_energy",),
    "object_momentum": ("mc_px", "mc_py", "mc_pz"),
    "object_vertex": ("mc_vertex_x", "mc_vertex_y", "mc_vertex_z"),
    "object_parent": ("mc_parent_id",),
}
"""Branches of what the simulation knows of particles: GeV and mm, as in events."""

EXTRA_COLUMNS = {
    branch: _INT if name == "object_parent" else _FLOAT for name, branches in EXTRA_TRUTH.items() for branch in branches
}
BEAM_COLUMN = {MC_BEAM: _INT}
PITCH_COLUMNS = {"view": Column("int"), "pitch": Column("float")}
SCALE_BRANCHES: dict[str, str] = {name: f"scalefactor_{name}" for name in ("polar_r", "cartesian_x", "cartesian_z")}
SCALE_COLUMNS = {branch: Column("float") for branch in SCALE_BRANCHES.values()}
NO_GAP = 3.4028234663852886e38
"""Distance from the nearest gap where the detector has none: the largest float32."""
