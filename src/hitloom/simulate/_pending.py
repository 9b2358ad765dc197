"""Stand-ins for functions of hitloom.data while that package is being written; to be removed."""

from __future__ import annotations

import numpy as np

POSITION_FEATURES = ("r", "phi", "z", "eta", "cos_phi", "sin_phi")
CELL_FEATURES = ("cell_count", "cell_val", "leta", "lphi", "lx", "ly", "lz", "geta", "gphi")


def position_features(pos):
    x, y, z = np.asarray(pos, dtype=np.float64).T
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    eta = -np.log(np.tan(np.arctan2(r, z) / 2))
    return np.stack([r, phi, z, eta, np.cos(phi), np.sin(phi)], axis=1).astype(np.float32)


def cell_shape_features(*, point_index, ch0, ch1, value, pitch_u, pitch_v, thickness, rotation):
    n = len(pitch_u)
    count = np.bincount(point_index, minlength=n)
    total = np.bincount(point_index, weights=value, minlength=n)
    size = []
    for ch in (ch0, ch1):
        low, high = np.full(n, 1 << 40), np.full(n, -1)
        np.minimum.at(low, point_index, ch)
        np.maximum.at(high, point_index, ch)
        size.append(high - low + 1)
    a = np.stack([size[0] * pitch_u, size[1] * pitch_v, 2 * thickness], axis=1)
    g = np.einsum("nij,nj->ni", rotation, a)

    def angles(v):
        theta = np.arccos(v[:, 2] / np.linalg.norm(v, axis=1))
        return -np.log(np.tan(theta / 2)), np.arctan2(v[:, 1], v[:, 0])

    leta, lphi = angles(a)
    geta, gphi = angles(g)
    return np.stack([count, total, leta, lphi, a[:, 0], a[:, 1], a[:, 2], geta, gphi], axis=1).astype(np.float32)


def modulewise_edges(order_distance, particle):
    rows = np.flatnonzero(particle >= 0)
    rows = rows[np.lexsort((order_distance[rows], particle[rows]))]
    same = particle[rows][1:] == particle[rows][:-1]
    return np.stack([rows[:-1][same], rows[1:][same]])
