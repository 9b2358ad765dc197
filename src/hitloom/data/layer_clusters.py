"""Layer clusters of a calorimeter endcap, the tracksters that hold them and the particles that made them, as columns.

Everything that makes calorimeter events meets here: the simulation, the readers of ROOT files, CLUE3D. From these three
tables :func:`hitloom.data.trackster_event.trackster_event` makes the :class:`~hitloom.event.Event`.

Lengths are cm, as in the files and the models of the detector; the event holds mm.
Shape letters: M layer clusters, N tracksters, V memberships, K objects, S shares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_TIME, NO_TIME_ERROR = -99.0, -1.0
PID_NAMES = (
    "photon",
    "electron",
    "muon",
    "neutral_pion",
    "charged_hadron",
    "neutral_hadron",
    "ambiguous",
    "unknown",
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LayerClusters:
    """2D clusters of hits, each on one layer. All columns (M,).

    Attributes
    ----------
    x, y, z : float, cm
        z is signed: negative in the backward endcap.
    energy : float, GeV
    layer : int
        1 = the first from the collision, in both endcaps.
    num_hits : int
    time, time_error : float, ns
        -99 and -1 where there is none.
    radius : float, cm
        sqrt(var x) + sqrt(var y) of the hits.
    scintillator : bool
        Whether the cluster lies in scintillator, not silicon.
    """

    x: FloatArray
    y: FloatArray
    z: FloatArray
    energy: FloatArray
    layer: IntArray
    num_hits: IntArray
    time: FloatArray
    time_error: FloatArray
    radius: FloatArray
    scintillator: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.energy)


@dataclass(frozen=True, kw_only=True)
class Tracksters:
    """Which tracksters hold which layer clusters.

    Attributes
    ----------
    num_tracksters : int
    member_index : (2, V) int
        Row of the layer cluster above row of the trackster.
    member_fraction : (V,) float
        1 / number of tracksters that hold the layer cluster.
    id_probabilities : (N, 8) float or None
        Columns :data:`PID_NAMES`.
    regressed_energy : (N,) float or None
        GeV.
    time, time_error : (N,) float or None
        ns; None = computed from the layer clusters.
    """

    num_tracksters: int
    member_index: IntArray
    member_fraction: FloatArray
    id_probabilities: FloatArray | None = None
    regressed_energy: FloatArray | None = None
    time: FloatArray | None = None
    time_error: FloatArray | None = None

    @classmethod
    def from_labels(cls, labels: IntArray) -> Tracksters:
        """Return the tracksters of a clustering: ``labels`` (M,) count from 0, -1 = in none."""
        rows = np.flatnonzero(labels >= 0)
        index = np.stack([rows, labels[rows]]).astype(np.int64)
        number = int(labels.max()) + 1 if len(rows) else 0
        return cls(num_tracksters=number, member_index=index, member_fraction=np.ones(len(rows)))


@dataclass(frozen=True, kw_only=True)
class CaloTruth:
    """The particles that entered the calorimeter (SimClusters) and their shares of the layer clusters.

    Attributes
    ----------
    object_id, parent, pdg : (K,) int
        ``parent`` is the id of the CaloParticle: the particle whose decay or interaction made this one; a particle
        that reached the calorimeter unchanged is its own parent, with ``parent`` equal for all of one origin.
    charge, energy, pt, eta, phi : (K,) float
        True values at the vertex (e, GeV, GeV, -, rad).
    is_signal : (K,) bool
        Not pile-up.
    share_index : (2, S) int
        Row of the layer cluster above row of the object.
    share_fraction : (S,) float
        Share of the layer cluster's energy that the object made (g of the official scores).
    """

    object_id: IntArray
    parent: IntArray
    pdg: IntArray
    charge: FloatArray
    energy: FloatArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    is_signal: NDArray[np.bool_]
    share_index: IntArray
    share_fraction: FloatArray

    @property
    def num_objects(self) -> int:
        return len(self.object_id)
