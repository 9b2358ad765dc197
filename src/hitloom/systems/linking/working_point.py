"""From scores to merged tracksters, what that is worth, and the choice of the threshold.

Shape letters: N tracksters, E edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from hitloom.data.trackster_truth import PAIR_CLASSES, pair_class
from hitloom.event import Event
from hitloom.grouping.edge_linking import Thresholds, kept_edges, link_edges
from hitloom.metrics.edge_energy import CONFUSION_NAMES, confusion, edge_rates
from hitloom.metrics.edge_probability import threshold_scan
from hitloom.metrics.energy_overlap import energy_overlap, match_groups, true_components
from hitloom.result import Scores
from hitloom.systems.linking.config import LinkingConfig, ScanConfig
from hitloom.systems.linking.graph import edge_energy

_OVERLAP = ("energy", "missing", "foreign")


def thresholds_of(config: LinkingConfig) -> Thresholds:
    """Return the cuts of the configured working point."""
    return Thresholds.flat(config.threshold) if config.energy_cuts is None else Thresholds(cuts=config.energy_cuts)


def validation_sums(config: LinkingConfig, scores: Scores, event: Event) -> dict[str, float]:
    """Return sums of ONE event at the working point: ``class/count`` of edges, and ``overlap/missing`` and the like.

    Edges weigh the larger raw energy of their ends, not clamped; those with an unmatched end are a class of their own.
    """
    edge_index, logit = (value.detach().cpu() for value in scores.scored_edges())
    event = event.cpu()
    energy, probability, thresholds = edge_energy(event), logit.sigmoid(), thresholds_of(config)
    weight = energy[edge_index].amax(0)
    merged, true = kept_edges(edge_index, probability, energy, thresholds), event.edge_y > 0
    kind = pair_class(event) if "object_index" in event else torch.ones_like(edge_index[0])
    sums: dict[str, float] = {}
    for place, name in enumerate(PAIR_CLASSES):
        rows = kind == place
        counts = confusion(merged[rows], true[rows], weight[rows])
        sums |= {f"{name}/{count}": value for count, value in counts.items()}
    lost = _overlap(event, link_edges(edge_index, probability, energy, len(energy), thresholds))
    return sums | {f"overlap/{name}": value for name, value in lost.items()}


def _overlap(event: Event, labels: Tensor) -> dict[str, float]:
    """Return energy, missing and foreign energy of the true groups: of one match, or joined by true edges."""
    if "object_index" in event:
        true = match_groups(event.object_index)
    else:
        true = true_components(event.edge_index, event.edge_y, event.num_points)
    found = energy_overlap(energy=edge_energy(event), true_labels=true, labels=labels).sums()["all"]
    return {name: found[name] for name in _OVERLAP}


def validation_rates(sums: Mapping[str, float]) -> dict[str, float]:
    """Return the rates of all edges, ``val_<class>_<rate>`` where a class has edges, and the energy lost."""
    values: dict[str, float] = {}
    for name in ("", *PAIR_CLASSES):
        parts = [name] if name else PAIR_CLASSES
        counts = {count: sum(sums[f"{part}/{count}"] for part in parts) for count in CONFUSION_NAMES}
        if name and not sum(counts.values()):
            continue
        prefix = f"val_{name}_" if name else "val_"
        values |= {f"{prefix}{rate}": value for rate, value in edge_rates(counts).items()}
    energy = sums["overlap/energy"]
    for name in ("missing", "foreign"):
        values[f"val_{name}_energy"] = sums[f"overlap/{name}"] / energy if energy else 0.0
    values["val_lost_energy"] = values["val_missing_energy"] + values["val_foreign_energy"]
    return values


def choose_threshold(config: LinkingConfig, scored: Sequence[tuple[Event, Scores]]) -> float:
    """Return the threshold that serves best over events with their scores, by ``config.scan``."""
    scan: ScanConfig = config.scan
    events = [event.cpu() for event, _ in scored]
    probability = [scores.scored_edges()[1].sigmoid().cpu() for _, scores in scored]
    weight = [edge_energy(event)[event.edge_index].amax(0) for event in events]
    target = [event.edge_y for event in events]
    columns = [torch.cat(values).numpy() for values in (probability, target, weight)]
    by_f1 = threshold_scan(probability=columns[0], target=columns[1], weight=columns[2], rule=scan.rule, step=scan.step)
    if scan.objective == "f1":
        return by_f1.threshold
    cuts, f1 = (np.asarray(by_f1.curves[name], dtype=np.float64) for name in ("threshold", "f1"))
    cuts = cuts[~(f1 < np.nanmax(f1, initial=0.0) - scan.max_f1_loss)]
    lost = np.zeros(len(cuts))
    for event, score in zip(events, probability, strict=True):
        energy = edge_energy(event)
        for place, cut in enumerate(cuts):
            labels = link_edges(event.edge_index, score, energy, len(energy), Thresholds.flat(float(cut)))
            found = _overlap(event, labels)
            lost[place] += found["missing"] + found["foreign"]
    return float(cuts[np.argmin(lost)])
