"""Exported linking networks as a program runs them: by the contract alone, without the system they came from.

The same steps as in the C++ program (:mod:`hitloom.export.cpp_program`), for any of the formats; and the plain text in
which that program reads events and writes partitions.

Shape letters: N tracksters, E edges, F node features, G edge features.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.export.contract import read_contract, text_lines
from hitloom.grouping.edge_linking import Thresholds, link_edges
from hitloom.result import Result
from hitloom.systems.base import point_ids
from hitloom.systems.linking.exportable import CONTRACT, CONTRACT_VERSION

EVENTS, RESULTS, TEXT_VERSION = "hitloom-linking-events", "hitloom-linking-results", 1


@dataclass(frozen=True, kw_only=True)
class Linked:
    """What a program made of one event: ``labels`` (N,) int64 and the probability (E,) of every edge."""

    event_id: int
    labels: Tensor
    probability: Tensor


class ServedLinking:
    """A linking network in an exported file.

    Parameters
    ----------
    model : str or Path
        The file; its contract lies beside it.

    Raises
    ------
    DataError
        When file and contract do not belong together, or the contract is of another kind.
    """

    def __init__(self, model: str | Path) -> None:
        from hitloom.export.main import FORMATS

        self.contract = read_contract(model, wanted=CONTRACT, version=CONTRACT_VERSION)
        self._run = import_module(FORMATS[self.contract["model"]["format"]][0]).reader(Path(model))
        self.thresholds = Thresholds(
            cuts=tuple(
                (math.inf if entry["max_energy"] is None else float(entry["max_energy"]), float(entry["cut"]))
                for entry in self.contract["thresholds"]["entries"]
            )
        )

    def inputs(self, event: Event) -> tuple[Tensor, Tensor, Tensor]:
        """Return nodes (N, F), edge features (E, G) and edge index (E, 2) in the order of the contract.

        Raises
        ------
        DataError
            When the event lacks a feature or its graph.
        """
        return contract_inputs(event, self.contract)

    def __call__(self, event: Event) -> Result:
        """Return the linked tracksters of an event, as the system itself does."""
        nodes, edge_features, edge_index = self.inputs(event)
        with torch.inference_mode():
            probability = self._run(nodes, edge_features, edge_index)[0].reshape(-1) if len(nodes) else torch.zeros(0)
        names = _names(self.contract["node_features"])
        labels = link_edges(edge_index.T, probability, nodes[:, names.index("raw_energy")], len(nodes), self.thresholds)
        return Result(
            event_id=int(event.event_id),
            point_id=point_ids(event),
            labels=labels,
            edge_index=event.edge_index,
            edge_score=torch.logit(probability),
        )


def contract_inputs(event: Event, contract: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tensors that a contract asks for; columns are taken by their names, never by their place.

    Raises
    ------
    DataError
        When the event lacks a feature or its graph.
    """
    for name in ("edge_index", "edge_attr", "edge_feature_names"):
        if name not in event:
            raise DataError(f"{event.describe()}: field '{name}' is needed and not in the data")
    available, wanted = list(event.edge_feature_names), _names(contract["edge_features"])
    missing = [name for name in wanted if name not in available]
    if missing:
        raise DataError(f"{event.describe()}: edge features {missing} are needed and not in the data")
    rows = {"in": event.edge_index[0], "out": event.edge_index[1]}  # an event keeps the inner trackster above
    index = torch.stack([rows[name] for name in contract["index_columns"]], 1)
    nodes = event.columns(_names(contract["node_features"])).float()
    return nodes, event.edge_attr[:, [available.index(name) for name in wanted]].float(), index.contiguous()


def write_events(events: Iterable[Event], path: str | Path, contract: Mapping[str, Any]) -> int:
    """Write events as the C++ program reads them, floats with nine digits so that they come back the same.

    First line: ``hitloom-linking-events 1``; then ``node_features``, ``edge_features`` and ``index_columns``, each with
    its names. Of every event one line ``event ID tracksters N edges E``, then N lines of node features and E lines of
    the two rows of an edge with its features.

    Raises
    ------
    DataError
        When an event lacks what the contract asks for.
    """
    lines = [
        f"{EVENTS} {TEXT_VERSION}",
        " ".join(["node_features", *_names(contract["node_features"])]),
        " ".join(["edge_features", *_names(contract["edge_features"])]),
        " ".join(["index_columns", *contract["index_columns"]]),
    ]
    count = 0
    for event in events:
        nodes, edge_features, edge_index = contract_inputs(event, contract)
        lines.append(f"event {int(event.event_id)} tracksters {len(nodes)} edges {len(edge_index)}")
        lines += [_text(row) for row in nodes.numpy()]
        pairs = zip(edge_index.tolist(), edge_features.numpy(), strict=True)
        lines += [f"{first} {second} {_text(row)}" for (first, second), row in pairs]
        count += 1
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")
    return count


def read_partitions(path: str | Path) -> Iterator[Linked]:
    """Read what the C++ program wrote.

    Raises
    ------
    DataError
        When the file is of another kind.
    """
    lines = text_lines(path, kind=RESULTS, version=TEXT_VERSION)
    for number, line in enumerate(lines):
        if line.startswith("event "):
            labels, probability = (lines[number + step].split()[1:] for step in (1, 2))
            yield Linked(
                event_id=int(line.split()[1]),
                labels=torch.tensor([int(value) for value in labels], dtype=torch.int64),
                probability=torch.tensor([float(value) for value in probability], dtype=torch.float32),
            )


def _names(features: Iterable[Mapping[str, Any]]) -> list[str]:
    return [item["name"] for item in features]


def _text(row: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in row)
