"""How well one trained stage does on held-out events: curves against radius or cut, and the edges that it leaves.

Shape letters: N points, E edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from hitloom.data.conditions import Conditions
from hitloom.data.store import EventStore
from hitloom.data.transforms import hard_cut
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.edge_curves import EdgeScores
from hitloom.metrics.edges import edge_counts, edge_quality, label_edges, truth_edges_of
from hitloom.metrics.radius_scan import RadiusScan
from hitloom.metrics.selection import Selection
from hitloom.metrics.truth import truth_from_event
from hitloom.ops import knn
from hitloom.systems.staged import Stage
from hitloom.training.hardware import set_threads
from hitloom.training.run_data import split_rows
from hitloom.training.stage_events import load_stage
from hitloom.training.stage_run import StagedRun
from hitloom.training.validation import target_selection

_NUM_RADII = 30


def stage_quality(
    run: StagedRun,
    name: str,
    *,
    split: str = "val",
    limit: int | None = None,
    on_event: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> dict[str, Any]:
    """Judge a trained stage on the events of a split; targets are those of ``evaluation.targets``.

    Returns
    -------
    dict, ready for JSON
        ``before`` and ``after``: efficiency and the three purities of the edges that come in (None for the first
        stage) and that go out; ``radius`` for an embedding, ``scores`` for a stage that scores edges: see
        :class:`~hitloom.metrics.radius_scan.RadiusScan` and :class:`~hitloom.metrics.edge_curves.EdgeScores`.

    Raises
    ------
    CheckpointError, DataError
        When the stage is not trained, or the split has no event.
    """
    stage = load_stage(run, name)
    set_threads(run.config.training.num_threads)
    data = run.input_config(name)
    store = EventStore(str(data.store))
    rows = split_rows(store, data, split)[:limit]
    if not rows:
        raise DataError(f"{store.path}: no event is in split '{split}'; mend: another --split")
    cuts = Conditions.parse(data.cuts, where="data.hard_cuts")
    selection = target_selection(run.config.evaluation.targets)

    def events() -> Iterable[Event]:
        for number, row in enumerate(rows):
            yield hard_cut(store[row], cuts)
            on_event(name, number + 1, len(rows))

    return {"stage": name, "split": split, "num_events": len(rows)} | judge(stage, events(), selection)


def judge(stage: Stage, events: Iterable[Event], selection: Selection) -> dict[str, Any]:
    """Return the quality of a stage on events that hold its input; see :func:`stage_quality`."""
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    scores = EdgeScores()
    scan: RadiusScan | None = None
    for event in events:
        truth = truth_from_event(event)
        particles = torch.bincount(event.object_index[event.object_index >= 0], minlength=truth.num_objects).numpy()
        target = selection.target(truth, particles, particles > 0)
        wanted = truth_edges_of(truth, target)
        if "edge_index" in event:
            _add(before, edge_counts(label_edges(event.edge_index, wanted, truth.num_hits), wanted))
        with torch.no_grad():
            found = stage(event)
            made = stage.decide(event)
        _add(after, edge_counts(label_edges(made.edge_index, wanted, truth.num_hits), wanted))
        if found.embedding is not None:
            settings = stage.config.graph
            if scan is None:
                radii = torch.linspace(settings.radius / 10, 1.5 * settings.radius, _NUM_RADII)
                scan = RadiusScan(radii=radii.tolist(), num_neighbours=(settings.max_neighbours,))
            table = knn(found.embedding, settings.max_neighbours, r_max=float(scan.radii[-1]))
            scan.add(table.edge_index(), table.distance[table.mask], wanted, truth.num_hits)
        if found.edge_score is not None and found.edge_index is not None:
            probability = found.edge_score.sigmoid()
            scores.add(label_edges(found.edge_index, wanted, truth.num_hits, score=probability), wanted)
    pooled = scores.result()
    return {
        "before": edge_quality(before) if before else None,
        "after": edge_quality(after),
        "radius": scan.result() if scan is not None else None,
        "scores": pooled if pooled["num_events"] else None,
    }


def _add(sums: dict[str, int], counts: dict[str, int]) -> None:
    for name, value in counts.items():
        sums[name] = sums.get(name, 0) + value
