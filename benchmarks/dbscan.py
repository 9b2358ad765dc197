"""A DBSCAN scan of ten radii, 0.05 to 0.5, from one neighbour graph, against scikit-learn run ten times.

    python benchmarks/dbscan.py [--quick] [--embedding FILE.npy]

scikit-learn gets the fastest of its algorithms, found by one run of each at the middle radius. Core points and noise
are compared; border points may differ, since scikit-learn gives them to whichever cluster comes first.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from _bench import Contest, embedding, load_embedding, parser, print_table, set_threads
from hitloom.grouping import DBSCANScan, dbscan

EPS = [round(0.05 * i, 2) for i in range(1, 11)]
MIN_SAMPLES = 3


def ours(x: torch.Tensor) -> list[np.ndarray]:
    scan = DBSCANScan(x, eps_max=EPS[-1])
    return [scan.labels(eps, MIN_SAMPLES).numpy() for eps in EPS]


def ours_alone(x: torch.Tensor) -> list[np.ndarray]:
    return [dbscan(x, eps=eps, min_samples=MIN_SAMPLES).numpy() for eps in EPS]


def theirs(x: torch.Tensor, algorithm: str, threads: int) -> list[DBSCAN]:
    return [DBSCAN(eps=eps, min_samples=MIN_SAMPLES, algorithm=algorithm, n_jobs=threads).fit(x.numpy()) for eps in EPS]


def fastest(x: torch.Tensor, threads: int) -> str:
    """Return scikit-learn's fastest algorithm at the middle radius."""
    seconds = {}
    for algorithm in ("kd_tree", "ball_tree", "brute"):
        start = time.process_time()
        DBSCAN(eps=EPS[4], min_samples=MIN_SAMPLES, algorithm=algorithm, n_jobs=threads).fit(x.numpy())
        seconds[algorithm] = time.process_time() - start
    return min(seconds, key=lambda name: seconds[name])


def compare(labels: list[np.ndarray], peers: list[DBSCAN]) -> str:
    """Say whether noise is the same and core points are grouped alike at every radius."""
    for own, peer in zip(labels, peers, strict=True):
        if not np.array_equal(own < 0, peer.labels_ < 0):
            return f"noise differs for {int(((own < 0) != (peer.labels_ < 0)).sum())} points"
        core = peer.core_sample_indices_
        if len(core) and adjusted_rand_score(own[core], peer.labels_[core]) < 1.0:
            return f"core points differ, ARI {adjusted_rand_score(own[core], peer.labels_[core]):.6f}"
    return "same core groups and noise"


def main() -> None:
    options = parser(__doc__.split("\n")[0]).parse_args()
    set_threads(options.threads)
    rounds = 1 if options.quick else options.rounds
    sizes = options.points or ([2_000] if options.quick else [10_000, 100_000])
    data = [
        (
            f"{num} x {dim}, {'sphere' if intrinsic is None else f'intrinsic {intrinsic}'}",
            embedding(num, dim, intrinsic=intrinsic),
        )
        for num in sizes
        for dim, intrinsic in [(8, None), (24, 8), (24, None)]
    ]
    if options.embedding:
        x = load_embedding(options.embedding)
        data.append((f"{len(x)} x {x.shape[1]}, {options.embedding}", x))
    print(f"{options.threads} threads, {options.clock} seconds, medians of up to {rounds} interleaved runs; ratios")
    print("are to the scan. Mean degree is that of the largest radius.\n")
    rows = []
    for name, x in data:
        algorithm = fastest(x, options.threads)
        contest = Contest(rounds, options.budget)
        contest.run(
            {
                "scan": lambda x=x: ours(x),
                "alone": lambda x=x: ours_alone(x),
                "sklearn": lambda x=x, algorithm=algorithm: theirs(x, algorithm, options.threads),
            },
            warm_up=lambda x=x: ours(x[:500]),
        )
        scan = contest.median("scan", options.clock)
        sample = torch.cdist(x[:: max(1, len(x) // 300)], x)
        rows.append(
            [
                name,
                f"{float((sample <= EPS[-1]).sum(1).float().mean()) - 1:.0f}",
                f"{scan:.2f}",
                f"{contest.median('alone', options.clock) / scan:.1f}",
                f"{contest.median('sklearn', options.clock) / scan:.1f} ({algorithm})",
                compare(contest.result["scan"], contest.result["sklearn"]),
            ]
        )
        print_table(["", "degree", "scan, s", "10 x dbscan", "10 x scikit-learn (its best)", "labels"], rows[-1:])
    print_table(["", "degree", "scan, s", "10 x dbscan", "10 x scikit-learn (its best)", "labels"], rows)


if __name__ == "__main__":
    main()
