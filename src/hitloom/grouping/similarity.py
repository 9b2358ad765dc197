"""From the similarities of pairs of clusters to groups, in one of several ways.

All but ``leiden`` and ``affinity`` join by a threshold, and in all of these a higher one joins less; a pair is joined
above it, strictly, in the precision of the matrix. Every cluster is in exactly one group, in every mode.

Shape letters: N clusters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.errors import ConfigError, MissingDependencyError, nearest
from hitloom.grouping._labels import numbered
from hitloom.grouping.accessory import Matrix, checked_similarity, connected_accessory, two_stage

Mode = Literal["components", "agglomerative", "leiden", "affinity", "accessory", "two_stage", "iterated"]
DAMPING = 0.9
"""Of affinity propagation."""
MAX_STEPS = 2000
"""Of affinity propagation: with this damping some hundreds are wanted."""


def group_similarity(
    similarity: Matrix,
    num_hits: Matrix,
    *,
    mode: Mode = "accessory",
    threshold: float,
    second_threshold: float = 0.5,
    accessory_max_hits: int = 2,
    seed: int = 1,
) -> Tensor:
    """Group the clusters of one view.

    Parameters
    ----------
    similarity : (N, N) float
        Symmetric.
    num_hits : (N,) int
        All hits of each cluster.
    mode
        ``components``: joined pairs, directly or through others. ``agglomerative``: groups are joined while the mean
        similarity of the pairs between two of them is above the threshold. ``leiden``: communities (RB configuration,
        resolution 1) of the graph of all positive similarities; the threshold is not read. ``affinity``: affinity
        propagation; the threshold is not read. ``accessory``: :func:`~hitloom.grouping.accessory.connected_accessory`;
        ``two_stage``: again between its groups, at the second threshold. ``iterated``: one round of it, as accessory;
        the rounds are :func:`~hitloom.grouping.accessory.iterate_groups`.
    seed
        Of ``leiden`` and ``affinity``.

    Returns
    -------
    (N,) int64
        Group of each cluster, counted from 0 by the lowest cluster of each group.

    Raises
    ------
    DataError
        When the shapes do not fit or the similarity is not a number.
    ConfigError
        When the mode is not known.
    MissingDependencyError
        When the mode needs a package that is not installed.

    Examples
    --------
    >>> chain = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.9], [0.0, 0.9, 1.0]])
    >>> hits = torch.tensor([5, 5, 5])
    >>> group_similarity(chain, hits, mode="components", threshold=0.6).tolist()
    [0, 0, 0]
    >>> group_similarity(chain, hits, mode="agglomerative", threshold=0.6).tolist()
    [0, 0, 1]
    """
    if mode in ("accessory", "iterated"):
        return connected_accessory(similarity, num_hits, threshold=threshold, accessory_max_hits=accessory_max_hits)
    if mode == "two_stage":
        return two_stage(
            similarity,
            num_hits,
            threshold=threshold,
            second_threshold=second_threshold,
            accessory_max_hits=accessory_max_hits,
        )
    if mode == "components":
        return connected_accessory(similarity, num_hits, threshold=threshold, accessory_max_hits=-1)
    if mode not in _OTHERS:
        raise ConfigError(f"grouping.mode: unknown mode '{mode}'.{nearest(mode, get_args(Mode))}")
    values, hits = checked_similarity(similarity, num_hits)
    if len(hits) < 2:
        return torch.arange(len(hits))
    return numbered(torch.from_numpy(np.asarray(_OTHERS[mode](values, threshold, seed), np.int64)))


def _agglomerative(values: NDArray[Any], threshold: float, seed: int) -> NDArray[Any]:
    """Average linkage; the distance is 1 - similarity, so its cut is 1 - threshold."""
    from sklearn.cluster import AgglomerativeClustering

    cut = 1.0 - float(values.dtype.type(threshold))
    model = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=max(cut, 0.0)
    )
    return model.fit_predict(1.0 - values.astype(np.float64))


def _affinity(values: NDArray[Any], threshold: float, seed: int) -> NDArray[Any]:
    """Affinity propagation (Frey and Dueck, Science 315, 972); without an exemplar every cluster stays alone."""
    from sklearn.cluster import AffinityPropagation

    model = AffinityPropagation(damping=DAMPING, affinity="precomputed", random_state=seed, max_iter=MAX_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, or all similarities equal: the groups hold all the same
        labels = model.fit_predict(values.astype(np.float64))
    return np.arange(len(values)) if (labels < 0).any() else labels


def _leiden(values: NDArray[Any], threshold: float, seed: int) -> NDArray[Any]:
    """Communities (Traag et al., arXiv:1810.08473), with two packages that are not asked for at installation: GPL."""
    try:
        import igraph
        import leidenalg
    except ImportError as error:
        raise MissingDependencyError(
            "grouping.mode 'leiden' needs the packages igraph and leidenalg (GPL); "
            "mend: pip install igraph leidenalg, or choose mode accessory"
        ) from error
    row, column = np.nonzero(np.triu(values, 1) > 0)
    graph = igraph.Graph(n=len(values), edges=np.stack([row, column], 1).tolist())
    found = leidenalg.find_partition(
        graph,
        leidenalg.RBConfigurationVertexPartition,
        weights=values[row, column].astype(np.float64).tolist(),
        resolution_parameter=1.0,
        seed=seed,
    )
    return np.asarray(found.membership)


_OTHERS: dict[str, Callable[[NDArray[Any], float, int], NDArray[Any]]] = {
    "agglomerative": _agglomerative,
    "affinity": _affinity,
    "leiden": _leiden,
}
