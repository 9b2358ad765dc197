"""How well a graph joins hits of one particle: edge efficiency, purity, F1 and neighbour efficiency.

Shape letters: N hits, E edges, T truth edges, K particles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitloom.errors import DataError
from hitloom.metrics.matching import check_mask
from hitloom.metrics.summary import proportion_entry
from hitloom.metrics.truth import BoolArray, EventTruth, IntArray, as_integers

GRAPH_DEFINITIONS: dict[str, str] = {
    "edge_efficiency": "truth edges in the graph, either direction / truth edges",
    "edge_efficiency.target": "the same for truth edges of target particles",
    "edge_purity": "edges between hits of one particle / edges (directed as given, no repeats, no self-loops)",
    "edge_f1": "harmonic mean of edge_efficiency and edge_purity",
    "neighbour_efficiency": "edges between hits of one particle / sum over hits of min(n_p - 1, k), n_p of those left",
    "neighbour_efficiency.target": "the same for hits of target particles",
    "neighbour_f1": "harmonic mean of neighbour_efficiency and edge_purity",
}


def check_edges(edge_index: ArrayLike, num_hits: int) -> IntArray:
    """Return edges (2, E) as int64, repeats and self-loops left out, ordered.

    Raises
    ------
    DataError
        When the shape is not (2, E) or an end is no row of the hits.
    """
    edges = as_integers(edge_index, "edge_index")
    if edges.ndim != 2 or edges.shape[0] != 2:
        raise DataError(f"edge_index: shape (2, E) was wanted, not {edges.shape}")
    if edges.size and not 0 <= edges.min() <= edges.max() < num_hits:
        bad = int(edges.min() if edges.min() < 0 else edges.max())
        raise DataError(f"edge_index: {bad} is no row of the {num_hits} hits")
    key = edges[0] * max(num_hits, 1) + edges[1]
    key = np.unique(key[edges[0] != edges[1]])
    return np.stack(np.divmod(key, max(num_hits, 1)))


def undirected_keys(edges: IntArray, num_hits: int) -> IntArray:
    """Return one integer per edge (E,), the same for both directions."""
    return edges.min(axis=0) * max(num_hits, 1) + edges.max(axis=0) if edges.size else np.zeros(0, dtype=np.int64)


def truth_edges_kept(edges: IntArray, truth: EventTruth) -> BoolArray:
    """Return which truth edges (T,) are among the edges (2, E), in either direction."""
    if truth.truth_edge_index is None:
        return np.zeros(0, dtype=np.bool_)
    wanted = undirected_keys(truth.truth_edge_index, truth.num_hits)
    return np.isin(wanted, undirected_keys(edges, truth.num_hits))


def graph_counts(
    edge_index: ArrayLike,
    truth: EventTruth,
    *,
    target: BoolArray | None = None,
    present: ArrayLike | None = None,
    num_neighbours: int | None = None,
) -> dict[str, int]:
    """Count the edges of one graph; sums over events go to :func:`graph_quality`.

    Parameters
    ----------
    edge_index : (2, E) int
        Rows of hits.
    target : (K,) bool or None
        Target particles; None = all.
    present : (N,) bool or None
        Hits that the graph was built on; None = all.
    num_neighbours : int or None
        k of a kNN graph (each hit chose k neighbours).

    Raises
    ------
    DataError
        When an edge or the mask is impossible.
    """
    edges = check_edges(edge_index, truth.num_hits)
    mask = check_mask(present, truth.num_hits, "present")
    wanted = np.ones(truth.num_objects, dtype=np.bool_) if target is None else target
    wanted = np.append(wanted, False)
    owner = truth.object_index
    same = (owner[edges[0]] == owner[edges[1]]) & (owner[edges[0]] >= 0)
    counts = {
        "num_edges": int(edges.shape[1]),
        "num_same": int(same.sum()),
        "num_same_target": int((same & wanted[owner[edges[0]]]).sum()),
        "num_truth": 0,
        "num_truth_kept": 0,
        "num_truth_target": 0,
        "num_truth_target_kept": 0,
    }
    if truth.truth_edge_index is not None:
        kept = truth_edges_kept(edges, truth)
        of_target = wanted[owner[truth.truth_edge_index[0]]]
        counts["num_truth"], counts["num_truth_kept"] = int(kept.size), int(kept.sum())
        counts["num_truth_target"] = int(of_target.sum())
        counts["num_truth_target_kept"] = int((kept & of_target).sum())
    if num_neighbours is not None:
        inside = owner if mask is None else owner[mask]
        size = np.bincount(inside[inside >= 0], minlength=truth.num_objects)
        possible = size * np.minimum(np.maximum(size - 1, 0), num_neighbours)
        counts["num_possible"] = int(possible.sum())
        counts["num_possible_target"] = int(possible[wanted[:-1]].sum())
    return counts


def graph_quality(counts: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Return the entries of :data:`GRAPH_DEFINITIONS` from (summed) counts; the neighbour ones need k."""

    def entry(name: str, top: str, bottom: str) -> dict[str, Any]:
        return proportion_entry(counts[top], counts[bottom], GRAPH_DEFINITIONS[name])

    result = {
        "edge_efficiency": entry("edge_efficiency", "num_truth_kept", "num_truth"),
        "edge_efficiency.target": entry("edge_efficiency.target", "num_truth_target_kept", "num_truth_target"),
        "edge_purity": entry("edge_purity", "num_same", "num_edges"),
    }
    result["edge_f1"] = _harmonic("edge_f1", result["edge_efficiency"], result["edge_purity"])
    if "num_possible" in counts:
        # A graph that was made symmetric has more edges than k per hit: then this is no proportion.
        for name, top, bottom in (
            ("neighbour_efficiency", "num_same", "num_possible"),
            ("neighbour_efficiency.target", "num_same_target", "num_possible_target"),
        ):
            if counts[top] <= counts[bottom]:
                result[name] = entry(name, top, bottom)
            else:
                result[name] = {
                    "value": counts[top] / counts[bottom] if counts[bottom] else None,
                    "numerator": counts[top],
                    "denominator": counts[bottom],
                    "interval": None,
                    "interval_kind": "none: more than k neighbours per hit, not a proportion",
                    "definition": GRAPH_DEFINITIONS[name],
                }
        result["neighbour_f1"] = _harmonic("neighbour_f1", result["neighbour_efficiency"], result["edge_purity"])
    return result


def _harmonic(name: str, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    a, b = first["value"], second["value"]
    if a is None or b is None:
        value = None
    else:
        value = 2 * a * b / (a + b) if a + b > 0 else 0.0
    return {"value": value, "definition": GRAPH_DEFINITIONS[name]}
