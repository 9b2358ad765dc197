"""kNN (k = 10) and radius graph (mean degree about 50) against the peers on PyPI.

    python benchmarks/knn.py [--quick] [--embedding FILE.npy]

Exact: hitloom, scipy cKDTree, scikit-learn, faiss Flat, blocked torch, nanoflann (where installed).
Approximate, with the share of true neighbours found: faiss IVF (nprobe 8) and HNSW (M 16, ef 32).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

from _bench import Contest, embedding, gemm_rate, load_embedding, parser, print_table, set_threads
from hitloom.ops import knn, radius_graph

K, DEGREE = 10, 50


def blocked_torch(x: torch.Tensor, k: int, rows: int = 1024) -> torch.Tensor:
    """The usual torch recipe: the expanded square by matrix products, then topk; itself dropped as the nearest."""
    norms = (x * x).sum(1)
    found = []
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        square = norms[start : start + rows, None] + norms - 2 * block @ x.T
        found.append(square.topk(k + 1, dim=1, largest=False).indices[:, 1:])
    return torch.cat(found)


def knn_contestants(x: torch.Tensor, threads: int) -> dict[str, Callable[[], Any]]:
    points = x.numpy()
    contestants: dict[str, Callable[[], Any]] = {
        "hitloom": lambda: knn(x, K).index.numpy(),
        "scipy cKDTree": lambda: cKDTree(points).query(points, K + 1, workers=threads)[1][:, 1:],
        "scikit-learn": lambda: NearestNeighbors(n_neighbors=K, n_jobs=threads).fit(points).kneighbors()[1],
        "torch, blocked": lambda: blocked_torch(x, K).numpy(),
    }
    if importlib.util.find_spec("pynanoflann") is not None:
        import pynanoflann

        def nanoflann() -> Any:
            tree = pynanoflann.KDTree(n_neighbors=K + 1, metric="L2", leaf_size=20)
            tree.fit(points)
            return tree.kneighbors(points, n_jobs=threads)[1][:, 1:]

        contestants["nanoflann"] = nanoflann
    if importlib.util.find_spec("faiss") is not None:
        import faiss

        def searched(index: Any) -> Any:
            if not index.is_trained:
                index.train(points)
            index.add(points)
            return index.search(points, K + 1)[1][:, 1:]

        def ivf() -> Any:
            index = faiss.IndexIVFFlat(
                faiss.IndexFlatL2(x.shape[1]), x.shape[1], int(4 * len(x) ** 0.5), faiss.METRIC_L2
            )
            index.nprobe = 8
            return searched(index)

        def hnsw() -> Any:
            index = faiss.IndexHNSWFlat(x.shape[1], 16)
            index.hnsw.efSearch = 32
            return searched(index)

        contestants["faiss Flat"] = lambda: searched(faiss.IndexFlatL2(x.shape[1]))
        contestants["faiss IVF, approximate"] = ivf
        contestants["faiss HNSW, approximate"] = hnsw
    return contestants


def radius_contestants(x: torch.Tensor, r: float, threads: int) -> dict[str, Callable[[], Any]]:
    points = x.numpy()

    def scipy_pairs() -> Any:
        return cKDTree(points).query_pairs(r, output_type="ndarray")

    def sklearn_graph() -> Any:
        return NearestNeighbors(radius=r, n_jobs=threads).fit(points).radius_neighbors_graph(mode="distance")

    contestants: dict[str, Callable[[], Any]] = {
        "hitloom": lambda: radius_graph(x, r),
        "scipy cKDTree (pairs only, no distances)": scipy_pairs,
        "scikit-learn": sklearn_graph,
    }
    if importlib.util.find_spec("faiss") is not None:
        import faiss

        def flat() -> Any:
            index = faiss.IndexFlatL2(x.shape[1])
            index.add(points)
            return index.range_search(points, r * r)

        contestants["faiss Flat"] = flat
    return contestants


def recall(found: np.ndarray, truth: np.ndarray, rows: np.ndarray) -> float:
    """Share of the true neighbours of ``rows`` that were found."""
    return float(np.mean([len(set(found[i]) & set(truth[i])) / K for i in rows]))


def radius_of_degree(x: torch.Tensor) -> float:
    """Radius at which 300 sampled points have ``DEGREE`` neighbours on average."""
    sample = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:300]]
    distance = torch.cdist(sample, x).flatten()
    return float(distance.kthvalue(300 * (DEGREE + 1)).values)


def main() -> None:
    options = parser(__doc__.split("\n")[0]).parse_args()
    set_threads(options.threads)
    rounds = 1 if options.quick else options.rounds
    sizes = options.points or ([2_000] if options.quick else [10_000, 100_000])
    cases = [
        (f"{num} x {dim}, {'sphere' if intrinsic is None else f'intrinsic {intrinsic}'}", num, dim, intrinsic)
        for num in sizes
        for dim, intrinsic in [(3, 2), (8, 5), (24, 5), (24, 8), (24, None)]
    ]
    rate = gemm_rate()
    print(f"{options.threads} threads, {options.clock} seconds, medians of up to {rounds} interleaved runs; ratios")
    print(f"are to hitloom. float32 matrix product: {rate / 1e9:.0f} GFlop/s\n")
    data = [(name, embedding(num, dim, intrinsic=intrinsic)) for name, num, dim, intrinsic in cases]
    if options.embedding:
        x = load_embedding(options.embedding)
        data.append((f"{len(x)} x {x.shape[1]}, {options.embedding}", x))
    for name, x in data:
        num, dim = x.shape
        contest = Contest(rounds, options.budget)
        contest.run(knn_contestants(x, options.threads), warm_up=lambda dim=dim: knn(torch.randn(500, dim), K))
        own = contest.median("hitloom", options.clock)
        rows = np.random.default_rng(0).permutation(num)[:1000]
        truth = contest.result["hitloom"]
        print(f"### kNN, k = {K}: {name}\n")
        print_table(
            ["", "seconds", "ratio", "neighbours agreeing"],
            [
                [
                    who,
                    f"{contest.median(who, options.clock):.3f}",
                    f"{contest.median(who, options.clock) / own:.1f}",
                    f"{recall(contest.result[who], truth, rows):.4f}",
                ]
                for who in contest.wall
            ],
        )
        bound = 2 * num * num * dim / rate
        print(f"GEMM bound of brute force (2 N N D / rate): {bound:.2f} s; hitloom takes {own / bound:.2f} of it.\n")
        r = radius_of_degree(x)
        contest = Contest(rounds, options.budget)
        contest.run(radius_contestants(x, r, options.threads))
        own = contest.median("hitloom", options.clock)
        degree = contest.result["hitloom"].num_edges / num
        print(f"### radius graph, r = {r:.3f}, mean degree {degree:.0f}: {name}\n")
        print_table(
            ["", "seconds", "ratio"],
            [
                [who, f"{contest.median(who, options.clock):.3f}", f"{contest.median(who, options.clock) / own:.1f}"]
                for who in contest.wall
            ],
        )


if __name__ == "__main__":
    main()
