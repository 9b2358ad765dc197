"""From scores to merged tracksters, what that is worth, and the choice of the threshold.

Shape letters: N tracksters, E edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.grouping.components import components
from hitloom.result import Scores
from hitloom.systems.linking.config import LinkingConfig, ScanConfig
from hitloom.systems.linking.objective import edge_energy, is_signal

FALLBACK = 0.65  # of the first local maximum, where there is none
CLASSES = ("cross", "signal", "pileup", "unmatched")


def passed(config: LinkingConfig, probability: Tensor, energy: Tensor) -> Tensor:
    """Return which edges (E,) merge their ends; ``energy`` (E,) is the larger raw energy of the two."""
    if config.energy_cuts is None:
        return probability > config.threshold
    limits = torch.tensor([limit for limit, _ in config.energy_cuts[:-1]], device=energy.device)
    cuts = torch.tensor([cut for _, cut in config.energy_cuts], device=energy.device)
    return probability > cuts[torch.searchsorted(limits, energy.contiguous(), right=True)]


def link(config: LinkingConfig, edge_index: Tensor, probability: Tensor, energy: Tensor) -> Tensor:
    """Return labels (N,) of the tracksters with raw energies ``energy`` (N,); every trackster has one."""
    keep = passed(config, probability, energy[edge_index].amax(0))
    return components(edge_index[:, keep], probability[keep], num_points=len(energy), score_cut=0.0, min_size=1)


def validation_sums(config: LinkingConfig, scores: Scores, event: Event) -> dict[str, float]:
    """Return energy-weighted counts of the edges at the working point, as ``class/count``.

    The weight is the larger raw energy of the ends, not clamped. An edge with an unmatched end is of a class of its
    own.
    """
    edge_index, logit = scores.scored_edges()
    energy = edge_energy(event)[edge_index].amax(0)
    merged, true = passed(config, logit.sigmoid(), energy), event.edge_y > 0
    if "object_index" in event:
        matched, signal = is_signal(event)
        first, second = edge_index
        both = signal[first] == signal[second]
        kind = torch.where(both, torch.where(signal[first], 1, 2), 0)
        kind = torch.where(matched[first] & matched[second], kind, 3)
    else:
        kind = torch.full_like(edge_index[0], 1)
    counts = {"tp": merged & true, "fp": merged & ~true, "fn": ~merged & true, "tn": ~merged & ~true}
    sums = {}
    for place, name in enumerate(CLASSES):
        for count, chosen in counts.items():
            sums[f"{name}/{count}"] = float(energy[chosen & (kind == place)].double().sum())
    return sums


def validation_rates(sums: Mapping[str, float]) -> dict[str, float]:
    """Return rates of the sums: over all edges, and ``val_<class>_<rate>`` where a class has edges."""
    values = {}
    for name in ("", *CLASSES):
        parts = [name] if name else list(CLASSES)
        tp, fp, fn, tn = (sum(sums[f"{part}/{count}"] for part in parts) for count in ("tp", "fp", "fn", "tn"))
        total = tp + fp + fn + tn
        if name and not total:
            continue
        prefix = f"val_{name}_" if name else "val_"
        values |= {f"{prefix}{rate}": value for rate, value in rates(tp, fp, fn, tn).items()}
    return values


def rates(tp: float, fp: float, fn: float, tn: float) -> dict[str, float]:
    """Return the rates of four weighted counts; 0 where nothing is counted."""

    def share(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    recall, specificity = share(tp, tp + fn), share(tn, tn + fp)
    total = tp + fp + fn + tn
    return {
        "merged": share(tp + fp, total),
        "true": share(tp + fn, total),
        "precision": share(tp, tp + fp),
        "recall": recall,
        "specificity": specificity,
        "f1": share(2 * tp, 2 * tp + fp + fn),
        "lr_plus": share(recall, 1 - specificity),
        "lr_minus": share(1 - recall, specificity),
    }


def choose_threshold(config: ScanConfig, scored: Sequence[tuple[Event, Scores]]) -> float:
    """Return the threshold with the best energy-weighted F1 over all events."""
    probability = torch.cat([scores.scored_edges()[1].sigmoid().cpu() for _, scores in scored]).double()
    true = torch.cat([(event.edge_y > 0).cpu() for event, _ in scored])
    weight = torch.cat([edge_energy(event)[event.edge_index].amax(0).cpu() for event, _ in scored]).double()
    num = round(1 / config.step)
    grid = [step * config.step for step in range(1, num)]
    merit = [f1_at(probability, true, weight, cut) for cut in grid]
    if config.method == "global":
        return round(grid[max(range(len(grid)), key=lambda i: merit[i])], 6)
    for place in range(1, len(grid) - 1):
        if merit[place - 1] < merit[place] >= merit[place + 1]:
            return round(grid[place], 6)
    return FALLBACK


def f1_at(probability: Tensor, true: Tensor, weight: Tensor, cut: float) -> float:
    """Return the weighted F1 of the edges above ``cut``."""
    merged = probability > cut
    tp = float(weight[merged & true].sum())
    wrong = float(weight[merged ^ true].sum())
    return 2 * tp / (2 * tp + wrong) if tp else 0.0
