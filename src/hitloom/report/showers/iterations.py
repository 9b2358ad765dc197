"""Quality against iterations: predict, group, merge, and again on the merged clusters.

Shape letters: N clusters of one view, I iterations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.metrics.hit_partition import PARTITION_DEFINITIONS, partition_counts, partition_rates
from hitloom.metrics.pruning_rates import resamples_of
from hitloom.report.family import HistoryOf
from hitloom.report.report_tables import Row
from hitloom.report.showers.columns import columns_of
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.showers.entries import mean_entry
from hitloom.report.showers.headline import MAIN_RATES, SHORT
from hitloom.report.showers.tables import cell_of
from hitloom.result import Result


def iteration_curve(
    history_of: HistoryOf, events: Iterable[Event], *, num_iterations: int, config: ShowerEvaluationConfig
) -> list[dict[str, Any]]:
    """Return rates after 0 (no merging), 1, 2 ... iterations, and how many views are still merging.

    A view in which nothing merges any more keeps its groups.

    Parameters
    ----------
    history_of : callable
        Returns the groups (N,) of the clusters of one view after each iteration that merged something, in order.

    Raises
    ------
    DataError
        When a view has no truth.
    """
    views = list(events)
    labels: list[list[Tensor]] = []
    for event in views:
        found = [torch.arange(event.num_points), *list(history_of(event))[:num_iterations]]
        labels.append([*found, *[found[-1]] * (num_iterations + 1 - len(found))])
    rows = []
    for number in range(num_iterations + 1):
        results = [
            Result(event_id=int(event.event_id), point_id=event.point_id, labels=mine[number].cpu())
            for event, mine in zip(views, labels, strict=True)
        ]
        columns = columns_of(views, results, config)
        resamples = resamples_of(columns.slice, num_resamples=config.num_resamples, seed=config.seed, what="slices")
        rates = partition_rates(partition_counts(columns.table(config)), min_event_hits=config.min_event_hits)
        every = np.arange(columns.num_views)
        changed = [number > 0 and not torch.equal(mine[number], mine[number - 1]) for mine in labels]
        rows.append(
            {
                "iterations": number,
                "num_views": columns.num_views,
                "num_merging": int(sum(changed)),
                "groups_per_view": mean_entry(columns.num_groups, every, resamples, "groups of a view, mean"),
                "one_group": mean_entry(
                    (columns.num_groups == 1) & (columns.num_clusters > 1), every, resamples,
                    "share of views that are one single group",
                ),
                "rates": {
                    name: mean_entry(rates[name], every, resamples, PARTITION_DEFINITIONS[name]) for name in MAIN_RATES
                },
            }
        )  # fmt: skip
    return rows


def iteration_block(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the block of the metrics file from curves by the name of their model."""
    return {
        "definition": "grouping repeated on merged clusters; 0 = the initial clusters; a view that no longer merges "
        "keeps its groups",
        "models": {name: list(rows) for name, rows in curves.items()},
    }


def iteration_table(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return headings and rows of the table of the report; None where nothing was iterated."""
    block = metrics.get("iterations")
    if not block:
        return None
    rows: list[Row] = []
    for name, curve in block["models"].items():
        for place, item in enumerate(curve):
            rows.append(
                {
                    "name": name if not place else "",
                    "number": str(item["iterations"]),
                    "cells": [
                        *(cell_of(item["rates"][rate]) for rate in MAIN_RATES),
                        {"value": f"{item['groups_per_view']['value']:.1f}", "interval": "", "counts": ""},
                        cell_of(item["one_group"]),
                        {"value": f"{item['num_merging']} of {item['num_views']}", "interval": "", "counts": ""},
                    ],
                }
            )
    headings = [*(SHORT[rate] for rate in MAIN_RATES), "groups per view", "one single group", "views that merged"]
    return {"text": f"{block['definition'][:1].upper()}{block['definition'][1:]}.", "headings": headings, "rows": rows}
