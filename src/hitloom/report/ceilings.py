"""Ceilings: what segmentation would give if every edge were judged rightly.

Two of them: all true edges of the event ("on true particle edges"), and the true ones among the edges of a graph ("on
true graph edges"). What lies between them the graph has lost; what lies above the first no graph can give.

N points, E edges, T truth edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hitloom.data.edge_labels import edge_truth, truth_to_edge
from hitloom.data.store import EventStore
from hitloom.data.truth_edges import DEFINITIONS, truth_edges
from hitloom.errors import ConfigError, DataError, nearest
from hitloom.event import Event
from hitloom.grouping import SegmentationConfig, group_edges
from hitloom.metrics import Evaluator, Preset, Selection, truth_from_event
from hitloom.metrics.presets import PRESETS

STORED = "stored"
CEILINGS = {
    "particle_edges": "on true particle edges: every truth edge of the event scored 1, nothing else",
    "graph_edges": "on true graph edges: the edges of the event's graph that are truth edges scored 1, nothing else",
}
RATES = ("efficiency", "fake_per_track", "duplicate_per_particle")
MATCH = "double_majority"
_EDGES = "truth edges that are edges of the graph, in either direction / truth edges"


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """Ceilings of a store.

    Attributes
    ----------
    definition : str
        Of the truth edges: ``stored`` or one of :data:`hitloom.data.truth_edges.DEFINITIONS`.
    method : str
        The segmentation and its cuts, in words.
    num_events, num_truth_edges : int
    num_found_edges : int or None
        Truth edges among the edges of the graph; None where the store holds no graph.
    metrics : dict
        Name of the ceiling -> metrics of :class:`~hitloom.metrics.Evaluator`, presets ``headline`` and ``all``.
    """

    definition: str
    method: str
    num_events: int
    num_truth_edges: int
    num_found_edges: int | None
    metrics: dict[str, dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return plain values; every number has its definition beside it."""
        edges: dict[str, Any] | None = None
        if self.num_found_edges is not None:
            value = self.num_found_edges / self.num_truth_edges if self.num_truth_edges else None
            counts = {"numerator": self.num_found_edges, "denominator": self.num_truth_edges}
            edges = {"value": value, **counts, "definition": _EDGES}
        return {
            "truth_edges": self.definition,
            "segmentation": self.method,
            "num_events": self.num_events,
            "num_truth_edges": self.num_truth_edges,
            "edge_efficiency": edges,
            "ceilings": {
                name: {
                    "definition": CEILINGS[name],
                    "data_fingerprint": metrics["data_fingerprint"],
                    "targets": {key: metrics["choices"]["presets"][key]["targets"] for key in metrics["presets"]},
                    "presets": metrics["presets"],
                }
                for name, metrics in self.metrics.items()
            },
        }


def everything() -> Preset:
    """Return the convention that counts every particle with at least 3 hits."""
    return Preset(
        name="all", selections={"all": Selection()}, matches=(MATCH,), rates=RATES, source="hitloom: every particle"
    )


def truth_edges_of(event: Event, definition: str) -> Tensor:
    """Return the truth edges (2, T) of an event: those of the store, or made anew.

    Raises
    ------
    ConfigError
        When there is no such definition.
    DataError
        When the event lacks what the definition needs.
    """
    if definition != STORED:
        return truth_edges(event, definition)
    if "truth_edge_index" not in event:
        raise DataError(
            f"{event.describe()}: 'truth_edge_index' is not in the data; mend: a definition that makes truth edges "
            f"anew, one of {', '.join(DEFINITIONS)}"
        )
    edges: Tensor = event.truth_edge_index
    return edges


def true_tracks(event: Event, true_edges: Tensor, config: SegmentationConfig) -> Tensor:
    """Return the tracks (N,) of edges (2, E) that are all scored 1; equal radii are told apart by position."""
    return group_edges(
        true_edges,
        torch.ones(true_edges.shape[1]),
        num_points=event.num_points,
        order=event.pos.double().square().sum(1),
        tie_key=event.pos,
        config=config,
    )


def find_ceilings(
    store: EventStore,
    rows: Sequence[int],
    *,
    definition: str,
    config: SegmentationConfig,
    on_event: Callable[[str, int, int], None] | None = None,
) -> Ceilings:
    """Return the ceilings of the events in these rows of a store.

    Parameters
    ----------
    store : EventStore
        With truth; with a graph (``edge_index``) the second ceiling is found too.
    rows : sequence of int
    definition : str
        ``stored``, or one of :data:`hitloom.data.truth_edges.DEFINITIONS`.
    config : SegmentationConfig

    Raises
    ------
    ConfigError
        When there is no such definition of truth edges.
    DataError
        When there is no event, or an event lacks what is needed.
    """
    if definition not in (STORED, *DEFINITIONS):
        raise ConfigError(f"truth edges: no definition '{definition}'.{nearest(definition, (STORED, *DEFINITIONS))}")
    if not rows:
        raise DataError(f"{store.path}: no event to look at; mend: another split")
    has_graph = "edge_index" in store.fields
    names = [name for name in CEILINGS if has_graph or name != "graph_edges"]
    evaluators = {
        name: Evaluator(presets=(PRESETS["headline"], everything()), curves=(), hit_selection="all hits of the store")
        for name in names
    }
    num_truth, num_found = 0, 0
    for done, row in enumerate(rows, 1):
        event = store[row]
        truth, wanted = truth_from_event(event), truth_edges_of(event, definition)
        graphs = {"particle_edges": wanted}
        num_truth += wanted.shape[1]
        if has_graph:
            edges = event.edge_index
            graphs["graph_edges"] = edges[:, edge_truth(edges, wanted, event.num_points)]
            num_found += int((truth_to_edge(edges, wanted, event.num_points) >= 0).sum())
        for name, true_edges in graphs.items():
            evaluators[name].add(row, true_tracks(event, true_edges, config), truth)
        if on_event is not None:
            on_event("ceilings", done, len(rows))
    return Ceilings(
        definition=definition,
        method=config.describe(),
        num_events=len(rows),
        num_truth_edges=num_truth,
        num_found_edges=num_found if has_graph else None,
        metrics={name: evaluator.result() for name, evaluator in evaluators.items()},
    )


def ceiling_lines(found: Ceilings) -> list[str]:
    """Return the table for the terminal, definitions beside the numbers."""
    lines = [
        f"{found.num_events} events, {found.num_truth_edges:,} truth edges ({found.definition})",
        f"segmentation: {found.method}",
    ]
    if found.num_found_edges is not None:
        share = _number(found.num_found_edges / found.num_truth_edges if found.num_truth_edges else None)
        lines.append(f"edge efficiency of the graph: {share}  ({found.num_found_edges:,} of them)  {_EDGES}")
    for name, metrics in found.metrics.items():
        lines += ["", CEILINGS[name]]
        for preset, targets in metrics["presets"].items():
            for target, entries in targets.items():
                text = metrics["choices"]["presets"][preset]["targets"][target]["text"]
                lines.append(f"  {preset}: {text}")
                for rate in RATES:
                    entry = entries[f"{rate}.{MATCH}"]
                    interval = entry["interval"]
                    span = f" [{_number(interval[0])}, {_number(interval[1])}]" if interval else ""
                    counts = f"({entry['numerator']:,} / {entry['denominator']:,})"
                    lines.append(f"    {rate:<24}{_number(entry['value'])}{span} {counts}  {entry['definition']}")
    return lines


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
