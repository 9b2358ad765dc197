"""Sizes, links and labels of a store of tracksters whose points are layer clusters.

Letters: N layer clusters of a trackster, E links.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.data.store import EventStore

SIZE_DEFINITIONS = {
    "tracksters": "tracksters, one event each",
    "layer_clusters": "layer clusters, all tracksters",
    "mean_size": "layer clusters per trackster",
    "median_size": "median of the layer clusters per trackster",
    "max_size": "layer clusters of the largest trackster",
    "single": "tracksters of one layer cluster",
    "links": "links, all tracksters",
    "links_per_node": "links over layer clusters",
    "trees": "tracksters whose links make one rooted tree: one layer cluster without a leader, one for all others",
}
LABEL_DEFINITIONS = {
    "without_positive_fraction": "tracksters with nothing to prune, over all tracksters",
    "above_tenth_fraction": "tracksters with more than 10 % of their layer clusters to prune, over all tracksters",
    "all_positive": "tracksters with every layer cluster to prune",
    "prunable_fraction": "layer clusters to prune, over all layer clusters",
    "prunable_energy_fraction": "energy of the layer clusters to prune, over the energy of all",
}


def pruning_statistics(store: EventStore) -> dict[str, Any]:
    """Return the numbers of the definitions, and these; empty when the store is not one of such tracksters.

    Without labels (``point_y``) the numbers about them are left out.
    """
    if "edge_index" not in store.fields or not set(PRUNING_FEATURES) <= set(store.feature_names):
        return {}
    labelled = "point_y" in store.fields
    fields = ["energy", "edge_index", *(["point_y"] if labelled else [])]
    sizes = store.num_points
    links, trees = 0, 0
    positive = np.zeros(len(store), dtype=np.int64)
    energy, prunable = 0.0, 0.0
    for row in range(len(store)):
        event = store.read(row, fields)
        links += int(event.edge_index.shape[1])
        trees += is_rooted_tree(event.edge_index, int(sizes[row]))
        if labelled:
            to_prune = event.point_y > 0.5
            positive[row] = int(to_prune.sum())
            energy += float(event.energy.sum(dtype=torch.float64))
            prunable += float(event.energy[to_prune].sum(dtype=torch.float64))
    number, points = max(len(store), 1), int(sizes.sum())
    record: dict[str, Any] = {
        "tracksters": len(store),
        "layer_clusters": points,
        "mean_size": points / number,
        "median_size": float(np.median(sizes)) if len(store) else 0.0,
        "max_size": int(sizes.max(initial=0)),
        "single": int((sizes == 1).sum()),
        "links": links,
        "links_per_node": links / max(points, 1),
        "trees": trees,
    }
    if labelled:
        record |= {
            "without_positive_fraction": int((positive == 0).sum()) / number,
            "above_tenth_fraction": int((10 * positive > sizes).sum()) / number,
            "all_positive": int(((positive == sizes) & (sizes > 0)).sum()),
            "prunable_fraction": int(positive.sum()) / max(points, 1),
            "prunable_energy_fraction": prunable / energy if energy else 0.0,
        }
    return record | {"definitions": SIZE_DEFINITIONS | (LABEL_DEFINITIONS if labelled else {})}


def is_rooted_tree(edge_index: torch.Tensor, num_points: int) -> bool:
    """Return whether links (2, E), leader above follower, make one rooted tree of all N points.

    Examples
    --------
    >>> is_rooted_tree(torch.tensor([[0, 1], [1, 2]]), 3), is_rooted_tree(torch.tensor([[1, 2], [2, 1]]), 3)
    (True, False)
    """
    origin, target = edge_index.tolist()
    if len(target) != num_points - 1 or len(set(target)) != len(target):
        return False
    leader = dict(zip(target, origin, strict=True))
    state = [0] * num_points  # 0 = unseen, 1 = on the way, 2 = leads to the root
    for start in range(num_points):
        way, node = [], start
        while state[node] == 0 and node in leader:
            state[node] = 1
            way.append(node)
            node = leader[node]
        if state[node] == 1:
            return False
        for seen in [*way, node]:
            state[seen] = 2
    return True
