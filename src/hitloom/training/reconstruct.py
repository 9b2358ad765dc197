"""A trained system on events: cuts, device, timing by stage, and a result for every point of the event.

Shape letters: N points of the event, M points that pass the cuts, D embedding.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from hitloom.data.conditions import Conditions
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.result import Graph, Result
from hitloom.systems.base import System, point_ids
from hitloom.training.batches import collate
from hitloom.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from hitloom.training.hardware import choose_device
from hitloom.training.split_scores import scores_of_events


class Reconstructor:
    """A system with its weights, ready for events.

    The hard cuts of the training are applied here too, because the network has seen nothing else; points that they
    remove are in the result with label -1 and ``in_input`` False. Inference runs in float32 whatever the training ran
    in.

    Parameters
    ----------
    checkpoint : Checkpoint, path, run folder or name of shipped weights
    accelerator : str
        auto, cpu or cuda.

    Raises
    ------
    CheckpointError, ConfigError
    """

    def __init__(self, checkpoint: Checkpoint | str | Path, *, accelerator: str = "auto") -> None:
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = load_checkpoint(find_checkpoint(checkpoint))
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.device = choose_device(accelerator)
        self.cuts = Conditions.parse(self.config.data.cuts, where="data.hard_cuts")
        self.system: System = checkpoint.build_system().to(self.device).eval()

    @property
    def truth_selected_input(self) -> bool:
        """Whether the input is selected by truth: then efficiencies are of the selected input, not of the detector."""
        return self.cuts.uses_truth

    def __call__(self, event: Event, *, save_embedding: bool = True, save_edges: bool = True) -> Result:
        """Return the result for all points of ``event``.

        ``timing`` holds the stages of the system and ``read_cuts``, ``network``, ``grouping`` and ``total``, in wall
        seconds with the device synchronised.

        Raises
        ------
        DataError
            When the event lacks what the system or the cuts need.
        """
        (result,) = self.batch([event], save_embedding=save_embedding, save_edges=save_edges)
        return result

    def batch(self, events: Sequence[Event], *, save_embedding: bool = True, save_edges: bool = True) -> list[Result]:
        """Return the results of several events; one pass of the network where the system takes batches.

        The times of a batch are shared out evenly over its events.

        Raises
        ------
        DataError
            As for a single event.
        """
        if not self.system.batches_inference and len(events) > 1:
            return [self(event, save_embedding=save_embedding, save_edges=save_edges) for event in events]
        begin = self._now()
        masks = [self.cuts.mask(event) if self.cuts.items else None for event in events]
        kept = [event if keep is None else event.select_points(keep) for event, keep in zip(events, masks, strict=True)]
        for event in kept:
            self.system.needs.check(event)
        joined = collate(kept)
        cut = self._now()
        with torch.inference_mode():
            whole = self.system(joined.to(str(self.device)))
            network = self._now()
            found = [
                self.system.reconstruct(scores, event)
                for scores, event in zip(scores_of_events(whole, joined), kept, strict=True)
            ]
        end = self._now()
        stages = {"cuts": cut - begin, "network": network - cut, "grouping": end - network, "total": end - begin}
        shared = {name: seconds / len(events) for name, seconds in stages.items()}
        results = [
            _spread(event, result, keep, timing=result.timing | shared, save_embedding=save_embedding)
            for event, result, keep in zip(events, found, masks, strict=True)
        ]
        return results if save_edges else [replace(one, edge_index=None, edge_score=None) for one in results]

    def graphs(self, event: Event) -> list[Graph]:
        """Return the graphs that the network builds on ``event``, as rows of the event."""
        keep = self.cuts.mask(event) if self.cuts.items else None
        kept = event if keep is None else event.select_points(keep)
        with torch.inference_mode():
            graphs = self.system(kept.to(str(self.device))).graphs
        rows = None if keep is None else keep.nonzero().flatten()

        def as_rows_of_event(graph: Graph) -> Graph:
            edges = graph.edge_index.cpu()
            score = None if graph.edge_score is None else graph.edge_score.cpu()
            space = None if graph.embedding is None else graph.embedding.float().cpu()
            if rows is None:
                return replace(graph, edge_index=edges, edge_score=score, embedding=space)
            if space is not None:
                space = space.new_full((event.num_points, space.shape[1]), float("nan")).index_copy(0, rows, space)
            return replace(graph, edge_index=rows[edges], edge_score=score, embedding=space)

        return [as_rows_of_event(graph) for graph in graphs]

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _spread(
    event: Event, result: Result, keep: Tensor | None, *, timing: dict[str, float], save_embedding: bool
) -> Result:
    """Return the result of the kept points (M) as one of all points (N)."""
    num_points = event.num_points
    if result.labels.shape[0] != (num_points if keep is None else int(keep.sum())):
        raise DataError(f"{event.describe()}: the system returned {result.labels.shape[0]} labels for another number")

    def fill(value: Tensor | None, empty: float) -> Tensor | None:
        if value is None or keep is None:
            return value
        full = value.new_full((num_points, *value.shape[1:]), empty)
        full[keep] = value
        return full

    labels = fill(result.labels, -1)
    assert labels is not None
    rows = None if keep is None else keep.nonzero().flatten()
    edges = result.edge_index if rows is None or result.edge_index is None else rows[result.edge_index]
    return Result(
        event_id=result.event_id,
        point_id=point_ids(event),
        labels=labels,
        embedding=fill(result.embedding, 0.0) if save_embedding else None,
        point_score=fill(result.point_score, float("nan")),
        edge_index=edges,
        edge_score=result.edge_score,
        in_input=keep,
        timing=timing,
    )
