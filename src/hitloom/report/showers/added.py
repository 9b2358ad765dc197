"""Rows that stand beside any results: no merging, rules, and the ceilings that truth gives.

``rules`` is the best variant of the rule-based grower on these very views, by mean ARI, which favours the rules; the
other variants stand beside it under their own names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from hitloom.data.shower_ceilings import perfect_result, target_result
from hitloom.event import Event
from hitloom.metrics.shower_particles import is_shower_pdg
from hitloom.report.baselines import chosen_events, run_baselines
from hitloom.report.showers.columns import columns_of
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.sources import Opened
from hitloom.result import Result

ROWS: dict[str, str] = {
    "none": "no merging: the initial clusters as they are",
    "rules": "rule-based shower growing, the variant with the highest ARI on these views",
    "shower_growing": "rule-based shower growing, small clusters left alone",
    "shower_growing_mop_up": "rule-based shower growing, then small clusters to the nearest grown one",
    "shower_growing_tuned": "rule-based shower growing, by settings tuned to simulated views",
    "target": "the grouping of the model on the true similarity",
    "perfect": "each cluster to the particle with most of its hits: the ceiling of clusters that stay whole",
    "perfect_showers": "clusters of showers merged by truth, all others as they are",
}
"""What each row that is added means."""
RULES = ("shower_growing", "shower_growing_mop_up", "shower_growing_tuned")


def added_rows(
    config: ShowerEvaluationConfig, events: Iterable[Event], given: Iterable[str], event_ids: frozenset[int]
) -> tuple[dict[str, Opened], list[str]]:
    """Return results by name for the rows of the settings that are not among ``given``, and a word on what failed."""
    taken, notes = {name.replace("-", "_") for name in given}, []
    ceilings: dict[str, Callable[[Event], Result]] = {
        "none": lambda event: _result(event, torch.arange(event.num_points)),
        "target": lambda event: target_result(event, **config.grouping()),
        "perfect": perfect_result,
        "perfect_showers": perfect_showers,
    }
    found: dict[str, Opened] = {}
    for name in [name for name in config.added if name not in taken]:
        if name == "rules":
            rules, words = _rules(config, events, taken, event_ids)
            found |= rules
            notes += words
            continue
        results = [ceilings[name](event) for event in chosen_events(events, event_ids)]
        found[name] = Opened(name=ROWS[name], items=results, meta={"baseline": name})
    return found, notes


def _rules(
    config: ShowerEvaluationConfig, events: Iterable[Event], taken: set[str], event_ids: frozenset[int]
) -> tuple[dict[str, Opened], list[str]]:
    from hitloom.metrics.hit_partition import partition_counts, partition_rates

    found, notes = run_baselines(RULES, events, taken, event_ids)
    if not found:
        return {}, notes
    index = {}
    for name, opened in found.items():
        columns = columns_of(chosen_events(events, event_ids), opened.items, config)
        rates = partition_rates(partition_counts(columns.table(config)), min_event_hits=config.min_event_hits)
        known = rates["ari"][np.isfinite(rates["ari"])]
        index[name] = float(known.mean()) if len(known) else 0.0
    best = max(index, key=lambda name: index[name])
    return {"rules" if name == best else name: opened for name, opened in found.items()}, notes


def perfect_showers(event: Event) -> Result:
    """Return the initial clusters, but those whose main particle makes a shower merged by that particle."""
    owner = event.object_index
    shower = torch.from_numpy(is_shower_pdg(event.object_pdg.numpy()))
    merged = (owner >= 0) & (shower[owner.clamp(min=0)] if len(shower) else owner >= 0)
    alone = torch.arange(event.num_points) + event.num_objects
    return _result(event, torch.unique(torch.where(merged, owner, alone), return_inverse=True)[1])


def _result(event: Event, labels: Tensor) -> Result:
    point_id = event.point_id if "point_id" in event else torch.arange(event.num_points)
    return Result(event_id=int(event.event_id), point_id=point_id, labels=labels)
