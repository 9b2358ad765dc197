"""Validation of pruning at its working point, and the choice of the threshold.

All numbers are free-running: from the decisions that the network makes by itself. Numbers of a network that was told
the true decisions are called ``teacher_forced_...``.

With ``energy_scale`` E0 the threshold of a layer cluster of energy E is t / (1 + E / E0): a mistake in F1 counts each
layer cluster once, one in energy by what it holds.

Shape letters: N layer clusters, C thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.metrics.pruning_counts import (
    COUNT_DEFINITIONS,
    ENERGY_SUM_DEFINITION,
    PRUNING_RATES,
    Counts,
    pruning_counts,
    rate_parts,
)
from hitloom.metrics.pruning_scan import auc_of_histograms, logit_histogram, threshold_counts
from hitloom.result import Scores
from hitloom.systems.pruning.config import PruningConfig

RATES = ("precision", "recall", "f1", "accuracy", "exact_match", "energy_retained", "energy_pruned")
VALIDATION_DEFINITIONS: dict[str, str] = {
    **{f"val_{name}": PRUNING_RATES[name].definition for name in RATES},
    "val_energy_sum": ENERGY_SUM_DEFINITION,
    "val_auc": "area under the ROC of layer clusters by P(prune), in steps of 0.1 of its logit; ties count half",
}
"""Validation rates in words; where nothing stands in the denominator the logged value is 0."""
_FORCED = "teacher_forced/"
_KEV = 1e6  # energies are summed as whole keV: sums of integers do not depend on their order or on the number of ranks


def validation_sums(
    config: PruningConfig, scores: Scores, event: Event, *, teacher_forced: bool = False
) -> dict[str, float]:
    """Return the sums behind the validation rates of an event or a batch: integers, so they add up in any order.

    Parameters
    ----------
    scores : Scores
        ``point_score`` (N,) = logit that a layer cluster belongs to its trackster; ``own["pruned"]`` (N,) bool, where a
        network decides by itself (the likeliest configuration of a tree), else probabilities meet the threshold.
    teacher_forced : bool
        Whether the network was fed the true decisions; names begin with ``teacher_forced/`` then.
    """
    columns = _columns(scores, event)
    counts = pruning_counts(
        trackster=columns["trackster"], num_tracksters=int(columns["num_tracksters"]), to_prune=columns["to_prune"],
        pruned=decisions(config, scores, event.energy).cpu().numpy(), energy=columns["energy"],
    )  # fmt: skip
    sums = {name: float(values.sum()) for name, values in counts.items()}
    for name, rows in (("positive", columns["to_prune"]), ("negative", ~columns["to_prune"])):
        histogram = logit_histogram(columns["logit"][rows])
        sums |= {f"auc/{name}/{place}": float(histogram[place]) for place in np.flatnonzero(histogram)}
    prefix = _FORCED if teacher_forced else ""
    return {f"{prefix}{name}": value for name, value in sums.items()}


def validation_rates(sums: Mapping[str, float]) -> dict[str, float]:
    """Return the rates of :data:`VALIDATION_DEFINITIONS`, and ``val_teacher_forced_...`` where there are such sums."""
    forced = {key.removeprefix(_FORCED): value for key, value in sums.items() if key.startswith(_FORCED)}
    return _rates(sums, "val_") | (_rates(forced, "val_teacher_forced_") if forced else {})


def _rates(sums: Mapping[str, float], prefix: str) -> dict[str, float]:
    counts: Counts = {name: np.array([sums[name]]) for name in COUNT_DEFINITIONS}
    values = {}
    for name in RATES:
        top, bottom = rate_parts(PRUNING_RATES[name], counts)
        values[f"{prefix}{name}"] = float(top[0] / bottom[0]) if bottom[0] else 0.0
    values[f"{prefix}energy_sum"] = values[f"{prefix}energy_retained"] + values[f"{prefix}energy_pruned"]
    area = auc_of_histograms(*({
        int(key.rpartition("/")[2]): value for key, value in sums.items() if key.startswith(f"auc/{name}/")
    } for name in ("positive", "negative")))  # fmt: skip
    return values | {f"{prefix}auc": 0.0 if area is None else area}


def decisions(config: PruningConfig, scores: Scores, energy: Tensor) -> Tensor:
    """Return (N,) bool: which layer clusters of this energy (N,) GeV are pruned at the working point.

    A network that decides on whole configurations has said so in ``scores.own["pruned"]``.
    """
    if "pruned" in scores.own:
        return scores.own["pruned"]
    assert scores.point_score is not None
    probability = (-scores.point_score.detach().double()).sigmoid()
    return probability * (1 + energy.to(probability) / _scale(config)) > config.threshold


def _scale(config: PruningConfig) -> float:
    """Return the energy (GeV) that halves the threshold of a layer cluster."""
    return config.energy_scale or math.inf


def choose_threshold(config: PruningConfig, scored: Sequence[tuple[Event, Scores]]) -> float:
    """Return the threshold that serves best over events (or batches) with their scores, by ``config.scan``.

    With ``scan.max_f1_loss`` the F1 may be that much below the best, and among those thresholds the energy decides. Of
    equals it is the one nearest to 0.5. Without any layer cluster to prune there is nothing to choose by, and the
    configured one stays.
    """
    columns = [_columns(scores, event) for event, scores in scored]
    start = np.cumsum([0, *(int(item["num_tracksters"]) for item in columns)])
    if not columns or not any(item["to_prune"].any() for item in columns):
        return config.threshold
    cuts = np.round(np.arange(config.scan.step, 1.0 - 1e-9, config.scan.step), 10)
    logit = np.concatenate([item["logit"] for item in columns])
    energy_kev = np.concatenate([item["energy"] for item in columns])
    probability = (1 + energy_kev / _KEV / _scale(config)) / (1 + np.exp(-logit.clip(-700, 700)))
    counts = threshold_counts(
        probability=probability, cuts=cuts, num_tracksters=int(start[-1]),
        trackster=np.concatenate([item["trackster"] + first for item, first in zip(columns, start, strict=False)]),
        to_prune=np.concatenate([item["to_prune"] for item in columns]),
        energy=energy_kev,
    )  # fmt: skip

    def rate(name: str) -> np.ndarray:
        top, bottom = rate_parts(PRUNING_RATES[name], counts)
        return np.divide(top, bottom, out=np.zeros(len(cuts)), where=bottom > 0)

    f1, energy = rate("f1"), rate("energy_retained") + rate("energy_pruned")
    value = f1 if config.scan.objective == "f1" else energy
    if config.scan.objective == "f1" and config.scan.max_f1_loss:
        value = np.where(f1 >= f1.max() - config.scan.max_f1_loss, energy, -1.0)
    best = cuts[value >= value.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _columns(scores: Scores, event: Event) -> dict[str, np.ndarray]:
    """Return truth, logit of pruning, energy in whole keV and trackster of each layer cluster as arrays (N,)."""
    assert scores.point_score is not None
    batch = event.batch if event.get("batch") is not None else torch.zeros(event.num_points, dtype=torch.int64)
    number = int(event.num_graphs) if "ptr" in event else 1
    return {
        "trackster": batch.cpu().numpy(),
        "num_tracksters": np.array(number),
        "to_prune": (event.point_y > 0.5).cpu().numpy(),
        "logit": -scores.point_score.detach().double().cpu().numpy(),
        "energy": (event.energy.detach().double() * _KEV).round().cpu().numpy(),
    }
