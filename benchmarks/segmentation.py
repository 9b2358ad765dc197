"""Scored edges to tracks: components and walk against scipy, networkx and (where installed) igraph.

    python benchmarks/segmentation.py [--quick] [--points N ...]

Tracks are chains of ten points outwards; for each true edge there are two false ones between neighbouring layers.
Scores are those of a trained classifier: logits around 4 for true edges, around -5 for false ones. Everyone starts
from the same tensors and ends with labels of the points, which are compared.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from _bench import Contest, parser, print_table, set_threads
from hitloom.grouping import components, walk

NUM_LAYERS = 10
CUT, WALK_CUT, MIN_SCORE, ADD_SCORE = 0.5, 0.01, 0.1, 0.6
Graph = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def tracks(num_points: int, seed: int = 0) -> Graph:
    """Return edges (2, E), scores (E,) and the outward order (N,) of points in random rows."""
    generator = torch.Generator().manual_seed(seed)
    num_tracks = num_points // NUM_LAYERS
    row = torch.randperm(num_tracks * NUM_LAYERS, generator=generator).view(num_tracks, NUM_LAYERS)
    order = torch.empty(row.numel(), dtype=torch.float64)
    order[row] = torch.arange(NUM_LAYERS) + 0.9 * torch.rand(num_tracks, NUM_LAYERS, generator=generator).double()
    true = torch.stack([row[:, :-1].flatten(), row[:, 1:].flatten()])
    layer = torch.randint(0, NUM_LAYERS - 1, (2 * true.shape[1],), generator=generator)
    one, other = torch.randint(0, num_tracks, (2, len(layer)), generator=generator)
    false = torch.stack([row[one, layer], row[other, layer + 1]])[:, one != other]
    noise = torch.randn(true.shape[1] + false.shape[1], generator=generator)
    mean = torch.cat([torch.full((true.shape[1],), 4.0), torch.full((false.shape[1],), -5.0)])
    mixed = torch.randperm(len(noise), generator=generator)
    return torch.cat([true, false], 1)[:, mixed], (mean + 2.5 * noise).sigmoid()[mixed], order


def numbered(tracks: list[Any], num: int) -> np.ndarray:
    """Labels by the lowest point of each track."""
    labels = np.full(num, -1)
    for label, track in enumerate(sorted(tracks, key=min)):
        labels[list(track)] = label
    return labels


def by_scipy(graph: Graph) -> np.ndarray:
    edges, score, order = graph
    kept = edges[:, score > CUT].numpy()
    matrix = coo_matrix((np.ones(kept.shape[1], np.int8), kept), shape=(len(order), len(order)))
    _, part = connected_components(matrix, directed=False)
    part[np.bincount(part)[part] < 2] = -1
    return part


def by_networkx(graph: Graph) -> np.ndarray:
    edges, score, order = graph
    peer = nx.Graph()
    peer.add_edges_from(edges[:, score > CUT].T.tolist())
    return numbered(list(nx.connected_components(peer)), len(order))


def by_igraph(graph: Graph) -> np.ndarray:
    import igraph

    edges, score, order = graph
    peer = igraph.Graph(n=len(order), edges=edges[:, score > CUT].T.numpy())
    part = np.array(peer.connected_components(mode="weak").membership)
    part[np.bincount(part)[part] < 2] = -1
    return part


def walk_by_networkx(graph: Graph) -> np.ndarray:
    """The rule as written, roads as lists, points already used in a set; points in the order of their radius."""
    edges, score, order = graph
    flip = order[edges[0]] > order[edges[1]]
    outward = torch.where(flip, edges.flip(0), edges).T.tolist()
    peer = nx.DiGraph()
    for (a, b), value in zip(outward, score.tolist(), strict=True):
        if value > WALK_CUT and (not peer.has_edge(a, b) or peer[a][b]["score"] < value):
            peer.add_edge(a, b, score=value)
    found: list[Any] = []
    for part in list(nx.weakly_connected_components(peer)):
        if all(peer.in_degree(i) <= 1 and peer.out_degree(i) <= 1 for i in part):
            if len(part) > 2:
                found.append(part)
            peer.remove_nodes_from(part)
    radius, used = order.tolist(), set()

    def steps(i: int) -> list[int]:
        free = [j for j in peer[i] if j not in used]
        free.sort(key=lambda j: (-peer[i][j]["score"], radius[j]))
        if not free or peer[i][free[0]]["score"] <= MIN_SCORE:
            return []
        return free[:1] + [j for j in free[1:] if peer[i][j]["score"] > ADD_SCORE]

    for first in sorted(peer, key=radius.__getitem__):
        if first in used:
            continue
        roads, open_roads = [], [[first]]
        while open_roads:
            grown = []
            for road in open_roads:
                longer = [[*road, j] for j in steps(road[-1])]
                (grown if longer else roads).extend(longer or [road])
            open_roads = grown
        longest = max(map(len, roads))
        best = [road for road in roads if len(road) == longest][-1]
        used.update(best)
        if longest > 1:
            found.append(best)
    return numbered(found, len(order))


def same(labels: np.ndarray, peer: np.ndarray) -> bool:
    """Whether two labellings are the same partition."""
    assigned = labels >= 0
    if not np.array_equal(assigned, peer >= 0):
        return False
    pairs = np.unique(np.stack([labels[assigned], peer[assigned]]), axis=1).shape[1]
    return pairs == np.unique(labels[assigned]).size == np.unique(peer[assigned]).size


def main() -> None:
    options = parser(__doc__.split("\n")[0]).parse_args()
    set_threads(options.threads)
    rounds = 1 if options.quick else options.rounds
    print(f"{options.clock} milliseconds, medians of up to {rounds} interleaved runs; ratios are to ours.\n")
    rows = []
    for num in options.points or ([2_000] if options.quick else [10_000, 100_000]):
        graph = tracks(num)
        edges, score, order = graph
        peers: dict[str, dict[str, Callable[[], np.ndarray]]] = {
            "components": {
                "ours": lambda e=edges, s=score, o=order: components(e, s, num_points=len(o), score_cut=CUT).numpy(),
                "scipy": lambda g=graph: by_scipy(g),
                "networkx": lambda g=graph: by_networkx(g),
            },
            "walk": {
                "ours": lambda e=edges, s=score, o=order: walk(e, s, num_points=len(o), order=o).numpy(),
                "networkx": lambda g=graph: walk_by_networkx(g),
            },
        }
        if importlib.util.find_spec("igraph"):
            peers["components"]["igraph"] = lambda g=graph: by_igraph(g)
        for method, contestants in peers.items():
            contest = Contest(rounds, options.budget)
            contest.run(contestants, warm_up=contestants["ours"])
            own = contest.median("ours", options.clock)
            ratios = [f"{n} {contest.median(n, options.clock) / own:.1f}x" for n in contestants if n != "ours"]
            equal = {n: same(contest.result["ours"], contest.result[n]) for n in contestants if n != "ours"}
            differ = [n for n, is_same in equal.items() if not is_same]
            verdict = f"differ from {', '.join(differ)}" if differ else "equal"
            num_found = str(int(contest.result["ours"].max()) + 1)
            rows.append(
                [f"{method}, {num} / {edges.shape[1]}", f"{1000 * own:.1f}", ", ".join(ratios), num_found, verdict]
            )
    print_table(["points / edges", "ours, ms", "slower", "tracks", "labels"], rows)


if __name__ == "__main__":
    main()
