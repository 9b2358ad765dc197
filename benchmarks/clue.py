"""CLUE and CLUE3D against exact implementations with scipy's k-d trees, and against all pairs where they fit.

    python benchmarks/clue.py [--quick] [--points N ...] [--clock cpu]

CLUE: blobs of 50 points in 2 and 3 dimensions and 10 % noise; 12 to 19 neighbours within the density radius. CLUE3D:
layer clusters of lines through 47 layers of both endcaps, preset "recent". The peers are plain vectorised programs: all
pairs within the density radius from one tree, a wider search for points without a higher one; for CLUE3D one tree per
layer. Labels of all contestants are compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from _bench import Contest, parser, print_table, set_threads
from hitloom.grouping.clue import clue
from hitloom.grouping.clue3d import Clue3dSettings, clue3d

Array = np.ndarray
RADIUS, MIN_DENSITY = 1.0, 4.0
DEPTH = np.concatenate([np.linspace(322, 361, 26), np.linspace(367, 513, 21)])


def blobs(num: int, dim: int) -> tuple[Array, Array]:
    """Return points (N, D) and weights (N,)."""
    rng = np.random.default_rng(0)
    side = (num / 10 * (3.0 if dim == 2 else 4.0)) ** (1 / dim)
    centres = rng.uniform(0, side, (num // 50, dim))
    x = centres[rng.integers(len(centres), size=num)] + rng.normal(size=(num, dim))
    noise = rng.random(num) < 0.1
    x[noise] = rng.uniform(0, side, (int(noise.sum()), dim))
    return x, rng.exponential(size=num)


def ours(x: Array, w: Array) -> Array:
    return clue(
        x, w, density_radius=RADIUS, min_density=MIN_DENSITY, outlier_distance=2 * RADIUS, seeding_distance=RADIUS
    ).labels


def with_tree(x: Array, w: Array) -> Array:
    """CLUE by its definition, from pairs of a k-d tree."""
    tree = cKDTree(x)
    i, j = tree.query_pairs(RADIUS, output_type="ndarray").T
    rho = w + 0.5 * (np.bincount(i, w[j], len(x)) + np.bincount(j, w[i], len(x)))
    rank = ranks(rho)
    low, high = np.where(rank[i] < rank[j], i, j), np.where(rank[i] < rank[j], j, i)
    nearest, delta = closest(low, high, np.linalg.norm(x[low] - x[high], axis=1), rank)
    lacking = np.flatnonzero(nearest < 0)
    far = cKDTree(x[lacking]).sparse_distance_matrix(tree, 2 * RADIUS, output_type="coo_matrix")
    row, column = lacking[far.row], far.col
    up = rank[column] > rank[row]
    more, distance = closest(row[up], column[up], far.data[up], rank)
    nearest, delta = np.where(nearest < 0, more, nearest), np.minimum(delta, distance)
    return chase(rank, nearest, (delta > RADIUS) & (rho >= MIN_DENSITY), (nearest < 0) & (rho < MIN_DENSITY))


def all_pairs(x: Array, w: Array) -> Array:
    """CLUE by its definition, from the full matrix, a thousand rows at a time."""
    square = np.empty(len(x))
    rho, nearest, delta = np.empty(len(x)), np.full(len(x), -1), np.full(len(x), np.inf)
    norm = (x**2).sum(1)
    blocks = [slice(k, k + 1000) for k in range(0, len(x), 1000)]
    for block in blocks:
        square = np.maximum(norm[block, None] + norm[None] - 2 * x[block] @ x.T, 0)
        rho[block] = 0.5 * w[block] + 0.5 * (square <= RADIUS**2) @ w
    rank = ranks(rho)
    for block in blocks:
        square = np.maximum(norm[block, None] + norm[None] - 2 * x[block] @ x.T, 0)
        square[(rank[None] <= rank[block, None]) | (square > 4 * RADIUS**2)] = np.inf
        best = square.argmin(1)
        found = np.isfinite(square[np.arange(len(best)), best])
        nearest[block] = np.where(found, best, -1)
        delta[block] = np.sqrt(square[np.arange(len(best)), best])
    return chase(rank, nearest, (delta > RADIUS) & (rho >= MIN_DENSITY), (nearest < 0) & (rho < MIN_DENSITY))


def ranks(rho: Array) -> Array:
    rank = np.empty(len(rho), np.int64)
    rank[np.lexsort((np.arange(len(rho)), rho))] = np.arange(len(rho))
    return rank


def closest(low: Array, high: Array, distance: Array, rank: Array) -> tuple[Array, Array]:
    """Return the nearest of the higher partners of each point and its distance."""
    nearest, delta = np.full(len(rank), -1), np.full(len(rank), np.inf)
    order = np.lexsort((-rank[high], distance, low))
    who, first = np.unique(low[order], return_index=True)
    nearest[who], delta[who] = high[order][first], distance[order][first]
    return nearest, delta


def chase(rank: Array, nearest: Array, seed: Array, outlier: Array) -> Array:
    """Return labels, by doubling the steps along the chains of nearest higher points."""
    root = np.where(seed | outlier | (nearest < 0), np.arange(len(rank)), nearest)
    while not np.array_equal(root, root[root]):
        root = root[root]
    return np.where(seed[root], (np.cumsum(seed) - 1)[root], -1)


def showers(num: int) -> dict[str, Array]:
    """Return columns of layer clusters, 40 for each line, half of them in each endcap."""
    rng = np.random.default_rng(0)
    count = max(1, num // 40)
    eta, phi = rng.uniform(1.6, 2.9, count) * rng.choice([-1, 1], count), rng.uniform(-np.pi, np.pi, count)
    one, layer = rng.integers(count, size=num), rng.integers(1, 48, num)
    r = DEPTH[layer - 1] / np.sinh(np.abs(eta[one]))
    return {
        "x": r * np.cos(phi[one]) + rng.normal(0, 1.2, num),
        "y": r * np.sin(phi[one]) + rng.normal(0, 1.2, num),
        "z": DEPTH[layer - 1] * np.sign(eta[one]),
        "energy": rng.exponential(0.5, num),
        "layer": layer,
        "num_hits": np.full(num, 3),
        "radius": rng.uniform(0, 3, num),
        "scintillator": rng.random(num) < 0.1,
    }


def ours_3d(event: dict[str, Array]) -> Array:
    return clue3d(**event).labels


def with_trees_3d(event: dict[str, Array]) -> Array:
    """CLUE3D by its definition; one tree per layer over (x, y) / |z|.

    The distance across takes the arc at the other cluster's radius: where that is the smaller one, by d at most, the
    chord exceeds it by no more than 1 / sqrt(1 - d / r).
    """
    s = Clue3dSettings()
    x, y, z, energy, layer = (event[name] for name in ("x", "y", "z", "energy", "layer"))
    far, num = np.abs(z), len(x)
    slope, phi = np.hypot(x, y) / far, np.arctan2(y, x)
    plane = layer + np.where(z > 0, 100, 0)
    reach = np.where(event["scintillator"], event["radius"], np.sqrt(s.density_xy_distance_sqr))
    rows = {number: np.flatnonzero(plane == number) for number in np.unique(plane)}
    trees = {number: cKDTree(np.stack([x[row], y[row]], 1) / far[row][:, None]) for number, row in rows.items()}

    def square(i: Array, j: Array) -> Array:
        turn = np.abs(phi[i] - phi[j])
        turn = np.minimum(turn, 2 * np.pi - turn)
        return ((slope[i] - slope[j]) * far[i]) ** 2 + (slope[j] * far[i] * turn) ** 2

    def siblings(number: int) -> list[int]:
        steps = range(-s.density_sibling_layers, s.density_sibling_layers + 1)
        return [number + step for step in steps if step and number + step in rows]

    total = np.zeros(num)
    for number, row in rows.items():
        for other in siblings(number):
            found = trees[other].query_ball_point(trees[number].data, 1.1 * reach[row] / far[row])
            i = np.repeat(row, [len(part) for part in found])
            j = rows[other][np.concatenate([np.asarray(part, int) for part in found])] if len(i) else i
            near = square(i, j) < reach[i] ** 2
            total += np.bincount(i[near], energy[j[near]], num)
    rho = energy + s.kernel_density_factor * total
    rank = ranks(rho)
    best, nearest = np.full(num, np.inf), np.full(num, -1)
    for number, row in rows.items():
        for other in siblings(number):
            asking, size, k = row, len(rows[other]), 8
            while len(asking):
                chord, found = trees[other].query(trees[number].data[np.searchsorted(row, asking)], min(k, size))
                chord, found = chord.reshape(len(asking), -1), found.reshape(len(asking), -1)
                j = rows[other][found]
                value = np.where(rank[j] > rank[asking][:, None], square(asking[:, None], j), np.inf)
                pick = np.lexsort((-rank[j], value))[:, 0]
                value, j = value[np.arange(len(asking)), pick], j[np.arange(len(asking)), pick]
                better = (value < best[asking]) | ((value == best[asking]) & (rank[j] > rank[nearest[asking]]))
                better &= np.isfinite(value)
                best[asking[better]], nearest[asking[better]] = value[better], j[better]
                limit = np.sqrt(best[asking])
                room = np.maximum(1 - np.minimum(limit / (slope * far)[asking], 1), 0)
                done = (k >= size) | (chord[:, -1] * far[asking] * np.sqrt(room) > limit)
                asking, k = asking[~done], 4 * k
    delta = np.sqrt(best)
    critical = np.where(event["scintillator"], event["radius"], s.critical_xy_distance)
    dense = rho >= s.critical_density
    seed = (delta > critical) & dense & (energy > s.critical_self_density * rho)
    labels = chase(rank, nearest, seed, (delta > s.outlier_multiplier * s.critical_xy_distance) & ~dense)
    size = np.bincount(labels[labels >= 0], minlength=int(seed.sum()))
    kept = np.append(np.where(size >= 2, np.cumsum(size >= 2) - 1, -1), -1)
    return kept[labels]


def main() -> None:
    options = parser(__doc__.split("\n")[0]).parse_args()
    set_threads(options.threads)
    rounds = 1 if options.quick else options.rounds
    sizes = options.points or ([2_000] if options.quick else [10_000, 100_000])
    tasks: list[tuple[str, dict[str, Any]]] = []
    for num in sizes:
        for dim in (2, 3):
            x, w = blobs(num, dim)
            call = {"hitloom": lambda x=x, w=w: ours(x, w), "scipy": lambda x=x, w=w: with_tree(x, w)}
            if num <= 20_000:
                call["all pairs"] = lambda x=x, w=w: all_pairs(x, w)
            tasks.append((f"CLUE, {num} points, {dim} dimensions", call))
        event = showers(num)
        call = {"hitloom": lambda event=event: ours_3d(event), "scipy": lambda event=event: with_trees_3d(event)}
        tasks.append((f"CLUE3D, {num} layer clusters", call))
    print(f"{options.threads} threads, {options.clock} seconds, medians of up to {rounds} interleaved runs\n")
    table = []
    for name, calls in tasks:
        contest = Contest(rounds, options.budget)
        contest.run(calls, warm_up=calls["hitloom"])
        own = contest.median("hitloom", options.clock)
        wanted = contest.result["hitloom"]
        same = all(np.array_equal(wanted, labels) for labels in contest.result.values())
        ratios = [
            f"{contest.median(peer, options.clock) / own:.1f}" if peer in calls else "-"
            for peer in ("scipy", "all pairs")
        ]
        equal = "equal" if same else "DIFFERENT"
        table.append([name, str(wanted.max() + 1), f"{own * 1e3:.1f}", *ratios, equal])
        print_table(["", "clusters", "hitloom, ms", "scipy, ratio", "all pairs, ratio", "labels"], table[-1:])
    print_table(["", "clusters", "hitloom, ms", "scipy, ratio", "all pairs, ratio", "labels"], table)


if __name__ == "__main__":
    main()
