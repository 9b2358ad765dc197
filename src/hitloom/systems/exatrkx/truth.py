"""Truth of edges for the stages: which are signal, which count in the loss.

Shape letters: N points, E edges, T truth edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hitloom.data.conditions import Conditions
from hitloom.data.edge_labels import edge_truth, same_object
from hitloom.data.truth_edges import truth_edges
from hitloom.event import Event
from hitloom.systems.exatrkx.config import TruthConfig

TRUTH_FIELDS = ("object_index", "object_id", "truth_edge_index")


@dataclass(frozen=True, kw_only=True)
class EdgeTruth:
    """Truth of some edges of an event.

    Attributes
    ----------
    signal : (E,) bool
        Positives of the loss.
    weight : (E,) float32
        Weight in the loss; 0 = left out.
    """

    signal: Tensor
    weight: Tensor


def all_truth_edges(event: Event, config: TruthConfig) -> Tensor:
    """Return the truth edges (2, T) of the definition, inner point first."""
    if config.definition == "stored":
        return event.truth_edge_index
    return truth_edges(event, config.definition).to(event.pos.device)


def signal_edges(event: Event, config: TruthConfig) -> tuple[Tensor, Tensor]:
    """Return the signal truth edges (2, T) and their weights (T,) float32."""
    edges = all_truth_edges(event, config)
    rules = config.weighting.apply(event, edges, torch.ones(edges.shape[1], dtype=torch.bool, device=edges.device))
    return edges[:, rules.signal], rules.weight[rules.signal]


def target_mask(edge_index: Tensor, event: Event, conditions: Mapping[str, Any]) -> Tensor:
    """Return (E,) bool: edges of particles that fulfil the conditions, judged by the particle of the inner point."""
    if not conditions:
        return torch.ones(edge_index.shape[1], dtype=torch.bool, device=edge_index.device)
    return Conditions.parse(conditions).mask(event)[edge_index[0]]


def truth_of(edge_index: Tensor, event: Event, config: TruthConfig) -> EdgeTruth:
    """Return which of the edges (2, E) are signal, and their weights."""
    true = edge_truth(edge_index, all_truth_edges(event, config), event.num_points)
    if config.same_object == "positive":
        true = true | same_object(edge_index, event)
    rules = config.weighting.apply(event, edge_index, true)
    weight = rules.weight
    if config.same_object == "ignore":
        weight = weight.masked_fill(same_object(edge_index, event) & ~true, 0.0)
    return EdgeTruth(signal=rules.signal, weight=weight)
