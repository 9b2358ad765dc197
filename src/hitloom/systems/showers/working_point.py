"""Validation of shower growing: pairs of clusters, and the partition at the working point; choice of the threshold.

Two clusters count as one where their similarity is above the threshold, strictly, as in the grouping.

Shape letters: N clusters of one view, B views.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from hitloom.data.shower_truth import similarity_target
from hitloom.event import Event
from hitloom.metrics.hit_partition import hit_table, partition_counts, partition_rates
from hitloom.result import Scores
from hitloom.systems.showers.config import GroupingConfig, ShowersConfig
from hitloom.systems.showers.grouping import group_clusters
from hitloom.systems.showers.objective import cluster_weights, num_hits

PARTITION = ("ari", "purity", "completeness")
VALIDATION_DEFINITIONS: dict[str, str] = {
    "val_weighted_mse": "weighted squared error of the similarity, pooled over all views",
    "val_mae": "mean over pairs of different clusters of |S - target|, pooled over all views",
    "val_accuracy": "pairs of different clusters on the right side of the threshold / pairs",
    "val_precision": "pairs above the threshold in both S and target / those of S",
    "val_recall": "the same / those of the target",
    "val_f1": "2 TP / (2 TP + FP + FN) of pairs",
    "val_ari": "adjusted Rand index of the hits with truth, mean over views with more than ten of them",
    "val_purity": "share of the hits that are of the particle with most of their group, mean over the same views",
    "val_completeness": "share of the hits in the group with most of their particle, mean over the same views",
    "val_similarity_variance": "variance of S over all pairs of different clusters",
    "val_target_variance": "variance of the target over the same pairs; S far below it: the network has collapsed",
}
"""Validation rates in words; where nothing stands in the denominator the logged value is 0."""


def views(scores: Scores, event: Event) -> Iterator[tuple[Tensor, Tensor, slice]]:
    """Yield similarity (N, N), number of hits (N,) and rows of the clusters of each view of a batch, on the CPU."""
    similarity, hits = scores.own["similarity"].detach().float().cpu(), num_hits(event).cpu()
    first = start = 0
    for size in scores.own["sizes"].tolist():
        here = slice(first, first + size)
        yield similarity[start : start + size * size].view(size, size), hits[here], here
        first, start = first + size, start + size * size


def validation_sums(config: ShowersConfig, scores: Scores, event: Event) -> dict[str, float]:
    """Return the sums behind the validation rates of an event or a batch; they add up over events."""
    target = similarity_target(event, config.loss.denominator).flatten().double().cpu()
    sums: dict[str, float] = dict.fromkeys(_SUMS, 0.0)
    labels, start = [], 0
    for similarity, hits, _ in views(scores, event):
        size = len(hits)
        truth = target[start : start + size * size].view(size, size)
        start += size * size
        weight = cluster_weights(hits.double(), config.loss.weights)
        error = similarity.double() - truth
        sums["weight"] += float(weight.sum().square())
        sums["weighted_error"] += float(weight @ error.square() @ weight)
        for name, value in _pair_sums(similarity, truth, config.grouping.threshold).items():
            sums[name] += value
        labels.append(group_clusters(similarity, hits, config.grouping))
    if "share_index" in event and labels:
        for name, values in partition_of(event, torch.cat(labels)).items():
            sums[name] += float(values.sum())
            sums["views"] += float(len(values)) if name == PARTITION[0] else 0.0
    return sums


_SUMS = (
    "weight", "weighted_error", "pairs", "absolute_error", "true_positive", "false_positive", "false_negative",
    "similarity", "similarity_square", "target", "target_square", "views", *PARTITION,
)  # fmt: skip


def _pair_sums(similarity: Tensor, truth: Tensor, threshold: float) -> dict[str, float]:
    row, column = torch.triu_indices(len(truth), len(truth), 1)
    found, wanted = similarity[row, column], truth[row, column]
    positive, true = found > threshold, wanted.float() > threshold
    value = found.double()
    return {
        "pairs": float(len(row)),
        "absolute_error": float((value - wanted).abs().sum()),
        "true_positive": float((positive & true).sum()),
        "false_positive": float((positive & ~true).sum()),
        "false_negative": float((~positive & true).sum()),
        "similarity": float(value.sum()),
        "similarity_square": float(value.square().sum()),
        "target": float(wanted.sum()),
        "target_square": float(wanted.square().sum()),
    }


def validation_rates(sums: Mapping[str, float]) -> dict[str, float]:
    """Return the rates of :data:`VALIDATION_DEFINITIONS`."""
    pairs, true = sums["pairs"], sums["true_positive"]
    wrong = sums["false_positive"] + sums["false_negative"]

    def share(top: float, bottom: float) -> float:
        return top / bottom if bottom else 0.0

    def variance(name: str) -> float:
        return max(0.0, share(sums[f"{name}_square"], pairs) - share(sums[name], pairs) ** 2)

    return {
        "val_weighted_mse": share(sums["weighted_error"], sums["weight"]),
        "val_mae": share(sums["absolute_error"], pairs),
        "val_accuracy": share(pairs - wrong, pairs),
        "val_precision": share(true, true + sums["false_positive"]),
        "val_recall": share(true, true + sums["false_negative"]),
        "val_f1": share(2 * true, 2 * true + wrong),
        **{f"val_{name}": share(sums[name], sums["views"]) for name in PARTITION},
        "val_similarity_variance": variance("similarity"),
        "val_target_variance": variance("target"),
    }


def partition_of(event: Event, labels: Tensor) -> dict[str, np.ndarray]:
    """Return ARI, purity and completeness of the views of a batch that have hits enough.

    Parameters
    ----------
    labels : (N,) int64
        Group of each cluster within its view.
    """
    cluster, owner = event.share_index.cpu()
    hits = (event.share_fraction.double().cpu() * num_hits(event).double().cpu()[cluster]).round().long()
    view = event.batch.cpu() if "ptr" in event else torch.zeros(event.num_points, dtype=torch.int64)
    table = hit_table(
        event=view[cluster].numpy(), group=labels[cluster].numpy(), particle=owner.numpy(), num_hits=hits.numpy(),
        num_events=int(event.num_graphs) if "ptr" in event else 1,
    )  # fmt: skip
    rates = partition_rates(partition_counts(table))
    return {name: rates[name][~np.isnan(rates[name])] for name in PARTITION}


def choose_threshold(config: ShowersConfig, scored: Sequence[tuple[Event, Scores]]) -> float:
    """Return the threshold of the grouping with the largest mean ARI; of equals the one nearest to 0.5.

    Without truth to compare with, the configured one stays.
    """
    cuts = np.round(np.arange(config.scan.step, 1.0 - 1e-9, config.scan.step), 10)
    found = []
    for cut in cuts:
        grouping: GroupingConfig = config.grouping.model_copy(update={"threshold": float(cut)})
        values = [
            partition_of(event, torch.cat([group_clusters(s, hits, grouping) for s, hits, _ in views(scores, event)]))
            for event, scores in scored
        ]
        found.append(np.concatenate([one["ari"] for one in values]) if values else np.zeros(0))
    if not found or not len(found[0]):
        return config.grouping.threshold
    mean = np.array([one.mean() for one in found])
    best = cuts[mean >= mean.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])
