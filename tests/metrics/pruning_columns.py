"""Columns of random pruned tracksters for tests of the metrics."""

import numpy as np

from hitloom.metrics.pruning_counts import pruning_counts


def toy_columns(seed, num_tracksters=12):
    """Return columns of random tracksters of 1 to 9 layer clusters, in no order."""
    rng = np.random.default_rng(seed)
    row = rng.permutation(np.repeat(np.arange(num_tracksters), rng.integers(1, 10, num_tracksters)))
    truth = rng.random(len(row)) < 0.3 * rng.random(num_tracksters)[row]
    probability = np.round((rng.random(len(row)) + truth) / 2, 2)
    return {
        "trackster": row, "to_prune": truth, "probability": probability, "energy": rng.exponential(2, len(row)),
        "num_tracksters": num_tracksters,
    }  # fmt: skip


def counted(columns, cut=0.5):
    """Return the counts of decisions at a cut on the probability."""
    given_ = {name: columns[name] for name in ("trackster", "num_tracksters", "to_prune", "energy")}
    return pruning_counts(pruned=columns["probability"] > cut, **given_)
