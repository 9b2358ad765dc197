"""Connected accessory clustering against the rules written down with loops, and against plain numpy and scipy.

    python benchmarks/shower_grouping.py [--quick] [--points N ...] [--clock cpu]

Views of N clusters of eight particles, three quarters of them with at most two hits. The similarity is that of an
uncertain network: 0.85 within a particle and 0.15 between, with a spread of 1.5 in the logit. Groups of all contestants
are compared. ``loops`` is the literal program; ``numpy`` takes components from scipy and the best member of each
accessory from the whole matrix in every round.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from _bench import Contest, parser, print_table, set_threads
from hitloom.grouping.accessory import connected_accessory, two_stage

Array = np.ndarray
THRESHOLD, SECOND, LIMIT, PARTICLES = 0.97, 0.6, 2, 8


def view(num: int) -> tuple[Array, Array]:
    """Return a similarity (N, N) float32 and numbers of hits (N,)."""
    rng = np.random.default_rng(num)
    owner = rng.integers(0, PARTICLES, num)
    logit = np.where(owner[:, None] == owner, 1.7, -1.7).astype(np.float32)
    noise = rng.normal(0, 1.5, (num, num)).astype(np.float32)
    similarity = 1 / (1 + np.exp(-(logit + (noise + noise.T) / 2)))
    return similarity, np.where(rng.random(num) < 0.75, rng.integers(1, 3, num), rng.integers(3, 40, num))


def with_loops(similarity: Array, num_hits: Array) -> Array:
    """Return the groups by the letter of the rules, pair by pair."""
    rows = similarity.tolist()
    groups = components([i for i, hits in enumerate(num_hits) if hits > LIMIT], rows)
    free = [i for i, hits in enumerate(num_hits) if hits <= LIMIT]
    while True:
        planned = {}
        for i in free:
            best = THRESHOLD
            for place, group in enumerate(groups):
                for j in group:
                    if rows[i][j] > best:
                        best, planned[i] = rows[i][j], place
        if not planned:
            break
        for i, place in planned.items():
            groups[place].append(i)
        free = [i for i in free if i not in planned]
    return labelled(groups + components(free, rows), len(num_hits))


def components(members: list[int], rows: list[list[float]]) -> list[list[int]]:
    rest, groups = set(members), []
    while rest:
        group = [min(rest)]
        rest.remove(group[0])
        for i in group:
            reached = [j for j in rest if rows[i][j] > THRESHOLD]
            rest.difference_update(reached)
            group.extend(reached)
        groups.append(group)
    return groups


def labelled(groups: list[list[int]], num: int) -> Array:
    labels = np.empty(num, np.int64)
    for name, group in enumerate(sorted(groups, key=min)):
        labels[group] = name
    return labels


def with_numpy(similarity: Array, num_hits: Array) -> Array:
    """Return the groups with whole matrices."""
    labels = np.full(len(num_hits), -1)
    core = np.flatnonzero(num_hits > LIMIT)
    count, found = connected_components(csr_matrix(similarity[np.ix_(core, core)] > THRESHOLD), directed=False)
    labels[core] = found
    while True:
        free, taken = np.flatnonzero(labels < 0), np.flatnonzero(labels >= 0)
        if not len(free) or not len(taken):
            break
        block = similarity[np.ix_(free, taken)]
        best = block.argmax(1)
        joins = block[np.arange(len(free)), best] > THRESHOLD
        if not joins.any():
            break
        labels[free[joins]] = labels[taken[best[joins]]]
    free = np.flatnonzero(labels < 0)
    labels[free] = count + connected_components(csr_matrix(similarity[np.ix_(free, free)] > THRESHOLD))[1]
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group]


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    set_threads(options.threads)
    sizes = options.points or ([300] if options.quick else [500, 2000, 5000])
    rows = []
    for num in sizes:
        similarity, hits = view(num)
        contest = Contest(rounds=1 if options.quick else options.rounds, budget=options.budget)
        contestants = {
            "hitloom": lambda s=similarity, h=hits: connected_accessory(s, h, threshold=THRESHOLD).numpy(),
            "numpy": lambda s=similarity, h=hits: with_numpy(s, h),
            "loops": lambda s=similarity, h=hits: with_loops(s, h),
            "hitloom, two stages": lambda s=similarity, h=hits: two_stage(
                s, h, threshold=THRESHOLD, second_threshold=SECOND
            ).numpy(),
        }
        contest.run(contestants, warm_up=contestants["hitloom, two stages"])
        same = all(np.array_equal(contest.result["hitloom"], contest.result[name]) for name in ("numpy", "loops"))
        seconds = {name: contest.median(name, options.clock) for name in contestants}
        ours = seconds["hitloom"]
        rows.append(
            [str(num), str(int(contest.result["hitloom"].max()) + 1)]
            + [f"{1000 * seconds[name]:.2f}" for name in contestants]
            + [f"{seconds[name] / ours:.1f}" for name in ("numpy", "loops")]
            + ["yes" if same else "NO"]
        )
    names = [f"{name} (ms)" for name in contestants]
    print_table(["clusters", "groups", *names, "numpy / hitloom", "loops / hitloom", "same groups"], rows)


if __name__ == "__main__":
    main()
