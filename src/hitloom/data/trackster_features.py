"""Features of tracksters and of candidate edges, in the order that models and their exports rely on.

Lengths cm, energies GeV, times ns, angles rad. Shape letters: N tracksters, E edges, V memberships, M layer clusters.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from hitloom.data.layer_clusters import PID_NAMES, FloatArray, IntArray, LayerClusters, Tracksters
from hitloom.data.trackster_quantities import TracksterQuantities

NODE_FEATURES: tuple[str, ...] = (
    "barycenter_x",
    "barycenter_y",
    "barycenter_z",
    "barycenter_eta",
    "barycenter_phi",
    "eVector0_x",
    "eVector0_y",
    "eVector0_z",
    "EV1",
    "EV2",
    "EV3",
    "sigmaPCA1",
    "sigmaPCA2",
    "sigmaPCA3",
    "num_LCs",
    "num_hits",
    "raw_energy",
    "raw_em_energy",
    *(f"{name}_prob" for name in PID_NAMES[:6]),
    "z_min",
    "z_max",
    "LC_density",
    "trackster_density",
    "time",
)
"""The 29 features of a trackster."""
TIME_ERROR = "time_error"
"""Column 30 of ``x``: not for networks of the contract, but needed to say which times are real."""
EDGE_FEATURES: tuple[str, ...] = (
    "delta_raw_energy",
    "delta_barycenter_z",
    "distance_xy",
    "angle_eVector0",
    "delta_time",
)
"""The five features of an edge: absolute differences, transverse distance, angle between the first axes."""
SKELETON_EDGE_FEATURES: tuple[str, ...] = (*EDGE_FEATURES, "min_vertex_distance", "max_vertex_distance")
"""The same with the smallest and the largest distance between layer clusters of the two tracksters."""


def node_features(quantities: TracksterQuantities, id_probabilities: FloatArray | None = None) -> FloatArray:
    """Return (N, 30): :data:`NODE_FEATURES` and the error of the time.

    Parameters
    ----------
    id_probabilities : (N, 8) float or None
        Columns :data:`~hitloom.data.layer_clusters.PID_NAMES`; None = 0 everywhere.
    """
    q = quantities
    number = len(q.raw_energy)
    identity = np.zeros((number, 6)) if id_probabilities is None else np.asarray(id_probabilities)[:, :6]
    columns = [
        q.barycentre,
        q.eta,
        q.phi,
        q.axes[:, 0],
        q.eigenvalues,
        q.sigma,
        q.num_clusters,
        q.num_hits,
        q.raw_energy,
        q.raw_em_energy,
        identity,
        q.z_min,
        q.z_max,
        q.cluster_density,
        q.trackster_density,
        q.time,
        q.time_error,
    ]
    return np.column_stack([np.asarray(column, np.float64) for column in columns])


def edge_features(nodes: ArrayLike, edge_index: IntArray) -> FloatArray:
    """Return (E, 5) :data:`EDGE_FEATURES` from node features (N, >= 29) in contract order and edges (2, E)."""
    x = np.asarray(nodes, dtype=np.float64)
    first, second = x[edge_index[0]], x[edge_index[1]]
    column = NODE_FEATURES.index
    energy, depth, time = column("raw_energy"), column("barycenter_z"), column("time")
    axis = slice(column("eVector0_x"), column("eVector0_z") + 1)
    difference = first - second
    cosine = (first[:, axis] * second[:, axis]).sum(1)
    return np.stack(
        [
            np.abs(difference[:, energy]),
            np.abs(difference[:, depth]),
            np.hypot(difference[:, 0], difference[:, 1]),
            np.arccos(np.clip(cosine, -1.0, 1.0)),
            np.abs(difference[:, time]),
        ],
        1,
    )


def vertex_distances(clusters: LayerClusters, tracksters: Tracksters, edge_index: IntArray) -> FloatArray:
    """Return (E, 2): smallest and largest distance in cm between layer clusters of the two tracksters of each edge.

    Only pairs of layer clusters along edges are looked at. An end that holds nothing gives 0.
    """
    row, owner = tracksters.member_index
    order = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[order], np.arange(tracksters.num_tracksters + 1))
    point = np.stack([clusters.x, clusters.y, clusters.z], 1)[row[order]]
    result = np.zeros((edge_index.shape[1], 2))
    _distances(np.ascontiguousarray(point, dtype=np.float64), start, np.ascontiguousarray(edge_index), result)
    return result


@njit(cache=True, nogil=True)
def _distances(point, start, edges, result):
    for e in range(edges.shape[1]):
        low, high = np.inf, 0.0
        for i in range(start[edges[0, e]], start[edges[0, e] + 1]):
            for j in range(start[edges[1, e]], start[edges[1, e] + 1]):
                square = 0.0
                for k in range(3):
                    square += (point[i, k] - point[j, k]) ** 2
                low = min(low, square)
                high = max(high, square)
        if low < np.inf:
            result[e, 0] = np.sqrt(low)
            result[e, 1] = np.sqrt(high)
