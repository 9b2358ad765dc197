"""The candidate graph of tracksters against the same rule in plain Python tiles and in dense numpy.

    python benchmarks/candidate_graph.py [--quick] [--points 3000] [--clock cpu]

Tracksters are spread evenly in (eta, phi) over both endcaps, with 47 depths; every contestant gives the same edges.
"""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from _bench import Contest, parser, print_table, set_threads
from hitloom.data.trackster_graph import (
    ETA_MAX,
    ETA_MIN,
    NUM_ETA_BINS,
    NUM_PHI_BINS,
    WINDOW,
    candidate_graph,
    eta_bin,
    phi_bin,
)

REPEATS = 20
PER_ETA, PER_PHI = NUM_ETA_BINS / (ETA_MAX - ETA_MIN), NUM_PHI_BINS / (2 * math.pi)


def tracksters(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eta, phi and z (number,) of made-up tracksters."""
    rng = np.random.default_rng(seed)
    side = rng.choice([-1, 1], number)
    depth = rng.choice(np.linspace(322, 513, 47), number)
    return rng.uniform(1.5, 3.0, number) * side, rng.uniform(-np.pi, np.pi, number), depth * side


def repeated(eta: np.ndarray, phi: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return hitloom's edges (2, E), made several times over: one run is too short for the clock."""
    for _ in range(REPEATS):
        edges = candidate_graph(eta, phi, z)
    return edges


def plain_tiles(eta: np.ndarray, phi: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the edges (2, E) by dictionaries of tiles, one trackster at a time."""

    def row(value: float) -> int:
        return min(max(math.floor((value - ETA_MIN) * PER_ETA), 0), NUM_ETA_BINS - 1)

    def column(value: float) -> int:
        return math.floor((value + math.pi) * PER_PHI)

    places = list(zip(eta.tolist(), phi.tolist(), z.tolist(), strict=True))
    tiles: dict[tuple[bool, int, int], list[int]] = defaultdict(list)
    for i, (e, p, _) in enumerate(places):
        tiles[e > 0, row(abs(e)), column(p) % NUM_PHI_BINS].append(i)
    edges = []
    for i, (e, p, depth) in enumerate(places):
        for a in range(row(abs(e) - WINDOW), row(abs(e) + WINDOW) + 1):
            for b in range(column(p - WINDOW), column(p + WINDOW) + 1):
                for j in tiles.get((e > 0, a, b % NUM_PHI_BINS), ()):
                    if abs(places[j][2]) > abs(depth):
                        edges.append((i, j))  # noqa: PERF401
    return np.array(sorted(edges), dtype=np.int64).reshape(-1, 2).T


def dense(eta: np.ndarray, phi: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the edges (2, E) by matrices over all pairs."""
    low, high = eta_bin(np.abs(eta) - WINDOW)[:, None], eta_bin(np.abs(eta) + WINDOW)[:, None]
    place, first = eta_bin(np.abs(eta)), phi_bin(phi - WINDOW)[:, None]
    inside = (place >= low) & (place <= high) & (np.sign(eta)[:, None] == np.sign(eta))
    inside &= (phi_bin(phi) - first) % NUM_PHI_BINS <= phi_bin(phi + WINDOW)[:, None] - first
    inside &= np.abs(z)[:, None] < np.abs(z)
    return np.stack(np.nonzero(inside))


def main() -> None:
    options = parser(__doc__.split("\n")[0]).parse_args()
    set_threads(options.threads)
    rounds = 1 if options.quick else options.rounds
    sizes = options.points or ([300] if options.quick else [300, 3_000])
    print(f"{options.clock} seconds, medians of up to {rounds} interleaved runs; ratios are to hitloom.\n")
    rows = []
    for number in sizes:
        event = tracksters(number)
        contest = Contest(rounds, options.budget)
        contest.run(
            {
                "hitloom": lambda event=event: repeated(*event),
                "tiles": lambda event=event: plain_tiles(*event),
                "dense": lambda event=event: dense(*event),
            },
            warm_up=lambda: candidate_graph(*tracksters(50)),
        )
        ours = contest.median("hitloom", options.clock) / REPEATS
        edges = contest.result["hitloom"]
        same = all(np.array_equal(edges, contest.result[name]) for name in ("tiles", "dense"))
        ratios = [f"{contest.median(name, options.clock) / ours:.0f}x" for name in ("tiles", "dense")]
        rows.append([f"{number:,}", f"{edges.shape[1]:,}", f"{1e3 * ours:.2f} ms", *ratios, "yes" if same else "NO"])
    print_table(["tracksters", "edges", "hitloom", "plain Python tiles", "dense numpy", "same edges"], rows)


if __name__ == "__main__":
    main()
