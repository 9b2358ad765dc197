"""Whether the two layouts of one TICL file give the same samples.

Events are paired by (tracksters, edges), in order among equals. Compared are the 29 features, the edge features, the
edges and the targets, for the same truth type.

Shape letters: N tracksters, E edges.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import torch

from hitloom.data.ticl_layout import COLLECTION
from hitloom.data.ticl_read import open_ticl, read_ticl
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.errors import DataError
from hitloom.event import Event

ATOL = 1e-4
QUANTITIES = ("x", "edge_attr", "edge_index", "edge_y")


@dataclass
class LayoutComparison:
    """What was compared, and by how much the layouts differ at most.

    Attributes
    ----------
    num_paired, num_unpaired : int
        Events of layout A that have a partner in B; events of either layout that have none.
    largest : dict
        Largest absolute difference by quantity; for ``edge_index`` the number of edges that only one layout has.
    where : dict
        Event id and column of that difference.
    """

    num_paired: int = 0
    num_unpaired: int = 0
    largest: dict[str, float] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0.0))
    where: dict[str, str] = field(default_factory=dict)

    def equal(self, atol: float = ATOL) -> bool:
        """Whether every event has a partner and nothing differs by more than ``atol``."""
        return self.num_paired > 0 and self.num_unpaired == 0 and max(self.largest.values()) <= atol


def compare_layouts(
    source: str | Path, *, truth: str | None = None, collection: str = COLLECTION, limit: int | None = None
) -> LayoutComparison:
    """Read a file or folder in both layouts and compare the events.

    Raises
    ------
    DataError
        When a layout is missing, or layout A holds another truth type than was asked for.
    """
    first = open_ticl(source, layout_name="A", truth=truth)
    second = open_ticl(source, layout_name="B", truth=first.truth, collection=collection)
    waiting: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for event in read_ticl(second, limit=limit):
        waiting[_size(event)].append(event)
    result = LayoutComparison()
    for event in read_ticl(first, limit=limit):
        partners = waiting[_size(event)]
        if not partners:
            result.num_unpaired += 1
            continue
        result.num_paired += 1
        _compare(event, partners.pop(0), result)
    result.num_unpaired += sum(len(events) for events in waiting.values())
    if not result.num_paired and not result.num_unpaired:
        raise DataError(f"{source}: no event to compare")
    return result


def _size(event: Event) -> tuple[int, int]:
    return event.num_points, int(event.edge_index.shape[1])


def _compare(one: Event, other: Event, result: LayoutComparison) -> None:
    order_one, order_other = _edge_order(one), _edge_order(other)
    edges = one.edge_index[:, order_one], other.edge_index[:, order_other]
    pairs = {
        "x": (one.columns(NODE_FEATURES), other.columns(NODE_FEATURES)),
        "edge_attr": (one.edge_attr[order_one], other.edge_attr[order_other]),
        "edge_y": (one.edge_y[order_one, None], other.edge_y[order_other, None]),
    }
    names = {"x": list(NODE_FEATURES), "edge_attr": one.edge_feature_names, "edge_y": ["target"]}
    differ = float((edges[0] != edges[1]).any(0).sum())
    if differ > result.largest["edge_index"]:
        result.largest["edge_index"], result.where["edge_index"] = differ, f"event {one.event_id}"
    for name, (left, right) in pairs.items():
        difference = (left.double() - right.double()).abs()
        if difference.numel() and float(difference.max()) > result.largest[name]:
            result.largest[name] = float(difference.max())
            column = int(difference.amax(0).argmax())
            result.where[name] = f"event {one.event_id}, {names[name][column]}"


def _edge_order(event: Event) -> torch.Tensor:
    return torch.argsort(event.edge_index[0] * max(event.num_points, 1) + event.edge_index[1], stable=True)
