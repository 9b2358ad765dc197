"""Six features of an edge between two points, from their cylindrical coordinates; plain torch, traceable.

Those of acorn, the successor of Exa.TrkX (arXiv:2103.06995).

N points, E edges.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hitloom.ops.geometry import delta_phi

EDGE_FEATURES = ("dr", "dphi", "dz", "deta", "phislope", "rphislope")
MAX_SLOPE = 100.0


def edge_features(
    r: Tensor,
    phi: Tensor,
    z: Tensor,
    eta: Tensor,
    edge_index: Tensor,
    *,
    r_scale: float = 1000.0,
    z_scale: float = 1000.0,
    eta_scale: float = 1.0,
) -> Tensor:
    """Return the features :data:`EDGE_FEATURES` (E, 6) of the edges, target minus source.

    ``dr``, ``dz``, ``deta`` are differences of the scaled coordinates; ``dphi`` goes the short way round, in units of
    pi; ``phislope = dphi / dr``, 0 where dr is 0, at most 100 in size; ``rphislope`` is the mean scaled r times
    phislope. Reversing an edge changes the sign of the first four and keeps the two slopes.

    Parameters
    ----------
    r, phi, z, eta : (N,) float
        mm, rad, mm, and a finite pseudorapidity.
    edge_index : (2, E) int64
        Source above target.
    r_scale, z_scale, eta_scale : float
        What r and z (in mm) and eta are divided by.

    Examples
    --------
    >>> r, phi = torch.tensor([100.0, 300.0]), torch.tensor([3.0, -3.0])
    >>> values = edge_features(r, phi, torch.zeros(2), torch.zeros(2), torch.tensor([[0], [1]]))
    >>> [round(value, 3) for value in values[0].tolist()]
    [0.2, 0.09, 0.0, 0.0, 0.451, 0.09]
    """
    source, target = edge_index[0], edge_index[1]
    r_source, r_target = r.index_select(0, source) / r_scale, r.index_select(0, target) / r_scale
    dr = r_target - r_source
    dphi = delta_phi(phi.index_select(0, target), phi.index_select(0, source)) / math.pi
    dz = (z.index_select(0, target) - z.index_select(0, source)) / z_scale
    deta = (eta.index_select(0, target) - eta.index_select(0, source)) / eta_scale
    level = dr == 0
    slope = torch.where(level, 0.0, dphi / torch.where(level, 1.0, dr)).clamp(-MAX_SLOPE, MAX_SLOPE)
    return torch.stack([dr, dphi, dz, deta, slope, 0.5 * (r_source + r_target) * slope], dim=1)
