"""Quantities of tracksters from their layer clusters: barycentre, principal axes, energies, extent, time.

With f_c the share of layer cluster c (1 / number of tracksters that hold it), E_c its energy and weights
w_c = f_c E_c / sum of f E: barycentre b = sum of w r; covariance = sum of w (r - b)(r - b)^T / (1 - sum of w^2).
All tracksters at once, in float64. Tracksters with one layer cluster, or with all at one place, have covariance 0 and
point along their barycentre; without energy every layer cluster weighs the same. Nothing is ever NaN.
Source: ``TrackstersPCA`` of CMS TICL, as written down in ``docs/tracksters.md``.

Lengths cm, energies GeV, times ns. Shape letters: M layer clusters, N tracksters, V memberships.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hitloom.data.layer_clusters import NO_TIME, NO_TIME_ERROR, FloatArray, IntArray, LayerClusters, Tracksters
from hitloom.metrics.associations import sums_by

NUM_LAYERS, NUM_EM_LAYERS = 47, 26
_POINT_LIKE = 1e-12  # cm^2: below this the largest eigenvalue is rounding


@dataclass(frozen=True, kw_only=True)
class PcaCleaning:
    """Which layer clusters enter barycentre and axes: the strongest of each layer, near the layer of the strongest.

    Attributes
    ----------
    layers_before, layers_after : int
        Reach from the layer of the strongest layer cluster, in layers.
    """

    layers_before: int = 10
    layers_after: int = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class TracksterQuantities:
    """Columns of N tracksters.

    Attributes
    ----------
    barycentre : (N, 3) float, cm
    eta, phi : (N,) float
    eigenvalues : (N, 3) float, cm^2
        Of the covariance, falling.
    axes : (N, 3, 3) float
        ``axes[:, k]`` is the unit axis of eigenvalue k; the first points away from the collision.
    sigma : (N, 3) float, cm
        Spread along the axes: the square root of ``eigenvalues``, or the CMS columns (``cms_compatible``).
    num_clusters, num_hits : (N,) int
    raw_energy, raw_em_energy, raw_pt, raw_em_pt : (N,) float, GeV
        em: of the layers of the electromagnetic section; pt: times the sine of the angle of the first axis.
    z_min, z_max : (N,) float, cm
        Signed: in the backward endcap both are negative.
    length : (N,) float
        (largest - smallest layer) / number of layers.
    cluster_density, trackster_density : (N,) float
        Numbers of layer clusters and of tracksters over 2 (3 - 1.5) (2 layers) = 282.
    time, time_error : (N,) float, ns
        Mean of the layer clusters with time, weighted by 1 / error^2; -99 and -1 where none has one.
    """

    barycentre: FloatArray
    eta: FloatArray
    phi: FloatArray
    eigenvalues: FloatArray
    axes: FloatArray
    sigma: FloatArray
    num_clusters: IntArray
    num_hits: IntArray
    raw_energy: FloatArray
    raw_em_energy: FloatArray
    raw_pt: FloatArray
    raw_em_pt: FloatArray
    z_min: FloatArray
    z_max: FloatArray
    length: FloatArray
    cluster_density: FloatArray
    trackster_density: FloatArray
    time: FloatArray
    time_error: FloatArray


def trackster_quantities(
    clusters: LayerClusters,
    tracksters: Tracksters,
    *,
    num_layers: int = NUM_LAYERS,
    num_em_layers: int = NUM_EM_LAYERS,
    cms_compatible: bool = False,
    cleaning: PcaCleaning | None = None,
) -> TracksterQuantities:
    """Compute the quantities of every trackster.

    Parameters
    ----------
    num_layers, num_em_layers : int
        Of the endcap: all layers, and the first ones, which are the electromagnetic section.
    cms_compatible : bool
        Whether ``sigma`` repeats the CMS software, which multiplies r - b with the matrix of eigenvectors instead of
        its transpose; it then depends on the signs of the axes, which no convention fixes for the last two.
    cleaning : PcaCleaning or None
        Which layer clusters enter barycentre, axes and spread; None = all. Energies and extent always count all.
    """
    row, owner = tracksters.member_index
    number = tracksters.num_tracksters
    energy = tracksters.member_fraction * clusters.energy[row]

    def total(values: FloatArray) -> FloatArray:
        return sums_by(owner, values, number)

    raw_energy = total(energy)
    num_clusters = np.bincount(owner, minlength=number)
    weight = energy if cleaning is None else energy * _kept_by(cleaning, clusters, tracksters)
    barycentre, covariance, defined = _moments(clusters, row, owner, number, weight)
    eigenvalues, axes = _principal_axes(covariance, barycentre)
    sine = np.hypot(axes[:, 0, 0], axes[:, 0, 1])
    em_energy = total(np.where(clusters.layer[row] <= num_em_layers, energy, 0.0))
    lowest_layer, highest_layer = _extent(clusters.layer[row].astype(np.float64), owner, number)
    z_min, z_max = _extent(clusters.z[row], owner, number)
    time, time_error = _times(clusters, tracksters)
    volume = 2 * (3 - 1.5) * (2 * num_layers)
    radius = np.hypot(barycentre[:, 0], barycentre[:, 1])
    sigma = np.sqrt(eigenvalues)
    if cms_compatible:
        sigma = _cms_sigma(covariance, axes)
    sigma[~defined] = 0.0
    return TracksterQuantities(
        barycentre=barycentre,
        eta=np.arcsinh(barycentre[:, 2] / np.maximum(radius, 1e-9)),
        phi=np.arctan2(barycentre[:, 1], barycentre[:, 0]),
        eigenvalues=eigenvalues,
        axes=axes,
        sigma=sigma,
        num_clusters=num_clusters,
        num_hits=np.bincount(owner, clusters.num_hits[row], minlength=number).astype(np.int64),
        raw_energy=raw_energy,
        raw_em_energy=em_energy,
        raw_pt=raw_energy * sine,
        raw_em_pt=em_energy * sine,
        z_min=z_min,
        z_max=z_max,
        length=(highest_layer - lowest_layer) / num_layers,
        cluster_density=num_clusters / volume,
        trackster_density=np.full(number, number / volume),
        time=time,
        time_error=time_error,
    )


def _kept_by(cleaning: PcaCleaning, clusters: LayerClusters, tracksters: Tracksters) -> FloatArray:
    """Return (V,): 1 for the memberships that enter the principal axes, else 0."""
    row, owner = tracksters.member_index
    energy, layer = clusters.energy[row], clusters.layer[row]
    order = np.lexsort((row, -energy, owner))
    first = np.unique(owner[order], return_index=True)[1]
    peak = np.zeros(tracksters.num_tracksters, np.int64)
    peak[owner[order][first]] = layer[order][first]
    order = np.lexsort((row, -energy, layer, owner))
    strongest = np.ones(len(row), dtype=np.bool_)
    strongest[1:] = (np.diff(owner[order]) != 0) | (np.diff(layer[order]) != 0)
    kept = np.zeros(len(row))
    kept[order] = strongest
    near = (layer >= peak[owner] - cleaning.layers_before) & (layer <= peak[owner] + cleaning.layers_after)
    return kept * near


def _moments(
    clusters: LayerClusters, row: IntArray, owner: IntArray, number: int, weight: FloatArray
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Return barycentres (N, 3), covariances (N, 3, 3), and which covariances are defined (N,)."""
    whole = sums_by(owner, weight, number)
    weight = np.where(whole[owner] > 0, weight, 1.0)  # without energy all weigh the same
    whole = sums_by(owner, weight, number)
    w = weight / whole[owner]
    point = np.stack([clusters.x[row], clusters.y[row], clusters.z[row]], 1)
    barycentre = np.stack([sums_by(owner, w * point[:, k], number) for k in range(3)], 1)
    offset = point - barycentre[owner]
    norm = 1.0 - sums_by(owner, w * w, number)
    defined = norm > 1e-12
    norm = np.where(defined, norm, 1.0)
    covariance = np.empty((number, 3, 3))
    for a in range(3):
        for b in range(a + 1):
            entry = sums_by(owner, w * offset[:, a] * offset[:, b], number) / norm
            covariance[:, a, b] = covariance[:, b, a] = np.where(defined, entry, 0.0)
    return barycentre, covariance, defined


