"""Tracksters after pruning: what was decided, written back as tracksters in the form that they came in.

N layer clusters, E links.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hitloom._version import __version__
from hitloom.data.pruning_table import PRUNE_SCORE
from hitloom.data.pruning_write import write_pruning
from hitloom.data.store_writer import EventWriter
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.result import Result

_log = logging.getLogger(__name__)
_OF_EDGES = ("edge_attr", "edge_feature_names", "edge_y", "edge_weight", "edge_score")


def with_prune_score(event: Event, result: Result) -> Event:
    """Return a copy of a trackster with the probability to prune, ``prune_score``, as last column of ``x``.

    Where the result has no scores (a rule), the decision itself stands there: 1 = pruned.

    Raises
    ------
    DataError
        When the result is of another event.
    """
    _check(event, result)
    names = event.column_names()
    kept = [place for place, name in enumerate(names) if name != PRUNE_SCORE]
    if result.point_score is None:
        score = (result.labels < 0).float()
    else:
        score = torch.sigmoid(-result.point_score.detach().cpu().float())
    scored = event.clone()
    scored.x = torch.cat([event.x[:, kept], score[:, None].to(event.x.dtype)], dim=1)
    scored.feature_names = [*(names[place] for place in kept), PRUNE_SCORE]
    return scored


def pruned_event(event: Event, keep: Tensor) -> Event:
    """Return the trackster with the layer clusters of the mask ``keep`` (N,) bool alone.

    A layer cluster whose leader was pruned follows the nearest one above that was kept; without any it has no leader.
    Where layer clusters have several leaders, that holds for each of them. Features of links are left out.
    """
    edges = reattached(event.edge_index, keep)
    bare = event.clone()
    for name in _OF_EDGES:
        if name in bare:
            del bare[name]
    kept = bare.select_points(keep)
    new_row = torch.cumsum(keep, 0) - 1
    kept.edge_index = new_row[edges]
    return kept


def reattached(edge_index: Tensor, keep: Tensor) -> Tensor:
    """Return the links (2, E') among layer clusters that are kept, in rows of the whole trackster.

    Each link (2, E) leads from a leader to a follower; a leader that is not kept stands for its own leaders.

    Examples
    --------
    >>> reattached(torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.tensor([True, False, False, True])).tolist()
    [[0], [3]]
    """
    kept: list[bool] = keep.tolist()
    links = list(zip(*edge_index.tolist(), strict=True))
    leaders: dict[int, list[int]] = {}
    for origin, target in links:
        leaders.setdefault(target, []).append(origin)
    found: dict[tuple[int, int], None] = {}
    for origin, target in links:
        if kept[target]:
            for leader in _kept_above(origin, kept, leaders):
                if leader != target:
                    found[leader, target] = None
    return torch.tensor(list(found), dtype=torch.int64).reshape(-1, 2).t().contiguous()


def _kept_above(node: int, kept: list[bool], leaders: dict[int, list[int]]) -> list[int]:
    """Return the node when it is kept, else the nearest kept ones above it on every way."""
    found, seen, waiting = [], {node}, [node]
    while waiting:
        at = waiting.pop(0)
        if kept[at]:
            found.append(at)
            continue
        for leader in leaders.get(at, ()):
            if leader not in seen:
                seen.add(leader)
                waiting.append(leader)
    return found


def pruned_events(events: Iterable[Event], results: Iterable[Result], *, keep_all: bool = False) -> Iterator[Event]:
    """Yield tracksters after pruning, with the column ``prune_score``; events and results in the same order.

    Parameters
    ----------
    keep_all : bool
        All layer clusters and links as they were, with their scores. Otherwise those that were kept alone (labels from
        0); a trackster of which nothing was kept is left out, and one warning tells how many there were.

    Raises
    ------
    DataError
        When an event and its result do not belong together.
    """
    gone = 0
    for event, result in zip(events, results, strict=True):
        scored = with_prune_score(event, result)
        keep = result.labels >= 0
        if keep_all:
            yield scored
        elif bool(keep.any()):
            yield pruned_event(scored, keep)
        else:
            gone += 1
    if gone:
        _log.warning("%d tracksters are left out: none of their layer clusters was kept", gone)


def write_pruned(
    events: Iterable[Event],
    results: Iterable[Result],
    path: str | Path,
    *,
    layout: str | None = None,
    tracksters: str = "Tracksters",
    edges: str = "Edges",
    keep_all: bool = False,
    overwrite: bool = False,
) -> int:
    """Write tracksters after pruning into one file and return their number.

    Parameters
    ----------
    events, results
        In the same order; see :func:`pruned_events`.
    layout, tracksters, edges, overwrite
        See :class:`~hitloom.data.pruning_write.PruningWriter`. A path that ends in neither ``.root`` nor ``.json`` is
        an event store, unless a layout is given.
    """
    path = Path(path)
    if layout is None and path.suffix not in (".root", ".json"):
        facts = {"made_by": "pruning", "all_layer_clusters": keep_all, "hitloom": __version__}
        with EventWriter(path, provenance=facts, overwrite=overwrite) as writer:
            for event in pruned_events(events, results, keep_all=keep_all):
                writer.write(event)
        return writer.num_events
    return write_pruning(
        pruned_events(events, results, keep_all=keep_all), path, layout=layout, tracksters=tracksters, edges=edges,
        overwrite=overwrite,
    )  # fmt: skip


def _check(event: Event, result: Result) -> None:
    if int(event.event_id) != result.event_id or event.num_points != len(result.labels):
        raise DataError(
            f"{event.describe()}: the result is of event {result.event_id} with {len(result.labels)} layer clusters, "
            f"but the trackster has {event.num_points}; mend: the results of this store"
        )
    if "point_id" in event and not np.array_equal(event.point_id.numpy(), result.point_id.cpu().numpy()):
        raise DataError(f"{event.describe()}: the result is of other layer clusters; mend: the results of this store")
