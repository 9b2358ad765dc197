"""The graphs that a trained network builds on an event, for the loss budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from hitloom.event import Event
from hitloom.result import Graph
from hitloom.training.checkpoint import Checkpoint
from hitloom.training.reconstruct import Reconstructor


def graphs_of(checkpoint: Checkpoint | str | Path) -> Callable[[Event], list[Graph]]:
    """Return a function that runs the network on an event and returns its graphs, on rows of the whole event.

    Raises
    ------
    CheckpointError
        When the checkpoint is missing, damaged or of another version.
    """
    network = Reconstructor(checkpoint)

    def graphs(event: Event) -> list[Graph]:
        keep = network.cuts.mask(event) if network.cuts.items else torch.ones(event.num_points, dtype=torch.bool)
        kept = event.select_points(keep)
        network.system.needs.check(kept)
        with torch.inference_mode():
            scores = network.system(kept.to(str(network.device)))
        rows = keep.nonzero().flatten()
        return [Graph(name=graph.name, edge_index=rows[graph.edge_index.cpu()]) for graph in scores.graphs]

    return graphs