def _principal_axes(covariance: FloatArray, barycentre: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return eigenvalues (N, 3), falling, and unit axes (N, 3, 3), one in each row."""
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values[:, ::-1], 0.0)
    axes = np.ascontiguousarray(vectors[:, :, ::-1].transpose(0, 2, 1))
    distance = np.linalg.norm(barycentre, axis=1)
    direction = np.where(
        distance[:, None] > 0, barycentre / np.maximum(distance, 1e-300)[:, None], np.array([0.0, 0.0, 1.0])
    )
    point_like = values[:, 0] <= _POINT_LIKE
    values[point_like] = 0.0
    axes[point_like] = _frame(direction[point_like])
    forward = axes[:, 0, 2] * barycentre[:, 2]
    forward = np.where(forward == 0, (axes[:, 0] * direction).sum(1), forward)
    axes[:, 0] *= np.where(forward < 0, -1.0, 1.0)[:, None]
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    return values, axes


def _frame(first: FloatArray) -> FloatArray:
    """Return right-handed unit frames (N, 3, 3) whose first rows are the unit vectors ``first`` (N, 3)."""
    helper = np.eye(3)[np.argmin(np.abs(first), axis=1)]
    second = np.cross(first, helper)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], 1)


def _cms_sigma(covariance: FloatArray, axes: FloatArray) -> FloatArray:
    """Return (N, 3): the spread of V (r - b), where V has the axes as columns in the order of rising eigenvalues."""
    matrix = axes[:, ::-1].transpose(0, 2, 1)
    spread = np.einsum("nij,njk,nik->ni", matrix, covariance, matrix)
    return np.sqrt(np.maximum(spread[:, ::-1], 0.0))


def _extent(values: FloatArray, owner: IntArray, number: int) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and largest value of each trackster; 0 for a trackster that holds nothing."""
    low, high = np.full(number, np.inf), np.full(number, -np.inf)
    np.minimum.at(low, owner, values)
    np.maximum.at(high, owner, values)
    return np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)


def _times(clusters: LayerClusters, tracksters: Tracksters) -> tuple[FloatArray, FloatArray]:
    row, owner = tracksters.member_index
    number = tracksters.num_tracksters
    if tracksters.time is not None and tracksters.time_error is not None:
        return np.asarray(tracksters.time, np.float64), np.asarray(tracksters.time_error, np.float64)
    known = clusters.time_error[row] > 0
    inverse = np.where(known, 1.0 / np.where(known, clusters.time_error[row], 1.0) ** 2, 0.0)
    whole = sums_by(owner, inverse, number)
    some = whole > 0
    safe = np.where(some, whole, 1.0)
    mean = sums_by(owner, inverse * clusters.time[row], number) / safe
    return np.where(some, mean, NO_TIME), np.where(some, 1.0 / np.sqrt(safe), NO_TIME_ERROR)
