"""Identification probabilities of tracksters: a stand-in for a trained network, not physics.

Letters: N tracksters, V memberships.
"""

from __future__ import annotations

import numpy as np

from hitloom.data.endcap_geometry import EndcapGeometry
from hitloom.data.layer_clusters import PID_NAMES, LayerClusters, Tracksters

_SCALE = 10.0  # steepness of the softmax


def id_probabilities(clusters: LayerClusters, tracksters: Tracksters, *, geometry: EndcapGeometry) -> np.ndarray:
    """Return (N, 8) probabilities, columns :data:`~hitloom.data.layer_clusters.PID_NAMES`.

    Softmax of three quantities of a trackster: the share of its energy in the electromagnetic section, its length in
    layers, its spread across. Photons and electrons (and mesons that decay to photons) are told by the first, muons by
    long and thin, hadrons by the rest. Charged and neutral ones get the same: the calorimeter alone cannot tell.
    **Not physical**: it only gives the columns plausible values that follow the shape of the trackster.
    """
    part, owner = tracksters.member_index
    num = tracksters.num_tracksters
    energy = tracksters.member_fraction * clusters.energy[part]

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.bincount(owner, weights=energy, minlength=num)
        return np.bincount(owner, weights=energy * values, minlength=num) / np.maximum(total, 1e-30)

    em = mean((clusters.layer[part] <= geometry.num_em_layers).astype(np.float64))
    x, y = clusters.x[part], clusters.y[part]
    spread = np.sqrt(mean((x - mean(x)[owner]) ** 2 + (y - mean(y)[owner]) ** 2))
    low, high = np.full(num, geometry.num_layers), np.zeros(num, dtype=np.int64)
    np.minimum.at(low, owner, clusters.layer[part])
    np.maximum.at(high, owner, clusters.layer[part])
    length = np.maximum(high - low, 0) / geometry.num_layers
    thin = np.exp(-spread / 1.5)
    scores = {
        "photon": em * (0.5 + 0.5 * thin),
        "electron": em * (0.5 + 0.5 * thin),
        "neutral_pion": 0.6 * em,
        "muon": 1.6 * length * thin * (1 - np.abs(2 * em - 0.6)),
        "charged_hadron": 0.9 * (1 - em) + 0.2 * (1 - thin),
        "neutral_hadron": 0.9 * (1 - em) + 0.2 * (1 - thin),
    }
    logits = _SCALE * np.stack([scores.get(name, np.zeros(num)) for name in PID_NAMES], axis=1)
    values = np.exp(logits - logits.max(axis=1, keepdims=True, initial=0.0))
    return values / values.sum(axis=1, keepdims=True)
